"""Does the second stage rank every question, not only those in two parts, once it reads sentences?

    OMP_NUM_THREADS=1 python -m experiments.all_questions --data DIR --cache DIR [--steps 600]

The network is trained on composed timelines as `train base` trains it, twice: its words are GloVe
vectors, or these with the states that the sentence encoder gives the same words in their sentence
(384 columns, contextual). Then it answers every question of development timelines that no training
saw, and so does the similarity curve, which is what ranks questions of one part in the product.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from feature_extract.networks.device import memory_kept
from vmr.model.localise import Proposal
from vmr.model.retrieval import RetrievalModel
from vmr.model.sentence import WIDTH, SentenceEncoder
from vmr.model.text import Query
from vmr.model.windows import Window
from vmr.training.assemble import CAPTIONED, MAIN
from vmr.training.calibration import trials
from vmr.training.movements import moved_rows
from vmr.training.pictures import Pictures, load_pictures
from vmr.training.second_stage import SecondStageTraining, train_second_stage

GLOVE: Final = 50
SCALE: Final = 2.0
"""States of words are some 15 long; brought to the size of GloVe's columns."""
MOVED: Final = {"train": 60, "dev": 80}


class Reading(RetrievalModel):
    """The shipped space, whose second stage answers every question."""

    wide = False
    "whether words carry their states in the sentence"

    def query(self, text: str) -> Query:
        """The words of a question; wide: (L, GLOVE + WIDTH)."""
        query = super().query(text)
        if not self.wide or query.sentences:
            return query
        assert self.encoder is not None
        states = states_of_words(self.encoder, query.words)
        return replace(query, vectors=np.concatenate([query.vectors, states], axis=1))

    def encode_query(self, query: Query) -> NDArray[np.float32]:
        """As of the shipped space, by GloVe's columns."""
        return super().encode_query(replace(query, vectors=query.vectors[:, :GLOVE]))

    def localise(self, windows: Sequence[Window], query: Query) -> list[list[Proposal]]:
        """By the second stage, if there is one, whatever is asked."""
        if self.second_stage is None:
            return super().localise(windows, query)
        matches = [self.matches(window.clips, query) for window in windows]
        return self.second_stage.propose(windows, matches, query.vectors)


def reading(model: RetrievalModel, *, wide: bool) -> Reading:
    """The same weights, read so."""
    other = object.__new__(Reading)
    vars(other).update(vars(model))
    other.wide, other.second_stage = wide, None
    if wide:
        vars(other)["words"] = _Wide(model.words)  # more is read of them only by name
    return other


class _Wide:
    """Words of more columns."""

    def __init__(self, words: object) -> None:
        self._words = words
        self.width = GLOVE + WIDTH

    def __getattr__(self, name: str) -> object:
        return getattr(self._words, name)


@torch.inference_mode()
def states_of_words(encoder: SentenceEncoder, words: Sequence[str]) -> NDArray[np.float32]:
    """(L, WIDTH): the mean of each word's pieces in the last layer, of a sentence of L words."""
    read = encoder._tokenizer.encode(list(words), is_pretokenized=True)
    ids = torch.tensor(read.ids)[None]
    states = encoder._states(ids, torch.ones_like(ids, dtype=torch.bool))[0].numpy()
    found = np.zeros((len(words), WIDTH), np.float32)
    owner = np.array([-1 if word is None else word for word in read.word_ids])
    for word in range(len(words)):
        if (owner == word).any():
            found[word] = SCALE * states[owner == word].mean(0)
    return found


def main() -> None:
    """Print a line an arm: the share of first moments that are right, by kind of question."""
    parser = argparse.ArgumentParser(prog="python -m experiments.all_questions")
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--timelines", type=int, default=240)
    parser.add_argument("--share", type=float, default=1.0, help="pictures of the other sets")
    options = parser.parse_args()
    loaded = load_pictures(options.data, options.cache, views=1)
    sets: dict[str, Pictures] = {name: loaded[name] for name in CAPTIONED if name in loaded}
    banks = {
        split: moved_rows(options.data, options.cache, sets[MAIN], split, each=each).bank
        for split, each in MOVED.items()
    }
    model = RetrievalModel.load()
    config = SecondStageTraining(steps=options.steps, actions=options.share)
    arms = {"curve": reading(model, wide=False)}
    with memory_kept():
        for name, wide in (("GloVe", False), ("GloVe and sentence tokens", True)):
            torch.manual_seed(0)
            arms[name] = reading(model, wide=wide)
            stage = train_second_stage(arms[name], sets, MAIN, banks, config)
            arms[name].second_stage = stage.eval()
    print("| who ranks all questions | things | moves | orders | all, IoU .5 | all, IoU .7 |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name, arm in arms.items():
        asked = [
            trial
            for trial in trials(
                arm,
                sets[MAIN],
                "dev",
                banks["dev"],
                seed=7,
                timelines=options.timelines,
                kind=None,
            )
            if trial.present
        ]
        overlap = np.array([trial.overlap for trial in asked])
        kinds = np.array([trial.kind for trial in asked])
        shares = [
            100 * float((overlap[kinds == k] >= 0.5).mean()) for k in ("thing", "move", "order")
        ]
        shares += [100 * float((overlap >= least).mean()) for least in (0.5, 0.7)]
        print(f"| {name} ({len(asked)}) | {' | '.join(f'{s:.1f}' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()

"""What each addition to the default model brings: its figures on development data without it.

    python -m experiments.additions --data DIR --cache DIR --work DIR [--seed 1] [--only ARM]

First what is added to the training of the towers: each arm is trained from the same start as `train
base` trains, for fewer epochs, with one addition left out, and searched by the similarity curve.
Then what is added at use: the shipped weights with one addition taken off. An addition that is
worth its place makes the line without it worse than the line "as given"; two seeds of that line say
what a difference means. Called none: present questions, at the limit that 80 % of the absent fail.
Actions: 15 of har15; samples: the 40 questions of sample_questions.py. Both are of words that the
captions of Flickr8k seldom use.
"""

import argparse
import copy
import sys
import uuid
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy import actions, text_to_picture
from benchmarks.sample_questions import RIGHT, overlaps, read_questions, sample_library
from feature_extract.networks.appearance import BLOCKS, WIDTH
from vmr.library.store import Library
from vmr.model.localise import Proposal
from vmr.model.names import Names
from vmr.model.retrieval import RetrievalModel
from vmr.model.sentence import SentenceEncoder
from vmr.model.text import Query, Words
from vmr.model.towers import CLASSIFIED, TowersConfig
from vmr.model.windows import Window
from vmr.search.searcher import Searcher
from vmr.training.assemble import (
    CAPTIONED,
    MAIN,
    NAMED,
    assemble,
    captioned,
    name_classes,
    training_captions,
)
from vmr.training.base import BaseConfig, Run, new_towers, train_epoch
from vmr.training.calibration import Trial, trials
from vmr.training.captioned import Captions, Meanings
from vmr.training.movements import Moved, moved_rows
from vmr.training.pictures import Pictures, load_pictures

ABSENT_CALLED_NONE: Final = 0.8
HEAD: Final = """\
| | Flickr8k R@1/5/10 | timelines, IoU .5: all | things | called none: all | things | \
actions | samples: first / among five |
|---|---|---:|---:|---:|---:|---:|---|"""


@dataclass(frozen=True)
class Material:
    """What arms are trained and measured on."""

    captions: Captions
    sets: dict[str, Pictures]
    moved: dict[str, Moved]
    "by split"
    config: BaseConfig
    library: Library
    "of `make demo`"
    timelines: int = 240


@dataclass(frozen=True)
class Arm:
    """Training with something left out."""

    settings: dict[str, Any] = field(default_factory=dict)
    "of BaseConfig"
    views: int = 2
    judged: bool = True
    captioned: tuple[str, ...] = CAPTIONED


TRAINED: Final = {
    "as given": Arm(),
    "no words' own vectors": Arm({"often": 10**9}),
    "no judgement of the classifier, no sentences of classes": Arm({"classes": 0}, judged=False),
    "last layer only": Arm({"towers": TowersConfig(blocks={CLASSIFIED: BLOCKS[CLASSIFIED]})}),
    "no other sets": Arm({"extra": {"har15": 0, "gym": 0}}),
    "no sentences of classes": Arm({"classes": 0}),
    "no word dropout": Arm({"word_dropout": 0.0}),
    "no average of weights": Arm({"average": 0.0}),
    "one view": Arm(views=1),
    "no sentences": Arm({"sentences": False}),
    "captions of Flickr8k alone": Arm(captioned=(MAIN,)),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.additions", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--epochs", type=int, default=2, help="of each arm that is trained")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; default: 0")
    parser.add_argument("--work", type=Path, required=True, help="folder for the sample library")
    parser.add_argument("--only", action="append", choices=[*TRAINED, *AT_USE], metavar="ARM")
    options = parser.parse_args()
    sets = load_pictures(options.data, options.cache, views=2)
    config = BaseConfig(epochs=options.epochs)
    meanings = Meanings(SentenceEncoder.load(), options.cache)
    moved = {
        split: moved_rows(options.data, options.cache, sets[MAIN], split, each=each)
        for split, each in config.moved.items()
    }
    material = Material(
        Captions(Words.load(), meanings), sets, moved, config, sample_library(options.work)
    )
    only = options.only or [*TRAINED, *AT_USE]
    print(f"trained for {options.epochs} epochs\n\n{HEAD}", flush=True)
    for seed in options.seed or [0]:
        for name in [name for name in TRAINED if name in only]:
            with redirect_stdout(sys.stderr):  # how far it is
                model = trained(TRAINED[name], material, seed)
            figures = measured(model, material)
            print(f"| {name}, seed {seed} | {figures} |", flush=True)
    print(f"\nthe shipped weights\n\n{HEAD}", flush=True)
    for name in [name for name in AT_USE if name in only]:
        print(f"| {name} | {measured(AT_USE[name](material), material)} |", flush=True)


def trained(arm: Arm, material: Material, seed: int) -> RetrievalModel:
    """The model of towers that an arm trains; its average weights after the last epoch."""
    torch.manual_seed(seed)
    config = replace(material.config, seed=seed, **arm.settings)
    columns = sum(config.towers.blocks.values())
    sets = {
        name: replace(pictures, rows=pictures.rows[:, : arm.views, :columns])
        for name, pictures in material.sets.items()
    }
    captions = material.captions if config.sentences else Captions(material.captions.words)
    others = {name: pictures for name, pictures in sets.items() if name not in CAPTIONED}
    sets = {name: sets[name] for name in arm.captioned if name in sets} | others
    main = captioned(sets)
    told = [text for pictures in main for text in training_captions(pictures)]
    towers = new_towers(config, captions.counts(told), list(sets.values()))
    if not arm.judged:
        assert towers.video.classifier is not None
        towers.video.classifier.place.weight.requires_grad_(False).zero_()
    run = Run(config, towers, main)
    while run.epoch < config.epochs:
        train_epoch(run, captions, others)
    named = NAMED if arm.judged else 0.0
    model = assemble(run.averaged, captions, sets, material.moved["train"], named=named)
    model.fingerprint = str(uuid.uuid4())  # an index of other weights is not this one's
    model.__class__ = _OfFirstColumns
    return model


class _OfFirstColumns(RetrievalModel):
    """Reads of whole rows what it was trained on: look-alikes are of whole rows in every arm."""

    def encode_clips(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        looks = sum(self.towers.config.blocks.values())
        return super().encode_clips(np.concatenate([rows[:, :looks], rows[:, WIDTH:]], axis=1))


def measured(model: RetrievalModel, material: Material) -> str:
    """A line of figures, in %, as HEAD names them."""
    main, bank = material.sets[MAIN], material.moved["dev"].bank
    recall = text_to_picture(model, main, "dev")
    count = material.timelines
    done = list(trials(model, main, "dev", bank, seed=5, timelines=count, kind=None))
    both = [done, [trial for trial in done if trial.kind == "thing"]]
    right = [100 * np.mean([trial.right for trial in some if trial.present]) for some in both]
    shares = [*right, *map(called_none, both)]
    if "har15" in material.sets:
        shares.append(actions(model, material.sets["har15"], "dev"))
    found = f"{recall.at_1:.1f} / {recall.at_5:.1f} / {recall.at_10:.1f}"
    return " | ".join([found, *(f"{share:.1f}" for share in shares), _samples(model, material)])


def _samples(model: RetrievalModel, material: Material) -> str:
    """Questions to the sample library: the first moment is right, and one of the first five."""
    searcher = Searcher(material.library, model, use_feedback=False)
    asked = [(question, searcher.search(question.text)) for question in read_questions()]
    found = overlaps([(question, answer) for question, answer in asked if question.spans])
    return " / ".join(f"{100 * np.mean(share >= RIGHT):.0f}" for share in found)


def called_none(done: list[Trial]) -> float:
    """Share of present questions that score below most absent ones, in %."""
    absent = [trial.score for trial in done if not trial.present]
    limit = np.quantile(absent, ABSENT_CALLED_NONE)
    return 100 * float(np.mean([trial.score < limit for trial in done if trial.present]))


def rebuilt(model: RetrievalModel, **changes: Any) -> RetrievalModel:
    """The same model with some of its parts exchanged."""
    parts: dict[str, Any] = {
        "words": model.words,
        "towers": model.towers,
        "background": torch.from_numpy(model.background[:, :-1]),
        "captions": torch.from_numpy(model.sentences(10**6)[:, : model.towers.config.width]),
        "calibration": model.calibration,
        "word_fingerprint": model.word_fingerprint,
        "second_stage": model.second_stage,
        "mix": model.mix,
        "names": model.names,
        "movements": model.movements,
        "encoder": model.encoder,
    }
    return RetrievalModel(**(parts | changes), fingerprint=str(uuid.uuid4()))


def hubs_left(_: Material) -> RetrievalModel:
    """Nothing is taken off for being near to every caption."""
    model = RetrievalModel.load()
    return rebuilt(model, captions=torch.zeros(1, model.towers.config.width))


def without_names(_: Material) -> RetrievalModel:
    """Queries ask for no class by its name."""
    model = RetrievalModel.load()
    assert model.names is not None
    silent = Names(model.names.codes, model.names.words, 0 * model.names.table)
    return rebuilt(model, names=silent)


def classes_as_trained(material: Material) -> RetrievalModel:
    """Classes are moved back from the sentences that name them; the background is made anew."""
    shipped = RetrievalModel.load()
    towers = copy.deepcopy(shipped.towers)
    name_classes(towers, material.captions, -NAMED)
    before = assemble(towers, material.captions, material.sets, material.moved["train"], named=0.0)
    return rebuilt(before, second_stage=shipped.second_stage, mix=shipped.mix)


def without_movements(_: Material) -> RetrievalModel:
    """Queries ask for no movement."""
    model = RetrievalModel.load()
    assert model.movements is not None
    model.movements.share = 0.0
    return model


def curve_alone(_: Material) -> RetrievalModel:
    """Questions in two parts are read off the curve, too."""
    model = RetrievalModel.load()
    model.second_stage = None
    return model


def without_cuts(_: Material) -> RetrievalModel:
    """No edge moves to a cut, and the second stage reads of none."""
    model = RetrievalModel.load()
    model.__class__ = _OfNoCuts
    return model


class _OfNoCuts(RetrievalModel):
    def localise(self, windows: Any, query: Query) -> list[list[Proposal]]:
        blind: list[Window] = [replace(window, cuts=window.cuts[:0]) for window in windows]
        return super().localise(blind, query)


def against_the_mean(_: Material) -> RetrievalModel:
    """Scores are above the mean of unrelated footage, not above its best hundredth."""
    model = RetrievalModel.load()
    model.second_stage = None
    model.__class__ = _OfMean
    return model


class _OfMean(RetrievalModel):
    def curve(
        self, clips: NDArray[np.floating], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        unrelated = self.background @ query_vector  # (K,)
        return np.asarray((clips @ query_vector - unrelated.mean()) / unrelated.std())


AT_USE: Final[dict[str, Callable[[Material], RetrievalModel]]] = {
    "as shipped": lambda _: RetrievalModel.load(),
    "hubs left on": hubs_left,
    "names of classes not asked for": without_names,
    "classes where training left them": classes_as_trained,
    "movements not asked for": without_movements,
    "no cut known": without_cuts,
    "no second stage": curve_alone,
    "no second stage, scores against the mean of unrelated footage": against_the_mean,
}
"""The shipped weights with something taken off."""


if __name__ == "__main__":
    main()

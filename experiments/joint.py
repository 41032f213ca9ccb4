"""Does it help to train the shared space and the second stage together? On development data.

    python -m experiments.joint --data DIR --cache DIR [--steps 200] [--weight 0.1] [--seed 1]

From the shipped towers on: so many steps of the contrast of captions and then as many of the second
stage on what came of it (staged), or as many steps of both at once, in which the gradient of the
second stage reaches the towers through the rows of a timeline, the sentences and their matches
(joint). Names, movements and how well unrelated footage matches stay what they are.
"""

import argparse
import copy
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.accuracy import kinds, text_to_picture
from vmr.model.localise import Proposal
from vmr.model.movements import COLUMNS
from vmr.model.network import MomentModel
from vmr.model.retrieval import BEST_SHARE, HUB_NEIGHBOURS, HUB_WEIGHT, RetrievalModel
from vmr.model.second_stage import (
    CLIP_SCALE,
    EXTRA_COLUMNS,
    MATCH_SCALE,
    SecondStage,
    second_stage_config,
    window_rows,
)
from vmr.model.sentence import SentenceEncoder
from vmr.model.text import Query, QueryError, Words
from vmr.model.towers import Towers
from vmr.model.windows import WINDOW, Window
from vmr.research.contrast import follow
from vmr.training.assemble import CAPTIONED, MAIN, assemble, captioned
from vmr.training.base import BaseConfig, Pair, pair_loss, pairs
from vmr.training.calibration import Trial, trials
from vmr.training.captioned import Captions, Meanings
from vmr.training.compose import compose, pool_of
from vmr.training.movements import Moved, moved_rows
from vmr.training.pictures import Pictures, load_pictures
from vmr.training.questions import Question, ask_any
from vmr.training.second_stage import (
    SecondStageTraining,
    answers_in,
    error_of,
    errors_of,
    noise_of_the_unknown,
    seen_cuts,
    train_second_stage,
    window_around,
)
from vmr.training.second_stage_loss import Example, second_stage_loss

RATE: Final = 2e-4
"""Of the towers, at most: they are trained already."""
AVERAGE: Final = 0.99


def main() -> None:
    """Print the figures of the start and of both ways."""
    parser = argparse.ArgumentParser(prog="python -m experiments.joint", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weight", type=float, action="append", help="0: staged; repeatable")
    options = parser.parse_args()
    captions = Captions(Words.load(), Meanings(SentenceEncoder.load(), options.cache))
    sets = load_pictures(options.data, options.cache, views=2)
    moved = {
        split: moved_rows(options.data, options.cache, sets[MAIN], split, each=each)
        for split, each in BaseConfig().moved.items()
    }
    steps = options.steps
    config = SecondStageTraining(steps=steps, validate_every=steps, seed=options.seed)
    for weight in options.weight or [0.0, 0.1]:
        model = train(captions, sets, moved, config, weight)
        print(f"\nweight {weight}: {text_to_picture(model, sets[MAIN], 'dev')}")
        kinds(arms(model, sets[MAIN], moved["dev"]))


def train(
    captions: Captions,
    sets: dict[str, Pictures],
    moved: dict[str, Moved],
    config: SecondStageTraining,
    weight: float,
) -> RetrievalModel:
    """Towers and a second stage; trained at once, where the weight of the latter is not 0."""
    torch.manual_seed(config.seed)
    start, draw = RetrievalModel.load(), random.Random(config.seed)
    towers = copy.deepcopy(start.towers)
    network = MomentModel(second_stage_config(start.space, word_width=captions.words.width))
    second_stage = SecondStage(network, start.space)
    both = torch.nn.ModuleList([towers, second_stage])
    kept = copy.deepcopy(towers), copy.deepcopy(second_stage)
    average = torch.nn.ModuleList(kept)
    rates = [RATE, config.learning_rate]
    optimizer = torch.optim.AdamW(
        [{"params": part.parameters(), "lr": rate} for part, rate in zip(both, rates, strict=True)],
        weight_decay=config.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=config.steps + 1, pct_start=0.1
    )
    batches = picked(sets, draw)
    timelines = Timelines(start, captions, sets[MAIN], moved["train"], config)
    for step in range(1, config.steps + 1):
        loss = pair_loss(towers.train(), captions, next(batches), BaseConfig(), draw)
        if weight:
            batch = timelines.batch(towers.eval(), draw)
            loss = loss + weight * second_stage_loss(second_stage.train(), batch, config.loss)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        follow(average, both, min(AVERAGE, (1 + step) / (10 + step)))
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model = assemble(kept[0], captions, sets, moved["train"], named=0.0)
    banks = {split: rows.bank for split, rows in moved.items()}
    model.second_stage = (
        kept[1].eval()
        if weight
        else train_second_stage(model, {MAIN: sets[MAIN]}, MAIN, banks, config)
    )
    return model


def picked(sets: dict[str, Pictures], draw: random.Random) -> Iterator[list[Pair]]:
    """Batches of pairs as `train base` has them, for ever."""
    config = BaseConfig()
    others = {name: pictures for name, pictures in sets.items() if name not in CAPTIONED}
    said = [
        (pictures, int(i), text)
        for pictures in captioned(sets)
        for i in pictures.of("train")
        for text in pictures.captions[i]
    ]
    while True:
        yield from pairs(said, others, config, draw)


class Timelines:
    """Examples of the second stage that the gradient goes through to the towers."""

    def __init__(
        self,
        start: RetrievalModel,
        captions: Captions,
        main: Pictures,
        moved: Moved,
        config: SecondStageTraining,
    ) -> None:
        self._start, self._captions, self._rows, self._config = start, captions, main.rows, config
        unit = main.rows[:, 0].astype(np.float32)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        self._pool = pool_of(main.of("train"), main.groups, main.captions, unit, 2)
        self._bank = moved.bank
        self._noise = config.noise * noise_of_the_unknown(start, main)
        self._chaos = np.random.default_rng(config.seed)
        self._unrelated = torch.from_numpy(start.background)
        self._asked = torch.from_numpy(start.sentences(1000)[:, : start.space.shared_width])

    def batch(self, towers: Towers, draw: random.Random) -> list[Example]:
        """As SecondStageTraining has it."""
        made: list[Example] = []
        while len(made) < self._config.batch:
            made += self._of_one(towers, draw)
        return made[: self._config.batch]

    def _of_one(self, towers: Towers, draw: random.Random) -> list[Example]:
        timeline = compose(self._pool, draw)
        looks = timeline.rows(self._rows)
        moving = timeline.moving(self._bank, draw.getrandbits(32))
        fixed = self._start.encode_clips(np.concatenate([looks, moving], axis=1))
        space = towers.encode_video(torch.from_numpy(looks))  # (T, E')
        hub = -HUB_WEIGHT * (space @ self._asked.T).topk(HUB_NEIGHBOURS).values.mean(1)
        errors = errors_of(timeline, space.shape[1], self._noise, self._chaos)
        space = F.normalize(space + torch.from_numpy(errors), dim=1)
        beside = torch.from_numpy(fixed[:, space.shape[1] : -1])
        clips = torch.cat([space, beside, hub[:, None]], dim=1)  # (T, E)
        cuts, made = seen_cuts(timeline, draw), []
        for _ in range(self._config.questions):
            present = draw.random() >= self._config.absent
            asked = ask_any(timeline, self._pool, draw, present=present)
            try:
                query = self._start.query(asked.text)
            except QueryError:
                continue
            made.append(self._example(towers, clips, cuts, query, asked, draw))
        return made

    def _example(
        self,
        towers: Towers,
        clips: Tensor,
        cuts: NDArray[np.float64],
        query: Query,
        asked: Question,
        draw: random.Random,
    ) -> Example:
        sentences = (query, *(query.parts or (query, query)))
        space = self._captions.encoded(towers, sentences)  # (3, E')
        errors = [error_of(self._noise, space.shape[1], self._chaos) for _ in sentences]
        space = F.normalize(space + torch.from_numpy(np.stack(errors)), dim=1)
        fixed = np.stack([self._start.encode_query(part) for part in sentences])
        vectors = torch.cat([space, torch.from_numpy(fixed[:, space.shape[1] :])], dim=1)  # (3, E)
        first = window_around(asked.spans, len(clips), draw)
        part = clips[first : first + WINDOW]
        matches = self.matches(part, vectors)  # (3, T)
        starts = np.arange(first, first + len(part), dtype=np.float64)
        window = Window(part.detach().numpy(), starts, starts + 1, cuts)
        own = self._start.space
        rows = torch.from_numpy(window_rows(own, window, matches.detach().numpy()))
        moves = rows[:, -EXTRA_COLUMNS - len(COLUMNS) : -EXTRA_COLUMNS]
        seen = CLIP_SCALE * part[:, : own.shared_width + own.names_width]
        rows = torch.cat([seen, moves, MATCH_SCALE * matches.T, rows[:, -2:]], dim=1)
        words = [w for w in query.vectors if draw.random() >= self._config.word_dropout]
        answers = answers_in(asked.spans, first, len(part))
        return Example(rows, np.stack(words or list(query.vectors)), answers, asked.kind)

    def matches(self, clips: Tensor, vectors: Tensor) -> Tensor:
        """(T, E), (3, E) -> (3, T), as RetrievalModel.curve has them."""
        unrelated = (self._unrelated @ vectors.detach().T).sort(0).values  # (K, 3)
        best = unrelated[-round(BEST_SHARE * len(unrelated)) :].mean(0)
        return ((clips @ vectors.T - best) / unrelated.std(0)).T


class _Reads(RetrievalModel):
    """The second stage for questions of one part, too."""

    def propose(self, windows: Sequence[Window], query: Query) -> list[list[Proposal]]:
        assert self.second_stage is not None
        matches = [self.matches(window.clips, query) for window in windows]
        return self.second_stage.propose(windows, matches, query.vectors)


def arms(model: RetrievalModel, main: Pictures, moved: Moved) -> dict[str, list[Trial]]:
    """Trials by the curve, by the second stage, and by both as the product has them."""
    curve, reads = copy.copy(model), copy.copy(model)
    curve.second_stage, reads.__class__ = None, _Reads
    ways = {"curve": curve, "second stage": reads, "as in the product": model}
    return {
        name: list(trials(way, main, "dev", moved.bank, seed=5, timelines=240, kind=None))
        for name, way in ways.items()
    }


if __name__ == "__main__":
    main()

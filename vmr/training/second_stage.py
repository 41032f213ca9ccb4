"""Trains the second stage of `base` (second_stage.py) on composed timelines.

    second_stage = train_second_stage(model, sets, SecondStageTraining())

The pictures that the shared space was trained on are known to it too well: a network that learns
from their matches trusts them too much on anything new. So every picture and every sentence gets
noise, as much as makes retrieval among training pictures as hard as it is among new ones.
"""

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from feature_extract.motion import motion_fingerprint
from vmr.model.movements import COLUMNS
from vmr.model.network import MomentModel
from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import (
    Matches,
    SecondStage,
    second_stage_config,
    window_rows,
)
from vmr.model.text import Query, QueryError
from vmr.model.windows import WINDOW, Window
from vmr.research.loss import LossConfig
from vmr.research.processes import ALONE, Processes
from vmr.training.compose import Pool, Timeline, compose, pool_of
from vmr.training.movements import Bank
from vmr.training.pictures import Pictures
from vmr.training.questions import AbsentError, Question, ask_any
from vmr.training.second_stage_check import check, check_curve, rounded
from vmr.training.second_stage_loss import Example, second_stage_loss
from vmr.training.trainer import Optimisation, Trainer

Span = tuple[float, float]
CUTS_MISSED: Final = 0.15
"""Chance that the detector misses a hard cut; it misses half of all fades."""


@dataclass(frozen=True)
class SecondStageTraining:
    """Settings of the run. They are stored in the weights' config.json; docs/EXPERIMENTS.md ("The
    second stage") says what was tried beside them."""

    steps: int = 400
    "Batches in the run."
    batch: int = 24
    "Examples (a window and a question) in a batch."
    questions: int = 8
    "Questions asked of each composed timeline."
    absent: float = 0.35
    "Share of the questions that nothing in the timeline answers, 0..1."
    learning_rate: float = 5e-4
    "The highest of the one-cycle schedule."
    weight_decay: float = 0.02
    "AdamW's decay of all weights."
    word_dropout: float = 0.1
    "Chance of each word of a question to be left out, 0..1."
    noise: float = 0.7
    "Noise on clips and sentences: 1 makes training pictures as hard to find as new ones."
    average: float = 0.998
    "Decay of the exponential average of the weights, whose best check is kept."
    actions: float = 0.3
    "Pictures of the other sets for each captioned picture."
    validate_every: int = 100
    "Steps from one check on development questions to the next."
    validation: int = 800
    "Development questions in a check."
    seed: int = 0
    "Of the first weights and of what is drawn."
    loss: LossConfig = LossConfig()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Table:
    """Clip vectors of pictures of all sets, and what is said of them."""

    clips: NDArray[np.float32]
    "(N, V, E): the clip vectors of V views of each picture."
    pools: dict[str, Pool]
    "By split, the pictures that timelines are composed of."
    moves: dict[str, dict[str, NDArray[np.float32]]]
    "By split and kind of shot, the movement columns (K, 4) of K windows of such shots."


def table_of(
    model: RetrievalModel,
    sets: dict[str, Pictures],
    main: str,
    share: float,
    banks: dict[str, Bank],
) -> Table:
    """The pictures of every set in the shared space; of the others `share` as many as of `main`."""
    views = sets[main].rows.shape[1]
    limit = int(share * len(sets[main].names)) // max(1, len(sets) - 1)
    clips: list[NDArray[np.float32]] = []
    captions: list[tuple[str, ...]] = []
    groups: list[str] = []
    splits: list[str] = []
    for name, pictures in sets.items():
        step = 1 if name == main else max(1, len(pictures.names) // max(1, limit))
        chosen = range(0, len(pictures.names), step)
        rows = pictures.rows[::step]  # (N, V, D)
        flat = model.encode_clips(rows.reshape(-1, rows.shape[2]))
        vectors = flat.reshape(*rows.shape[:2], -1)  # (N, V, E)
        clips.append(np.tile(vectors, (1, -(-views // rows.shape[1]), 1))[:, :views])
        captions += [pictures.captions[i] for i in chosen]
        groups += [f"{name}/{pictures.groups[i]}" for i in chosen]
        splits += [pictures.splits[i] for i in chosen]
    table, split_of = np.concatenate(clips), np.asarray(splits)
    pools = {
        split: pool_of(np.flatnonzero(split_of == split), groups, captions, table[:, 0, :-1], views)
        for split in ("train", "dev")
    }
    assert model.movements is not None
    moves = {
        split: {kind: model.movements.clip_columns(rows) for kind, rows in bank.items()}
        for split, bank in banks.items()
    }
    return Table(table, pools, moves)


def train_second_stage(
    model: RetrievalModel,
    sets: dict[str, Pictures],
    main: str,
    banks: dict[str, Bank],
    config: SecondStageTraining,
    state: Path | None = None,
    place: Processes = ALONE,
) -> SecondStage:
    """The second stage whose average weights find most moments of the development timelines.

    Args:
        model: the shared space, calibrated or not; its own second stage is not looked at.
        sets: the pictures of every set, with their rows.
        main: the name of the captioned set.
        banks: by split, motion rows of shots of each kind (movements.py).
        state: the file that a stopped run goes on from; None: a run that is stopped is lost.
        place: whose processes have equal shares of every batch.

    Raises:
        ResumeError: `state` is damaged, or of other settings or another shared space.
        ValueError: a batch does not divide by the processes.
    """
    place.divide(config.batch)
    torch.manual_seed(config.seed)
    table = table_of(model, sets, main, config.actions, banks)
    composer = _Composer(model, table, config)
    composer.noise = config.noise * noise_of_the_unknown(model, sets[main])
    print(f"noise {composer.noise:.2f}", flush=True)
    checks = composer.examples("dev", random.Random(1), config.validation)
    print(f"dev R@1 at IoU .5 of the curve alone: {rounded(check_curve(checks))}", flush=True)
    network = MomentModel(second_stage_config(model.space, word_width=model.words.width))
    second_stage = SecondStage(network, model.space)
    rng = random.Random(config.seed)
    optimisation = Optimisation(
        config.steps,
        config.learning_rate,
        config.weight_decay,
        decays_all=True,
        average=config.average,
    )
    settings = asdict(config) | {"space": _digest(model, table)}
    trainer = Trainer(second_stage, optimisation, state, settings=settings, rng=rng, place=place)
    for step in trainer:
        mine = composer.batch("train", rng)[place.part]
        trainer.step(second_stage_loss(second_stage.train(), mine, config.loss))
        done = step + 1
        if done % config.validate_every == 0 or done == config.steps:
            shares = check(cast(SecondStage, trainer.averaged), checks)
            print(f"step {done}: dev R@1 at IoU .5 {rounded(shares)}", flush=True)
            trainer.keep_if_best(shares["all"] + shares["answers"])
            trainer.save_state()
    return cast(SecondStage, trainer.best())


def _digest(model: RetrievalModel, table: Table) -> str:
    """What a second stage is trained on, in 12 characters: the weights of the space, those of the
    motion network, and how many pictures there are."""
    about = [*table.clips.shape, motion_fingerprint()["weights"]]
    digest = hashlib.sha256(repr(about).encode())
    for name, values in model.towers.state_dict().items():
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


class _Composer:
    """Makes examples in the shared space: timelines are composed, and asked questions."""

    def __init__(self, model: RetrievalModel, table: Table, config: SecondStageTraining) -> None:
        self._model, self._table, self._config = model, table, config
        self.noise = 0.0
        self._space = model.towers.config.width
        self._queries: dict[str, tuple[Query, NDArray[np.float32]] | None] = {}

    def batch(self, split: str, rng: random.Random) -> list[Example]:
        """The next batch of noisy examples; what it holds depends on the state of `rng` alone."""
        batch: list[Example] = []
        while len(batch) < self._config.batch:
            batch += self._of_one(split, rng, noise=self.noise)
        return batch[: self._config.batch]

    def examples(self, split: str, rng: random.Random, count: int) -> list[Example]:
        """So many examples without noise: the model has not seen pictures of other splits
        anyway."""
        found: list[Example] = []
        while len(found) < count:
            found += self._of_one(split, rng, noise=0.0)
        return found[:count]

    def _of_one(self, split: str, rng: random.Random, *, noise: float) -> list[Example]:
        pool = self._table.pools[split]
        timeline = compose(pool, rng)
        clips = timeline.rows(self._table.clips)  # (T, E)
        noise_rng = np.random.default_rng(rng.getrandbits(32))
        space = clips[:, : self._space]  # a view: names, movements and hubs stay as they are
        if noise:
            space += errors_of(timeline, self._space, noise, noise_rng)
        space /= np.linalg.norm(space, axis=1, keepdims=True)
        moves = timeline.moving(self._table.moves[split], rng.getrandbits(32))
        clips[:, -1 - len(COLUMNS) : -1] = moves
        cuts = seen_cuts(timeline, rng)
        made = []
        for _ in range(self._config.questions):
            present = rng.random() >= self._config.absent
            try:
                question = ask_any(timeline, pool, rng, present=present)
            except AbsentError:  # all is shown
                continue
            query = self._query(question.text)
            if query is not None:
                made.append(self._example(clips, cuts, question, query, noise, rng, noise_rng))
        return made

    def _query(self, text: str) -> tuple[Query, NDArray[np.float32]] | None:
        """The query of a text, with the vectors (3, E) of the whole and of its two parts; None
        where no word is known. What was looked up once is remembered."""
        if text not in self._queries:
            try:
                query = self._model.query(text)
                vectors = [
                    self._model.encode_query(part)
                    for part in (query, *(query.parts or (query, query)))
                ]
                self._queries[text] = query, np.stack(vectors)
            except QueryError:  # three captions have no known word
                self._queries[text] = None
        return self._queries[text]

    def _example(
        self,
        clips: NDArray[np.float32],
        cuts: NDArray[np.float64],
        question: Question,
        query: tuple[Query, NDArray[np.float32]],
        noise: float,
        rng: random.Random,
        noise_rng: np.random.Generator,
    ) -> Example:
        """A question about a window of at most 128 rows, placed around an answer if there is
        one."""
        words, vectors = query[0].vectors, query[1].copy()
        if noise:
            space = vectors[:, : self._space]
            space += np.stack([error_of(noise, self._space, noise_rng) for _ in vectors])
            space /= np.linalg.norm(space, axis=1, keepdims=True)
            kept = [w for w in words if rng.random() >= self._config.word_dropout]
            words = np.stack(kept) if kept else words
        first = window_around(question.spans, len(clips), rng)
        part = clips[first : first + WINDOW]
        starts = np.arange(first, first + len(part), dtype=np.float64)
        window = Window(part, starts, starts + 1, cuts)
        matches: Matches = np.stack([self._model.curve(part, vector) for vector in vectors])
        rows = window_rows(self._model.space, window, matches)
        return Example(rows, words, answers_in(question.spans, first, len(part)), question.kind)


def window_around(spans: Sequence[Span], length: int, rng: random.Random) -> int:
    """The first row of a window of `length` rows that holds one of the answers, if any."""
    last = max(0, length - WINDOW)
    first = rng.randint(0, last)
    if spans:
        start, end = rng.choice(spans)
        low, high = int(max(0, end - WINDOW)), int(min(last, start))
        first = rng.randint(min(low, high), max(low, high))
    return first


def answers_in(spans: Sequence[Span], first: int, length: int) -> tuple[Span, ...]:
    """What of the answers, in seconds of a video, lies in its rows from `first` on; in rows."""
    inside = [(max(0.0, a - first), min(float(length), b - first)) for a, b in spans]
    return tuple((a, b) for a, b in inside if b - a >= 1)


def noise_of_the_unknown(model: RetrievalModel, pictures: Pictures) -> float:
    """Length of the noise that makes training pictures as hard to find as development ones."""
    wanted = _found(model, pictures, "dev", 0.0)
    low, high = 0.0, 4.0
    for _ in range(8):
        middle = (low + high) / 2
        if _found(model, pictures, "train", middle) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _found(
    model: RetrievalModel,
    pictures: Pictures,
    split: str,
    noise: float,
    count: int = 1000,
) -> float:
    """Share of captions, 0..1, whose picture is among the ten nearest of `count`, when clips and
    captions are given an error of length `noise`."""
    places, noise_rng = pictures.of(split)[:count], np.random.default_rng(0)
    clips = model.encode_clips(pictures.rows[places, 0])
    texts = [model.query(max(pictures.captions[i], key=len)) for i in places]
    queries = np.stack([model.encode_query(text) for text in texts])
    for vectors in (clips, queries):
        space = vectors[:, : model.towers.config.width]  # a view
        space += np.stack([error_of(noise, space.shape[1], noise_rng) for _ in vectors])
        space /= np.linalg.norm(space, axis=1, keepdims=True)
    similar = queries @ clips.T
    ahead = (similar > similar.diagonal()[:, None]).sum(1)
    return float((ahead < 10).mean())


def errors_of(
    timeline: Timeline, width: int, noise: float, noise_rng: np.random.Generator
) -> NDArray[np.float32]:
    """(T, width): an error for each picture that is shown, the same in all its rows."""
    errors = {segment.place: error_of(noise, width, noise_rng) for segment in timeline.segments}
    count = max(1, math.ceil(timeline.duration - 0.04))
    return np.stack(
        [
            np.sum([share * errors[s.place] for s, share, _ in timeline.shown(row + 0.5)], axis=0)
            for row in range(count)
        ]
    )


def error_of(noise: float, width: int, noise_rng: np.random.Generator) -> NDArray[np.float32]:
    """A random vector (width,) whose length is about `noise`."""
    return noise / np.float32(width**0.5) * noise_rng.standard_normal(width, np.float32)


def seen_cuts(timeline: Timeline, rng: random.Random) -> NDArray[np.float64]:
    """The cuts of a timeline, in seconds, as a detector gives them: some are missed, and the others
    are off by up to .12 s."""
    seen = [
        segment.end + rng.uniform(-0.12, 0.12)
        for segment in timeline.segments[:-1]
        if rng.random() >= (0.5 if segment.fade else CUTS_MISSED)
    ]
    return np.array(seen)

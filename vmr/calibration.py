"""Score -> strength: fitted on timelines whose truth is known.

    fit_calibration(ranker, words, pictures, "dev")         # sets ranker.mix and ranker.calibration

Composed timelines (compose.py) are searched for the caption of something shown (present) and of
something that is not (absent). First the second stage's logit and the similarity curve are weighed
against each other, so that right moments score above wrong ones; then strength is a logistic
function of the score of the best moment: the chance that it is the right one, when half of the
queries have no answer at all.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.compose import ask, compose, pool_of
from vmr.localise import Proposal
from vmr.moments import iou
from vmr.ranker import Calibration, Mix, Ranker
from vmr.stills import Pictures
from vmr.text import Query, QueryError, Words
from vmr.windows import Window, cut_windows, distinct

TIMELINES: Final = 120
QUESTIONS: Final = 5
"""Of each kind, present and absent, a timeline."""
_RIGHT: Final = 0.5  # IoU from which a moment is the right one
_ABSENT_CALLED_NONE: Final = 0.8  # the share of absent queries that the verdict has to catch
_STRONG: Final = 0.75  # strength at which three of four answers are right


@dataclass(frozen=True)
class Trial:
    """The answers to one query, best first."""

    moments: tuple[Proposal, ...]
    truth: tuple[tuple[float, float], ...]
    "none for an absent query"

    @property
    def score(self) -> float:
        """Of the best moment."""
        return self.moments[0].score

    @property
    def present(self) -> bool:
        """Whether there is a right answer."""
        return bool(self.truth)

    @property
    def overlap(self) -> float:
        """IoU of the best moment with the answer that it fits best."""
        return _overlap(self.moments[0], self.truth)

    @property
    def right(self) -> bool:
        """Whether the best moment is a right one."""
        return self.overlap >= _RIGHT


@dataclass(frozen=True)
class _Asked:
    """A query to a timeline."""

    query: Query
    truth: tuple[tuple[float, float], ...]
    windows: list[Window]


def trials(
    ranker: Ranker,
    words: Words,
    pictures: Pictures,
    split: str,
    *,
    seed: int = 0,
    timelines: int = TIMELINES,
) -> Iterator[Trial]:
    """The ranker's answers to present and absent queries on composed timelines of a split."""
    for asked in _asked(ranker, words, pictures, split, seed, timelines):
        moments = distinct(asked.windows, ranker.propose(asked.windows, asked.query))
        yield Trial(tuple(moments), asked.truth)


def fit_calibration(
    ranker: Ranker, words: Words, pictures: Pictures, split: str, *, timelines: int = TIMELINES
) -> None:
    """Set the ranker's mix (with a second stage), logistic strength and thresholds."""
    tried = partial(trials, ranker, words, pictures, split, timelines=timelines)
    if ranker.reader is not None:
        reader, ranker.reader = ranker.reader, None
        slope, offset = _strength(list(tried()))
        ranker.reader = reader
        weights = _mix(ranker, words, pictures, split, timelines)
        # In the unit of the curve's score: the same strength means the same chance.
        ranker.mix = Mix(*[float(w) for w in (weights - np.array([0, 0, 0, offset])) / slope])
    done = list(tried(seed=1))
    slope, offset = _strength(done)
    absent = [trial.score for trial in done if not trial.present]
    limit = float(np.quantile(absent, _ABSENT_CALLED_NONE))
    possible = float(1 / (1 + np.exp(-(slope * limit + offset))))
    ranker.calibration = Calibration(slope, offset, min(possible, _STRONG - 0.01), _STRONG)


def _asked(
    ranker: Ranker, words: Words, pictures: Pictures, split: str, seed: int, timelines: int
) -> Iterator[_Asked]:
    draw = random.Random(seed)
    places, first = pictures.of(split), pictures.rows[:, 0].astype(np.float32)
    unit = first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
    views = pictures.rows.shape[1]
    pool = pool_of(places, pictures.groups, pictures.captions, unit, views)
    for _ in range(timelines):
        timeline = compose(pool, draw)
        clips = ranker.clip_vectors(timeline.rows(pictures.rows))
        starts = np.arange(len(clips), dtype=np.float64)
        ends = np.minimum(starts + 1, timeline.duration)
        windows = cut_windows(clips, starts, ends, timeline.cuts)
        for number in range(2 * QUESTIONS):
            question = ask(timeline, pool, draw, present=number % 2 == 0)
            try:
                query = words.query(question.text)
            except QueryError:  # three captions have no known word
                continue
            yield _Asked(query, question.spans, windows)


def _mix(
    ranker: Ranker, words: Words, pictures: Pictures, split: str, timelines: int
) -> NDArray[np.float64]:
    """(4,) weights of the evidence: the log odds that a moment which a window offers is right."""
    evidence, right = [], []
    for asked in _asked(ranker, words, pictures, split, 0, timelines):
        for read, facts in ranker.read(asked.windows, asked.query):
            evidence.append(facts)
            right += [_overlap(moment, asked.truth) >= _RIGHT for moment in read]
    return _logistic(np.concatenate(evidence), np.array(right, np.float64))


def _overlap(moment: Proposal, truth: tuple[tuple[float, float], ...]) -> float:
    if not truth:
        return 0.0
    return float(iou([(moment.start, moment.end)], list(truth)).max())


def _strength(done: list[Trial]) -> tuple[float, float]:
    """Slope and offset of the chance that an answer of a score is right."""
    scores = np.array([(trial.score, 1.0) for trial in done])
    slope, offset = _logistic(scores, np.array([trial.right for trial in done], np.float64))
    return float(slope), float(offset)


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D,) the maximum-likelihood logistic fit of y (N,) by x (N, D), by Newton's method."""
    weight = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weight))
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + 1e-6 * np.eye(x.shape[1])
        weight = weight + np.linalg.solve(hessian, x.T @ (y - p))
    return weight

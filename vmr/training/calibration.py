"""Score -> strength: fitted on timelines whose truth is known.

    fit_calibration(model, pictures, "dev", bank)   # sets model.mix and .calibration

Composed timelines (compose.py) are searched for what is shown (present) and what is not (absent).
Strength is a logistic function of the score of the best moment: the chance that it is the right
one, when half of the queries have no answer at all. The logits of the second stage, which answers
queries in two parts, become scores of which the same strength means the same.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.localise import Proposal
from vmr.model.retrieval import Mix, RetrievalModel
from vmr.model.spans import iou
from vmr.model.strength import Calibration
from vmr.model.text import Query, QueryError
from vmr.model.windows import Window, cut_windows, distinct
from vmr.training.compose import SHOTS, compose, pool_of
from vmr.training.movements import Bank
from vmr.training.pictures import Pictures
from vmr.training.questions import AbsentError, Kind, Question, ask_any

TIMELINES: Final = 120
"""Timelines that a calibration is fitted on, where nothing else is said."""
QUESTIONS: Final = 5
"""Questions with an answer, and as many without, that each timeline is asked."""
LONG_SHOTS: Final = (100, 200)
"""Shots of timelines as long as a small library: what a score is worth among more rows."""
LONG_SHARE: Final = 10
"""One of so many timelines is long; as many times as many questions are asked of it."""
_RIGHT: Final = 0.5  # IoU from which a moment is the right one
_ABSENT_CALLED_NONE: Final = 0.8  # the share of absent queries that the verdict has to catch
_MOST_FALL: Final = 8.0  # of log odds for e times as many rows; far more than ever fitted
_STRONG: Final = 0.75  # strength at which three of four answers are right


@dataclass(frozen=True)
class Trial:
    """What one query to a timeline was answered, and what would have been right."""

    moments: tuple[Proposal, ...]
    "The answers, best first."
    truth: tuple[tuple[float, float], ...]
    "The right answers, (start, end) in seconds; none for a query that nothing answers."
    kind: Kind
    "What the query asks for."
    rows: int
    "How many were searched."

    @property
    def score(self) -> float:
        """The score of the best moment."""
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
    """A query, the question it was made of, and the windows of the timeline it goes to."""

    model: RetrievalModel
    "that measures against the timeline"
    query: Query
    question: Question
    windows: list[Window]
    rows: int
    "of the timeline"


def trials(
    model: RetrievalModel,
    pictures: Pictures,
    split: str,
    bank: Bank,
    *,
    seed: int = 0,
    timelines: int = TIMELINES,
    kind: Kind | None = "thing",
    long: bool = False,
) -> Iterator[Trial]:
    """The model's answers to present and absent queries on composed timelines of a split.

    Args:
        bank: motion rows of shots of the split, see movements.py.
        kind: what is asked for; None: everything, by the shares of questions.py.
        long: timelines as long as a small library, fewer of them.
    """
    for asked in _asked(model, pictures, split, bank, seed, timelines, kind=kind, long=long):
        moments = distinct(asked.windows, asked.model.localise(asked.windows, asked.query))
        yield Trial(tuple(moments), asked.question.spans, asked.question.kind, asked.rows)


def fit_calibration(
    model: RetrievalModel,
    pictures: Pictures,
    split: str,
    bank: Bank,
    *,
    timelines: int = TIMELINES,
) -> None:
    """Set the model's mix (with a second stage), logistic strength and thresholds, and how both
    change with how much is searched."""
    tried = partial(trials, model, pictures, split, bank, seed=1, timelines=timelines)
    second_stage, model.second_stage = model.second_stage, None
    calibration = model.calibration = calibration_of(list(tried()), list(tried(long=True)))
    model.second_stage = second_stage
    if second_stage is not None:
        asked = _asked(model, pictures, split, bank, 0, timelines, kind="order")
        model.mix = mix_of(list(_in_two_parts(asked, model)), calibration)


def calibration_of(short: list[Trial], long: list[Trial]) -> Calibration:
    """The logistic fits of right, and of present, by score on short timelines; and by how much both
    fall on long ones with the logarithm of how many times as many rows are searched."""
    rows = round(float(np.mean([trial.rows for trial in short])))
    score = np.array([(trial.score, 1.0) for trial in short])
    slope, offset = _logistic(score, np.array([trial.right for trial in short], float)).tolist()
    found = _logistic(score, np.array([trial.present for trial in short], float)).tolist()
    more = np.array([np.log(trial.rows / rows) for trial in long])
    scores = np.array([trial.score for trial in long])
    right = np.array([trial.right for trial in long], float)
    present = np.array([trial.present for trial in long], float)
    absent = [trial.score for trial in short if not trial.present]
    limit = float(np.quantile(absent, _ABSENT_CALLED_NONE))
    possible = float(1 / (1 + np.exp(-(slope * limit + offset))))
    return Calibration(
        slope,
        offset,
        min(possible, _STRONG - 0.01),
        _STRONG,
        rows=rows,
        right_by_rows=_fall(slope * scores + offset, more, right),
        found_by_rows=_fall(found[0] * scores + found[1], more, present) / found[0],
    )


def _fall(
    logit: NDArray[np.float64], more: NDArray[np.float64], true: NDArray[np.float64]
) -> float:
    """The most likely fall of log odds (N,) for each unit of `more` (N,), at least 0."""
    low, high = 0.0, _MOST_FALL
    for _ in range(50):  # likelihood has one top: its slope falls as the fall grows
        middle = (low + high) / 2
        chance = 1 / (1 + np.exp(middle * more - logit))
        if ((chance - true) * more).sum() > 0:
            low = middle
        else:
            high = middle
    return low


def _asked(
    model: RetrievalModel,
    pictures: Pictures,
    split: str,
    bank: Bank,
    seed: int,
    timelines: int,
    *,
    kind: Kind | None,
    long: bool = False,
) -> Iterator[_Asked]:
    rng = random.Random(seed)
    places, first = pictures.of(split), pictures.rows[:, 0].astype(np.float32)
    unit = first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
    views = pictures.rows.shape[1]
    pool = pool_of(places, pictures.groups, pictures.captions, unit, views)
    count, times = (max(1, timelines // LONG_SHARE), LONG_SHARE) if long else (timelines, 1)
    for _ in range(count):
        timeline = compose(pool, rng, LONG_SHOTS if long else SHOTS)
        looks, moving = timeline.rows(pictures.rows), timeline.moving(bank, rng.getrandbits(32))
        clips = model.encode_clips(np.concatenate([looks, moving], axis=1))
        starts = np.arange(len(clips), dtype=np.float64)
        ends = np.minimum(starts + 1, timeline.duration)
        windows = cut_windows(clips, starts, ends, timeline.cuts)
        among = model.among(clips)
        for number in range(2 * QUESTIONS * times):
            try:
                question = ask_any(timeline, pool, rng, present=number % 2 == 0, kind=kind)
                query = model.query(question.text)
            except (AbsentError, QueryError):  # all is shown; three captions have no known word
                continue
            yield _Asked(among, query, question, windows, len(clips))


def mix_of(tried: Sequence[Trial], calibration: Calibration) -> Mix:
    """What makes scores of the logits of moments of queries in two parts, so that the same strength
    means the same chance. Its slope is not above 0 where a higher logit does not mean right
    answers.

    Args:
        tried: answers whose scores are logits.
    """
    logits = np.array([(trial.score, 1.0) for trial in tried])
    slope, offset = _logistic(logits, np.array([trial.right for trial in tried], float)).tolist()
    return Mix(slope / calibration.slope, (offset - calibration.offset) / calibration.slope)


def _in_two_parts(asked: Iterable[_Asked], model: RetrievalModel) -> Iterator[Trial]:
    """The second stage's answers, whose scores are logits, to those that it is asked."""
    assert model.second_stage is not None
    for one in asked:
        if one.query.parts is not None:
            matches = [model.matches(window.clips, one.query) for window in one.windows]
            own = model.second_stage.propose(one.windows, matches, one.query.vectors)
            found = tuple(distinct(one.windows, own))
            yield Trial(found, one.question.spans, one.question.kind, one.rows)


def _overlap(moment: Proposal, truth: tuple[tuple[float, float], ...]) -> float:
    if not truth:
        return 0.0
    return float(iou([(moment.start, moment.end)], list(truth)).max())


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The maximum-likelihood logistic fit (D,) of y (N,), 0 or 1, by x (N, D), by Newton's method.

    scikit-learn's LogisticRegression gives the same to the last bit or two (without a penalty, by
    its newton-cholesky solver), but refuses to fit where all answers are right or all are wrong, as
    a short run has them, and ends elsewhere where scores tell them apart without a mistake.
    """
    weight = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weight))
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + 1e-6 * np.eye(x.shape[1])
        weight = weight + np.linalg.solve(hessian, x.T @ (y - p))
    return weight

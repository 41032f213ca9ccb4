"""Strength and verdict of a library's own encoder, fitted on what every machine has.

    fitted = fit(model, shown, footage, seed=0)
    fitted.calibration, fitted.right, fitted.error      # and how good it is, on pictures left out

Timelines are made of runs of the library's own rows. Into some, a few seconds of a packaged
photograph are put, and what it shows is asked for; others are asked for what was not put there.
What the library happens to show counts as absent, so a library full of cats makes "a cat" look
harder than it is. How good the fit is, is told by photographs that it has not seen.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.retrieval import RetrievalModel
from vmr.model.strength import Calibration
from vmr.model.windows import Window, cut_windows, distinct
from vmr.training.calibration import Trial, calibration_of
from vmr.training.packaged import PHOTOGRAPHS

TIMELINES: Final = 240
"""Short timelines; half of them hold an answer."""
LONG_TIMELINES: Final = 24
ROWS: Final = (60, 260)
LONG_ROWS: Final = (900, 1800)
"""Rows of a timeline of either kind."""
RUN: Final = (3, 30)
"""Rows that come from one place of the library."""
PLANTED: Final = (3, 12)
"""Rows that a photograph is shown for."""
VIEWS: Final = ((0.0, 0.0, 1.0), (0.0, 0.0, 0.8), (0.2, 0.0, 0.8), (0.0, 0.2, 0.8), (0.2, 0.2, 0.8))
"""Left, top and side of what is seen of a photograph, as shares of it."""


@dataclass(frozen=True)
class Fitted:
    """A calibration, and what it is worth on photographs that were left out of it."""

    calibration: Calibration | None
    "None: right answers do not score higher than others, so that there is nothing to fit"
    right: float
    "of questions with an answer: the share whose best moment is it"
    captions: float | None
    words: float | None
    "the same of those that are a sentence, and of those that only name a thing"
    verdicts: float | None
    "share of verdicts that hold: none where there is no answer, another where there is"
    error: float | None
    "how far the strength lies from how often such answers are right, on average, 0..1"
    rows: int
    "different rows of the library that timelines were made of"


@dataclass(frozen=True)
class _Trial(Trial):
    """An answer to a question about a photograph."""

    is_name: bool
    "Whether the question only names what is shown: the first of its captions."


def views_of(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The VIEWS of a picture (H, W, 3)."""
    height, width = picture.shape[:2]
    return [
        picture[
            int(top * height) : int((top + side) * height),
            int(left * width) : int((left + side) * width),
        ]
        for left, top, side in VIEWS
    ]


def fit(
    model: RetrievalModel,
    shown: Sequence[NDArray[np.float32]],
    footage: NDArray[np.float32],
    *,
    seed: int = 0,
) -> Fitted:
    """Fit strength and verdict.

    Args:
        model: that of the library; of what comes with the project, it is only measured.
        shown: for each of PHOTOGRAPHS the rows (V, W) of its views, without motion.
        footage: (R, W) such rows of the library, in the order of its videos.
    """
    everything = list(range(len(shown)))
    halves = everything[::2], everything[1::2]
    tried: list[tuple[Calibration | None, _Trial]] = []
    for half, other in (halves, halves[::-1]):
        partly = _calibration(_trials(model, shown, footage, half, seed))
        tried += [(partly, trial) for trial in _trials(model, shown, footage, other, seed + 1)[0]]
    whole = _calibration(_trials(model, shown, footage, everything, seed + 2))
    said = [(partly, trial) for partly, trial in tried if partly is not None]
    good = whole is not None and len(said) == len(tried)
    held = [(fit.verdict(t.score, t.rows) != "none") == t.present for fit, t in said]
    present = [trial for _, trial in tried if trial.present]
    return Fitted(
        whole if good else None,
        right=float(np.mean([trial.right for trial in present])),
        captions=_right([trial for trial in present if not trial.is_name]),
        words=_right([trial for trial in present if trial.is_name]),
        verdicts=float(np.mean(held)) if good else None,
        error=error_of(said) if good else None,
        rows=len(footage),
    )


def _right(trials: Sequence[Trial]) -> float | None:
    """The share of right ones; None where there is none at all."""
    return float(np.mean([trial.right for trial in trials])) if trials else None


def _calibration(trials: tuple[list[_Trial], list[_Trial]]) -> Calibration | None:
    """The fit, or None where a higher score does not mean right answers."""
    short, long = trials
    try:
        return calibration_of([*short], [*long])
    except ValueError:
        return None


def error_of(tried: Sequence[tuple[Calibration, Trial]]) -> float:
    """The expected calibration error over fifths of the answers, from weak to strong."""
    strengths = np.array([float(said.strength(trial.score, trial.rows)) for said, trial in tried])
    right = np.array([trial.right for _, trial in tried], float)
    parts = np.array_split(np.argsort(strengths), 5)
    return float(np.mean([abs(strengths[part].mean() - right[part].mean()) for part in parts]))


def _trials(
    model: RetrievalModel,
    shown: Sequence[NDArray[np.float32]],
    footage: NDArray[np.float32],
    places: list[int],
    seed: int,
) -> tuple[list[_Trial], list[_Trial]]:
    """Answers on short and on long timelines, to questions about photographs of these places."""
    rng = random.Random(seed)
    kinds = ((TIMELINES, ROWS), (LONG_TIMELINES, LONG_ROWS))
    short, long = (
        [_trial(model, shown, footage, places, rows, i % 2 == 0, rng) for i in range(count)]
        for count, rows in kinds
    )
    return short, long


def _trial(
    model: RetrievalModel,
    shown: Sequence[NDArray[np.float32]],
    footage: NDArray[np.float32],
    places: list[int],
    lengths: tuple[int, int],
    present: bool,
    rng: random.Random,
) -> _Trial:
    rows, cuts = runs_of(footage, rng.randint(*lengths), rng)
    asked = rng.choice(places)
    others = [place for place in places if place != asked]
    planted = asked if present else rng.choice(others)
    where = rng.choice([0, *cuts])
    rows, cuts, end = planted_in(rows, cuts, where, [shown[planted]], rng)
    truth = ((float(where), float(end)),) if present else ()
    windows = windows_of(model.encode_clips(rows), cuts)
    captions = PHOTOGRAPHS[asked].captions
    said = rng.randrange(len(captions))
    moments = distinct(windows, model.localise(windows, model.query(captions[said])))
    return _Trial(tuple(moments), truth, "thing", len(rows), said == 0)


def planted_in(
    rows: NDArray[np.float32],
    cuts: list[int],
    where: int,
    photographs: Sequence[NDArray[np.float32]],
    rng: random.Random,
) -> tuple[NDArray[np.float32], list[int], int]:
    """The rows (T, W) of a timeline with some seconds of each of these photographs (V, W) put in
    at one place, one after the other; its cuts, and the row after the last of them."""
    parts, edges = [], [where]
    for views in photographs:
        seconds = rng.randint(*PLANTED)
        share = np.linspace(0, 1, seconds, dtype=np.float32)[:, None]
        first, last = (views[rng.randrange(len(VIEWS))] for _ in range(2))
        parts.append((1 - share) * first + share * last)
        edges.append(edges[-1] + seconds)
    rows = np.concatenate([rows[:where], *parts, rows[where:]])
    longer = edges[-1] - where
    moved = {cut + longer * (cut > where) for cut in cuts}
    return rows, sorted({*edges, *moved} - {0}), edges[-1]


def windows_of(clips: NDArray[np.float32], cuts: list[int]) -> list[Window]:
    """Windows over the clips (T, E) of a timeline, one a second."""
    starts = np.arange(len(clips), dtype=np.float64)
    return cut_windows(clips, starts, starts + 1, np.array(cuts, np.float64))


def runs_of(
    footage: NDArray[np.float32], count: int, rng: random.Random
) -> tuple[NDArray[np.float32], list[int]]:
    """Runs of the library's rows (T, W), and the rows at which one ends and the next begins."""
    runs: list[NDArray[np.float32]] = []
    cuts = [0]
    while cuts[-1] < count:
        first = rng.randrange(len(footage))
        runs.append(footage[first : first + rng.randint(*RUN)])
        cuts.append(cuts[-1] + len(runs[-1]))
    return np.concatenate(runs), cuts[1:-1]

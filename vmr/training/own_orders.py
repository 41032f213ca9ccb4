"""Strength of questions in two parts for a library's own encoder, beside own_calibration.py.

    fitted = fit_orders(model, shown, footage, calibration)
    fitted.mix, fitted.right, fitted.error

"A cat, then a rocket" is answered by the second stage, whose logits are no scores of the encoder:
they become some of which the same strength means the same. Timelines are runs of the library's own
rows with two packaged photographs one after the other; half of the questions ask for them in the
other order, which nothing answers.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.retrieval import Mix, RetrievalModel
from vmr.model.strength import Calibration
from vmr.model.windows import distinct
from vmr.training.calibration import Trial, mix_of
from vmr.training.own_calibration import ROWS, error_of, planted_in, runs_of, windows_of
from vmr.training.packaged import PHOTOGRAPHS

TIMELINES: Final = 120
"""Timelines; one question is asked of each."""
ASKED: Final = "{}, then {}"


@dataclass(frozen=True)
class FittedOrders:
    """A mix, and what it is worth on photographs that were left out of it."""

    mix: Mix | None
    "None: right answers have no higher logits than others, so that there is nothing to fit"
    right: float
    "of questions with an answer: the share whose best moment is it"
    error: float | None
    "how far the strength lies from how often such answers are right, on average, 0..1"


def fit_orders(
    model: RetrievalModel,
    shown: Sequence[NDArray[np.float32]],
    footage: NDArray[np.float32],
    calibration: Calibration,
    *,
    seed: int = 0,
) -> FittedOrders:
    """Fit what makes scores of the second stage's logits. Arguments are those of
    `own_calibration.fit`.

    Args:
        calibration: what makes strengths of the encoder's scores.
    """
    everything = list(range(len(shown)))
    halves = everything[::2], everything[1::2]
    tried: list[tuple[Mix | None, Trial]] = []
    for half, other in (halves, halves[::-1]):
        partly = _mix(_trials(model, shown, footage, half, seed), calibration)
        tried += [(partly, trial) for trial in _trials(model, shown, footage, other, seed + 1)]
    whole = _mix(_trials(model, shown, footage, everything, seed + 2), calibration)
    said = [(calibration, _scored(trial, mix)) for mix, trial in tried if mix is not None]
    good = whole is not None and len(said) == len(tried)
    return FittedOrders(
        whole if good else None,
        right=float(np.mean([trial.right for _, trial in tried if trial.present])),
        error=error_of(said) if good else None,
    )


def _mix(tried: list[Trial], calibration: Calibration) -> Mix | None:
    """The fit, or None where a higher logit does not mean right answers."""
    mix = mix_of(tried, calibration)
    return mix if mix.slope > 0 else None


def _scored(trial: Trial, mix: Mix) -> Trial:
    """An answer whose logits are scores."""
    moments = (replace(m, score=mix.slope * m.score + mix.offset) for m in trial.moments)
    return replace(trial, moments=tuple(moments))


def _trials(
    model: RetrievalModel,
    shown: Sequence[NDArray[np.float32]],
    footage: NDArray[np.float32],
    places: list[int],
    seed: int,
) -> list[Trial]:
    """Answers, scored by their logits, to questions about photographs of these places."""
    rng = random.Random(seed)
    return [
        _trial(model, shown, footage, places, number % 2 == 0, rng) for number in range(TIMELINES)
    ]


def _trial(
    model: RetrievalModel,
    shown: Sequence[NDArray[np.float32]],
    footage: NDArray[np.float32],
    places: list[int],
    present: bool,
    rng: random.Random,
) -> Trial:
    assert model.second_stage is not None
    rows, cuts = runs_of(footage, rng.randint(*ROWS), rng)
    both, where = rng.sample(places, 2), rng.choice([0, *cuts])
    rows, cuts, end = planted_in(rows, cuts, where, [shown[place] for place in both], rng)
    windows = windows_of(model.encode_clips(rows), cuts)
    asked = both if present else both[::-1]
    captions = [rng.choice(PHOTOGRAPHS[place].captions) for place in asked]
    query = model.query(ASKED.format(*captions))
    matches = [model.matches(window.clips, query) for window in windows]
    moments = distinct(windows, model.second_stage.propose(windows, matches, query.vectors))
    truth = ((float(where), float(end)),) if present else ()
    return Trial(tuple(moments), truth, "order", len(rows))

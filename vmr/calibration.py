"""Score -> strength: fitted on timelines whose truth is known.

    calibration = fit_calibration(ranker, words, pictures, "dev")

Timelines of a dozen pictures are searched for the caption of one of them (present) and for the
caption of a picture that is elsewhere (absent). Strength is a logistic function of the score of the
best moment: the chance that it is the right one, when half of the queries have no answer at all.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.moments import iou
from vmr.ranker import Calibration, Ranker
from vmr.stills import Pictures
from vmr.text import Words

SHOTS: Final = 12
"""Pictures of a timeline; each is 3 to 9 s long."""
_RIGHT: Final = 0.5  # IoU from which a moment is the right one
_ABSENT_CALLED_NONE: Final = 0.8  # the share of absent queries that the verdict has to catch
_STRONG: Final = 0.75  # strength at which three of four answers are right


@dataclass(frozen=True)
class Trial:
    """The best answer to one query."""

    score: float
    present: bool
    right: bool


def trials(
    ranker: Ranker, words: Words, pictures: Pictures, split: str, *, seed: int = 0
) -> Iterator[Trial]:
    """A present and an absent query for every picture of a split."""
    draw = random.Random(seed)
    chosen = pictures.of(split).tolist()
    draw.shuffle(chosen)
    views = pictures.rows.shape[1]
    for first in range(0, len(chosen) - 2 * SHOTS + 1, SHOTS):
        shown, elsewhere = chosen[first : first + SHOTS], chosen[first + SHOTS : first + 2 * SHOTS]
        lengths = [draw.randint(3, 9) for _ in shown]
        rows = [
            pictures.rows[i, draw.randrange(views)]
            for i, n in zip(shown, lengths, strict=True)
            for _ in range(n)
        ]
        clips = ranker.clip_vectors(np.stack(rows))
        edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.float64)
        starts = np.arange(len(rows), dtype=np.float64)
        for place, i in enumerate([*shown, *elsewhere]):
            query = words.query(draw.choice(pictures.captions[i]))
            best = ranker.propose(clips, starts, starts + 1, edges[1:-1], query)[0]
            present = place < SHOTS
            truth = edges[place : place + 2][None] if present else np.zeros((1, 2))
            right = present and bool(iou([(best.start, best.end)], truth)[0, 0] >= _RIGHT)
            yield Trial(best.score, present, right)


def fit_calibration(ranker: Ranker, words: Words, pictures: Pictures, split: str) -> Calibration:
    """Logistic strength and the two thresholds of the verdict."""
    done = list(trials(ranker, words, pictures, split))
    scores = np.array([trial.score for trial in done])
    slope, offset = _logistic(scores, np.array([trial.right for trial in done], dtype=np.float64))
    absent = scores[[not trial.present for trial in done]]
    limit = float(np.quantile(absent, _ABSENT_CALLED_NONE))
    possible = float(1 / (1 + np.exp(-(slope * limit + offset))))
    return Calibration(slope, offset, min(possible, _STRONG - 0.01), _STRONG)


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of the maximum-likelihood logistic fit, by Newton's method."""
    design = np.stack([x, np.ones_like(x)], axis=1)  # (N, 2)
    weight = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ weight))
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-6 * np.eye(2)
        weight = weight + np.linalg.solve(hessian, design.T @ (y - p))
    return float(weight[0]), float(weight[1])

"""A similarity curve over time -> proposals (start, end, score).

    for proposal in propose(curve, starts, ends, cuts):
        proposal.start, proposal.end, proposal.score

The first localiser of the product, and the baseline of every later one: grow each peak of the
curve down to a share of its height. Units of the curve do not matter here; the model gives it in
standard deviations above unrelated footage.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.spans import nms

SHARES: Final = (0.35, 0.5, 0.65)
"""A peak is grown to these shares of its height: moments of several tightnesses compete. Measured
beside others (docs/EXPERIMENTS.md, "Shares and snapping of the similarity-curve localiser")."""
PEAKS: Final = 12
"""Peaks of one window that are grown; more than an answer ever shows. Not tuned."""
SNAP_SECONDS: Final = 1.5
"""An edge this near to a shot cut moves onto it: smoothing blurs an edge by about one row. What
cuts are worth: `python -m experiments.timelines`; how far to reach was not tuned."""
SHORTEST: Final = 0.5
"""Seconds: the last row of a video may be shorter, and nobody can watch such a moment."""
_SAME: Final = 0.6
"""IoU above which two proposals are the same moment."""


@dataclass(frozen=True)
class Proposal:
    """A moment of one video; times in seconds, half-open."""

    start: float
    end: float
    score: float
    best: float
    "the second that matches best, for the thumbnail"


def smooth(curve: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T,) -> (T,): weights 1, 2, 1 over neighbours; a single odd frame makes no moment."""
    padded = np.concatenate([curve[:1], curve, curve[-1:]])
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, dtype=np.float32)


def propose(
    curve: NDArray[np.float32],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    cuts: NDArray[np.float64],
    *,
    keep: int = 10,
) -> list[Proposal]:
    """The moments that stand out of a curve, best first.

    Args:
        curve: (T,) similarity of each row; `starts` and `ends` (T,) its seconds.
        cuts: (S,) seconds of shot cuts of the video; edges snap to the near ones.
        keep: at most so many come back.
    """
    if not len(curve):
        return []
    level = smooth(curve)
    floor = float(np.median(level))
    rising = np.concatenate([[True], level[1:] >= level[:-1]])
    falling = np.concatenate([level[:-1] > level[1:], [True]])
    peaks = np.flatnonzero(rising & falling)
    peaks = peaks[np.argsort(-level[peaks], kind="stable")][:PEAKS]
    grown = np.repeat(peaks, len(SHARES)), np.tile(SHARES, len(peaks))
    first, last = _extent(level, floor, *grown)
    spans = _snapped(starts[first], ends[last], cuts)  # (N, 2)
    spans[:, 0] = np.minimum(spans[:, 0], np.maximum(spans[:, 1] - SHORTEST, starts[0]))
    # The peak says how sure, the mean how much of the span is it: a loose span around the same peak
    # loses to a tight one.
    sums = np.concatenate([[0.0], np.cumsum(level, dtype=np.float64)])
    means = (sums[last + 1] - sums[first]) / (last + 1 - first)
    scores = 0.5 * level[grown[0]] + 0.5 * means
    middles = (starts[grown[0]] + ends[grown[0]]) / 2
    return [
        Proposal(float(spans[i, 0]), float(spans[i, 1]), float(scores[i]), float(middles[i]))
        for i in nms(spans, scores, threshold=_SAME, keep=keep)
    ]


def _extent(
    level: NDArray[np.float32],
    floor: float,
    peaks: NDArray[np.intp],
    shares: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last of the rows around each peak (N,) that stay above a share of its
    height over the floor. All at once: a search grows hundreds of them."""
    thresholds = floor + shares * np.maximum(level[peaks] - floor, 0.0)
    below = level < thresholds[:, None]  # (N, T)
    rows = np.arange(len(level))
    before, after = rows < peaks[:, None], rows > peaks[:, None]  # (N, T)
    first = np.where(below & before, rows, -1).max(axis=1) + 1
    last = np.where(below & after, rows, len(level)).min(axis=1) - 1
    return first, last


def _snapped(
    starts: NDArray[np.float64], ends: NDArray[np.float64], cuts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 2): each edge on the shot cut next to it, where one is near enough."""
    edges = np.stack([starts, ends], axis=1)
    if not len(cuts):
        return edges
    after = np.searchsorted(cuts, edges)
    left, right = cuts[np.maximum(after - 1, 0)], cuts[np.minimum(after, len(cuts) - 1)]
    nearest = np.where(np.abs(left - edges) <= np.abs(right - edges), left, right)
    snapped = np.where(np.abs(nearest - edges) <= SNAP_SECONDS, nearest, edges)
    return np.where(snapped[:, :1] < snapped[:, 1:], snapped, edges)


def snap(start: float, end: float, cuts: NDArray[np.float64]) -> tuple[float, float]:
    """The span, in seconds, with each edge moved to the nearest of the shot cuts (S,) where that
    lies within SNAP_SECONDS."""
    ((first, last),) = _snapped(np.array([start]), np.array([end]), cuts).tolist()
    return first, last

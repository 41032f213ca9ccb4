"""A similarity curve over time -> proposals (start, end, score).

    for proposal in propose(curve, starts, ends, cuts):
        proposal.start, proposal.end, proposal.score

The first localiser of the product, and the baseline of every later one: grow each peak of the
curve down to a share of its height. Units of the curve do not matter here; the ranker gives it in
standard deviations above unrelated footage.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.moments import suppress

SHARES: Final = (0.35, 0.5, 0.65)
"""A peak is grown to these shares of its height: moments of several tightnesses compete."""
PEAKS: Final = 12
"""Peaks of one window that are grown."""
SNAP_SECONDS: Final = 1.5
"""An edge this near to a shot cut moves onto it: smoothing blurs an edge by about one row."""
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
    padded = np.pad(curve, 1, mode="edge")
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
    proposals = [
        _grown(level, floor, int(peak), share, starts, ends, cuts)
        for peak in peaks
        for share in SHARES
    ]
    spans = [(proposal.start, proposal.end) for proposal in proposals]
    scores = [proposal.score for proposal in proposals]
    return [proposals[i] for i in suppress(spans, scores, threshold=_SAME, keep=keep)]


def _grown(
    level: NDArray[np.float32],
    floor: float,
    peak: int,
    share: float,
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    cuts: NDArray[np.float64],
) -> Proposal:
    """The rows around a peak that stay above `share` of its height over the floor."""
    threshold = floor + share * max(float(level[peak]) - floor, 0.0)
    below = np.flatnonzero(level < threshold)
    first = int(below[below < peak].max(initial=-1)) + 1
    last = int(below[below > peak].min(initial=len(level))) - 1
    inside = level[first : last + 1]
    # The peak says how sure, the mean how much of the span is it: a loose span around the same peak
    # loses to a tight one.
    score = 0.5 * float(level[peak]) + 0.5 * float(inside.mean())
    start, end = snap(float(starts[first]), float(ends[last]), cuts)
    return Proposal(start, end, score, float(starts[peak] + ends[peak]) / 2)


def snap(start: float, end: float, cuts: NDArray[np.float64]) -> tuple[float, float]:
    """The span with each edge on the shot cut next to it, where one is near enough."""
    if not len(cuts):
        return start, end
    nearest = [float(cuts[np.abs(cuts - edge).argmin()]) for edge in (start, end)]
    snapped = [
        cut if abs(cut - edge) <= SNAP_SECONDS else edge
        for cut, edge in zip(nearest, (start, end), strict=True)
    ]
    return (snapped[0], snapped[1]) if snapped[0] < snapped[1] else (start, end)

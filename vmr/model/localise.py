"""A similarity curve over time -> proposals (start, end, score).

    for proposal in propose(curve, starts, ends, cuts):
        proposal.start, proposal.end, proposal.score

The first localiser of the product, and the baseline of every later one: grow each peak of the
curve down to a share of its height. The curve is in standard deviations above unrelated footage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vmr.model.spans import nms_each

SHARES: Final = (0.35, 0.5, 0.65)
"""A peak is grown to these shares of its height: moments of several tightnesses compete. Measured
beside others (docs/EXPERIMENTS.md, "Shares and snapping of the similarity-curve localiser")."""
FLAT: Final = 0.05
"""Standard deviations: the least height that a peak is taken to have. A still picture's curve rises
and falls by a hundredth from what the encoder of the file did to it; shares of that are no moment.
Not tuned."""
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


class Curve(NamedTuple):
    """How well the rows of a window match, and when they are; seconds."""

    similarity: NDArray[np.float32]
    "(T,)"
    starts: NDArray[np.float64]
    "(T,)"
    ends: NDArray[np.float64]
    "(T,)"
    cuts: NDArray[np.float64]
    "(S,) shot cuts of the video; edges snap to the near ones"


def propose(
    similarity: NDArray[np.float32],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    cuts: NDArray[np.float64],
    *,
    keep: int = 10,
) -> list[Proposal]:
    """The moments that stand out of one curve, best first; arguments as of `Curve`."""
    return propose_each([Curve(similarity, starts, ends, cuts)], keep=keep)[0]


def propose_each(curves: Sequence[Curve], *, keep: int = 10) -> list[list[Proposal]]:
    """The moments that stand out of each curve, best first, at most `keep` of each.

    All curves of a search are read in one go: of so short arrays, calls cost more than numbers.
    """
    filled = [curve for curve in curves if len(curve.similarity)]
    found = iter(_propose(filled, keep) if filled else ())
    return [next(found) if len(curve.similarity) else [] for curve in curves]


def _propose(curves: Sequence[Curve], keep: int) -> list[list[Proposal]]:
    level = _filled([smooth(curve.similarity) for curve in curves], -np.inf)  # (W, T)
    floor = _medians(level)  # (W, 1)
    peaks, there = _peaks(level)  # (W, P)
    # Each peak at each share of its height: N = P * S.
    peaks, there = np.repeat(peaks, len(SHARES), axis=1), np.repeat(there, len(SHARES), axis=1)
    shares = np.tile(SHARES, peaks.shape[1] // len(SHARES))
    heights = np.take_along_axis(level, peaks, axis=1)  # (W, N)
    rises = np.maximum(heights - floor, 0.0)
    grown_to = np.where(
        rises < FLAT, heights - (1 - shares) * FLAT, floor.astype(np.float64) + shares * rises
    )
    first, last = _extent(level, peaks, grown_to)
    # The peak says how sure, the mean how much of the span is it: a loose span around the same peak
    # loses to a tight one.
    scores = np.where(there, 0.5 * heights + 0.5 * _means(level, first, last), -np.inf)
    starts, ends = (_filled([curve[place] for curve in curves], 0.0) for place in (1, 2))
    edges = np.take_along_axis(starts, first, 1), np.take_along_axis(ends, last, 1)
    spans = _snapped(np.stack(edges, axis=2), [curve.cuts for curve in curves])
    earliest = np.maximum(spans[..., 1] - SHORTEST, starts[:, :1])
    spans[..., 0] = np.minimum(spans[..., 0], earliest)
    middles = np.take_along_axis((starts + ends) / 2, peaks, 1)
    told = np.concatenate([spans, scores[..., None], middles[..., None]], axis=2).tolist()
    kept = nms_each(spans, scores, threshold=_SAME, keep=keep)
    return [[Proposal(*found[i]) for i in own] for found, own in zip(told, kept, strict=True)]


def smooth(curve: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T,) -> (T,): weights 1, 2, 1 over neighbours; a single odd frame makes no moment."""
    padded = np.concatenate([curve[:1], curve, curve[-1:]])
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, dtype=np.float32)


def _filled(rows: Sequence[NDArray[Any]], filling: float) -> NDArray[Any]:
    """Arrays of one dimension as rows of one array, filled up behind their ends."""
    found = np.full((len(rows), max(map(len, rows))), filling, dtype=rows[0].dtype)
    for place, row in zip(found, rows, strict=True):
        place[: len(row)] = row
    return found


def _medians(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W, 1): the median of each curve (W, T), without the -inf behind its end."""
    ordered, length = np.sort(level, axis=1), np.isfinite(level).sum(axis=1, keepdims=True)
    first = level.shape[1] - length
    low, high = first + (length - 1) // 2, first + length // 2
    both = np.take_along_axis(ordered, low, 1) + np.take_along_axis(ordered, high, 1)
    return np.asarray(both / 2, dtype=np.float32)


def _peaks(level: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """(W, P) the rows of the highest peaks, highest first, and which of them there are."""
    are = np.isfinite(level)
    are[:, 1:] &= level[:, 1:] >= level[:, :-1]
    are[:, :-1] &= level[:, :-1] > level[:, 1:]
    many = min(PEAKS, int(are.sum(axis=1).max()))
    order = np.argsort(np.where(are, -level, np.inf), axis=1, kind="stable")[:, :many]
    there = np.take_along_axis(are, order, axis=1)
    return np.where(there, order, order[:, :1]), there


def _extent(
    level: NDArray[np.float32], peaks: NDArray[np.intp], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(W, N): the first and the last of the rows around each peak that stay above its threshold."""
    width = level.shape[1]
    # A row below everything at either end; places in it are one higher.
    ended = np.full((len(level), width + 2), -np.inf, dtype=np.float32)
    ended[:, 1:-1] = level
    below = ended[:, None] < thresholds[..., None]  # (W, N, T + 2)
    rows, middle = np.arange(width + 2), peaks[..., None] + 1
    last = (below & (rows > middle)).argmax(axis=2) - 2
    first = width + 1 - (below & (rows < middle))[..., ::-1].argmax(axis=2)
    return first, last


def _means(
    level: NDArray[np.float32], first: NDArray[np.intp], last: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(W, N): the mean level from one row to another."""
    known = np.where(np.isfinite(level), level, 0.0)
    sums = np.zeros((len(level), level.shape[1] + 1))
    np.cumsum(known, axis=1, dtype=np.float64, out=sums[:, 1:])
    whole = np.take_along_axis(sums, last + 1, 1) - np.take_along_axis(sums, first, 1)
    means: NDArray[np.float64] = whole / (last + 1 - first)
    return means


def _snapped(
    spans: NDArray[np.float64], cuts: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(W, N, 2): each edge on the nearest shot cut of its video, where one is near enough."""
    low, high = spans.min(axis=(1, 2)) - SNAP_SECONDS, spans.max(axis=(1, 2)) + SNAP_SECONDS
    near = [
        own[np.searchsorted(own, first) : np.searchsorted(own, last, side="right")]
        for own, first, last in zip(cuts, low.tolist(), high.tolist(), strict=True)
    ]
    if not any(map(len, near)):
        return spans
    places = _filled(near, np.inf)  # (W, S)
    chosen = np.abs(places[:, None, None] - spans[..., None]).argmin(axis=3)  # the earlier of two
    nearest = np.take_along_axis(places[:, None], chosen, axis=2)
    snapped = np.where(np.abs(nearest - spans) <= SNAP_SECONDS, nearest, spans)
    return np.where(snapped[..., :1] < snapped[..., 1:], snapped, spans)


def snap(start: float, end: float, cuts: NDArray[np.float64]) -> tuple[float, float]:
    """The span, in seconds, with each edge moved to the nearest of the shot cuts (S,) where that
    lies within SNAP_SECONDS."""
    (((first, last),),) = _snapped(np.array([[[start, end]]], dtype=np.float64), [cuts]).tolist()
    return first, last

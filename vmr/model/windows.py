"""A long video is read in overlapping windows; every moment is answered for by one of them.

    windows = cut_windows(clips, starts, ends, cuts)        # or only those beginning at `firsts`
    moments = distinct(windows, model.localise(windows, query))

Windows of 128 rows, 64 apart: a window answers for the moments whose best second lies in its middle
half (the first and the last also for their ends), so that each is read with what is around it, and
none twice.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.halves import single
from vmr.model.localise import Curve, Proposal, propose_each
from vmr.model.spans import nms, nms_each

WINDOW: Final = 128
"""Rows that stage two reads at once: what the model was trained on."""
STRIDE: Final = 64
"""Rows between windows, so that every moment up to 64 s lies whole in one of them."""
OVERLAP: Final = 0.5
"""IoU above which two moments of a video are the same one."""
NESTED: Final = 0.8
"""Share of the shorter of two moments above which it lies in the other, and says nothing new:
docs/EXPERIMENTS.md, "a moment that lies in a better one is not listed beside it"."""
_FEW: Final = 10
"""Moments of a video that are compared together with those of others: what one window gives."""


@dataclass(frozen=True, eq=False)
class Window:
    """Consecutive rows of a video; seconds."""

    clips: NDArray[np.float32]
    "(T, E)"
    starts: NDArray[np.float64]
    "(T,)"
    ends: NDArray[np.float64]
    "(T,)"
    cuts: NDArray[np.float64]
    "(S,) shot cuts of the whole video"
    first: int = 0
    "its first row in the video"
    length: int = 0
    "rows of the whole video; 0 when this is all of it"

    def answers_for(self, moments: Sequence[Proposal]) -> list[bool]:
        """Whether each is this window's to report: in another one it may be cut off."""
        if self.length <= WINDOW:  # there is no other
            return [True] * len(moments)
        bests = [moment.best for moment in moments]
        rows = self.first + np.searchsorted(self.starts, bests, side="right") - 1
        return [window_of(row, self.length) == self.first for row in rows.tolist()]


def window_of(row: int, length: int) -> int:
    """The first row of the window that answers for a row: the one whose middle half it is in."""
    last = max(0, math.ceil((length - WINDOW) / STRIDE))
    return min(max(0, (row - WINDOW // 4) // STRIDE), last) * STRIDE


def cut_windows(
    clips: NDArray[np.floating],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    cuts: NDArray[np.float64],
    firsts: Iterable[int] | None = None,
) -> list[Window]:
    """The windows of a video (T, E) that begin at the rows `firsts`; by default all."""
    length = len(clips)
    every = range(0, window_of(length - 1, length) + 1, STRIDE)
    return [
        Window(single(clips[rows]), starts[rows], ends[rows], cuts, first, length)
        for first in (every if firsts is None else firsts)
        for rows in [slice(first, first + WINDOW)]
    ]


def along(windows: Iterable[Window], curves: Iterable[NDArray[np.float32]]) -> list[list[Proposal]]:
    """Moments of each window, best first, read off its similarity curve (T,) alone."""
    pairs = zip(windows, curves, strict=True)
    return propose_each([Curve(level, w.starts, w.ends, w.cuts) for w, level in pairs])


def distinct(windows: Sequence[Window], read: Sequence[list[Proposal]]) -> list[Proposal]:
    """The moments of windows of one video, each once, best first."""
    return distinct_each([(windows, read)])[0]


def distinct_each(
    videos: Sequence[tuple[Sequence[Window], Sequence[list[Proposal]]]],
) -> list[list[Proposal]]:
    """The moments of the windows of each video, each once, best first."""
    found = [
        [
            moment
            for window, moments in zip(windows, read, strict=True)
            for moment, answers in zip(moments, window.answers_for(moments), strict=True)
            if answers
        ]
        for windows, read in videos
    ]
    few = [number for number, moments in enumerate(found) if 1 < len(moments) <= _FEW]
    spans = np.zeros((len(few), _FEW, 2))
    scores = np.full((len(few), _FEW), -np.inf)
    for place, number in enumerate(few):
        own = found[number]
        spans[place, : len(own)] = [(moment.start, moment.end) for moment in own]
        scores[place, : len(own)] = [moment.score for moment in own]
    kept = nms_each(spans, scores, threshold=OVERLAP, nested=NESTED, keep=_FEW)
    chosen = dict(zip(few, kept, strict=True))
    return [
        [moments[i] for i in (chosen[number] if number in chosen else _distinct(moments))]
        for number, moments in enumerate(found)
    ]


def _distinct(moments: Sequence[Proposal]) -> list[int]:
    return distinct_indices(
        [(moment.start, moment.end) for moment in moments], [moment.score for moment in moments]
    )


def distinct_indices(spans: Sequence[tuple[float, float]], scores: Sequence[float]) -> list[int]:
    """Indices of the moments of one video that a person is shown, best first: no two are nearly
    the same, and none lies in another."""
    kept = nms(spans, scores, threshold=OVERLAP, nested=NESTED, keep=len(spans))
    return [int(i) for i in kept]

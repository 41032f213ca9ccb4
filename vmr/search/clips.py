"""What an index of clips does, wherever it lies: on this computer (index.py), or on a vector server
(server_index.py).

index = open_index(library, model)                      # indexes.py
videos, rows, scores = index.nearest(vector, 100)
windows = windows_of(index, 3, [0, 64])                 # what stage two reads
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vmr.model.halves import single
from vmr.model.windows import WINDOW, Window, window_of
from vmr.search.parts import Videos

WINDOWS: Final = 24
"""Windows that stage two reads: enough for recall, few enough for an answer at once. What they
cost: docs/EXPERIMENTS.md, "from Enter to the cards"."""


@dataclass(frozen=True, eq=False)
class RowTimes:
    """When the rows of a video are, and where its shots change; seconds."""

    starts: NDArray[np.float64]
    "(T,)"
    ends: NDArray[np.float64]
    "(T,)"
    cuts: NDArray[np.float64]
    "(S,)"


class Index(Protocol):
    """All clip vectors of a library; safe to share between threads.

    LibraryError by every method, where what it lies on does not answer.
    """

    @property
    def change(self) -> int:
        """Number of the library's last change that is known here."""

    def sync(self) -> None:
        """Follow the library: drop what went, add what came. It costs what has changed since."""

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, videos: Videos | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The best clips for a query vector (E,): (K,) video ids, rows and scores, best first.

        Args:
            videos: look only into these; all of them by default.
        """

    def ids(self) -> NDArray[np.int64]:
        """(V,) the videos that are here, in order."""

    def lengths(self, videos: Videos) -> NDArray[np.int64]:
        """(V,) rows of each of these videos, 0 where there are none here."""

    def count(self, videos: Videos | None = None) -> int:
        """How many of these videos are here; of all by default."""

    def compare_all(
        self, vector: NDArray[np.float32], count: int
    ) -> tuple[list[tuple[int, int]], list[float]]:
        """The best clips (video, row) and their scores, by comparing all: what recall is of."""

    def prepare(self, windows: Iterable[tuple[int, list[int]]]) -> None:
        """Have these windows at hand, at once where they come from far: the videos, and the first
        rows of the windows of each. What cannot be had is said when it is asked for."""

    def vectors(self, video: int, first: int = 0, last: int | None = None) -> NDArray[np.float16]:
        """The clip vectors (T, E) of the rows from `first` to before `last` of one video; by
        default of all. LibraryError when it has none here."""

    def row_times(self, video: int) -> RowTimes:
        """When the rows of one video are; LibraryError when it has none here."""

    def __contains__(self, video: int) -> bool:
        """Whether a video has clips here."""

    def __len__(self) -> int:
        """How many clips."""


def open_windows(
    ids: NDArray[np.int64], rows: NDArray[np.int64], lengths: dict[int, int]
) -> list[tuple[int, list[int]]]:
    """By video, the first rows of the WINDOWS best windows that hold hits.

    Args:
        ids: (K,), the videos of the hits, best first.
        rows: (K,), their rows.
        lengths: rows of each video.
    """
    hits = zip(ids.tolist(), rows.tolist(), strict=True)
    chosen: dict[tuple[int, int], None] = {}
    for id, row in hits:
        chosen[id, window_of(row, lengths[id])] = None
        if len(chosen) == WINDOWS:
            break
    by_video: dict[int, list[int]] = {}
    for id, first in chosen:
        by_video.setdefault(id, []).append(first)
    return list(by_video.items())


def windows_of(index: Index, video: int, firsts: Iterable[int]) -> list[Window]:
    """The windows of a video that begin at these rows; LibraryError when it has no clips here."""
    times = index.row_times(video)
    found = []
    for first in firsts:
        rows = slice(first, first + WINDOW)
        clips = single(index.vectors(video, first, first + WINDOW))
        starts, ends = times.starts[rows], times.ends[rows]
        found.append(Window(clips, starts, ends, times.cuts, first, len(times.starts)))
    return found


def merged(
    found: list[tuple[NDArray[np.int64], NDArray[np.float32]]], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best `count` of several answers of keys (K,) and scores (K,); of equal scores, the
    smaller key first, so that the same question has the same answer."""
    keys = np.concatenate([keys for keys, _ in found])
    scores = np.concatenate([scores for _, scores in found])
    best = np.lexsort((keys, -scores))[:count]
    return keys[best], scores[best]

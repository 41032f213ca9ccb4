"""Columns of an encoder, made of the pictures of a video as they come.

rows = encoded_rows(encoder, rate=4, sample=2)      # of an encoder of one picture, or of several
rows.add(batch)                                     # in order
rows.finish(count)                                  # (count, W) float16

One that looks at a picture sees the one that a second's thumbnail shows. One that looks at several,
such as X-CLIP's eight, sees so many samples around it: at four a second, eight span two seconds.
So does a network of row_networks.py, which is asked in the same way though it knows no words.
Before the first picture stands the first, and behind the last the last.
"""

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_extract.shown import Batch, Kept

BATCH: Final = 16
"""Pictures that are seen at once. Networks give the same to the last bit only for batches of the
same size."""


class Eyes(Protocol):
    """What makes vectors of pictures: an encoder, or another network in its place."""

    @property
    def block(self) -> str:
        """What its columns are called in a features file."""

    @property
    def width(self) -> int:
        """How many they are."""

    @property
    def side(self) -> int:
        """Pixels across the square that it looks at."""

    @property
    def frames(self) -> int:
        """Pictures that it looks at for one vector."""

    def see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (N, W) of pictures (N, S, S, 3) RGB that were squashed to a square; where it
        looks at several pictures, of clips (N, frames, S, S, 3)."""


class EncodedRows(Protocol):
    """What makes the columns of a video."""

    def add(self, batch: Batch) -> None:
        """Take the next pictures, in order."""

    def finish(self, count: int) -> NDArray[np.float16]:
        """All `count` rows (count, W)."""


def encoded_rows(encoder: Eyes, *, rate: int, sample: int) -> EncodedRows:
    """What makes the columns of an encoder.

    Args:
        rate: samples a second that pictures are numbered by.
        sample: of those, counted from 0, the one that a row is about.
    """
    if encoder.frames == 1:
        return PictureRows(encoder.see, rate=rate, sample=sample)
    return _OfClips(encoder, rate, sample)


class PictureRows:
    """One picture a row, in full batches."""

    def __init__(
        self,
        see: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
        *,
        rate: int,
        sample: int,
    ) -> None:
        """`see` makes rows (N, W) of pictures (N, S, S, 3); the rest as for `encoded_rows`."""
        self._network, self._rate, self._sample = see, rate, sample
        self._rows: Kept[NDArray[np.float32]] = Kept((sample,), rate)
        self._first: list[int] = []
        self._waiting: list[NDArray[np.uint8]] = []

    def add(self, batch: Batch) -> None:
        """Take the next pictures, in order."""
        wanted = self._rows.wants(batch)
        self._first.extend(batch.first[wanted].tolist())
        self._waiting.extend(batch.pixels[wanted])
        while len(self._waiting) >= BATCH:
            self._see(BATCH)

    def finish(self, count: int) -> NDArray[np.float16]:
        """All `count` rows (count, W)."""
        if self._waiting:
            self._see(len(self._waiting))
        rows = [self._rows.at(row * self._rate + self._sample) for row in range(count)]
        return np.stack(rows).astype(np.float16)

    def _see(self, count: int) -> None:
        seen = self._network(np.stack(self._waiting[:count]))
        self._rows.put(self._first[:count], list(seen))
        del self._waiting[:count], self._first[:count]


class _OfClips:
    """Several pictures a row. Only those that a row to come looks at are held."""

    def __init__(self, encoder: Eyes, rate: int, sample: int) -> None:
        self._encoder, self._rate = encoder, rate
        self._begin = sample - encoder.frames // 2  # of row 0
        self._shown: list[NDArray[np.uint8]] = []  # a picture a sample, from _held on
        self._held = 0
        self._rows: list[NDArray[np.float32]] = []

    def add(self, batch: Batch) -> None:
        for picture, first, end in zip(batch.pixels, batch.first, batch.end, strict=True):
            since = self._held + len(self._shown)
            if not self._rows and not self._shown:
                since = min(0, self._begin)
                self._held = since
            shown = max(0, int(end) - since) if int(end) > int(first) else 0
            self._shown.extend([picture] * shown)
            self._see_what_is_whole()

    def finish(self, count: int) -> NDArray[np.float16]:
        last = self._begin + (count - 1) * self._rate + self._encoder.frames
        lacking = last - self._held - len(self._shown)
        self._shown.extend([self._shown[-1]] * max(0, lacking))
        self._see_what_is_whole()
        return np.stack(self._rows[:count]).astype(np.float16)

    def _see_what_is_whole(self) -> None:
        while True:
            first = self._begin + len(self._rows) * self._rate - self._held
            if first + self._encoder.frames > len(self._shown):
                return
            clip = np.stack(self._shown[first : first + self._encoder.frames])
            self._rows.append(self._encoder.see(clip[None])[0])
            del self._shown[:first]  # no later row looks at them
            self._held += first

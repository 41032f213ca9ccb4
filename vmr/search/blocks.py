"""The clip vectors of videos in the store, read by ranges: what stage two wants of a library whose
index lies on a vector server.

    blocks = Blocks(library.blobs, "clips/5f3a", model.width)
    blocks.put(3, name, clips, times, cuts)             # `name`: known_as(video)
    blocks.times(3, name).starts                        # (T,) seconds
    blocks.rows(3, name, 64, 192)                       # (128, E) float16, one request

Of each video there are two blobs: the rows as they are, in float16, and what is needed to read
them: times, cuts, and a digest of every `PIECE` rows. A name is of the content, so that what lies
under a key never changes, and pieces that were read can be kept.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmr.library.blobs import Blobs
from vmr.model.windows import STRIDE
from vmr.search.clips import RowTimes

PIECE: Final = STRIDE
"""Rows that are checked and kept together: windows begin where they do."""
KEPT_PIECES: Final = 512
"""In memory; of 576 columns, 38 MB."""
KEPT_TIMES: Final = 1024
"""Videos whose times are in memory; of an hour, 75 kB each."""
_DIGEST: Final = 16  # bytes

Key = TypeVar("Key")
Value = TypeVar("Value")


class BlockError(ValueError):
    """The store has not, or no longer, what was put there of a video."""


@dataclass(frozen=True, eq=False)
class _Head:
    times: RowTimes
    digests: bytes


class Blocks:
    """Clip vectors (T, E) of videos, by id and name; safe to share between threads.

    Where the store does not answer, it is an OSError.
    """

    def __init__(self, blobs: Blobs, folder: str, width: int) -> None:
        """`folder` begins the keys: one a model."""
        self._blobs = blobs
        self._folder = folder
        self._row_bytes = 2 * width
        self._width = width
        self._heads: _Kept[tuple[int, int], _Head] = _Kept(KEPT_TIMES)
        self._pieces: _Kept[tuple[int, int, int], NDArray[np.float16]] = _Kept(KEPT_PIECES)

    def put(
        self,
        video: int,
        name: int,
        clips: NDArray[np.float16],
        times: NDArray[np.float64],
        cuts: NDArray[np.float64],
    ) -> None:
        """Keep clips (T, E), times (T, 2) and cuts (S,), seconds, of a video; rows first."""
        content = np.ascontiguousarray(clips, "<f2").tobytes()
        size = PIECE * self._row_bytes
        digests = [_digest(content[at : at + size]) for at in range(0, len(content), size)]
        counts = np.array([len(times), len(cuts)], "<i8")
        head = b"".join([counts.tobytes(), _bytes(times), _bytes(cuts), *digests])
        rows_key, head_key = self._keys(video, name)
        self._blobs.put(rows_key, content)
        self._blobs.put(head_key, head + _digest(head))

    def times(self, video: int, name: int) -> RowTimes:
        """When the rows of a video are, and where its shots change.

        Raises:
            BlockError: there is nothing of it, or it is damaged.
        """
        return self._head(video, name).times

    def rows(self, video: int, name: int, first: int, last: int) -> NDArray[np.float16]:
        """(T, E) the rows from `first` to before `last`, or to the end; BlockError as of `times`.
        What is not in memory is one request."""
        count = len(self.times(video, name).starts)
        first, last = min(first, count), min(last, count)
        if first >= last:
            return np.zeros((0, self._width), np.float16)
        numbers = range(first // PIECE, (last - 1) // PIECE + 1)
        kept = {number: self._pieces.get((video, name, number)) for number in numbers}
        lacking = [number for number, piece in kept.items() if piece is None]
        if lacking:
            kept |= self._fetch(video, name, lacking[0], lacking[-1] + 1)
        pieces = [piece for number in numbers if (piece := kept[number]) is not None]
        return np.concatenate(pieces)[first - numbers[0] * PIECE : last - numbers[0] * PIECE]

    def forget(self, videos: Iterable[tuple[int, int]]) -> None:
        """Delete what is kept of these ids and names."""
        self._blobs.delete([key for video, name in videos for key in self._keys(video, name)])

    def _keys(self, video: int, name: int) -> tuple[str, str]:
        """Of the rows, and of what is needed to read them."""
        stem = f"{self._folder}/{video}-{name:016x}"
        return f"{stem}.rows", f"{stem}.times"

    def _head(self, video: int, name: int) -> _Head:
        known = self._heads.get((video, name))
        return known or self._heads.keep((video, name), self._read_head(video, name))

    def _read_head(self, video: int, name: int) -> _Head:
        _, key = self._keys(video, name)
        content = self._whole(key, lambda: self._blobs.get(key))
        body = content[:-_DIGEST]
        if len(content) < 2 * _DIGEST or _digest(body) != content[-_DIGEST:]:
            raise BlockError(f"{key} of {self._blobs.name} is damaged")
        rows, cuts = np.frombuffer(body, "<i8", 2).tolist()
        times = np.frombuffer(body, "<f8", 2 * rows, 16).reshape(-1, 2)  # (T, 2)
        at = 16 + 16 * rows
        seconds = np.frombuffer(body, "<f8", cuts, at)
        found = RowTimes(times[:, 0].copy(), times[:, 1].copy(), seconds.copy())
        return _Head(found, body[at + 8 * cuts :])

    def _fetch(
        self, video: int, name: int, first: int, last: int
    ) -> dict[int, NDArray[np.float16]]:
        """The pieces from `first` to before `last`, by number."""
        key, _ = self._keys(video, name)
        size = PIECE * self._row_bytes
        digests = self._head(video, name).digests
        content = self._whole(key, lambda: self._blobs.get_range(key, first * size, last * size))
        found = {}
        for number in range(first, last):
            piece = content[(number - first) * size : (number - first + 1) * size]
            if _digest(piece) != digests[number * _DIGEST : (number + 1) * _DIGEST]:
                raise BlockError(f"{key} of {self._blobs.name} is damaged")
            rows = np.frombuffer(piece, "<f2").reshape(-1, self._width).astype(np.float16)
            found[number] = self._pieces.keep((video, name, number), rows)
        return found

    def _whole(self, key: str, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except FileNotFoundError as error:
            raise BlockError(f"{key} is not in {self._blobs.name}") from error


class _Kept(Generic[Key, Value]):
    """The values that were used last, by key."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: Key, value: Value) -> Value:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._at_most:
                self._values.popitem(last=False)
        return value


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()


def _bytes(seconds: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(seconds, "<f8").tobytes()

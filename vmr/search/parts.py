"""Which rows of the index are of which video: an array in memory, a file that is only appended to.

Sits below vectors.py. A million videos are 70 MB and take no longer to look through than a
question; the file holds what was added and what was let go, in order.

    parts = Parts()
    parts.add(video, short(fingerprint), count=600, cuts=12, digest=digest)
    parts.let_go([0])
    checksum = parts.write(file)
    parts.read(file, len(parts.log), checksum)      # ValueError where they are not those
"""

import hashlib
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

PART: Final = np.dtype(
    [
        ("video", "<i8"),
        ("row", "<i8"),  # its first one; of an entry that lets a part go, the place of that
        ("count", "<i8"),  # rows; GONE in an entry that lets a part go
        ("cut", "<i8"),  # its first shot cut
        ("cuts", "<i8"),
        ("name", "<u8"),  # of its content and networks, see `short`
        ("digest", "V16"),  # of its bytes
    ]
)
GONE: Final = -1
Videos: TypeAlias = Collection[int] | NDArray[np.int64]
"""Ids, each once."""


class Parts:
    """The parts of the index in the order of their rows."""

    def __init__(self) -> None:
        self._log = np.zeros(16, PART)
        self._length = self._written = self._checksum = 0
        self._places = np.zeros(16, np.int64)
        self._count = 0
        self._alive = np.zeros(16, bool)

    def __len__(self) -> int:
        """How many there are, those included that are no video's any more."""
        return self._count

    @property
    def log(self) -> NDArray[np.void]:
        """Every entry, as the file holds them."""
        return self._log[: self._length]

    @property
    def all(self) -> NDArray[np.void]:
        """(P,) of type PART."""
        return self._log[self._places[: self._count]]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(P,) whether each one is still a video's."""
        return self._alive[: self._count]

    def __getitem__(self, place: int) -> np.void:
        part: np.void = self._log[self._places[place]]
        return part

    @property
    def rows(self) -> int:
        """In all."""
        return int(self[self._count - 1]["row"] + self[self._count - 1]["count"]) if self else 0

    @property
    def cuts(self) -> int:
        """In all."""
        return int(self[self._count - 1]["cut"] + self[self._count - 1]["cuts"]) if self else 0

    def add(self, video: int, name: int, *, count: int, cuts: int, digest: bytes) -> None:
        """One more, behind all others."""
        entry = (video, self.rows, count, self.cuts, cuts, name, digest)
        self._places = _with_room(self._places, self._count)
        self._alive = _with_room(self._alive, self._count)
        self._places[self._count], self._alive[self._count] = self._length, True
        self._count += 1
        self._append(entry)

    def let_go(self, places: Iterable[int]) -> None:
        """These are no video's any more."""
        for place in places:
            if self.alive[place]:
                self._alive[place] = False
                self._append((self[place]["video"], place, GONE, 0, 0, 0, bytes(16)))

    def write(self, file: Path) -> int:
        """Append what is new to the file, or begin it; the checksum of all of it."""
        new = self.log[self._written :].tobytes()
        if not self._written:  # somebody may be reading the one before
            file.unlink(missing_ok=True)
        with file.open("r+b" if self._written else "wb") as out:  # written in place: counted after
            out.seek(self._written * PART.itemsize)
            out.write(new)
        self._checksum = zlib.crc32(new, self._checksum)
        self._written = self._length
        return self._checksum

    def read(self, file: Path, length: int, checksum: int) -> None:
        """Take the first entries of a file.

        Raises:
            ValueError: it is shorter, of another checksum, or its parts do not follow one another.
        """
        log = np.fromfile(file, PART, length) if length else np.zeros(0, PART)
        if len(log) != length or zlib.crc32(log.tobytes()) != checksum:
            raise ValueError(f"{file} is not what was written")
        let_go = log["count"] == GONE
        places = np.flatnonzero(~let_go)
        parts, alive = log[places], np.ones(len(places), bool)
        alive[log["row"][let_go]] = False
        for first, count in (("row", "count"), ("cut", "cuts")):
            ends = np.cumsum(parts[count])
            if (parts[count] < 0).any() or (parts[first] != ends - parts[count]).any():
                raise ValueError(f"{file}: its parts do not follow one another")
        self._log, self._length, self._written, self._checksum = log, length, length, checksum
        self._places, self._count, self._alive = places, len(places), alive

    def _append(self, entry: tuple[object, ...]) -> None:
        self._log = _with_room(self._log, self._length)
        self._log[self._length] = entry
        self._length += 1


def ids_of(videos: Videos) -> NDArray[np.int64]:
    """(V,) the same as an array."""
    if isinstance(videos, np.ndarray):
        return videos
    return np.fromiter(videos, np.int64, len(videos))


def short(fingerprint: str) -> int:
    """A fingerprint in eight bytes."""
    return int.from_bytes(hashlib.blake2b(fingerprint.encode(), digest_size=8).digest(), "little")


def _with_room(array: NDArray[Any], length: int) -> NDArray[Any]:
    """The array, or a copy of twice the size where so many entries fill it."""
    if length < len(array):
        return array
    return np.concatenate([array, np.zeros(max(16, length), array.dtype)])

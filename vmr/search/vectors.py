"""A library's clip vectors and their times, video after video in files that only grow.

Sits below index.py. What is asked of a video is read by its offset from memory-mapped files, so a
library of any size takes no memory; a video that comes is appended, one that goes stays as a gap
until gaps are half of it. Other processes may have the same files mapped: no byte that a record
has named is ever written again, and files that start anew are new files.

    vectors = Vectors(library.folder, width=513)
    vectors.read(model)                                     # what is on the disk, if it fits
    vectors.add(video, short(fingerprint), clips, times, cuts)
    vectors.write(model)
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.files import write_text
from vmr.search.parts import Parts

logger = logging.getLogger(__name__)


FORMAT: Final = 4
GAPS: Final = 0.5
"""Share of rows that no video has any more, from which the files are written anew."""
_CHUNK: Final = 1 << 16  # rows copied at once

Arrays = dict[str, NDArray[Any]]


class Vectors:
    """Three arrays: `clips` (N, E), `times` (N, 2) seconds, `cuts` (S,) seconds."""

    def __init__(self, folder: Path, width: int, *, read_only: bool = False) -> None:
        self._folder = folder
        self._types: dict[str, NDArray[Any]] = {  # of no rows
            "clips": np.zeros((0, width), np.float16),
            "times": np.zeros((0, 2), np.float64),
            "cuts": np.zeros(0, np.float64),
        }
        self._arrays = dict(self._types)
        self.on_disk = not read_only
        """Whether the files follow; once they may not, what is new is in memory only."""
        self._stamp = ""
        """The record as last read or written."""
        self.sketch = ""
        """Digest of the file of sketches that belongs to the rows; the owner keeps it."""
        self.sketched = 0
        """How many of the rows, from the first on, are in that file."""
        self.change = 0
        """Number of the library's last change that the rows follow; the owner keeps it."""
        self.parts = Parts()

    @property
    def clips(self) -> NDArray[np.float16]:
        """(N, E) of all parts in order, gaps included."""
        return self._arrays["clips"]

    def of(
        self, place: int
    ) -> tuple[NDArray[np.float16], NDArray[np.float64], NDArray[np.float64]]:
        """Clips (T, E), times (T, 2) and cuts (S,) of the part at this place, not copied."""
        found = self._slices(place)
        return found["clips"], found["times"], found["cuts"]

    def whole(self, place: int) -> bool:
        """Whether the bytes of a part are those that were written."""
        digest: bytes = self.parts[place]["digest"].tobytes()
        return digest_of(self._slices(place)) == digest

    def add(
        self,
        video: int,
        known_as: int,
        clips: NDArray[np.floating],
        times: NDArray[np.float64],
        cuts: NDArray[np.float64],
    ) -> None:
        """Append a video; in memory where the disk is full or may not be written.

        Args:
            known_as: its content and networks, see `parts.short`.
            clips: (T, E), kept in float16.
            times: (T, 2), where rows begin and end, in seconds.
            cuts: (S,), seconds of the shot cuts.
        """
        new: Arrays = {"clips": clips.astype(np.float16), "times": times, "cuts": cuts}
        if self.on_disk:
            try:
                for name, values in new.items():
                    self._append(name, values)
            except OSError as error:
                logger.info("%s: the index stays in memory: %s", self._folder, error)
                self.on_disk = False
        if not self.on_disk:
            for name, values in new.items():
                held = self._arrays[name][: self._count(name)]
                self._arrays[name] = np.concatenate([held, values])
        self.parts.add(video, known_as, count=len(clips), cuts=len(cuts), digest=digest_of(new))

    def drop(self, places: Iterable[int]) -> None:
        """Let videos go."""
        self.parts.let_go(places)

    def has_gaps(self) -> bool:
        """Whether it is time to close the gaps."""
        counts = self.parts.all["count"]
        return int(counts[~self.parts.alive].sum()) > GAPS * self.parts.rows

    def close_gaps(self) -> None:
        """Copy what is still a video's into new files."""
        kept = np.flatnonzero(self.parts.alive).tolist()
        old, slices, change = self.parts, [self._slices(place) for place in kept], self.change
        self.clear()
        self.change = change
        for place, values in zip(kept, slices, strict=True):
            video, known_as = int(old[place]["video"]), int(old[place]["name"])
            self.add(video, known_as, *(values[name] for name in self._types))

    def clear(self) -> None:
        """Forget everything; what is mapped elsewhere stays as it is."""
        self.parts, self._arrays = Parts(), dict(self._types)
        self.sketch, self.sketched, self.change = "", 0, 0

    def read(self, model: str) -> bool:
        """Take what is on the disk; False when it is as it was when last read or written.

        Where it is missing, cut short, damaged or of another model, nothing is left to take.
        """
        try:
            text = self._file("json").read_text()
        except OSError:
            text = ""
        if text == self._stamp and text:
            return False
        self._stamp = text
        self.clear()
        try:
            stored = json.loads(text or "null")
            if stored is None:
                logger.info("%s: no index yet; it is made", self._folder)
            elif (stored["format"], stored["model"]) != (FORMAT, model):
                made = f"format {stored['format']}, model {stored['model']}"
                logger.info("%s: the index is of %s and is made anew", self._folder, made)
            else:
                self.parts.read(self._file("parts"), stored["parts"], stored["checksum"])
                self.sketch, self.sketched = str(stored["sketch"]), int(stored["sketched"])
                self.change = int(stored["change"])
                self._arrays = {name: self._mapped(name) for name in self._types}
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.info("%s: the index is damaged (%r) and is made anew", self._folder, error)
            self.clear()
        return True

    def write(self, model: str) -> None:
        """Name what was added in the record. A full disk costs the next start time, no answer."""
        if not self.on_disk:
            return
        try:
            stored = {
                "format": FORMAT,
                "model": model,
                "sketch": self.sketch,
                "sketched": self.sketched,
                "change": self.change,
                "checksum": self.parts.write(self._file("parts")),
                "parts": len(self.parts.log),
            }
            text = json.dumps(stored)
            write_text(self._file("json"), text, sync=False)
            self._stamp = text
        except OSError as error:
            logger.info("%s: the index could not be written: %s", self._folder, error)

    def _append(self, name: str, values: NDArray[Any]) -> None:
        file, before = self._file(name), self._count(name)
        if not before:  # somebody may have the old one mapped
            file.unlink(missing_ok=True)
        with file.open("r+b" if before else "wb") as out:  # written in place: counted after
            out.seek(before * self._row_bytes(name))
            for start in range(0, len(values), _CHUNK):
                out.write(np.ascontiguousarray(values[start : start + _CHUNK]).data)
        self._arrays[name] = self._mapped(name, len(values))

    def _mapped(self, name: str, more: int = 0) -> NDArray[Any]:
        """The rows that the parts name, and `more`; ValueError when the file is shorter."""
        like, count = self._types[name], self._count(name) + more
        if not count:
            return like
        shape = (count, *like.shape[1:])
        return np.asarray(np.memmap(self._file(name), like.dtype, "r", shape=shape))

    def _count(self, name: str) -> int:
        return self.parts.cuts if name == "cuts" else self.parts.rows

    def _row_bytes(self, name: str) -> int:
        like = self._types[name]
        return like.dtype.itemsize * int(np.prod(like.shape[1:], dtype=np.int64))

    def _slices(self, place: int) -> Arrays:
        part = self.parts[place]
        rows = slice(int(part["row"]), int(part["row"] + part["count"]))
        cuts = slice(int(part["cut"]), int(part["cut"] + part["cuts"]))
        return {
            "clips": self._arrays["clips"][rows],
            "times": self._arrays["times"][rows],
            "cuts": self._arrays["cuts"][cuts],
        }

    def _file(self, name: str) -> Path:
        return self._folder / f"index.{name}"


def digest_of(arrays: Arrays) -> bytes:
    """Of the rows of a video, by name of the array."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("clips", "times", "cuts"):
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.digest()

"""One video of the library: what is known of it, and how it is read from the database.

video.name, video.state, video.reason, video.searchable
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from feature_extract.video.recording import Recording
from vmr.library.films import read_stored

State = Literal["new", "waiting", "indexing", "ready", "partly readable", "refused", "missing"]
SEARCHABLE: Final = ("ready", "partly readable")
RECORDING: Final = "recorded recorded_offset latitude longitude make model"
"""Columns, in the order of the fields of a Recording."""
COLUMNS: Final = (
    "id state reason progress duration width height fps codec origin rows unreadable added "
    f"fingerprint full {RECORDING}"
)


@dataclass(frozen=True)
class Video:
    """One video of the library, as the last look at the disk saw it."""

    id: int
    path: Path
    also: tuple[Path, ...]
    "other names of the same content"
    state: State
    reason: str
    "why it was refused or is only partly readable; empty otherwise"
    progress: float
    "0..1 while indexing"
    duration: float
    "seconds"
    width: int
    height: int
    fps: float
    codec: str
    origin: float
    "the container's clock at our 0 s: a browser wants it added"
    rows: int
    unreadable: tuple[tuple[float, float], ...]
    "damaged spans, seconds"
    added: float
    "POSIX seconds"
    fingerprint: str
    "of the extractor that made the features; empty before"
    full: str
    "digest of the whole file; empty before it was read"
    size_bytes: int
    modified: float
    "POSIX seconds"
    recording: Recording
    "what the file says of it; nothing before it was asked"

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return readable(self.path.name)

    @property
    def when(self) -> float:
        """POSIX seconds of the recording; where the file does not say, of its last change."""
        return self.modified if self.recording.time is None else self.recording.time

    @property
    def searchable(self) -> bool:
        """Whether its moments can be found and played."""
        return self.state in SEARCHABLE

    def is_unreadable(self, second: float) -> bool:
        """Whether the row of a second lies in a damaged span. Such rows match nothing, but where
        all others match even less, they would stand out."""
        if not self.unreadable:
            return False
        start = math.floor(second)
        end = min(start + 1, self.duration)
        return any(first <= start and end <= last for first, last in self.unreadable)


@dataclass(frozen=True)
class Changes:
    """What became of a library's videos, from one look at it to the next."""

    number: int
    "of the last change: where the next look begins"
    videos: tuple[Video, ...]
    "new ones, and those that something has changed of, in order of id"
    gone: tuple[int, ...]
    "ids of those that were removed"

    def __len__(self) -> int:
        return len(self.videos) + len(self.gone)


@dataclass(frozen=True)
class Rating:
    """What somebody said of a moment that a query found."""

    query: str
    video: int
    start: float
    "seconds; corrected, where the edges were"
    end: float
    good: bool

    def __post_init__(self) -> None:
        if not (self.query.strip() and 0 <= self.start < self.end < float("inf")):
            raise ValueError(f"{self}: needs a query and a span of time")


def readable(path: Path | str) -> str:
    """A path as text: a file name is bytes, and those that are no text come as `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def describe_damage(spans: Sequence[tuple[float, float]]) -> str:
    """The unreadable spans of a video in words; empty when there are none."""
    seconds = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in spans)
    return f"damaged from {seconds}" if spans else ""


@lru_cache(maxsize=4096)
def read_video(rows: tuple[tuple[Any, ...], ...]) -> Video:
    """From one row a name of the video, best name first.

    The page lists every video again and again; most are as they were, and a `Video` cannot be
    changed.
    """
    path, size_bytes, modified_ns, present, *columns = rows[0]
    fields = dict(zip(COLUMNS.split(), columns, strict=True))
    if not present and fields["state"] != "refused":
        fields |= {"state": "missing", "reason": "the file is no longer where it was"}
    said = Recording(*(fields.pop(name) for name in RECORDING.split()))
    fields["unreadable"] = tuple((start, end) for start, end in json.loads(fields["unreadable"]))
    return Video(
        path=read_stored(path),
        also=tuple(read_stored(row[0]) for row in rows[1:]),
        size_bytes=size_bytes,
        modified=modified_ns / 1e9,
        recording=said,
        **fields,
    )

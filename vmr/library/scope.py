"""Which part of a library to look into, as the database understands it.

ids = library.within(Scope(folder=Path("holiday"), min_length=60))
"""

import contextlib
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from vmr.library.database import composed
from vmr.library.films import BucketPath, stored

_IDS: Final = (
    "SELECT id FROM videos JOIN paths AS best ON best.rowid = (SELECT rowid FROM paths "
    "WHERE video = videos.id ORDER BY present DESC, rowid LIMIT 1) WHERE "
)
_CAMERA: Final = (
    "CASE WHEN substr(lower(model), 1, length(make)) = lower(make) THEN model "
    "ELSE trim(make || ' ' || model) END"
)


@dataclass(frozen=True)
class Near:
    """All that is so far from a place."""

    latitude: float
    "degrees, north is positive"
    longitude: float
    "degrees, east is positive"
    kilometres: float

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= 180 and self.kilometres > 0):
            raise ValueError(
                f"{self.latitude}, {self.longitude}, {self.kilometres} km: no such place"
            )

    @classmethod
    def read(cls, text: str) -> "Near":
        """From LATITUDE,LONGITUDE,RADIUS, as in 52.5,13.4,20km; the radius may be in metres, m.

        Raises:
            ValueError: it is nothing of this kind, or not on the earth.
        """
        number = r"\s*([+-]?\d+(?:\.\d+)?)\s*"
        found = re.fullmatch(f"{number},{number},{number}(km|m)\\s*", text)
        if found is None:
            raise ValueError(f"{text!r} is not LATITUDE,LONGITUDE,RADIUS, such as 52.5,13.4,20km")
        latitude, longitude, radius = map(float, found.groups()[:3])
        return cls(latitude, longitude, radius if found[4] == "km" else radius / 1000)


def read_day(text: str) -> datetime:
    """The beginning of a year, a month or a day, or a minute, as in 2023-05 and 2023-05-14T12:30.

    Raises:
        ValueError: it is none.
    """
    for form in ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M"):
        with contextlib.suppress(ValueError):
            return datetime.strptime(text.strip(), form)  # by the clocks of the place
    raise ValueError(f"{text!r} is not a date, such as 2023, 2023-05 or 2023-05-14")


@dataclass(frozen=True)
class Scope:
    """Videos of which all of this is true; of a new Scope, all."""

    folder: Path | None = None
    "a file of it lies in here, or deeper"
    since: float | None = None
    "POSIX seconds: the file was last changed then or later"
    until: float | None = None
    "POSIX seconds, exclusive"
    min_length: float = 0.0
    "seconds"
    recorded_since: datetime | None = None
    "by the clocks of the place, so without a zone; videos that do not say when are left out"
    recorded_until: datetime | None = None
    "exclusive"
    camera: str = ""
    "part of its make and model, in any case"
    near: Near | None = None

    def __post_init__(self) -> None:
        for when in (self.recorded_since, self.recorded_until):
            if when is not None and when.tzinfo is not None:
                raise ValueError(f"{when}: a time by the clocks of the place has no zone")

    def query(self) -> tuple[str, list[Any]]:
        """A statement that finds the ids of these videos, and what its question marks stand for."""
        parts: list[tuple[str, list[Any]]] = []
        if self.folder is not None:
            parts.append(_inside(self.folder))
        if self.since is not None:
            parts.append(("best.modified_ns >= ?", [_nanoseconds(self.since)]))
        if self.until is not None:
            parts.append(("best.modified_ns < ?", [_nanoseconds(self.until)]))
        if self.min_length > 0:
            parts.append(("duration >= ?", [self.min_length]))
        if self.recorded_since is not None:
            parts.append(_recorded(">=", self.recorded_since))
        if self.recorded_until is not None:
            parts.append(_recorded("<", self.recorded_until))
        if self.camera.strip():
            # As Recording.camera has it.
            parts.append((f"instr(lower({_CAMERA}), lower(?)) > 0", [self.camera.strip()]))
        if self.near is not None:
            near = self.near
            place = [near.latitude, near.longitude, near.kilometres]
            parts.append(
                ("latitude IS NOT NULL AND kilometres(latitude, longitude, ?, ?) <= ?", place)
            )
        where = " AND ".join(part for part, _ in parts) or "TRUE"
        return _IDS + where, [value for _, values in parts for value in values]


def _inside(folder: Path) -> tuple[str, list[Any]]:
    """Whether a path of the video lies in a folder, which has no trailing slash of its own,
    whichever of the two writes its accents as letters of their own, as macOS does."""
    top = composed(stored(folder))
    slash = b"/" if isinstance(folder, BucketPath) else os.fsencode(os.sep)
    first = top if top.endswith(slash) else top + slash
    last = first[:-1] + bytes([first[-1] + 1])
    path = "path" if top.isascii() else "composed(path)"
    if os.name == "nt":  # where capital letters name the same folder
        path = f"lowered({path})"
        first, last = first.lower(), last.lower()
    found = f"EXISTS (SELECT 1 FROM paths WHERE video = videos.id AND {path} >= ? AND {path} < ?)"  # noqa: S608  # no part of it comes from outside
    return found, [first, last]


def _recorded(compared: str, when: datetime) -> tuple[str, list[Any]]:
    """Whether a video was recorded then; of one without a zone, by the clock of this computer."""
    wall = (when - datetime(1970, 1, 1)).total_seconds()  # by the clocks of the place
    try:
        here = when.timestamp()
    except (OverflowError, OSError):  # Windows knows no times before 1970
        here = wall
    both = f"(CASE WHEN recorded_offset IS NULL THEN recorded {compared} ? "
    return both + f"ELSE recorded + 60 * recorded_offset {compared} ? END)", [here, wall]


def _nanoseconds(seconds: float) -> int:
    """Held to what SQLite can count."""
    return round(1e9 * min(max(seconds, -9e9), 9e9))

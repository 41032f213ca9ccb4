"""Which part of a library to look into, as the database understands it.

ids = library.within(Scope(folder=Path("holiday"), min_length=60))
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vmr.library.database import composed

_IDS: Final = (
    "SELECT id FROM videos JOIN paths AS best ON best.rowid = (SELECT rowid FROM paths "
    "WHERE video = videos.id ORDER BY present DESC, rowid LIMIT 1) WHERE "
)


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
        where = " AND ".join(part for part, _ in parts) or "1"
        return _IDS + where, [value for _, values in parts for value in values]


def _inside(folder: Path) -> tuple[str, list[Any]]:
    """Whether a path of the video lies in a folder, which has no trailing slash of its own,
    whichever of the two writes its accents as letters of their own, as macOS does."""
    top = composed(os.fsencode(os.path.abspath(folder)))  # noqa: PTH100  # links stay as named
    slash = os.fsencode(os.sep)
    first = top if top.endswith(slash) else top + slash
    last = first[:-1] + bytes([first[-1] + 1])
    path = "path" if top.isascii() else "composed(path)"
    if os.name == "nt":  # where capital letters name the same folder
        path = f"CAST(lower(CAST({path} AS TEXT)) AS BLOB)"
        first, last = first.lower(), last.lower()
    found = f"EXISTS (SELECT 1 FROM paths WHERE video = videos.id AND {path} >= ? AND {path} < ?)"  # noqa: S608  # no part of it comes from outside
    return found, [first, last]


def _nanoseconds(seconds: float) -> int:
    """Held to what SQLite can count."""
    return round(1e9 * min(max(seconds, -9e9), 9e9))

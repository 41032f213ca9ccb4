"""Folders for a while: gone when done with; those of a killed process at the next use of the place.

with scratch_folder(target.parent) as folder:
    ...                                             # write folder / "film.mp4"
    (folder / "film.mp4").replace(target)           # whole or not at all: the same disk
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from vmr.database import LibraryError, hold_lock

PREFIX: Final = ".moments-"
LOCK: Final = "lock"
YOUNG_SECONDS: Final = 10.0
"""A folder is locked at once after it is made; younger ones are left alone in between."""


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """A fresh folder in `place`, by default where the system keeps temporary files."""
    place = place or Path(tempfile.gettempdir())
    sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    try:
        with hold_lock(folder / LOCK, wait_seconds=0):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path) -> None:
    """Delete the scratch folders in `place` that no living process holds."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError, LibraryError):  # another user's, or just gone
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                continue
            with hold_lock(folder / LOCK, wait_seconds=0) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)

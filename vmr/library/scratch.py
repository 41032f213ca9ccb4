"""Folders for a while: gone when done with; those of a killed process at the next start.

with scratch_folder(target.parent) as folder:
    ...                                             # write folder / "film.mp4"
    (folder / "film.mp4").replace(target)           # whole or not at all: the same disk

A folder is locked while it is in use. Where it lies is noted in the user's cache, so that the next
start of any command finds it, wherever that was.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from vmr.library.locks import LibraryError, cache_folder, hold_lock

PREFIX: Final = ".moments-"
LOCK: Final = "lock"
_ATTEMPTS: Final = 5


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """A fresh folder in `place`, by default where the system keeps temporary files."""
    place = (place or Path(tempfile.gettempdir())).absolute()
    sweep(place)
    folder, held = _claim(place)
    try:
        with held:
            yield folder
    finally:
        _forget(folder)


def sweep(place: Path) -> None:
    """Delete the scratch folders in `place` that no living process holds."""
    for folder in place.glob(f"{PREFIX}*"):
        _delete_if_free(folder)


def sweep_noted() -> None:
    """Delete what killed processes left, wherever it was; for the start of a program."""
    with suppress(OSError, RuntimeError):
        for note in _notes().iterdir():
            folder = Path(os.fsdecode(note.read_bytes()))
            if folder.name.startswith(PREFIX):  # whoever wrote there: nothing else is deleted
                _delete_if_free(folder)
            if not folder.exists():
                note.unlink(missing_ok=True)


def _claim(place: Path) -> tuple[Path, ExitStack]:
    """A fresh folder, and the lock on it.

    In between, a sweep may take it for a dead process's: then it is gone, and another one is made.
    Where locks do not work at all (some network disks), it is used without.
    """
    for _ in range(_ATTEMPTS):
        folder, held = place / f"{PREFIX}{secrets.token_hex(8)}", ExitStack()
        with suppress(OSError, RuntimeError):  # no home: the next use of this place deletes it, too
            _notes().mkdir(parents=True, exist_ok=True)
            (_notes() / folder.name).write_bytes(os.fsencode(folder))
        try:
            folder.mkdir(mode=0o700)
            alone = held.enter_context(hold_lock(folder / LOCK, wait_seconds=0))
        except (OSError, LibraryError):
            if folder.exists() or not place.is_dir() or not os.access(place, os.W_OK):
                _forget(folder)
                raise
            continue
        if alone and (folder / LOCK).exists():
            return folder, held
        held.close()
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder, ExitStack()


def _delete_if_free(folder: Path) -> None:
    with suppress(OSError, LibraryError):  # another user's, or just gone
        if folder.is_dir() and not folder.is_symlink():
            with hold_lock(folder / LOCK, wait_seconds=0) as free:
                if not free:
                    return
                shutil.rmtree(folder, ignore_errors=True)
            folder.rmdir()  # on Windows: the lock itself goes last, when it is let go


def _forget(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError, RuntimeError):
        (_notes() / folder.name).unlink(missing_ok=True)


def _notes() -> Path:
    return cache_folder() / "scratch"

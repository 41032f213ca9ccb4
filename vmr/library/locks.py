"""Locks between processes, and what is said where SQLite or the disk refuses.

with hold_lock(folder / "indexing.lock", wait_seconds=0) as alone:
    ...
with plain_errors(folder):      # a LibraryError that says what to do
    db.execute("INSERT ...")
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


class LibraryError(ValueError):
    """The library cannot do what was asked; one line that says why and what to do."""


def cache_folder() -> Path:
    """Per-user cache: $VMR_CACHE, else $XDG_CACHE_HOME/vmr, else ~/.cache/vmr."""
    named = os.environ.get("VMR_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(named) if named else base / "vmr"


@contextmanager
def hold_lock(path: Path, *, wait_seconds: float) -> Iterator[bool]:
    """Whether we hold the lock on this file, which is nobody else's while the context is open.

    It is let go when the process dies, however it dies. The file stays, but on Windows.

    Raises:
        LibraryError: the file cannot be made, or its disk has no locks.
    """
    # Without a fallback to marker files: those outlive a killed process.
    lock = FileLock(path, wait_seconds, thread_local=False, fallback_to_soft=False)
    with plain_errors(path.parent), suppress(Timeout):
        os.stat(path.parent)  # where there is none, filelock would make it
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the disk report into a LibraryError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise LibraryError(f"{folder}: {_advice(error)}") from error
    except OSError as error:
        raise LibraryError(f"{folder}: {(error.strerror or str(error)).lower()}") from error


def _advice(error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return "another program holds the library; close it or try again"
    if "readonly" in text or "unable to open" in text:
        return "the library cannot be written; check the folder's permissions"
    if "full" in text:
        return "the disk is full; make room and run the same command again"
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a data" in text):
        return "library.db is damaged; restore it, or delete the folder and index again"
    return f"library.db: {text}"

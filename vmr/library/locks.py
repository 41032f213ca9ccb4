"""Locks between processes, and what is said where SQLite or the disk refuses.

with hold_lock(folder / "indexing.lock", wait_seconds=0) as alone:
    ...
with plain_errors(folder):      # a LibraryError that says what to do
    db.execute("INSERT ...")
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from feature_extract.files import file_lock


class LibraryError(ValueError):
    """The library cannot do what was asked; one line that says why and what to do."""


class AwayError(LibraryError):
    """What the library lies on does not answer now; nothing is known to be wrong with it."""


class LostLockError(LibraryError):
    """Another process may have taken over what this one was the only one to do; nothing of it was
    kept, and it can be begun again."""


class RowError(LibraryError):
    """What is to be kept of one video contradicts what is kept already; others are not touched."""


@contextmanager
def hold_lock(path: Path, *, wait_seconds: float) -> Iterator[bool]:
    """As `file_lock`, with a LibraryError where the file cannot be made or locked."""
    with ExitStack() as held:
        with plain_errors(path.parent):
            alone = held.enter_context(file_lock(path, wait_seconds=wait_seconds))
        yield alone


@contextmanager
def plain_errors(folder: Path | str) -> Iterator[None]:
    """Turn what SQLite and the disk report into a LibraryError that says what to do."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError) as error:
        raise RowError(f"{folder}: library.db: {error}") from error
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

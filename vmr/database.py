"""The library's SQLite file: its tables, and how it is opened, also where nothing may be written.

db = open_database(folder / "library.db")
with plain_errors(folder):
    db.execute("SELECT ...")
"""

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SCHEMA_VERSION: Final = 3
BUSY_SECONDS: Final = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS videos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: the index relies on it
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', progress REAL NOT NULL DEFAULT 0,
    quick TEXT NOT NULL DEFAULT '', full TEXT NOT NULL DEFAULT '', added REAL NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '', rows INTEGER NOT NULL DEFAULT 0,
    features_bytes INTEGER NOT NULL DEFAULT 0, thumbnails_bytes INTEGER NOT NULL DEFAULT 0,
    duration REAL NOT NULL DEFAULT 0, width INTEGER NOT NULL DEFAULT 0,
    height INTEGER NOT NULL DEFAULT 0, fps REAL NOT NULL DEFAULT 0,
    codec TEXT NOT NULL DEFAULT '', unreadable TEXT NOT NULL DEFAULT '[]',
    origin REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS paths (
    path BLOB PRIMARY KEY,                  -- bytes: a file name need not be text
    video INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    present INTEGER NOT NULL DEFAULT 1);
CREATE INDEX IF NOT EXISTS videos_quick ON videos (quick);
CREATE INDEX IF NOT EXISTS paths_video ON paths (video);
CREATE TABLE IF NOT EXISTS folders (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judgements (
    query TEXT NOT NULL, video INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    start REAL NOT NULL, end REAL NOT NULL, good INTEGER NOT NULL);
PRAGMA user_version = 3;
COMMIT;
"""

_ORIGIN: Final = "ALTER TABLE videos ADD COLUMN origin REAL NOT NULL DEFAULT 0;"  # version 3


class LibraryError(ValueError):
    """The library cannot do what was asked; one line that says why and what to do."""


def default_library() -> Path:
    """$VMR_LIBRARY, or a folder where this system keeps a user's data."""
    if named := os.environ.get("VMR_LIBRARY"):
        return Path(named)
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return data / "vmr" / "library"


def open_database(path: Path) -> sqlite3.Connection:
    """The database for reading and writing, made when missing.

    Raises:
        LibraryError: it cannot be opened, is damaged, or is of another version.
    """
    with plain_errors(path.parent):
        db = _connect(f"{path.absolute().as_uri()}?mode=rwc")
        # FULL: a power cut must not undo a video that was reported as ready.
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        db.execute("PRAGMA foreign_keys = ON")
        if _version(db) < SCHEMA_VERSION:
            _create(db)  # so far, newer versions only add tables and columns
        _check_version(db, path)
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database without a right to write, even to its folder.

    Raises:
        LibraryError: there is none, it is damaged, or of another version.
    """
    if not path.is_file():
        raise LibraryError(f"{path.parent}: no library here; `index` makes one")
    with plain_errors(path.parent):
        try:
            db = _connect(f"{path.absolute().as_uri()}?mode=ro")
            _check_version(db, path)
        except sqlite3.OperationalError:
            # WAL wants to write a file of shared memory beside the database; where it may not, a
            # copy serves: a folder that nobody can write does not change under us.
            db = _copy_in_memory(path)
            _check_version(db, path)
    return db


@contextmanager
def hold_lock(path: Path, *, wait_seconds: float) -> Iterator[bool]:
    """Whether we hold the lock on this file, which is nobody else's while the context is open.

    SQLite's own lock on an empty file: it works on every system, and is let go when the process
    dies, however it dies.
    """
    with plain_errors(path.parent):
        guard = sqlite3.connect(
            path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
        )
    try:
        with plain_errors(path.parent):
            held = _lock(guard)
        yield held
    finally:
        guard.close()


def _lock(guard: sqlite3.Connection) -> bool:
    try:
        guard.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return False
    return True


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


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _create(db: sqlite3.Connection) -> None:
    """Make what is missing: of a new library everything, of an older one what came later."""
    older = _ORIGIN if _version(db) else ""
    try:
        db.executescript(f"BEGIN IMMEDIATE;{older}{_SCHEMA}")
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.rollback()
        if _version(db) < SCHEMA_VERSION:
            raise  # otherwise another process was first, with the same tables


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if 0 < version < SCHEMA_VERSION:  # met by readers only: writers have just brought it up to date
        raise LibraryError(
            f"{path.parent}: made by an older version of this program; open it once where it may "
            "be written, such as with `rescan`"
        )
    if version != SCHEMA_VERSION:
        raise LibraryError(
            f"{path.parent}: made by another version of this program (library version {version}, "
            f"expected {SCHEMA_VERSION}); index into a new folder"
        )


def _copy_in_memory(path: Path) -> sqlite3.Connection:
    with tempfile.TemporaryDirectory(prefix=".moments-") as folder:
        for suffix in ("", "-wal"):
            source = Path(f"{path}{suffix}")
            if source.is_file():
                shutil.copyfile(source, os.path.join(folder, f"library.db{suffix}"))
        copy = _connect((Path(folder) / "library.db").as_uri())
        memory = _connect("file::memory:")
        copy.backup(memory)
        copy.close()
    return memory

"""A library's database as threads and processes share it: one transaction at a time, plain errors.

db = Connection(folder)
with db.transaction() as statements:
    statements.execute("UPDATE videos SET ...")
rows = db.fetch("SELECT path FROM paths WHERE video = ?", 3)
"""

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feature_extract.video.recording import kilometres
from vmr.library.database import open_database, open_for_reading
from vmr.library.locks import LibraryError, plain_errors


class Connection:
    """One connection to `library.db` in a folder, safe to share between threads.

    Raises:
        LibraryError: by every method, where the database or its disk refuses.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._folder = folder
        self._read_only = read_only
        self._lock = threading.RLock()
        self._db = (open_for_reading if read_only else open_database)(folder / "library.db")
        self._db.create_function("kilometres", 4, kilometres, deterministic=True)
        weakref.finalize(self, self._db.close)  # also where the process ends in a hurry

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; a transaction inside another is part of it."""
        if self._read_only:
            raise LibraryError(f"{self._folder} is open for reading only")
        with self._lock, plain_errors(self._folder):
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row that a SELECT statement finds; `values` stand for its question marks."""
        with self._lock, plain_errors(self._folder):
            return self._db.execute(query, values).fetchall()

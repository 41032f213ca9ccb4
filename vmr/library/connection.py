"""A library's database as threads and processes share it: one transaction at a time, plain errors.

db = Connection(folder)
with db.transaction() as statements:
    statements.execute("UPDATE videos SET ...")
rows = db.fetch("SELECT path FROM paths WHERE video = ?", 3)

`Catalogue` is what any database of a library does. This file has SQLite's, postgres.py that of
PostgreSQL; statements are written for both, in what they have in common.
"""

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from feature_extract.video.recording import kilometres
from vmr.library.database import open_database, open_for_reading
from vmr.library.locks import LibraryError, hold_lock, plain_errors
from vmr.library.passages import Fts5, PassageWords


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """The next row; None where there is none."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All that are left."""


class Statements(Protocol):
    """Runs statements of one transaction."""

    def execute(self, query: str, values: Sequence[Any] = ..., /) -> Rows:
        """One statement; `values` stand for its question marks."""

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> object:
        """The same statement for each of these rows."""


class Catalogue(Protocol):
    """The database of a library; safe to share between threads. LibraryError by every method."""

    @property
    def name(self) -> str:
        """Where it is, as it is told to people."""

    @property
    def words(self) -> PassageWords:
        """How passages are found by their words."""

    @property
    def among(self) -> str:
        """The end of a condition: among the numbers of one question mark, a JSON list."""

    def about(self) -> str:
        """What it is, and of which version; it has been asked just now."""

    def close(self) -> None:
        """Let go of it."""

    def transaction(self) -> AbstractContextManager[Statements]:
        """All or nothing; a transaction inside another is part of it."""

    def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row that a SELECT statement finds; `values` stand for its question marks."""

    def ids_copied(self, statements: Statements) -> None:
        """Give no id again that a video copied here has."""

    def lock(self, name: str, *, wait_seconds: float) -> AbstractContextManager[bool]:
        """Be the one process that has this lock of the library; False where another still has it
        after the wait. It is let go when the process dies."""

    def lost(self, name: str) -> bool:
        """Whether this process still counts on a lock that it no longer has: asked in the
        transaction that keeps what was done under it."""


class Connection:
    """One connection to `library.db` in a folder, safe to share between threads.

    Raises:
        LibraryError: by every method, where the database or its disk refuses.
    """

    among = "IN (SELECT value FROM json_each(?))"

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.name = str(folder)
        self._folder = folder
        self._read_only = read_only
        self._lock = threading.RLock()
        self._db = (open_for_reading if read_only else open_database)(folder / "library.db")
        self._db.create_function("kilometres", 4, kilometres, deterministic=True)
        self.words: PassageWords = Fts5(self.fetch)
        weakref.finalize(self, self._db.close)  # also where the process ends in a hurry

    def about(self) -> str:
        """As `Catalogue.about`."""
        return f"{self.name}: SQLite {self.fetch('SELECT sqlite_version()')[0][0]}"

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        """As `Catalogue.transaction`."""
        if self._read_only:
            raise LibraryError(f"{self._folder} is open for reading only")
        statements = cast(Statements, self._db)
        with self._lock, plain_errors(self._folder):
            if self._db.in_transaction:
                yield statements
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield statements
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """As `Catalogue.fetch`."""
        with self._lock, plain_errors(self._folder):
            return self._db.execute(query, values).fetchall()

    def ids_copied(self, statements: Statements) -> None:
        """Nothing: SQLite counts them itself."""

    def lock(self, name: str, *, wait_seconds: float) -> AbstractContextManager[bool]:
        """As `Catalogue.lock`: a locked file of the folder."""
        return hold_lock(self._folder / f"{name}.lock", wait_seconds=wait_seconds)

    def lost(self, name: str) -> bool:  # noqa: ARG002  # of any
        """As `Catalogue.lost`: never, the system keeps it for the process as long as that lives."""
        return False

"""A library's database on a PostgreSQL server: the home of psycopg.

    db = PostgresCatalogue(Address("postgresql://films@db.local/moments"))
    db.fetch("SELECT path FROM paths WHERE video = ?", 3)       # the statements of SQLite

Statements come as they are for SQLite: question marks become psycopg's places, and names that are
words of SQL here are quoted. One transaction writes at a time, as with SQLite: so the numbers of
changes rise in the order in which others see them. A connection that broke is made again by the
next statement; what was being written is then as if it had never begun.
"""

import logging
import re
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import psycopg

from feature_extract.transcript import Sense
from vmr.library.address import Address
from vmr.library.connection import Rows, Statements
from vmr.library.locks import LibraryError, RowError
from vmr.library.passages import ALL, Fetch, PassageWords
from vmr.library.postgres_tables import FIRST, SCHEMA, STEPS, VERSION, WRITING
from vmr.library.tokens import Stems, index_form

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 10
BUSY_SECONDS: Final = 60
"""How long a transaction waits for another one that writes."""
_POLL_SECONDS: Final = 0.1
_IDLE_SINCE: Final = 140000
"""Version of the server from which sessions may be ended for being idle."""
_SETTINGS: Final = (
    f"SET search_path TO {SCHEMA}",
    "SET client_min_messages TO warning",
    f"SET lock_timeout TO '{BUSY_SECONDS}s'",
    # A machine that lost its power must not hold a lock for hours.
    "SET tcp_keepalives_idle TO 30",
    "SET tcp_keepalives_interval TO 10",
    "SET tcp_keepalives_count TO 3",
)
_NAMES: Final = re.compile(r'(?<![".\w])(end|full)(?![\w"])')
"""Columns that are words of SQL here; keywords of statements are written in capitals."""


class PostgresCatalogue:
    """As `Catalogue`.

    Raises:
        LibraryError: by every method, where the server cannot be reached, or refuses.
    """

    among = "IN (SELECT json_array_elements_text(?::json)::BIGINT)"

    def __init__(self, address: Address, *, read_only: bool = False) -> None:
        self.name = str(address)
        self._address = address
        self._read_only = read_only
        self._lock = threading.RLock()
        self._depth = 0
        self._held = _Held()
        self._signs: dict[str, int] = {}
        """Of the locks that are held here, by name."""
        weakref.finalize(self, self._held.close)
        with self._lock, self._plain_errors():
            self._bring_up_to_date()
        self.words: PassageWords = StemWords(self.fetch)

    def about(self) -> str:
        """As `Catalogue.about`; where it may, it has written a row and taken it back."""
        ((version, encrypted),) = self.fetch(
            "SELECT current_setting('server_version'), coalesce("
            "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE)"
        )
        written = "reads"
        if not self._read_only:
            with self.transaction() as statements:
                statements.execute(
                    "INSERT INTO settings VALUES ('tried', '') ON CONFLICT DO NOTHING"
                )
                statements.execute("DELETE FROM settings WHERE key = 'tried'")
            written = "writes and reads"
        safe = "encrypted" if encrypted else "not encrypted"
        return f"{self.name}: PostgreSQL {version}, {safe}; {written}"

    def close(self) -> None:
        """As `Catalogue.close`."""
        with self._lock:
            self._held.close()

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        """As `Catalogue.transaction`."""
        if self._read_only:
            raise LibraryError(f"{self.name} is open for reading only")
        with self._lock, self._plain_errors():
            connection = self._connection()
            if self._depth:
                yield _Translated(connection)
                return
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (WRITING,))
                self._depth += 1
                try:
                    yield _Translated(connection)
                finally:
                    self._depth -= 1

    def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """As `Catalogue.fetch`; asked once more where the connection turns out to be broken."""
        with self._lock, self._plain_errors():
            try:
                return _Translated(self._connection()).execute(query, values).fetchall()
            except psycopg.OperationalError:
                if self._depth or not self._held.broken:
                    raise
                logger.info("%s: the connection broke; made again", self.name)
                return _Translated(self._connection()).execute(query, values).fetchall()

    def ids_copied(self, statements: Statements) -> None:
        """As `Catalogue.ids_copied`."""
        statements.execute(
            f"SELECT setval(pg_get_serial_sequence('{SCHEMA}.videos', 'id'), "  # noqa: S608  # no part of it comes from outside
            "(SELECT coalesce(max(id), 0) + 1 FROM videos), FALSE)"
        )

    @contextmanager
    def lock(self, name: str, *, wait_seconds: float) -> Iterator[bool]:
        """As `Catalogue.lock`: held by a connection of its own, with which it goes."""
        number = crc32(name.encode()) - (1 << 31)  # as the server counts
        until = time.monotonic() + wait_seconds
        with self._plain_errors():
            connection = self._connected()
            if connection.info.server_version >= _IDLE_SINCE:
                connection.execute("SET idle_session_timeout TO 0")  # it is, for hours
        sign = secrets.randbits(31)
        try:
            while True:
                with self._plain_errors():
                    row = connection.execute(
                        "SELECT pg_try_advisory_lock(%s, %s)", (WRITING + 1, number)
                    ).fetchone()
                alone = row == (True,)
                if alone or time.monotonic() >= until:
                    break
                time.sleep(_POLL_SECONDS)
            if alone:
                with self._plain_errors():
                    connection.execute("SELECT pg_advisory_lock(%s, %s)", (WRITING + 2, sign))
                self._signs[name] = sign
            yield alone
        finally:
            if self._signs.get(name) == sign:
                del self._signs[name]
            connection.close()

    def lost(self, name: str) -> bool:
        """As `Catalogue.lost`: a lock has a sign beside it, which the server holds as long."""
        if name not in self._signs:
            return False
        return not self.fetch(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND classid = ? AND objid = ?",
            WRITING + 2,
            self._signs[name],
        )

    def _connection(self) -> "psycopg.Connection[Any]":
        if self._held.connection is None or self._held.broken:
            if self._depth:
                raise LibraryError(f"{self.name}: the connection broke; run the command again")
            self._held.close()
            self._held.connection = self._connected()
        return self._held.connection

    def _connected(self) -> "psycopg.Connection[Any]":
        connection = psycopg.connect(
            self._address.url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="moments",
        )
        for setting in _SETTINGS:
            connection.execute(setting)
        if self._read_only:
            connection.execute("SET default_transaction_read_only TO on")
        return connection

    def _bring_up_to_date(self) -> None:
        """Make what is missing: of a new library everything, of an older one what came later."""
        version = self._version()
        if not version and self._read_only:
            raise LibraryError(f"{self.name}: no library here; `index` makes one")
        if version < VERSION and not self._read_only:
            connection = self._connection()
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, 1)", (WRITING,))
                self._make(connection, self._version())
            version = self._version()
        if version != VERSION:
            raise LibraryError(
                f"{self.name}: made by another version of this program (library version {version},"
                f" expected {VERSION}); update this one, or index into a new database"
            )

    def _make(self, connection: "psycopg.Connection[Any]", version: int) -> None:
        if not version:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.execute(f"CREATE TABLE {SCHEMA}.library (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO library VALUES (%s)", (FIRST,))
        for number, step in sorted(STEPS.items()):
            if number > version:
                connection.execute(step)
        connection.execute("UPDATE library SET version = %s", (VERSION,))

    def _version(self) -> int:
        """Of the library; 0 where there is none."""
        connection = self._connection()
        there = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.library",)).fetchone()
        if there == (None,):
            return 0
        row = connection.execute("SELECT version FROM library").fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Turn what the server reports into a LibraryError that says what to do."""
        try:
            yield
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise RowError(f"{self.name}: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise LibraryError(f"{self.name}: {_advice(error)}") from error


class _Held:
    """A connection that may be broken, or not made yet; apart, so that a finaliser can close it."""

    def __init__(self) -> None:
        self.connection: psycopg.Connection[Any] | None = None

    @property
    def broken(self) -> bool:
        return self.connection is not None and (self.connection.closed or self.connection.broken)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class _Translated:
    """Statements as they are for SQLite, run by psycopg."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Rows:
        found: Rows = self._connection.execute(_translated(query), [*map(_kept, values)])
        return found

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(query), [[*map(_kept, row)] for row in rows])


@lru_cache(maxsize=512)
def _translated(query: str) -> str:
    """A statement for SQLite in PostgreSQL's words."""
    pieces = query.replace("%", "%%").split("'")
    pieces[::2] = [_NAMES.sub(r'"\1"', piece).replace("?", "%s") for piece in pieces[::2]]
    return "'".join(pieces)


def _kept(value: Any) -> Any:
    """A value as a column takes it: truth as a number; no zero in a text, which none can hold."""
    if isinstance(value, bool):
        return int(value)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _first_line(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _advice(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "another program holds the library; close it or try again"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"this user may not do that ({_first_line(error)}); grant it on schema {SCHEMA}"
    if isinstance(error, psycopg.errors.DiskFull):
        return "the server's disk is full; make room and run the same command again"
    if isinstance(error, psycopg.OperationalError):
        return f"the server does not answer ({_first_line(error)}); run the command again later"
    return _first_line(error)


class StemWords:
    """Passages by their stems, which are taken apart here, as for SQLite; ranked by ts_rank, which
    unlike bm25 does not know how rare a word is."""

    _LONGEST: Final = 500  # signs of a stem that are kept: the server takes 2046 bytes

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._stems = Stems()

    def phrase(self, text: str, begins: bool) -> str:
        """As `PassageWords.phrase`: part of a tsquery."""
        stems = [_quoted(stem) for stem in self._of(text)]
        return f"({' <-> '.join(stems)}{':*' * begins})"

    def near(self, phrases: Sequence[str], words: int) -> str:  # noqa: ARG002  # cannot be said
        """As `PassageWords.near`: anywhere in the passage, which is half a minute."""
        return f"({' & '.join(phrases)})"

    def joined(self, matches: Sequence[str], joined: str, sense: Sense | None) -> str:
        """As `PassageWords.joined`: a sense, or nothing, and a tsquery."""
        return f"{sense or ''}:{(' & ' if joined == 'AND' else ' | ').join(matches)}"

    def count(self, match: str, at_most: int) -> int:
        """As `PassageWords.count`."""
        where, values = self._where(match)
        query = f"SELECT count(*) FROM (SELECT 1 FROM passages WHERE {where} LIMIT ?) AS few"  # noqa: S608  # no part of it comes from outside
        return int(self._fetch(query, *values, at_most)[0][0])

    def holding(self, match: str, first: int, last: int, limit: int, *, ordered: bool) -> list[int]:
        """As `PassageWords.holding`."""
        where, values = self._where(match)
        order = "ts_rank(stems, ?::tsquery, 1) DESC, id" if ordered else "id"
        query = (
            f"SELECT id FROM passages WHERE {where} AND id BETWEEN ? AND ? ORDER BY {order} LIMIT ?"  # noqa: S608  # no part of it comes from outside
        )
        best = values[:1] if ordered else []
        most = None if limit == ALL else limit
        return [int(id) for (id,) in self._fetch(query, *values, first, last, *best, most)]

    def state(self) -> list[tuple[Any, ...]]:
        """Differs every second: others may have written meanwhile."""
        return [(int(time.monotonic()),)]

    def add(self, statements: Any, ids: Iterable[int]) -> None:
        """As `PassageWords.add`."""
        rows = []
        for id in ids:
            query = "SELECT coalesce(said, written) FROM passages WHERE id = ?"
            (text,) = statements.execute(query, (id,)).fetchone()
            words = (f"{_quoted(stem)}:{at + 1}" for at, stem in enumerate(self._of(text)))
            rows.append((" ".join(words), id))
        statements.executemany("UPDATE passages SET stems = ?::tsvector WHERE id = ?", rows)

    def _where(self, match: str) -> tuple[str, list[str]]:
        sense, _, query = match.partition(":")
        if sense:
            return "stems @@ ?::tsquery AND sense = ?", [query, sense]
        return "stems @@ ?::tsquery", [query]

    def _of(self, text: str) -> list[str]:
        return [stem[: self._LONGEST] for stem in self._stems.of([index_form(text)])[0]]


def _quoted(stem: str) -> str:
    escaped = stem.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"

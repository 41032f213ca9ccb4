"""Copies a library to another place: from a folder to servers, and back.

    copied = migrate(Library(Path("holiday")), Library(Address("postgresql://..."), store="s3://..."))

What lies in the store comes first, each part once however often this is stopped and begun again;
then every row in one transaction, so that the copy is empty or whole; then both are compared, row
by row, a page of them in memory at a time. Ids stay. What each machine makes of a library (index,
previews) is made anew.
"""

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Any, Final

from vmr.library.encoders import READ
from vmr.library.opening import INDEX, INDEX_NAME, STORE
from vmr.library.receipts import keys_of
from vmr.library.recovery import DONE
from vmr.library.store import Library, LibraryError

PAGE: Final = 10_000
"""Rows of a table that are in memory at once."""
# Name, columns and order of each table; those that others refer to come first.
_TABLES: Final = (
    (
        "videos",
        "id, state, reason, progress, quick, full, added, fingerprint, rows, features_bytes, "
        "thumbnails_bytes, duration, width, height, fps, codec, unreadable, origin, asked, "
        "recorded, recorded_offset, latitude, longitude, make, model",
        "id",
    ),
    ("paths", "path, video, size_bytes, modified_ns, present, inode, changed_ns", "rowid"),
    ("folders", "path", "path"),
    ("settings", "key, value", "key"),
    ("judgements", 'query, video, start, "end", good', "rowid"),
    ("transcripts", "video, sense, origin, language, passages", "video, sense"),
    (
        "spans",
        'video, sense, place, start, "end", text, words, confidence',
        "video, sense, place",
    ),
    ("passages", "id, video, sense, first, last, said, written", "id"),
    ("looked", "video, sense, model, beside, reason", "video, sense"),
)
_OWN: Final = (STORE, INDEX, INDEX_NAME, DONE, READ)
"""Settings that say something of the place, and stay there."""


def migrate(
    source: Library, target: Library, *, on_progress: Callable[[float], None] | None = None
) -> dict[str, int]:
    """Copy all of a library into an empty one; how many rows of each table there are then.

    Args:
        on_progress: told the share of the videos whose features are copied.

    Raises:
        LibraryError: the target holds something else, somebody indexes one of them, or the copy is
            not what it was made of.
    """
    with source.exclusive() as first, target.exclusive() as second:
        if not (first and second):
            raise LibraryError("another process indexes one of both; try when it is done")
        begun = bool(target.catalogue.fetch("SELECT 1 FROM videos LIMIT 1"))
        if begun and _compared(source, target)[0]:
            raise LibraryError(f"{target.name}: not empty; copy into a new library")
        _copy_blobs(source, target, on_progress or (lambda _: None))
        if not begun:
            _copy_rows(source, target)
        wrong, counts = _compared(source, target)
        if wrong:
            raise LibraryError(f"{target.name}: {wrong} is not as in {source.name}; copy again")
    return counts


def _copy_blobs(source: Library, target: Library, tell: Callable[[float], None]) -> None:
    there = target.blobs.sizes("features/") | target.blobs.sizes("thumbnails/")
    wanted = source.blobs.sizes("features/") | source.blobs.sizes("thumbnails/")
    ids = [id for (id,) in source.catalogue.fetch("SELECT id FROM videos WHERE rows > 0")]
    for done, id in enumerate(ids):
        for key in keys_of(id):
            if there.get(key) != wanted.get(key, -1):
                target.blobs.put(key, source.blobs.get(key))
        tell((done + 1) / len(ids))


def _copy_rows(source: Library, target: Library) -> None:
    with target.catalogue.transaction() as statements:
        for table in _TABLES:
            name, columns, _ = table
            if name == "settings":
                kept = [(key,) for key, _ in _rows(target, table)]
                statements.executemany("DELETE FROM settings WHERE key = ?", kept)
            places = ", ".join("?" for _ in columns.split(","))
            insert = f"INSERT INTO {name} ({columns}) VALUES ({places})"  # noqa: S608  # no part of it comes from outside
            for page in _pages(source, table):
                statements.executemany(insert, page)
                if name == "passages":
                    target.catalogue.words.add(statements, [id for id, *_ in page])
        target.catalogue.ids_copied(statements)


def _compared(source: Library, target: Library) -> tuple[str, dict[str, int]]:
    """The first table whose rows are not the same, empty where all are; how many each has."""
    counts = {}
    for table in _TABLES:
        pairs = zip_longest(_rows(source, table), _rows(target, table))
        counts[table[0]] = 0
        for own, other in pairs:
            if own != other:
                return table[0], counts
            counts[table[0]] += 1
    return "", counts


def _rows(library: Library, table: tuple[str, str, str]) -> Iterator[tuple[Any, ...]]:
    """In the order of the table; settings, which are few, in ours, as databases differ in theirs
    of texts."""
    rows = chain.from_iterable(_pages(library, table))
    return iter(sorted(rows)) if table[0] == "settings" else rows


def _pages(library: Library, table: tuple[str, str, str]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table, `PAGE` at a time: each begins behind the last one of the page before."""
    name, columns, order = table
    width = len(order.split(","))
    places = ", ".join("?" for _ in range(width))
    where, last = "", ()
    while True:
        query = f"SELECT {order}, {columns} FROM {name} {where} ORDER BY {order} LIMIT {PAGE}"  # noqa: S608  # no part of it comes from outside
        rows = library.catalogue.fetch(query, *last)
        if not rows:
            return
        yield [row[width:] for row in rows if name != "settings" or row[width] not in _OWN]
        where, last = f"WHERE ({order}) > ({places})", rows[-1][:width]

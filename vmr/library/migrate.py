"""Copies a library to another place: from a folder to servers, and back.

    copied = migrate(Library(Path("holiday")), Library(Address("postgresql://..."), store="s3://..."))

What lies in the store comes first, each part once however often this is stopped and begun again;
then every row in one transaction, so that the copy is empty or whole; then both are compared, row
by row. Ids stay. What each machine makes of a library (index, previews) is made anew.
"""

from collections.abc import Callable
from typing import Any, Final

from vmr.library.encoders import READ
from vmr.library.opening import INDEX, INDEX_NAME, STORE
from vmr.library.receipts import keys_of
from vmr.library.recovery import DONE
from vmr.library.store import Library, LibraryError

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
        if target.videos() and _differing(source, target):
            raise LibraryError(f"{target.name}: not empty; copy into a new library")
        _copy_blobs(source, target, on_progress or (lambda _: None))
        if not target.videos():
            _copy_rows(source, target)
        if wrong := _differing(source, target):
            raise LibraryError(f"{target.name}: {wrong} is not as in {source.name}; copy again")
    return {name: len(_rows(target, name, columns, order)) for name, columns, order in _TABLES}


def _copy_blobs(source: Library, target: Library, tell: Callable[[float], None]) -> None:
    there = target.blobs.sizes("features/") | target.blobs.sizes("thumbnails/")
    wanted = source.blobs.sizes("features/") | source.blobs.sizes("thumbnails/")
    ids = [video.id for video in source.videos() if video.rows]
    for done, id in enumerate(ids):
        for key in keys_of(id):
            if there.get(key) != wanted.get(key, -1):
                target.blobs.put(key, source.blobs.get(key))
        tell((done + 1) / len(ids))


def _copy_rows(source: Library, target: Library) -> None:
    with target.catalogue.transaction() as statements:
        for name, columns, order in _TABLES:
            if name == "settings":
                kept = [key for key, _ in _rows(target, name, columns, order)]
                statements.executemany(
                    "DELETE FROM settings WHERE key = ?", [(key,) for key in kept]
                )
            places = ", ".join("?" for _ in columns.split(","))
            rows = _rows(source, name, columns, order)
            statements.executemany(
                f"INSERT INTO {name} ({columns}) VALUES ({places})",  # noqa: S608  # no part of it comes from outside
                rows,
            )
            if name == "passages":
                target.catalogue.words.add(statements, [id for id, *_ in rows])
        target.catalogue.ids_copied(statements)


def _differing(source: Library, target: Library) -> str:
    """The first table whose rows are not the same; empty where all are."""
    for table in _TABLES:
        if _sorted(_rows(source, *table)) != _sorted(_rows(target, *table)):
            return table[0]
    return ""


def _rows(library: Library, name: str, columns: str, order: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM {name} ORDER BY {order}"  # noqa: S608  # no part of it comes from outside
    rows = library.catalogue.fetch(query)
    return [row for row in rows if name != "settings" or row[0] not in _OWN]


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """In one order, whatever a database takes for the order of texts."""
    return sorted(rows, key=repr)

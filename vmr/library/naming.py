"""Which video a file is: paths are names for content, and content is known by its digests.

naming = Naming(Connection(folder))
id = naming.register(path)              # the video whose content is there, or a new one
naming.doubtful(id)                     # whether only the whole file tells it from another one
id = naming.unite(id, full_digest(path))
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Final

from vmr.library.catalogue import State
from vmr.library.connection import Catalogue
from vmr.library.content import (
    FileStamp,
    NotReadError,
    covers_all,
    full_digest,
    is_there,
    quick_digest,
)
from vmr.library.films import SCHEME, read_stored, stored, was_seen
from vmr.library.locks import AwayError

_AT_ONCE: Final = 16
"""Objects that a store is asked for."""


class Naming:
    """The names of a library's videos.

    Raises:
        LibraryError: by every method, where the database or its disk refuses.
    """

    def __init__(self, db: Catalogue) -> None:
        self._db = db

    def register(self, path: Path, *, compare: bool = True) -> int:
        """The id of the video that the file at `path` holds; of a new one, if need be.

        Args:
            compare: read the file whole where nothing less tells whether it is one that is known;
                else it counts as new, and `unite` tells.

        Raises:
            ContentError: no readable regular file is there.
        """
        stamp = FileStamp.of(path)
        known = self._unchanged(path, stamp)
        if known is not None:
            return known
        quick = quick_digest(path)
        while True:  # until nobody registers the same content while we compare
            candidates = self._candidates(quick)
            twin = self._twin(path, stamp, candidates, compare)
            with self._db.transaction():
                if self._candidates(quick) == candidates:
                    id = twin or self.insert("new", quick)
                    self.name(path, id, stamp)
                    return id

    def still_holds(self, id: int, path: Path) -> bool:
        """Whether a name of a video still leads to its content, as far as stamps, or else samples
        of the file, tell: a recorder that begins its loop again may get the same inode.

        Raises:
            ContentError: no readable regular file is there.
        """
        now, stored = FileStamp.of(path), self.stamp(path)
        if stored is not None and (stored == now or stored.is_older_form_of(now)):
            return True
        return self._db.fetch("SELECT quick FROM videos WHERE id = ?", id) == [
            (quick_digest(path),)
        ]

    def doubtful(self, id: int) -> bool:
        """Whether a video that has been read whole may have the content of this one."""
        return bool(
            self._db.fetch(
                "SELECT 1 FROM videos AS this JOIN videos AS other USING (quick) "
                "WHERE this.id = ? AND other.id != this.id AND other.full != '' AND quick != ''",
                id,
            )
        )

    def unite(self, id: int, full: str) -> int:
        """Give the names of a video to the one that has this digest; its id, or `id` if none has.

        Args:
            full: digest of the whole file that `id` stands for.
        """
        with self._db.transaction() as db:
            twins = db.execute(
                "SELECT other.id FROM videos AS this JOIN videos AS other USING (quick) "
                "WHERE this.id = ? AND other.id != this.id AND other.full = ?",
                (id, full),
            ).fetchall()
            if not twins:
                return id
            twin = int(twins[0][0])
            db.execute("UPDATE paths SET video = ? WHERE video = ?", (twin, id))
            db.execute("DELETE FROM videos WHERE id = ?", (id,))
        return twin

    def insert(self, state: State, quick: str, reason: str = "") -> int:
        """A new video, which has no name yet."""
        with self._db.transaction() as db:
            (id,) = db.execute(
                "INSERT INTO videos (state, quick, reason, added) VALUES (?, ?, ?, ?) RETURNING id",
                (state, quick, reason, time.time()),
            ).fetchone()
        return int(id)

    def name(self, path: Path, id: int, stamp: FileStamp) -> None:
        """Let `path` name this video; names of it that are gone from the disk are forgotten."""
        names = self._db.fetch("SELECT path FROM paths WHERE video = ?", id)
        gone = [name for name in names if not is_there(read_stored(name[0]))]
        held = stamp.size_bytes, stamp.modified_ns, stamp.inode, stamp.changed_ns
        with self._db.transaction() as db:
            db.executemany("DELETE FROM paths WHERE path = ?", gone)
            db.execute(
                "INSERT INTO paths VALUES (?, ?, ?, ?, 1, ?, ?) ON CONFLICT (path) DO UPDATE SET "
                "video = excluded.video, size_bytes = excluded.size_bytes, modified_ns = "
                "excluded.modified_ns, present = 1, inode = excluded.inode, changed_ns = "
                "excluded.changed_ns",
                (key(path), id, *held),
            )

    def stamp(self, path: Path) -> FileStamp | None:
        """What was seen of a file when it was named last."""
        rows = self._db.fetch(
            "SELECT size_bytes, modified_ns, inode, changed_ns FROM paths WHERE path = ?", key(path)
        )
        return FileStamp(*rows[0]) if rows else None

    def _unchanged(self, path: Path, stamp: FileStamp) -> int | None:
        """The video of a path whose file needs no look inside."""
        known = self._db.fetch(
            "SELECT id, state, present FROM videos JOIN paths ON video = id WHERE path = ?",
            key(path),
        )
        stored = self.stamp(path)
        if not known or stored is None or known[0][1] == "refused":
            return None
        id, _, present = known[0]
        older = stored.is_older_form_of(stamp)
        if not (stored == stamp or older):
            return None
        if not present or older:  # else there is nothing to write: the usual case of a rescan
            self.name(path, id, stamp)
        return int(id)

    def _candidates(self, quick: str) -> list[tuple[int, str]]:
        return [
            (int(id), str(full))
            for id, full in self._db.fetch("SELECT id, full FROM videos WHERE quick = ?", quick)
        ]

    def _twin(
        self, path: Path, stamp: FileStamp, candidates: list[tuple[int, str]], compare: bool
    ) -> int | None:
        """The candidate that has the content of `path`."""
        for id, full in candidates:
            names = self._db.fetch("SELECT modified_ns FROM paths WHERE video = ?", id)
            moved = (stamp.modified_ns,) in names
            if covers_all(stamp.size_bytes) or moved:
                return id
            if compare and full and full == full_digest(path):
                return id
        return None


def key(path: Path) -> bytes:
    """How a path is stored: absolute, links kept as the user named them, as bytes."""
    return stored(path)


def presence(paths: list[bytes]) -> list[tuple[int, bytes]]:
    """Whether something lies at each of these, as they are stored; objects, many at once.

    Raises:
        AwayError: a store does not say.
    """
    in_buckets = [path for path in paths if path.startswith(SCHEME.encode())]
    there = {path: os.path.lexists(path) for path in {*paths} - {*in_buckets}}
    seen = {path for path in in_buckets if was_seen(read_stored(path))}
    in_buckets = [path for path in in_buckets if path not in seen]
    there |= dict.fromkeys(seen, True)
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # which starts no thread for nothing
            looks = [copy_context() for _ in in_buckets]  # in which they note what they are told
            films = map(read_stored, in_buckets)
            said = pool.map(lambda look, film: look.run(is_there, film), looks, films)
            there |= dict(zip(in_buckets, said, strict=True))
    except NotReadError as error:
        raise AwayError(str(error)) from error
    return [(int(there[path]), path) for path in paths]

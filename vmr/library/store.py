"""The library: which videos there are, in what state, and their features and thumbnails.

A plain folder: `library.db` (SQLite, WAL), `features/ID.safetensors`, `thumbnails/ID.zip`. A row
turns ready last, after both files are on the disk, so that "ready" means complete. A video is its
content: paths are names for it, and may be several, change, or go missing.

    library = Library(Path("holiday"))
    for video in library.videos():
        print(video.name, video.state, video.reason)
    features = library.features(3)
"""

import json
import logging
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import astuple
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_extract.features import Features, FeaturesError
from vmr.library.catalogue import (
    COLUMNS,
    SEARCHABLE,
    Changes,
    Rating,
    State,
    Video,
    describe_damage,
    read_video,
)
from vmr.library.connection import Connection
from vmr.library.content import FileStamp
from vmr.library.database import make_folders
from vmr.library.locks import LibraryError, hold_lock, plain_errors
from vmr.library.naming import Naming, key
from vmr.library.recordings import Recordings, columns_of
from vmr.library.recovery import put_right
from vmr.library.scope import Scope
from vmr.library.settings import Settings
from vmr.library.thumbnails import ThumbnailError, read_thumbnails, save_thumbnails
from vmr.library.transcripts import Transcripts
from vmr.library.words import Words

if TYPE_CHECKING:  # the extractor brings torch, which a library does not need
    from feature_extract.extract import Extraction

logger = logging.getLogger(__name__)


__all__ = ["Library", "LibraryError", "NoVideoError", "Rating", "State", "Video", "describe_damage"]


class NoVideoError(LibraryError):
    """There is no video of this id, or no longer."""


class Library:
    """Videos, features and thumbnails in one folder; safe to share between threads and processes.

    Raises:
        LibraryError: the folder cannot be made, opened or written, or is of another version.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self._features, self._thumbnails = folder / "features", folder / "thumbnails"
        if not read_only:
            make_folders(folder, self._features, self._thumbnails)
        self._db = Connection(folder, read_only=read_only)
        self._naming = Naming(self._db)
        self.settings = Settings(self._db)
        self.transcripts = Transcripts(self._db)
        """What is said and written in the videos."""
        self.recordings = Recordings(self._db)
        self.words = Words(self._db, self.transcripts)
        """Which words are wanted, and where they were looked for."""
        if read_only:
            return
        with self.exclusive() as alone:
            if not alone:
                logger.info("%s: another process indexes; nothing is put right now", folder)
                return  # somebody is indexing: what looks left over is in use
            put_right(folder, self._db, self._files, self._demote)

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def videos(self) -> list[Video]:
        """Every video, oldest first."""
        return self._select("")

    def videos_of(self, ids: Iterable[int]) -> dict[int, Video]:
        """The videos with these ids, as far as they are there."""
        wanted = json.dumps(list(ids))
        found = self._select("WHERE id IN (SELECT value FROM json_each(?))", wanted)
        return {video.id: video for video in found}

    def changes(self, since: int = 0, *, at_most: int = 10_000) -> Changes:
        """What has changed after the change of this number; from 0 on, every video. It costs what
        it finds; where more than `at_most` have changed, the others come with the next call."""
        query = "SELECT number, video FROM changes WHERE number > ? ORDER BY number LIMIT ?"
        rows = self._db.fetch(query, since, at_most)
        if not rows:
            return Changes(since, (), ())
        found = self.videos_of(id for _, id in rows)
        gone = tuple(id for _, id in rows if id not in found)
        return Changes(rows[-1][0], tuple(found.values()), gone)

    def within(self, scope: Scope) -> list[int]:
        """The ids of the videos in this part of the library."""
        statement, values = scope.query()
        return [id for (id,) in self._db.fetch(statement, *values)]

    def has_change(self, number: int) -> bool:
        """Whether a number is of this library's history, and its change the last of some video."""
        return bool(self._db.fetch("SELECT 1 FROM changes WHERE number = ?", number))

    def video(self, id: int) -> Video:
        """The video with this id; LibraryError when there is none."""
        found = self._select("WHERE id = ?", id) if 0 < id < 1 << 63 else []  # as SQLite counts
        if not found:
            raise NoVideoError(f"no video {id} in {self.folder}; `list` shows what there is")
        return found[0]

    def find(self, path: Path) -> Video | None:
        """The video known under this path, if any."""
        query = "WHERE id = (SELECT video FROM paths WHERE path = ?)"
        return next(iter(self._select(query, key(path))), None)

    def features(self, id: int) -> Features:
        """The features of an indexed video.

        Raises:
            LibraryError: there are none, or the file is damaged; the video then waits to be indexed
                again, because a damaged file must not answer a search.
        """
        video = self.video(id)
        if not video.rows:
            raise LibraryError(f"{video.path}: not indexed yet (it is {video.state})")
        try:
            features = Features.load(self._features / f"{id}.safetensors")
            if features.fingerprint != video.fingerprint or len(features.rows) != video.rows:
                raise FeaturesError("the feature file is not the one that was stored")
        except FeaturesError as error:
            logger.info("%s: %s", video.path, error)
            if not self.read_only:
                self._demote(id, video.fingerprint)
            raise LibraryError(f"{video.path}: {error}") from error
        return features

    def thumbnails(self, id: int, rows: Iterable[int]) -> list[bytes]:
        """The JPEG pictures of some rows; LibraryError when one is missing."""
        try:
            return read_thumbnails(self._files(id)[1], rows)
        except ThumbnailError as error:
            raise LibraryError(f"video {id} has no thumbnail of one of these rows") from error

    @property
    def fingerprint(self) -> str:
        """Of the extractor that all features of this library come from; empty in a new one."""
        return self.settings.get("features")

    def register(self, path: Path, *, compare: bool = True) -> Video:
        """The video that the file at `path` holds, recognised by content; a new one gets a row.

        A moved or renamed file keeps its video, a copy becomes a second name, and a file whose
        content changed becomes another video.

        Args:
            compare: read the file whole where only that tells it from another one; else it counts
                as new until `unite` is called.

        Raises:
            ContentError: no readable regular file is there.
        """
        return self.video(self._naming.register(path, compare=compare))

    def still_holds(self, video: Video) -> bool:
        """Whether the file that a video is known by still has its content, and not another
        recording's; ContentError where there is no file that can be read."""
        return self._naming.still_holds(video.id, video.path)

    def doubtful(self, id: int) -> bool:
        """Whether a video may have the content of another one, as far as samples of it tell."""
        return self._naming.doubtful(id)

    def unite(self, id: int, full: str) -> Video:
        """The video whose digest is that of the file of `id`: of an older one, which takes its
        names over, or itself."""
        return self.video(self._naming.unite(id, full))

    def register_unread(self, path: Path, state: State, reason: str) -> int:
        """Show a path whose content is not known in the list, with the reason; the row's id."""
        known = self.find(path)
        if known is not None:
            new = (known.state, known.reason) != (state, reason)
            if known.state in ("refused", "waiting") and new:
                self.mark(known.id, state, reason)
            return known.id
        with self._db.transaction():
            id = self._naming.insert(state, "", reason)
            self._naming.name(path, id, FileStamp(0, 0))
        return id

    def mark(self, id: int, state: State, reason: str = "", *, progress: float = 0.0) -> None:
        """Set the state of a video that is not, or no longer, indexed."""
        with self._db.transaction() as db:
            db.execute(
                "UPDATE videos SET state = ?, reason = ?, progress = ? WHERE id = ?",
                (state, reason, progress, id),
            )

    def check_presence(self) -> None:
        """Look whether every known path is still there; a video without one becomes `missing`."""
        paths = [path for (path,) in self._db.fetch("SELECT path FROM paths")]
        seen = [(int(os.path.lexists(path)), path) for path in paths]
        with self._db.transaction() as db:
            statement = "UPDATE paths SET present = ?1 WHERE path = ?2 AND present != ?1"
            db.executemany(statement, seen)  # what is as it was is no change

    def drop_unnamed(self) -> None:
        """Forget the videos that no path names any more: their content was overwritten."""
        with self._db.transaction() as db:
            db.execute("DELETE FROM videos WHERE id NOT IN (SELECT video FROM paths)")

    def folders(self) -> list[Path]:
        """The folders that a rescan looks through."""
        return [Path(os.fsdecode(path)) for (path,) in self._db.fetch("SELECT path FROM folders")]

    def ratings(self) -> list[Rating]:
        """What people said of answers, oldest first; of videos that are still here."""
        rows = self._db.fetch(
            "SELECT query, video, start, end, good FROM judgements ORDER BY rowid"
        )
        return [Rating(q, id, start, end, bool(good)) for q, id, start, end, good in rows]

    def rate(self, rating: Rating) -> None:
        """Keep a rating; a later one of the same query and overlapping span replaces it."""
        self.video(rating.video)
        with self._db.transaction() as db:
            self.withdraw(rating)
            db.execute("INSERT INTO judgements VALUES (?, ?, ?, ?, ?)", astuple(rating))

    def withdraw(self, rating: Rating) -> None:
        """Forget what was said of the same query and any overlapping span."""
        query, video, start, end, _ = astuple(rating)
        about = "DELETE FROM judgements WHERE query = ? AND video = ? AND start < ? AND end > ?"
        with self._db.transaction() as db:
            db.execute(about, (query, video, end, start))

    def remember(self, folder: Path) -> None:
        """Have later rescans look through this folder, too."""
        with self._db.transaction() as db:
            db.execute("INSERT OR IGNORE INTO folders VALUES (?)", (key(folder),))

    def adopt(self, fingerprint: str, *, reindex: bool = False) -> None:
        """Take this extractor for the library; with `reindex`, what another one made is redone.

        Raises:
            LibraryError: the library's features come from another extractor.
        """
        current = self.fingerprint
        if current == fingerprint:
            return
        if current and not reindex:
            raise LibraryError(
                f"{self.folder} was indexed with other networks or settings; "
                "`rescan --reindex` brings every video up to date"
            )
        with self._db.transaction() as db:
            self.settings.set("features", fingerprint)
            db.execute(
                "UPDATE videos SET state = 'new', rows = 0, reason = 'to be indexed again' "  # noqa: S608  # no part of it comes from outside
                f"WHERE state IN {SEARCHABLE} AND fingerprint != ?",
                (fingerprint,),
            )

    def store(self, id: int, extraction: "Extraction", *, full: str) -> None:
        """Keep what was extracted: both files first, then the row, so that ready means complete.

        Args:
            full: digest of the whole file.
        """
        features, info = extraction.features, extraction.info
        if len(extraction.thumbnails) != len(features.rows):
            raise ValueError(f"{len(extraction.thumbnails)} thumbnails, {len(features.rows)} rows")
        features_file, thumbnails_file = self._files(id)
        with plain_errors(self.folder):
            features.save(features_file)
            save_thumbnails(extraction.thumbnails, thumbnails_file)
        row = {
            "state": "partly readable" if features.unreadable else "ready",
            "reason": describe_damage(features.unreadable),
            "progress": 1.0,
            "full": full,
            "fingerprint": features.fingerprint,
            "rows": len(features.rows),
            "features_bytes": features_file.stat().st_size,
            "thumbnails_bytes": thumbnails_file.stat().st_size,
            "duration": features.duration,
            "width": info.width,
            "height": info.height,
            "fps": info.fps,
            "codec": info.codec,
            "origin": info.origin,
            "unreadable": json.dumps(features.unreadable),
            **columns_of(info.tags),
        }
        columns = ", ".join(f"{column} = ?" for column in row)
        with self._db.transaction() as db:
            statement = f"UPDATE videos SET {columns} WHERE id = ?"  # noqa: S608  # no part of it comes from outside
            db.execute(statement, (*row.values(), id))

    def replace_features(self, id: int, features: Features) -> None:
        """Keep features with further columns for the same rows of an indexed video."""
        file = self._files(id)[0]
        with plain_errors(self.folder), self._db.transaction() as db:
            features.save(file)
            size = file.stat().st_size
            db.execute("UPDATE videos SET features_bytes = ? WHERE id = ?", (size, id))

    def remove(self, id: int) -> None:
        """Forget a video: its row, features and thumbnails. The file itself stays."""
        self.video(id)
        with self._db.transaction() as db:
            db.execute("DELETE FROM videos WHERE id = ?", (id,))
        with plain_errors(self.folder):
            for file in self._files(id):
                file.unlink(missing_ok=True)

    def exclusive(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[bool]:
        """Be the one that indexes; gives False when another still is, after the wait.

        A row found `indexing` under this lock has no owner any more.
        """
        return hold_lock(self.folder / "indexing.lock", wait_seconds=wait_seconds)

    def _demote(self, id: int, fingerprint: str) -> None:
        """Have a video indexed again, unless that has happened since its files were looked at."""
        reason = "its stored features were damaged; to be indexed again"
        with self._db.transaction() as db:
            db.execute(
                "UPDATE videos SET state = 'new', rows = 0, reason = ? "
                "WHERE id = ? AND fingerprint = ?",
                (reason, id, fingerprint),
            )

    def _files(self, id: int) -> tuple[Path, Path]:
        return self._features / f"{id}.safetensors", self._thumbnails / f"{id}.zip"

    def _select(self, where: str, *values: Any) -> list[Video]:
        names = f"path, size_bytes, modified_ns, present, {COLUMNS.replace(' ', ', ')}"
        query = f"SELECT {names} FROM videos JOIN paths ON video = id"  # noqa: S608  # no part of it comes from outside
        rows = self._db.fetch(f"{query} {where} ORDER BY id, present DESC, paths.rowid", *values)
        return [read_video(tuple(group)) for _, group in groupby(rows, key=lambda row: row[4])]

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
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import astuple
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_extract.features import Features, FeaturesError
from vmr.library.address import Place
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
from vmr.library.content import FileStamp
from vmr.library.database import make_folders
from vmr.library.films import read_stored
from vmr.library.locks import AwayError, LibraryError, LostLockError, plain_errors
from vmr.library.naming import Naming, key, presence
from vmr.library.opening import open_blobs, open_catalogue
from vmr.library.receipts import Receipt, keys_of, put
from vmr.library.recordings import Recordings
from vmr.library.recovery import give_back, put_right
from vmr.library.scope import Scope
from vmr.library.settings import Settings
from vmr.library.thumbnails import ThumbnailError, read_thumbnails
from vmr.library.transcripts import Transcripts
from vmr.library.words import Words

if TYPE_CHECKING:  # the extractor brings torch, which a library does not need
    from feature_extract.extract import Extraction

logger = logging.getLogger(__name__)


__all__ = ["Library", "LibraryError", "NoVideoError", "Rating", "State", "Video", "describe_damage"]


class NoVideoError(LibraryError):
    """There is no video of this id, or no longer."""


class Library:
    """Videos, features and thumbnails; safe to share between threads and processes.

    Raises:
        LibraryError: what it lies in cannot be made, opened or written, or is of another version.
    """

    def __init__(self, place: Place, *, read_only: bool = False, store: str = "") -> None:
        """Opens a library, and makes it where there is none.

        Args:
            place: a folder, or the address of a database.
            store: where the features of a library in a database lie; said once, then kept.
        """
        self.folder = place if isinstance(place, Path) else place.cache
        """Of this computer: the library itself, or what is made of it and can be made again."""
        self.read_only = read_only
        if not isinstance(place, Path):
            place.make_cache()
        elif not read_only:
            make_folders(place, place / "features", place / "thumbnails")
        self.catalogue = open_catalogue(place, read_only=read_only)
        """Its database."""
        self.name = self.catalogue.name
        """Where it is, as it is told to people."""
        self._naming = Naming(self.catalogue)
        self.settings = Settings(self.catalogue)
        self.transcripts = Transcripts(self.catalogue)
        """What is said and written in the videos."""
        self.recordings = Recordings(self.catalogue)
        self.words = Words(self.catalogue, self.transcripts)
        """Which words are wanted, and where they were looked for."""
        self.blobs = open_blobs(place, self.settings, store)
        """Its features and thumbnails."""
        self.one_at_a_time = isinstance(place, Path)
        """Whether one process at a time indexes; else each video is indexed by one."""
        if read_only:
            return
        with self.exclusive() as alone:
            if not alone:
                logger.info("%s: another process indexes; nothing is put right now", self.name)
            elif isinstance(place, Path):  # otherwise what looks left over is in use
                put_right(place, self.catalogue, self._files, self._demote)
            else:
                give_back(self.catalogue, self._lease)

    @property
    def shared(self) -> Path | None:
        """A folder that everybody who has this library open sees; None where there is none."""
        return self.blobs.folder

    def servers(self) -> dict[str, Callable[[], str]]:
        """What a library on servers lies on: by name, what asks it who it is."""
        return {"catalogue": self.catalogue.about, "store": self.blobs.about}

    def close(self) -> None:
        """Let go of the database."""
        self.catalogue.close()

    def videos(self) -> list[Video]:
        """Every video, oldest first."""
        return self._select("")

    def videos_of(self, ids: Iterable[int]) -> dict[int, Video]:
        """The videos with these ids, as far as they are there."""
        found = self._select(f"WHERE id {self.catalogue.among}", json.dumps(list(ids)))
        return {video.id: video for video in found}

    def changes(self, since: int = 0, *, at_most: int = 10_000) -> Changes:
        """What has changed after the change of this number; from 0 on, every video. It costs what
        it finds; where more than `at_most` have changed, the others come with the next call."""
        query = "SELECT number, video FROM changes WHERE number > ? ORDER BY number LIMIT ?"
        rows = self.catalogue.fetch(query, since, at_most)
        if not rows:
            return Changes(since, (), ())
        found = self.videos_of(id for _, id in rows)
        gone = tuple(id for _, id in rows if id not in found)
        return Changes(rows[-1][0], tuple(found.values()), gone)

    def within(self, scope: Scope) -> list[int]:
        """The ids of the videos in this part of the library."""
        statement, values = scope.query()
        return [id for (id,) in self.catalogue.fetch(statement, *values)]

    def has_change(self, number: int) -> bool:
        """Whether a number is of this library's history, and its change the last of some video."""
        return bool(self.catalogue.fetch("SELECT 1 FROM changes WHERE number = ?", number))

    def video(self, id: int) -> Video:
        """The video with this id; LibraryError when there is none."""
        found = self._select("WHERE id = ?", id) if 0 < id < 1 << 63 else []  # as SQLite counts
        if not found:
            raise NoVideoError(f"no video {id} in {self.name}; `list` shows what there is")
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
            with self.blobs.local(keys_of(id)[0]) as file:
                features = Features.load(file)
            if features.fingerprint != video.fingerprint or len(features.rows) != video.rows:
                raise FeaturesError("the feature file is not the one that was stored")
        except (FeaturesError, FileNotFoundError) as error:
            logger.info("%s: %s", video.path, error)
            if not self.read_only:
                self._demote(id, video.fingerprint)
            raise LibraryError(f"{video.path}: {error}") from error
        except OSError as error:  # which says nothing of the video
            raise AwayError(f"the store does not answer: {error}") from error
        return features

    def thumbnails(self, id: int, rows: Iterable[int]) -> list[bytes]:
        """The JPEG pictures of some rows; LibraryError when one is missing."""
        try:
            with self.blobs.open(keys_of(id)[1]) as file:
                return read_thumbnails(file, rows)
        except (ThumbnailError, OSError) as error:
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
        with self.catalogue.transaction():
            id = self._naming.insert(state, "", reason)
            self._naming.name(path, id, FileStamp(0, 0))
        return id

    def mark(self, id: int, state: State, reason: str = "", *, progress: float = 0.0) -> None:
        """Set the state of a video that is not, or no longer, indexed; as `commit`."""
        with self.catalogue.transaction() as db:
            self._check_claim(id)
            db.execute(
                "UPDATE videos SET state = ?, reason = ?, progress = ? WHERE id = ?",
                (state, reason, progress, id),
            )

    def check_presence(self) -> None:
        """Look whether every known path is still there; a video without one becomes `missing`.
        LibraryError where a store that films lie in does not answer."""
        paths = [path for (path,) in self.catalogue.fetch("SELECT path FROM paths")]
        seen = presence(paths)
        with self.catalogue.transaction() as db:
            # What is as it was is no change.
            statement = "UPDATE paths SET present = ? WHERE path = ? AND present != ?"
            db.executemany(statement, [(now, path, now) for now, path in seen])

    def drop_unnamed(self) -> None:
        """Forget the videos that no path names any more: their content was overwritten."""
        with self.catalogue.transaction() as db:
            db.execute("DELETE FROM videos WHERE id NOT IN (SELECT video FROM paths)")

    def folders(self) -> list[Path]:
        """The folders that a rescan looks through."""
        return [read_stored(path) for (path,) in self.catalogue.fetch("SELECT path FROM folders")]

    def ratings(self) -> list[Rating]:
        """What people said of answers, oldest first; of videos that are still here."""
        rows = self.catalogue.fetch(
            'SELECT query, video, start, "end", good FROM judgements ORDER BY rowid'
        )
        return [Rating(q, id, start, end, bool(good)) for q, id, start, end, good in rows]

    def rate(self, rating: Rating) -> None:
        """Keep a rating; a later one of the same query and overlapping span replaces it."""
        self.video(rating.video)
        with self.catalogue.transaction() as db:
            self.withdraw(rating)
            db.execute("INSERT INTO judgements VALUES (?, ?, ?, ?, ?)", astuple(rating))

    def withdraw(self, rating: Rating) -> None:
        """Forget what was said of the same query and any overlapping span."""
        query, video, start, end, _ = astuple(rating)
        about = 'DELETE FROM judgements WHERE query = ? AND video = ? AND start < ? AND "end" > ?'
        with self.catalogue.transaction() as db:
            db.execute(about, (query, video, end, start))

    def remember(self, folder: Path) -> None:
        """Have later rescans look through this folder, too."""
        with self.catalogue.transaction() as db:
            db.execute("INSERT INTO folders VALUES (?) ON CONFLICT DO NOTHING", (key(folder),))

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
                f"{self.name} was indexed with other networks or settings; "
                "`rescan --reindex` brings every video up to date"
            )
        with self.catalogue.transaction() as db:
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
        self.commit(id, put(self.blobs, id, extraction, full=full))

    def commit(self, id: int, receipt: Receipt) -> None:
        """Have a video ready whose features and thumbnails lie in the store.

        Raises:
            LostLockError: it was claimed here, and another process may have claimed it since.
        """
        row = receipt.columns()
        columns = ", ".join(f"{column} = ?" for column in row)
        with self.catalogue.transaction() as db:
            self._check_claim(id)
            statement = f"UPDATE videos SET {columns} WHERE id = ?"  # noqa: S608  # no part of it comes from outside
            db.execute(statement, (*row.values(), id))

    def replace_features(self, id: int, features: Features) -> None:
        """Keep features with further columns for the same rows of an indexed video."""
        content = features.content()
        with plain_errors(self.name), self.catalogue.transaction() as db:
            self.blobs.put(keys_of(id)[0], content)
            db.execute("UPDATE videos SET features_bytes = ? WHERE id = ?", (len(content), id))

    def remove(self, id: int) -> None:
        """Forget a video: its row, features and thumbnails. The file itself stays."""
        self.video(id)
        with self.catalogue.transaction() as db:
            db.execute("DELETE FROM videos WHERE id = ?", (id,))
        with plain_errors(self.name):
            self.blobs.delete(keys_of(id))

    def exclusive(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[bool]:
        """Be the one that indexes; gives False when another still is, after the wait.

        A row found `indexing` under this lock has no owner any more.
        """
        return self.lock("indexing", wait_seconds=wait_seconds)

    def claim(self, id: int, *, wait_seconds: float = 0.0) -> AbstractContextManager[bool]:
        """Be the one that indexes a video; gives False when another one does, after the wait."""
        if self.one_at_a_time:
            return self.exclusive(wait_seconds=wait_seconds)
        return self.lock(self._lease(id), wait_seconds=wait_seconds)

    def lock(self, name: str, *, wait_seconds: float = 0.0) -> AbstractContextManager[bool]:
        """Be the one process, of all that have this library open, that holds the lock `name`."""
        return self.catalogue.lock(name, wait_seconds=wait_seconds)

    def _check_claim(self, id: int) -> None:
        if self.catalogue.lost(self._lease(id)):
            raise LostLockError(f"{self.name}: the lock of video {id} was lost; begun again")

    @staticmethod
    def _lease(id: int) -> str:
        return f"video {id}"

    def _demote(self, id: int, fingerprint: str) -> None:
        """Have a video indexed again, unless that has happened since its files were looked at."""
        reason = "its stored features were damaged; to be indexed again"
        with self.catalogue.transaction() as db:
            db.execute(
                "UPDATE videos SET state = 'new', rows = 0, reason = ? "
                "WHERE id = ? AND fingerprint = ?",
                (reason, id, fingerprint),
            )

    def _files(self, id: int) -> tuple[Path, Path]:
        features, thumbnails = keys_of(id)
        return self.folder / features, self.folder / thumbnails

    def _select(self, where: str, *values: Any) -> list[Video]:
        names = f"path, size_bytes, modified_ns, present, {COLUMNS.replace(' ', ', ')}"
        query = f"SELECT {names} FROM videos JOIN paths ON video = id"  # noqa: S608  # no part of it comes from outside
        rows = self.catalogue.fetch(
            f"{query} {where} ORDER BY id, present DESC, paths.rowid", *values
        )
        return [read_video(tuple(group)) for _, group in groupby(rows, key=lambda row: row[4])]

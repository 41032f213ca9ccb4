"""The nearest clips of a library whose index lies on a vector server, for many machines at once.

As index.py, but that the rows are compared by the server (milvus.py), and what stage two reads of
them lies in the library's store (blocks.py): no machine keeps the index of its own. All of it is
made of the features in the store, and can be made again.

    index = ServerIndex.open(library, model, address)
    videos, rows, scores = index.nearest(model.encode_query(query), 100)

Whoever notices a change of the library first brings it to the server, one at a time by a lock of
the library; the others find it there.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmr.library.catalogue import Video
from vmr.library.locks import AwayError, LibraryError, plain_errors
from vmr.library.store import Library
from vmr.model.halves import single
from vmr.model.retrieval import RetrievalModel
from vmr.model.windows import WINDOW
from vmr.search.blocks import BlockError, Blocks
from vmr.search.clips import RowTimes
from vmr.search.encoding import features_for, known_as, rows_of
from vmr.search.index_address import IndexAddress
from vmr.search.milvus import MOST, Held, MilvusRows, split
from vmr.search.parts import Videos, ids_of, short

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 15.0
"""So long after a change the server is asked for all that it was given until now, which takes it a
moment; afterwards for what it had five seconds ago, the staleness that Milvus bounds by default."""
FILLING_SECONDS: Final = 60.0
"""How long a question waits for another machine that brings a change to the server."""
AT_ONCE: Final = 8
"""Requests to the store."""
LOCK: Final = "index"

Found = TypeVar("Found")


class ServerIndex:
    """As `Index`."""

    def __init__(self, library: Library, model: RetrievalModel, rows: MilvusRows) -> None:
        self._library = library
        self._model = model
        self._rows = rows
        folder = f"clips/{short(model.fingerprint):016x}"
        self._blocks = Blocks(library.blobs, folder, model.width)
        self._lock = threading.RLock()
        self._change = 0
        self._changed = time.monotonic()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="blocks")
        self._left_out: dict[int, int] = {}
        """Videos without rows that can be had, by id, and what they are known as."""
        self._take_over({})

    @classmethod
    def open(
        cls, library: Library, model: RetrievalModel, address: IndexAddress, collection: str
    ) -> "ServerIndex":
        """The index of a library, brought up to date with it.

        Raises:
            LibraryError: the library was indexed with other networks than the model reads.
            AwayError: the server does not answer.
        """
        rows = MilvusRows(address, collection, model.width)
        with library.lock(LOCK, wait_seconds=FILLING_SECONDS):  # two must not make it at once
            rows.prepare()
        index = cls(library, model, rows)
        index._take_over(rows.held())
        index.sync()
        return index

    @staticmethod
    def about(address: IndexAddress) -> str:
        """What the server says of itself."""
        return MilvusRows(address, "", width=1).about()

    @staticmethod
    def forget(library: Library, address: IndexAddress, prefix: str) -> None:
        """Delete the index of a library: every collection whose name begins so, and what stage two
        reads of it."""
        with library.lock(LOCK, wait_seconds=FILLING_SECONDS) as alone:
            if not alone:
                raise AwayError("another machine fills the index; try again in a minute")
            MilvusRows(address, prefix, width=1).drop(prefix)
            with plain_errors(library.blobs.name):
                library.blobs.delete(library.blobs.sizes("clips/"))

    @property
    def change(self) -> int:
        """As `Index.change`."""
        return self._change

    def sync(self) -> None:
        """As `Index.sync`."""
        with self._lock:
            while changes := self._library.changes(self._change):
                ids = {video.id for video in changes.videos} | set(changes.gone)
                if self._differing(changes.videos, changes.gone):
                    self._changed = time.monotonic()
                    self._look(ids)
                    if self._differing(changes.videos, changes.gone):
                        self._fill(ids)
                self._change = changes.number

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, videos: Videos | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """As `Index.nearest`: every row is compared."""
        if vector.shape != (self._model.width,) or not np.isfinite(vector).all():
            raise ValueError(f"vector must be ({self._model.width},) and finite")
        with self._lock:
            asked = None if videos is None else ids_of(videos)
            if asked is not None:
                asked = asked[np.isin(asked, self._ids)]
            fresh = time.monotonic() - self._changed < FRESH_SECONDS
            if not len(self) or (asked is not None and not len(asked)):
                return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        query = np.ascontiguousarray(vector, dtype=np.float32)
        limit = count
        while True:
            keys, scores = self._rows.nearest(query, limit, videos=asked, fresh=fresh)
            ids, rows = split(keys)
            # Another machine may bring a video just now, or was killed while it took one away.
            known = rows < self.lengths(ids)
            lacking = count - int(known.sum())
            if lacking <= 0 or len(keys) < limit or limit >= MOST:
                return ids[known][:count], rows[known][:count], scores[known][:count]
            limit = min(MOST, 2 * limit)

    def ids(self) -> NDArray[np.int64]:
        """As `Index.ids`."""
        with self._lock:
            return self._ids.copy()

    def lengths(self, videos: Videos) -> NDArray[np.int64]:
        """As `Index.lengths`."""
        ids = ids_of(videos)
        with self._lock:
            if not len(self._ids):
                return np.zeros(len(ids), np.int64)
            near = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            return np.where(self._ids[near] == ids, self._counts[near], 0)

    def count(self, videos: Videos | None = None) -> int:
        """As `Index.count`."""
        with self._lock:
            return (
                len(self._ids) if videos is None else int(np.isin(ids_of(videos), self._ids).sum())
            )

    def compare_all(
        self, vector: NDArray[np.float32], count: int
    ) -> tuple[list[tuple[int, int]], list[float]]:
        """As `Index.compare_all`: the rows in the store, not those on the server."""
        best: list[tuple[float, int, int]] = []
        for video in self._ids.tolist():
            scores = single(self.vectors(video)) @ vector
            top = np.argsort(-scores)[:count]
            best = sorted(best + [(-float(scores[row]), video, int(row)) for row in top])[:count]
        return [(video, row) for _, video, row in best], [-score for score, _, _ in best]

    def prepare(self, windows: Iterable[tuple[int, list[int]]]) -> None:
        """As `Index.prepare`."""
        asked = [(video, first) for video, firsts in windows for first in firsts]

        def have(video: int, first: int) -> None:
            try:
                self.vectors(video, first, first + WINDOW)
            except LibraryError:
                logger.info("video %d: row %d could not be had", video, first)

        list(self._pool.map(lambda window: have(*window), asked))

    def vectors(self, video: int, first: int = 0, last: int | None = None) -> NDArray[np.float16]:
        """As `Index.vectors`."""

        def read(name: int, rows: int) -> NDArray[np.float16]:
            return self._blocks.rows(video, name, first, rows if last is None else last)

        return self._read(video, read)

    def row_times(self, video: int) -> RowTimes:
        """As `Index.row_times`."""
        return self._read(video, lambda name, _: self._blocks.times(video, name))

    def __contains__(self, video: int) -> bool:
        """As `Index.__contains__`."""
        return video in self._held

    def __len__(self) -> int:
        """As `Index.__len__`."""
        return self._total

    def _read(self, video: int, read: Callable[[int, int], Found]) -> Found:
        """What is asked of the blocks of a video, which are made again where they are damaged."""
        for again in (True, False):
            held = self._held.get(video)
            if held is None:
                raise LibraryError(f"video {video} is not in the index: it is not ready")
            try:
                return read(held.name, held.rows)
            except BlockError as error:
                if not again:
                    raise LibraryError(f"video {video}: {error}") from error
                logger.info("video %d: made again: %s", video, error)
                with self._lock:
                    self._fill({video}, damaged=held.name)
            except OSError as error:
                raise AwayError(f"the store does not answer: {error}") from error
        raise AssertionError

    def _differing(self, videos: Sequence[Video], removed: Iterable[int]) -> bool:
        """Whether the server has, as far as is known, something else of these than the library."""
        if any(id in self._held for id in removed):
            return True
        for video in videos:
            held = self._held.get(video.id)
            if video.searchable:
                known = held is not None and held.name == known_as(video)
                if not known and self._left_out.get(video.id) != known_as(video):
                    return True
            elif held is not None:
                return True
        return False

    def _look(self, ids: Collection[int]) -> None:
        """Ask the server what it has of these videos."""
        others = {id: held for id, held in self._held.items() if id not in ids}
        self._take_over(others | self._rows.held(ids))

    def _fill(self, ids: Collection[int], *, damaged: int | None = None) -> None:
        """Bring these videos to the server as the library has them now, or take them away there.

        Args:
            damaged: the name under which what is there is of no use.
        """
        with self._library.lock(LOCK, wait_seconds=FILLING_SECONDS) as alone:
            if not alone:
                raise AwayError("another machine fills the index; ask again in a minute")
            self._look(ids)  # what another one has done meanwhile
            videos = self._library.videos_of(ids)
            wanted = {id: known_as(video) for id, video in videos.items() if video.searchable}
            gone = {
                id: held.name
                for id in ids
                if (held := self._held.get(id)) is not None
                and (held.name == damaged or held.name != wanted.get(id))
            }
            came = [videos[id] for id in sorted(wanted) if id in gone or id not in self._held]
            # Of one that comes, too: somebody who was killed may have left rows.
            self._rows.delete({*gone, *(video.id for video in came)})
            self._take_over({id: held for id, held in self._held.items() if id not in gone})
            self._blocks.forget((id, name) for id, name in gone.items() if wanted.get(id) != name)
            for video in came:
                self._add(video)
            self._look(ids)
        self._changed = time.monotonic()

    def _add(self, video: Video) -> None:
        features = features_for(self._library, video, self._model)
        if features is None:
            self._left_out[video.id] = known_as(video)
            return
        clips, times = rows_of(features, self._model)
        halves, name = clips.astype(np.float16), known_as(video)
        try:
            self._blocks.put(video.id, name, halves, times, features.cuts)
        except OSError as error:
            raise AwayError(f"the store does not answer: {error}") from error
        self._rows.add(video.id, name, halves)

    def _take_over(self, held: dict[int, Held]) -> None:
        """Know that this is what the server has."""
        self._held = held
        self._ids = np.array(sorted(held), np.int64)  # (V,)
        self._counts = np.array([held[id].rows for id in self._ids.tolist()], np.int64)  # (V,)
        self._total = int(self._counts.sum())

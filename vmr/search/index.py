"""The nearest clips of the whole library, on this computer.

One vector a row of video, searched by inner product with faiss (quantised.py). Where few rows are
asked for, every one is compared; in a large library, those whose quantised rows are most promising.
The files are a cache: what is missing, damaged or made by another model is made again.

    index = ClipIndex.open(library, model)
    videos, rows, scores = index.nearest(model.encode_query(query), 100)
    index.row_times(3).starts, index.vectors(3)[72:200]      # read from the disk by offset
"""

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.library.locks import hold_lock, plain_errors
from vmr.library.scope import Scope
from vmr.library.store import Library, LibraryError, Video
from vmr.model.halves import single
from vmr.model.retrieval import RetrievalModel
from vmr.search.clips import RowTimes
from vmr.search.encoding import features_for, known_as, rows_of
from vmr.search.parts import Videos, ids_of
from vmr.search.quantised import QuantisedIndex, exact
from vmr.search.vectors import Vectors

logger = logging.getLogger(__name__)

EXACT: Final = 20_000
"""Up to so many rows, all are compared: 10 ms. Five and a half hours of video."""
WIDER: Final = 4
LEAST: Final = 1000
"""So many times more candidates than asked for are taken from the sketch, and at least `LEAST`.
`python -m benchmarks.large` measures what is found so, and how fast (docs/EXPERIMENTS.md, "FAISS on
a library of 200 hours")."""
UNWRITTEN: Final = 1 / 16
"""Share of the quantised rows that may be missing in their file: they are made again in no time."""
NOTED: Final = 256
"""From so many changes on, they are noted in the record although they concern no row: every start
of a command looks at those that are not."""
_WAIT_SECONDS: Final = 30.0
"""For another process that writes the same index."""


class ClipIndex:
    """As `Index`: all clip vectors of a library, and which row of which video each one is."""

    def __init__(self, library: Library, model: RetrievalModel) -> None:
        self._library = library
        self._model = model
        self._lock = threading.RLock()
        self._vectors = Vectors(library.folder, model.width, read_only=library.read_only)
        self._quantised: QuantisedIndex | None = None
        self._wide: NDArray[np.float32] | None = None
        """All clips of a small library, once they were asked for."""
        self._settle()

    @classmethod
    def open(cls, library: Library, model: RetrievalModel) -> "ClipIndex":
        """The index of a library, brought up to date with it.

        Raises:
            LibraryError: the library was indexed with other networks than the model reads.
        """
        index = cls(library, model)
        index._read()
        index.sync()
        return index

    @property
    def change(self) -> int:
        """Number of the library's last change that is known here."""
        return self._vectors.change

    @staticmethod
    def stored_model(library: Library) -> str:
        """The fingerprint of the model that made the file on the disk; empty when there is none."""
        try:
            return str(json.loads((library.folder / "index.json").read_text())["model"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    @staticmethod
    def forget(library: Library) -> None:
        """Have the index of a library made anew by whoever opens it next."""
        with hold_lock(library.folder / "index.lock", wait_seconds=_WAIT_SECONDS) as alone:
            if not alone:
                raise LibraryError(f"{library.folder}: another process writes the index; try again")
            with plain_errors(library.folder):
                (library.folder / "index.json").unlink(missing_ok=True)

    def sync(self) -> None:
        """Follow the library: drop what went, add what came. It costs what has changed since.

        The files follow when they can be written.
        """
        with self._lock:
            while changes := self._library.changes(self._vectors.change):
                news = changes.number if self._vectors.change else 0
                gone, came = self._differences(changes.videos, changes.gone)
                if news and len(changes) < NOTED and not (gone or came):
                    self._vectors.change = changes.number
                    continue
                with self._files_held():
                    self._follow()

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, videos: Videos | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The best clips for a query vector: all of them where few rows are asked for, nearly all
        in a large library; always with their exact scores.

        Args:
            vector: (E,), a unit vector and the weight of its last column.
            videos: look only into these; all of them by default.

        Returns:
            (K,) video ids, (K,) rows and (K,) scores, best first; K is `count`, or less where
            there are fewer clips.
        """
        if vector.shape != (self._model.width,) or not np.isfinite(vector).all():
            raise ValueError(f"vector must be ({self._model.width},) and finite")
        query = np.ascontiguousarray(vector, dtype=np.float32)
        with self._lock:
            asked = None if videos is None else self._parts_of(videos)
            places = self._candidates(query, count, asked)
            best, scores = exact(query, self._floats(places), count)
            part = np.searchsorted(self._first, places[best], side="right") - 1
            return self._ids[part], places[best] - self._first[part], scores

    def ids(self) -> NDArray[np.int64]:
        """As `Index.ids`."""
        with self._lock:
            return self._sorted.copy()

    def lengths(self, videos: Videos) -> NDArray[np.int64]:
        """(V,) rows of each of these videos, 0 where there are none here."""
        with self._lock:
            places = self._places(ids_of(videos))
            return np.where(places < 0, 0, self._counts[places]) if len(self._counts) else places

    def count(self, videos: Videos | None = None) -> int:
        """How many of these videos are here; of all by default."""
        with self._lock:
            if videos is None:
                return len(self._sorted)
            return int((self._places(ids_of(videos)) >= 0).sum())

    def compare_all(
        self, vector: NDArray[np.float32], count: int
    ) -> tuple[list[tuple[int, int]], list[float]]:
        """The best clips (video, row) and their scores, by comparing all: what recall is of."""
        best: list[tuple[float, int, int]] = []
        with self._lock:
            for place in np.flatnonzero(self._alive).tolist():
                video = int(self._ids[place])
                scores = single(self._vectors.of(place)[0]) @ vector
                top = np.argsort(-scores)[:count]
                best += [(-float(scores[row]), video, int(row)) for row in top]
                best = sorted(best)[:count]
        return [(video, row) for _, video, row in best], [-score for score, _, _ in best]

    def prepare(self, windows: Iterable[tuple[int, list[int]]]) -> None:
        """As `Index.prepare`: they are on this computer."""

    def vectors(self, video: int, first: int = 0, last: int | None = None) -> NDArray[np.float16]:
        """As `Index.vectors`, not copied."""
        with self._lock:
            return self._vectors.of(self._place(video))[0][first:last]

    def row_times(self, video: int) -> RowTimes:
        """When the rows of one video are; LibraryError when it has none here."""
        with self._lock:
            _, times, cuts = self._vectors.of(self._place(video))
        return RowTimes(times[:, 0], times[:, 1], cuts)

    def __contains__(self, video: int) -> bool:
        """Whether a video has clips here."""
        with self._lock:
            return self._at(video) is not None

    def __len__(self) -> int:
        """How many clips."""
        return self._total

    def _place(self, video: int) -> int:
        """Where a video is, looked at once; made again where its bytes are damaged."""
        for _ in range(2):
            if video in self._checked:
                return self._checked[video]
            place = self._at(video)
            if place is None:
                break
            if self._vectors.whole(place):
                self._checked[video] = place
            else:
                self._again([place])
        if video in self._checked:
            return self._checked[video]
        raise LibraryError(f"video {video} is not in the index: it is not ready")

    def _again(self, places: list[int]) -> None:
        """Make the clips of these parts again: their bytes are not what was written."""
        logger.info("%s: damaged clips of the index are made again", self._library.name)
        ids = self._ids[places].tolist()
        self._vectors.drop(places)
        self._settle()
        with self._files_held():
            self._take([*self._library.videos_of(ids).values()], ())
            self._keep()

    def _places(self, videos: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these (V,) videos are; -1 where they are not."""
        if not len(self._sorted):
            return np.full(len(videos), -1)
        near = np.minimum(np.searchsorted(self._sorted, videos), len(self._sorted) - 1)
        return np.where(self._sorted[near] == videos, self._order[near], -1)

    def _at(self, video: int) -> int | None:
        place = int(self._places(np.array([video]))[0])
        return None if place < 0 else place

    def _parts_of(self, videos: Videos) -> NDArray[np.bool_]:
        """(P,) which parts are of these videos."""
        place = self._places(ids_of(videos))
        asked = np.zeros(len(self._ids), dtype=bool)
        asked[place[place >= 0]] = True
        return asked

    def _floats(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows (K, E) of the file; those of a small library are kept as numbers of full width."""
        if len(self._vectors.clips) > EXACT:
            return single(self._vectors.clips[places])
        if self._wide is None:
            self._wide = single(self._vectors.clips)
        return self._wide if len(places) == len(self._wide) else self._wide[places]

    @contextmanager
    def _files_held(self) -> Iterator[None]:
        """Be the one who appends to the files, and know what others have appended; where they may
        not be written, what is new stays in memory."""
        with ExitStack() as stack:
            if self._may_write(stack):
                self._read()
            else:
                logger.info(
                    "%s: the index is brought up to date in memory only: the library may only "
                    "be read, or another process writes it",
                    self._library.folder,
                )
                self._vectors.on_disk = False
            yield

    def _may_write(self, stack: ExitStack) -> bool:
        """Whether the files are ours while the context is open: one process at a time appends."""
        if self._library.read_only:
            return False
        lock = self._library.folder / "index.lock"
        try:
            return stack.enter_context(hold_lock(lock, wait_seconds=_WAIT_SECONDS))
        except LibraryError as error:  # a full disk costs the next start time, no answer
            logger.info("%s: the index cannot be locked: %s", self._library.folder, error)
            return False

    def _candidates(
        self, query: NDArray[np.float32], count: int, asked: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """The rows (K,) to compare, of the parts (P,) that are asked for; None is all."""
        rows = int(self._counts[self._alive if asked is None else asked].sum())
        # Without a bitmap to ask, the search is faster.
        allowed = self._live if asked is None else np.repeat(asked, self._counts)
        if self._quantised is None or rows <= EXACT:
            return np.arange(rows) if allowed is None else np.flatnonzero(allowed)
        # In the order of the file, which reads pages of it once and breaks ties as above.
        return np.sort(
            self._quantised.nearest(query, min(rows, max(LEAST, WIDER * count)), allowed)
        )

    def _follow(self) -> None:
        """Take every change that is not known here, and write what has become of the rows."""
        while changes := self._library.changes(self._vectors.change):
            self._take(changes.videos, changes.gone)
            self._vectors.change = changes.number
        self._keep()

    def _take(self, videos: Sequence[Video], removed: Sequence[int]) -> None:
        """Have the rows of these videos as the library has them now."""
        gone, came = self._differences(videos, removed)
        try:
            self._vectors.drop(gone)
            for video in came:
                self._add(video)
        finally:
            if gone or came:
                self._settle()

    def _differences(
        self, videos: Sequence[Video], removed: Sequence[int]
    ) -> tuple[list[int], list[Video]]:
        """The places of rows that go, and the videos whose rows are to come."""
        held = self._places(np.array([video.id for video in videos], np.int64)).tolist()
        lost = self._places(np.array(removed, np.int64))
        gone, came = lost[lost >= 0].tolist(), []
        for video, place in zip(videos, held, strict=True):
            named = self._names[place] if place >= 0 else None
            if video.searchable and named == known_as(video):
                continue
            gone += [place] if place >= 0 else []
            came += [video] if video.searchable else []
        return gone, came

    def _keep(self) -> None:
        """Write the files."""
        if self._vectors.has_gaps():
            self._vectors.close_gaps()
            self._quantised = None
            self._settle()
        self._extend_quantised()
        self._vectors.write(self._model.fingerprint)

    def _add(self, video: Video) -> None:
        features = features_for(self._library, video, self._model)
        if features is not None:
            clips, times = rows_of(features, self._model)
            self._vectors.add(video.id, known_as(video), clips, times, features.cuts)

    def _settle(self) -> None:
        """Work out what follows from the parts."""
        parts = self._vectors.parts.all
        self._ids, self._names = parts["video"].copy(), parts["name"].copy()  # (P,)
        self._first, self._counts = parts["row"].copy(), parts["count"].copy()  # (P,)
        self._alive = self._vectors.parts.alive.copy()  # (P,)
        held = np.flatnonzero(self._alive)
        self._order = held[np.argsort(self._ids[held], kind="stable")]
        """(V,) places of the videos that are here, by their ids."""
        self._sorted = self._ids[self._order]  # (V,)
        self._live = None if len(held) == len(parts) else np.repeat(self._alive, self._counts)
        """(N,) which rows are of a video; None where all are."""
        self._total = int(self._counts[self._alive].sum())
        self._checked: dict[int, int] = {}
        self._wide = None

    def _read(self) -> None:
        """Take the files if they are whole and of this model; otherwise begin empty.

        A small library is looked at whole; of a large one, each video when it is first read.
        """
        if not self._vectors.read(self._model.fingerprint):
            return
        self._quantised = None
        self._settle()
        if len(self) <= EXACT and not all(map(self._vectors.whole, self._order.tolist())):
            logger.info("%s: the index is damaged and is made anew", self._library.folder)
            self._forget()
        if self._vectors.change and not self._library.has_change(self._vectors.change):
            # A copy that went its own way. Seldom: the video that changed last has changed again.
            logger.info("%s: every video is compared with the index", self._library.folder)
            self._vectors.change = 0
            known = np.array(self._library.within(Scope()), np.int64)
            strays = self._order[~np.isin(self._sorted, known)].tolist()
            self._vectors.drop(strays)
            self._settle()
        self._extend_quantised()

    def _forget(self) -> None:
        self._vectors.clear()
        self._quantised = None
        self._settle()

    def _extend_quantised(self) -> None:
        """Quantise the rows that are not yet, where the library is large."""
        clips = self._vectors.clips
        if len(clips) <= EXACT:
            self._quantised, self._vectors.sketch, self._vectors.sketched = None, "", 0
            return
        file = self._library.folder / "index.faiss"
        if self._quantised is None:
            self._quantised = QuantisedIndex(self._model.space, self._model.background)
            self._quantised.read(file, self._vectors.sketched, self._vectors.sketch)
            self._vectors.sketched = len(self._quantised)
        self._quantised.add(clips[len(self._quantised) :])
        if self._vectors.on_disk and self._vectors.sketched < (1 - UNWRITTEN) * len(clips):
            self._vectors.sketch = self._quantised.write(file)
            self._vectors.sketched = len(clips)
            self._vectors.write(self._model.fingerprint)

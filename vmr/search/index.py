"""The nearest clips of the whole library.

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
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.features import Features
from vmr.library.locks import hold_lock
from vmr.library.store import Library, LibraryError, Video
from vmr.model.retrieval import RetrievalModel
from vmr.search.quantised import QuantisedIndex, exact
from vmr.search.vectors import Part, Vectors

logger = logging.getLogger(__name__)


EXACT: Final = 20_000
"""Up to so many rows, all are compared: 10 ms. Five and a half hours of video."""
WIDER: Final = 4
"""How many times more candidates than asked for are taken from the sketch, and at least `LEAST`."""
LEAST: Final = 1000
UNWRITTEN: Final = 1 / 16
"""Share of the quantised rows that may be missing in their file, which is written whole; they are
made again in no time."""
_WAIT_SECONDS: Final = 30.0
"""For another process that writes the same index."""
_UNSEEN: Final = -0.25
"""Score of a second that could not be read, whatever is asked: about what unrelated footage gets,
so that it is never an answer and does not drag down the seconds beside it."""


@dataclass(frozen=True, eq=False)
class RowTimes:
    """When the rows of a video are, and where its shots change; seconds."""

    starts: NDArray[np.float64]
    "(T,)"
    ends: NDArray[np.float64]
    "(T,)"
    cuts: NDArray[np.float64]
    "(S,)"


class ClipIndex:
    """All clip vectors of a library, and which row of which video each one is."""

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

    @staticmethod
    def stored_model(library: Library) -> str:
        """The fingerprint of the model that made the file on the disk; empty when there is none."""
        try:
            return str(json.loads((library.folder / "index.json").read_text())["model"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def sync(self) -> list[Video]:
        """Follow the library: drop what went, add what came; the videos that can be searched now.

        The files follow when they can be written.
        """
        videos = [video for video in self._library.videos() if video.searchable]
        wanted = {(video.id, video.fingerprint): video for video in videos}
        with self._lock:
            if self._places.keys() == wanted.keys():
                return videos
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
                self._follow(wanted)
        return videos

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, videos: Collection[int] | None = None
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
            places, scores = self._nearest(query, count, videos)
            part = np.searchsorted(self._first, places, side="right") - 1
            return self._ids[part], places - self._first[part], scores

    def compare_all(
        self, vector: NDArray[np.float32], count: int
    ) -> tuple[list[tuple[int, int]], list[float]]:
        """The best clips (video, row) by comparing every one in numpy, and their scores: what
        `nearest` is measured against. Slow in a large library."""
        best: list[tuple[float, int, int]] = []
        with self._lock:
            for video, place in self._by_video.items():
                scores = self._vectors.of(place)[0].astype(np.float32) @ vector
                top = np.argsort(-scores)[:count]
                best += [(-float(scores[row]), video, int(row)) for row in top]
                best = sorted(best)[:count]
        return [(video, row) for _, video, row in best], [-score for score, _, _ in best]

    def vectors(self, video: int) -> NDArray[np.float16]:
        """The clip vectors (T, E) of one video, not copied; LibraryError when it has none here."""
        with self._lock:
            return self._vectors.of(self._place(video))[0]

    def row_times(self, video: int) -> RowTimes:
        """When the rows of one video are; LibraryError when it has none here."""
        with self._lock:
            _, times, cuts = self._vectors.of(self._place(video))
        return RowTimes(times[:, 0], times[:, 1], cuts)

    def __contains__(self, video: int) -> bool:
        """Whether a video has clips here."""
        with self._lock:
            return video in self._by_video

    def __len__(self) -> int:
        """How many clips."""
        return sum(self._vectors.parts[place].count for place in self._places.values())

    def _place(self, video: int) -> int:
        """Where a video is, looked at once; made again where its bytes are damaged."""
        for _ in range(2):
            place = self._by_video.get(video)
            if place is None:
                break
            if place in self._checked or self._vectors.whole(place):
                self._checked.add(place)
                return place
            self._again([place])
        raise LibraryError(f"video {video} is not in the index: it is not ready")

    def _again(self, places: Iterable[int]) -> None:
        """Make the clips of these parts again: their bytes are not what was written."""
        logger.info("%s: damaged clips of the index are made again", self._library.folder)
        self._vectors.drop(places)
        self._settle()
        self.sync()

    def _nearest(
        self, query: NDArray[np.float32], count: int, videos: Collection[int] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The places (K,) of the best rows, and their scores."""
        asked = [
            place for (video, _), place in self._places.items() if videos is None or video in videos
        ]
        places = self._candidates(query, count, sorted(asked))
        best, scores = exact(query, self._floats(places), count)
        return places[best], scores

    def _floats(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows (K, E) of the file; those of a small library are kept as numbers of full width."""
        if len(self._vectors.clips) > EXACT:
            return self._vectors.clips[places].astype(np.float32)
        if self._wide is None:
            self._wide = self._vectors.clips.astype(np.float32)
        return self._wide if len(places) == len(self._wide) else self._wide[places]

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
        self, query: NDArray[np.float32], count: int, asked: list[int]
    ) -> NDArray[np.int64]:
        """The rows (K,) to compare, of the parts at these places."""
        rows = sum(self._vectors.parts[place].count for place in asked)
        if self._quantised is None or rows <= EXACT:
            spans = [np.arange(self._first[place], self._first[place + 1]) for place in asked]
            return np.concatenate([np.zeros(0, np.int64), *spans])
        allowed = None  # without a bitmap to ask, the search is faster
        if len(asked) < len(self._vectors.parts):
            allowed = np.zeros(self._first[-1], dtype=bool)
            for place in asked:
                allowed[self._first[place] : self._first[place + 1]] = True
        # In the order of the file, which reads pages of it once and breaks ties as above.
        return np.sort(
            self._quantised.nearest(query, min(rows, max(LEAST, WIDER * count)), allowed)
        )

    def _follow(self, wanted: dict[tuple[int, str], Video]) -> None:
        before = len(self._vectors.parts)
        gone = [place for name, place in self._places.items() if name not in wanted]
        self._vectors.drop(gone)
        held = self._places.keys()
        for name, video in wanted.items():
            if name not in held:
                self._add(video)
        if self._vectors.has_gaps():
            self._vectors.close_gaps()
            self._quantised = None
        if gone or len(self._vectors.parts) != before:
            self._settle()
            self._extend_quantised()
            self._vectors.write(self._model.fingerprint)

    def _add(self, video: Video) -> None:
        try:
            features = self._library.features(video.id)
        except LibraryError as error:
            logger.info("%s: left out of the index: %s", video.path, error)
            return  # damaged, and marked so in the library: the others still answer
        if features.blocks != self._model.blocks:
            raise LibraryError(
                f"{self._library.folder} holds features of {sorted(features.blocks)}, the model "
                f"reads {sorted(self._model.blocks)}; run `rescan --reindex`"
            )
        clips = self._model.encode_clips(features.rows)
        clips[_unseen(features)] = np.append(np.zeros(self._model.width - 1), _UNSEEN)
        times = np.stack([features.starts, features.ends], axis=1)  # (T, 2)
        self._vectors.add(video.id, video.fingerprint, clips, times, features.cuts)

    def _settle(self) -> None:
        """Work out what follows from the parts."""
        parts = enumerate(self._vectors.parts)
        self._places = {_name(part): place for place, part in parts if not part.gone}
        self._by_video = {video: place for (video, _), place in self._places.items()}
        self._ids = np.array([part.video for part in self._vectors.parts], dtype=np.int64)
        ends = [part.row + part.count for part in self._vectors.parts]
        self._first = np.array([0, *ends], dtype=np.int64)
        """(P + 1,): the row at which each part begins, and the total."""
        self._checked: set[int] = set()
        self._wide = None

    def _read(self) -> None:
        """Take the files if they are whole and of this model; otherwise begin empty.

        A small library is looked at whole; of a large one, each video when it is first read.
        """
        if not self._vectors.read(self._model.fingerprint):
            return
        self._quantised = None
        self._settle()
        if len(self) <= EXACT and not all(map(self._vectors.whole, self._places.values())):
            logger.info("%s: the index is damaged and is made anew", self._library.folder)
            self._forget()
        self._extend_quantised()

    def _forget(self) -> None:
        self._vectors.clear()
        self._quantised = None
        self._settle()

    def _extend_quantised(self) -> None:
        """QuantisedIndex the rows that are not yet, where the library is large."""
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


def _unseen(features: Features) -> NDArray[np.bool_]:
    """(T,) which rows lie in a damaged span: they repeat the last picture before it, which is not
    what happened then, and must not be found."""
    unseen = np.zeros(len(features.rows), dtype=bool)
    for start, end in features.unreadable:
        unseen |= (features.starts >= start) & (features.ends <= end)
    return unseen


def _name(part: Part) -> tuple[int, str]:
    return part.video, part.fingerprint

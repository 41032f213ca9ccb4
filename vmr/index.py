"""The nearest clips of the whole library, exactly. The only file with faiss.

One unit vector a row of video, searched by inner product without approximation: at a million rows
that takes milliseconds, and approximate indexes lose answers at this size (IVF-PQ finds a quarter).
The file on the disk is a cache: rebuilt when missing, damaged or made by another model.

    index = ClipIndex.open(library, ranker)
    videos, rows, scores = index.nearest(ranker.query_vector(query), 100)
"""

import json
import os
import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from feature_extract.features import Features
from vmr.content import ContentError, full_digest
from vmr.ranker import Ranker
from vmr.store import Library, LibraryError, Video

FORMAT: Final = 2
_HEADER_BYTES: Final = 1 << 16
"""More than faiss writes around the vectors of a flat index."""
_UNSEEN: Final = -0.25
"""Score of a second that could not be read, whatever is asked: about what unrelated footage gets,
so that it is never an answer and does not drag down the seconds beside it."""


@dataclass(frozen=True)
class _Part:
    """The rows of one video, next to each other in the index."""

    video: int
    fingerprint: str
    "of its features"
    count: int


class ClipIndex:
    """All clip vectors of a library, and which row of which video each one is."""

    def __init__(self, library: Library, ranker: Ranker) -> None:
        self._library = library
        self._ranker = ranker
        self._lock = threading.RLock()
        self._flat: Any = faiss.IndexFlatIP(ranker.width)
        self._parts: list[_Part] = []
        self._first = np.zeros(1, dtype=np.int64)
        """(P + 1,): where each part begins, and the total."""

    @classmethod
    def open(cls, library: Library, ranker: Ranker) -> "ClipIndex":
        """The index of a library, brought up to date with it.

        Raises:
            LibraryError: the library was indexed with other networks than the ranker reads.
        """
        index = cls(library, ranker)
        index._read()
        index.sync()
        return index

    @staticmethod
    def stored_model(library: Library) -> str:
        """The fingerprint of the model that made the file on the disk; empty when there is none."""
        try:
            return str(json.loads(_files(library.folder)[1].read_text())["model"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def sync(self) -> list[Video]:
        """Follow the library: drop what went, add what came; the videos that can be searched now.

        The file follows when it can be written.
        """
        videos = [video for video in self._library.videos() if video.searchable]
        wanted = {(video.id, video.fingerprint): video for video in videos}
        with self._lock:
            held = {(part.video, part.fingerprint) for part in self._parts}
            if held == wanted.keys():
                return videos
            self._drop([i for i, part in enumerate(self._parts) if _name(part) not in wanted])
            for name, video in wanted.items():
                if name not in held:
                    self._add(video)
            if not self._library.read_only:
                self._write()
        return videos

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, videos: Collection[int] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The best clips for a query vector, exactly.

        Args:
            vector: (E,), unit length.
            videos: look only into these; all of them by default.

        Returns:
            (K,) video ids, (K,) rows and (K,) cosines, best first; K is `count`, or less where
            there are fewer clips.
        """
        if vector.shape != (self._ranker.width,) or not np.isfinite(vector).all():
            raise ValueError(f"vector must be ({self._ranker.width},) and finite")
        query = np.ascontiguousarray(vector, dtype=np.float32)[None]
        with self._lock:
            parameters, available = self._restriction(videos)
            if not available or count < 1:
                nothing = np.zeros(0, dtype=np.int64)
                return nothing, nothing, np.zeros(0, dtype=np.float32)
            scores, places = self._flat.search(query, min(count, available), params=parameters)
            part = np.searchsorted(self._first, places[0], side="right") - 1
            ids = np.asarray([part.video for part in self._parts], dtype=np.int64)
            return ids[part], places[0] - self._first[part], scores[0]

    def vectors(self, video: int) -> NDArray[np.float32]:
        """The clip vectors (T, E) of one video; LibraryError when it has none here."""
        with self._lock:
            for i, part in enumerate(self._parts):
                if part.video != video:
                    continue
                return np.asarray(self._flat.reconstruct_n(int(self._first[i]), part.count))
        raise LibraryError(f"video {video} is not in the index: it is not ready")

    def __len__(self) -> int:
        """How many clips."""
        return int(self._flat.ntotal)

    def _restriction(self, videos: Collection[int] | None) -> tuple[Any, int]:
        """Search parameters, and how many clips they leave."""
        if videos is None or all(part.video in videos for part in self._parts):
            return None, len(self)  # without a bitmap to ask, the search is several times faster
        allowed = np.zeros(len(self), dtype=bool)
        for i, part in enumerate(self._parts):
            if part.video in videos:
                allowed[self._first[i] : self._first[i + 1]] = True
        bitmap = np.packbits(allowed, bitorder="little")
        selector: Any = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bitmap))
        selector.kept = bitmap  # faiss keeps a bare pointer: the array has to live as long
        make: Any = faiss.SearchParameters  # its type does not know the keyword
        return make(sel=selector), int(allowed.sum())

    def _add(self, video: Video) -> None:
        try:
            features = self._library.features(video.id)
        except LibraryError:
            return  # damaged, and marked so in the library: the others still answer
        if features.blocks != self._ranker.blocks:
            raise LibraryError(
                f"{self._library.folder} holds features of {sorted(features.blocks)}, the model "
                f"reads {sorted(self._ranker.blocks)}; run `rescan --reindex`"
            )
        vectors = self._ranker.clip_vectors(features.rows)
        vectors[_unseen(features)] = np.append(np.zeros(self._ranker.width - 1), _UNSEEN)
        self._flat.add(np.ascontiguousarray(vectors))
        self._parts.append(_Part(video.id, video.fingerprint, len(features.rows)))
        self._count()

    def _drop(self, places: list[int]) -> None:
        if not places:
            return
        gone = np.concatenate([np.arange(self._first[i], self._first[i + 1]) for i in places])
        self._flat.remove_ids(gone)
        self._parts = [part for i, part in enumerate(self._parts) if i not in set(places)]
        self._count()

    def _count(self) -> None:
        self._first = np.cumsum([0] + [part.count for part in self._parts], dtype=np.int64)

    def _read(self) -> None:
        """Take the cached file if it is whole and of this model; otherwise begin empty."""
        file, record = _files(self._library.folder)
        try:
            stored = json.loads(record.read_text())
            parts = [_Part(**part) for part in stored["parts"]]
            fits = stored["format"] == FORMAT and stored["model"] == self._ranker.fingerprint
            if not fits or stored["checksum"] != full_digest(file) or not self._agrees(parts):
                return
            flat = _load(file, sum(part.count for part in parts), self._ranker.width)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, ContentError):
            return
        self._flat, self._parts = flat, parts
        self._count()

    def _agrees(self, parts: list[_Part]) -> bool:
        """Whether the record has as many rows of each video as the library: where it has more of
        one and less of another, the total fits, and every clip would be of another second."""
        rows = {video.id: video.rows for video in self._library.videos()}
        return all(part.count == rows.get(part.video, part.count) for part in parts)

    def _write(self) -> None:
        """Save the cache. A disk that is full or read-only costs the next start time, no answer."""
        file, record = _files(self._library.folder)
        beside = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        try:
            faiss.write_index(self._flat, str(beside))
            stored = {
                "format": FORMAT,
                "model": self._ranker.fingerprint,
                "checksum": full_digest(beside),
                "parts": [asdict(part) for part in self._parts],
            }
            os.replace(beside, file)
            beside.write_text(json.dumps(stored))
            os.replace(beside, record)
        except (OSError, RuntimeError, ContentError):
            pass
        finally:
            beside.unlink(missing_ok=True)


def _unseen(features: Features) -> NDArray[np.bool_]:
    """(T,) which rows lie in a damaged span: they repeat the last picture before it, which is not
    what happened then, and must not be found."""
    unseen = np.zeros(len(features.rows), dtype=bool)
    for start, end in features.unreadable:
        unseen |= (features.starts >= start) & (features.ends <= end)
    return unseen


def _name(part: _Part) -> tuple[int, str]:
    return part.video, part.fingerprint


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "index.faiss", folder / "index.json"


def _load(file: Path, count: int, width: int) -> Any:
    """Read a flat index of exactly this size; ValueError for anything else.

    faiss trusts the sizes inside a file, so they are bounded before it looks (its own defaults
    allow a tebibyte), and the type is checked after.
    """
    limit = count * width * 4 + _HEADER_BYTES
    if file.stat().st_size > limit:
        raise ValueError(f"{file} is larger than {count} vectors of {width}")
    faiss.set_deserialization_vector_byte_limit(limit)
    faiss.set_deserialization_loop_limit(1 << 16)
    flat = faiss.read_index(str(file))
    if type(flat) is not faiss.IndexFlatIP or (flat.ntotal, flat.d) != (count, width):
        raise ValueError(f"{file} is not a flat index of {count} vectors of {width}")
    return flat

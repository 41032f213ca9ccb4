"""A small copy of every clip vector, to find candidates fast in a large library. The only file
with faiss.

Clips differ in few directions: on those in which unrelated footage differs most, a sixth of a
vector holds nearly all of it. A sketch is the projection onto them, in eight bits a number, with
the last column (for hubs) kept: 96 bytes instead of a kilobyte. The directions come with the
weights and are not learned from the library, so that nothing drifts and the order in which videos
come does not matter. index.py compares the best candidates again, exactly.

    sketch = Sketch(ranker.background)
    sketch.add(clips)                                       # (N, E)
    places = sketch.nearest(query, 1000)                    # (K,) rows, most promising first
"""

import os
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from vmr.content import ContentError, full_digest

COLUMNS: Final = 96
_MARGIN: Final = 0.25
"""By how much numbers may lie outside of the range of unrelated footage before they are cut off."""
_BATCH: Final = 1 << 15  # rows projected at once
_HEADER_BYTES: Final = 1 << 16
"""More than faiss writes around the codes."""


class Sketch:
    """Sketches of (N, E) clip vectors, searched by inner product."""

    def __init__(self, background: NDArray[np.float32]) -> None:
        unit = background[:, :-1].astype(np.float64)
        _, directions = np.linalg.eigh(np.cov(unit.T))  # (E - 1, E - 1), by rising variance
        kept = directions[:, ::-1][:, : COLUMNS - 1]
        self._directions = np.ascontiguousarray(kept, dtype=np.float32)  # (E - 1, C - 1)
        kind, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        self._index: Any = faiss.IndexScalarQuantizer(kept.shape[1] + 1, kind, metric)
        self._index.sq.rangestat_arg = _MARGIN
        self._index.train(self._project(background))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, clips: NDArray[np.floating]) -> None:
        """Append the sketches of (N, E) vectors."""
        for start in range(0, len(clips), _BATCH):
            self._index.add(self._project(clips[start : start + _BATCH]))

    def nearest(
        self, query: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """The rows (K,) that promise most for a query (E,), of the allowed ones (N,)."""
        parameters = None
        if allowed is not None:
            bitmap = np.packbits(allowed, bitorder="little")
            selector: Any = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bitmap))
            selector.kept = bitmap  # faiss keeps a bare pointer: the array has to live as long
            make: Any = faiss.SearchParameters  # its type does not know the keyword
            parameters = make(sel=selector)
        _, places = self._index.search(self._project(query[None]), count, params=parameters)
        return np.asarray(places[0][places[0] >= 0], dtype=np.int64)

    def write(self, file: Path) -> str:
        """Save it whole or not at all; the digest of the file. A full disk costs the next start
        time, no answer: the digest is then empty."""
        beside = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        try:
            faiss.write_index(self._index, str(beside))
            digest = full_digest(beside)
            os.replace(beside, file)
            return digest
        except (OSError, RuntimeError, ContentError):
            return ""
        finally:
            beside.unlink(missing_ok=True)

    def read(self, file: Path, count: int, digest: str) -> None:
        """Take a file of so many rows and this digest; stay empty when there is none such.

        faiss trusts the sizes inside a file, so they are bounded before it looks (its own defaults
        allow a tebibyte), and the type is checked after.
        """
        limit = count * self._index.d + _HEADER_BYTES
        try:
            if not digest or file.stat().st_size > limit or full_digest(file) != digest:
                return
            faiss.set_deserialization_vector_byte_limit(limit)
            faiss.set_deserialization_loop_limit(1 << 16)
            found = faiss.read_index(str(file))
        except (OSError, RuntimeError, ContentError):
            return
        same_kind = type(found) is faiss.IndexScalarQuantizer
        if same_kind and (found.ntotal, found.d) == (count, self._index.d):
            self._index = found

    def _project(self, clips: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, E) -> (N, C)."""
        values = np.asarray(clips, dtype=np.float32)
        return np.concatenate([values[:, :-1] @ self._directions, values[:, -1:]], axis=1)

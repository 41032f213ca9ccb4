"""Search by inner product with faiss. The only file with it.

Up to some ten thousand rows, all are compared (`exact`). Of a large library, a sketch of every clip
is searched for candidates, which `exact` then compares. Clips differ in few directions: on those in
which unrelated footage differs most, a fifth of a vector holds nearly all of it. A sketch is the
projection onto them and the column for hubs, turned so that all its numbers vary alike, with four
bits a number: 48 bytes instead of a kilobyte, compared 32 at once in the processor's registers
(product quantisation with sub-vectors of one number, Andre et al., VLDB 2015). Directions and
levels come with the weights and are not learned from the library, so that nothing drifts and the
order in which videos come does not matter.

    places, scores = exact(query, clips, 100)               # (K,) rows, best first
    sketch = QuantisedIndex(model.space, model.background)
    sketch.add(clips)                                       # (N, E)
    places = sketch.nearest(query, 1000)                    # (K,) rows, most promising first
"""

import logging
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from feature_extract.files import replacing
from vmr.library.content import ContentError, full_digest
from vmr.model.space import Space

logger = logging.getLogger(__name__)


COLUMNS: Final = 96
"""Numbers of a sketch, four bits each: `python -m benchmarks.large` and docs/EXPERIMENTS.md,
"FAISS on a library of 200 hours"."""
_LISTS: Final = 8
"""Into so many lists the sketches are dealt, so that the threads of a machine share one query."""
_BATCH: Final = 1 << 15  # rows projected at once
_ROW_BYTES: Final = COLUMNS // 2 + 8
"""A sketch and the number of its row."""
_OVERHEAD_BYTES: Final = 1 << 18
"""More than faiss writes of levels and centres, and for lists that do not end with a block."""


def exact(
    query: NDArray[np.float32], clips: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best `count` of the rows (N, E) for a query (E,), all compared: rows and scores (K,).

    What is not a number is never among them.
    """
    if min(count, len(clips)) < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    metric = faiss.METRIC_INNER_PRODUCT
    scores, places = faiss.knn(query[None], clips, min(count, len(clips)), metric=metric)
    found = places[0] >= 0
    return places[0][found], scores[0][found]


class QuantisedIndex:
    """Sketches of (N, E) clip vectors, searched by inner product."""

    def __init__(self, space: Space, background: NDArray[np.float32]) -> None:
        content = space.content(background).astype(np.float64)
        _, directions = np.linalg.eigh(np.cov(content.T))  # (E - 1, E - 1), by rising variance
        kept = directions[:, ::-1][:, : COLUMNS - 1]
        columns = kept.shape[1] + 1
        turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(columns, columns)))
        projection = np.zeros((len(kept) + 1, columns))
        projection[:-1, :-1], projection[-1, -1] = kept, 1
        self._projection = np.ascontiguousarray(projection @ turn, dtype=np.float32)  # (E, C)
        self._mean = background.mean(0)  # (E,)
        metric = faiss.METRIC_INNER_PRODUCT
        centres = faiss.IndexFlatIP(columns)
        self._index: Any = faiss.IndexIVFPQFastScan(centres, columns, _LISTS, columns, 4, metric)
        self._index.by_residual = False
        self._index.cp.min_points_per_centroid = 1  # it prints a warning below 39
        self._index.train(self._project(background - self._mean))
        self._index.nprobe = _LISTS

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, clips: NDArray[np.floating]) -> None:
        """Append the sketches of (N, E) vectors."""
        for start in range(0, len(clips), _BATCH):
            batch = np.asarray(clips[start : start + _BATCH], dtype=np.float32)
            self._index.add(self._project(batch - self._mean))

    def nearest(
        self, query: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """The rows (K,) that promise most for a query (E,), of the allowed ones (N,)."""
        parameters: Any = faiss.SearchParametersIVF()
        parameters.nprobe = _LISTS
        if allowed is not None:
            bitmap = np.packbits(allowed, bitorder="little")
            parameters.sel = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bitmap))
        _, places = self._index.search(self._project(query[None]), count, params=parameters)
        return np.asarray(places[0][places[0] >= 0], dtype=np.int64)

    def write(self, file: Path) -> str:
        """Save it whole or not at all; the digest of the file. A full disk costs the next start
        time, no answer: the digest is then empty."""
        try:
            with replacing(file, sync=False) as draft:
                faiss.write_index(self._index, str(draft))
                digest = full_digest(draft)
        except (OSError, RuntimeError, ContentError) as error:
            logger.info("%s: could not be written: %s", file, error)
            return ""
        return digest

    def read(self, file: Path, count: int, digest: str) -> None:
        """Take a file of so many rows and this digest; stay empty when there is none such.

        faiss trusts the sizes inside a file, so they are bounded before it looks (its own defaults
        allow a tebibyte), and the type is checked after.
        """
        limit = count * _ROW_BYTES + _OVERHEAD_BYTES
        if not digest:  # none was written
            return
        try:
            if file.stat().st_size > limit or full_digest(file) != digest:
                logger.info("%s: not the file that was written; it is made anew", file)
                return
            faiss.set_deserialization_vector_byte_limit(limit)
            faiss.set_deserialization_loop_limit(1 << 16)
            found = faiss.read_index(str(file))
        except (OSError, RuntimeError, ContentError) as error:
            logger.info("%s: cannot be read and is made anew: %s", file, error)
            return
        same_kind = type(found) is faiss.IndexIVFPQFastScan
        if same_kind and (found.ntotal, found.d) == (count, self._index.d):
            self._index = found
        else:
            logger.info("%s: another kind or size of index; it is made anew", file)

    def _project(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, E) -> (N, C)."""
        return np.asarray(clips @ self._projection)

"""What is usual in what is searched: some rows of it, against which its scores are measured.

model.among(usual_rows(index, videos))      # vmr/model/retrieval.py says why
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.library.store import LibraryError
from vmr.model.halves import single
from vmr.search.clips import Index
from vmr.search.parts import Videos, ids_of

ROWS: Final = 2048
"""As many as there are of unrelated footage; their mean is known to a fiftieth of their spread."""
VIDEOS: Final = 64
"""Looked into at most: each is a request where the index lies on a server."""


def usual_rows(index: Index, videos: Videos | None) -> NDArray[np.float32]:
    """Clip vectors (T, E), T at most ROWS, from the middles of some of these videos, or of all."""
    ids = index.ids() if videos is None else np.sort(ids_of(videos))
    ids = ids[index.lengths(ids) > 0]
    if len(ids) > VIDEOS:
        ids = ids[np.linspace(0, len(ids) - 1, VIDEOS).round().astype(int)]
    found = []
    for id, length in zip(ids.tolist(), index.lengths(ids).tolist(), strict=True):
        count = min(length, ROWS // len(ids))
        first = (length - count) // 2
        try:
            found.append(single(index.vectors(id, first, first + count)))
        except LibraryError:  # removed since, or found damaged: the search itself says so
            continue
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)

"""What is usual in what is searched: some rows of it, against which its scores are measured.

model.among(usual_rows(index, videos))      # vmr/model/retrieval.py says why
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.library.locks import AwayError
from vmr.library.store import LibraryError
from vmr.model.halves import single
from vmr.search.clips import Index
from vmr.search.parts import Videos, ids_of

ROWS: Final = 2048
"""At most, as many as there are of unrelated footage. Not tuned."""
VIDEOS: Final = 64
"""Looked into at most: each is a request where the index lies on a server."""
_SPREAD: Final = 2654435761  # a prime: its multiples, modulo 2 ** 32, lie in no order


def usual_rows(index: Index, videos: Videos | None) -> NDArray[np.float32]:
    """Clip vectors (T, E), T at most ROWS, from the middles of some of these videos, or of all."""
    ids = index.ids() if videos is None else ids_of(videos)
    if videos is not None:
        ids = ids[index.lengths(ids) > 0]
    if len(ids) > VIDEOS:  # the same ones, but for a few, when some are added
        ids = ids[np.argpartition(ids * _SPREAD % (1 << 32), VIDEOS)[:VIDEOS]]
    lengths = index.lengths(ids)
    counts = np.minimum(lengths, ROWS // max(1, len(ids)))
    firsts = (lengths - counts) // 2
    places = list(zip(ids.tolist(), firsts.tolist(), counts.tolist(), strict=True))
    index.prepare((id, [first]) for id, first, _ in places)
    found = []
    for id, first, count in places:
        try:
            found.append(single(index.vectors(id, first, first + count)))
        except LibraryError as error:
            if isinstance(error, AwayError):
                raise
            continue  # removed since, or found damaged: the search itself says so
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)

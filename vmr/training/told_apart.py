"""How well rows alone tell what films show: without words, for every network alike.

    ends = [pair for video in videos for pair in ends_of(rows, starts, ends, cuts)]
    share_found(ends)                       # 0..1; chance is 1 / len(ends)

A shot is asked for by its first seconds, and found if of the last seconds of all shots its own are
the nearest. Rows of some networks look two seconds ahead and behind, so what is asked with and what
is to be found lie further apart: no picture is in both. Rows are compared by their cosine, after
their mean over all films is taken off, as some networks have none that point elsewhere.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

APART: Final = 4
"""Rows from the last of the first seconds to the first of the last ones, at least: networks of 16
pictures, four a second, look at four seconds."""
FEWEST: Final = APART + 3
"""Rows of the shortest shot that is asked for: two at each end."""
MOST: Final = 2 * FEWEST
"""Rows of a piece of a long shot at most: what nothing cuts is parted."""

Ends = tuple[NDArray[np.float32], NDArray[np.float32]]
"""(W,) the mean rows of the first and of the last seconds of a shot."""


def ends_of(
    rows: NDArray[np.floating],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    cuts: NDArray[np.float64],
) -> list[Ends]:
    """The ends of all shots of a film that are long enough, and of the pieces of longer ones.

    Args:
        rows: (T, W), each of [starts[i], ends[i]) seconds.
        cuts: (S,) seconds at which one shot ends and the next begins.
    """
    found = []
    edges = [0.0, *cuts.tolist(), np.inf]
    for since, until in pairwise(edges):
        whole = np.flatnonzero((starts >= since) & (ends <= until))
        for piece in np.array_split(whole, -(-len(whole) // MOST) or 1):
            if len(piece) >= FEWEST:
                count = (len(piece) - APART + 1) // 2
                first, last = (
                    rows[side].astype(np.float32).mean(0)
                    for side in (piece[:count], piece[-count:])
                )
                found.append((first, last))
    return found


def share_found(shots: Sequence[Ends]) -> float | None:
    """The share of shots whose last seconds are the nearest to their first; None: fewer than two
    are there to be told apart."""
    if len(shots) < 2:
        return None
    both = np.array(shots)  # (N, 2, W)
    both = both - both.mean((0, 1))
    both /= np.maximum(np.linalg.norm(both, axis=2, keepdims=True), 1e-6)
    nearest = (both[:, 0] @ both[:, 1].T).argmax(1)  # (N,)
    return float((nearest == np.arange(len(shots))).mean())

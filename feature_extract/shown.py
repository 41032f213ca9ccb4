"""Pictures of a video by the samples at which they are the one shown, and what is made of them.

kept = Kept(samples=(2,), rate=4)               # of every second, the third of four samples
wanted = kept.wants(batch)                      # which pictures of a Batch those are
kept.keep(batch, wanted, values)                # what was made of them
kept.at(6)                                      # what is shown in the second from 1 to 2
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures and the numbers of the samples k/rate at which each is the one shown."""

    pixels: NDArray[np.uint8]
    "(N, S, S, 3)"
    times: NDArray[np.float64]
    "(N,) seconds"
    first: NDArray[np.int64]
    "(N,)"
    end: NDArray[np.int64]
    "(N,)"
    last: bool
    "whether its last picture is that of the video, shown at every later sample too"


class Kept(Generic[T]):
    """Something made of the pictures shown at chosen samples of every second."""

    def __init__(self, samples: tuple[int, ...], rate: int) -> None:
        """`samples` are counted from 0 within the `rate` of a second."""
        self._samples, self._rate = samples, rate
        self._first: list[int] = []
        self._values: list[T] = []

    def wants(self, batch: Batch) -> NDArray[np.int64]:
        """(K,): which pictures of the batch are shown at a chosen sample; the video's last one is
        always among them."""
        wanted = [
            i
            for i, (first, end) in enumerate(zip(batch.first, batch.end, strict=True))
            if any((s - first) % self._rate < end - first for s in self._samples)
            or (batch.last and i == len(batch.first) - 1)
        ]
        return np.array(wanted, np.int64)

    def keep(self, batch: Batch, wanted: NDArray[np.int64], values: list[T]) -> None:
        """Take what was made of the pictures of `wants`, a value each, in their order."""
        self.put(batch.first[wanted].tolist(), values)

    def put(self, first: list[int], values: list[T]) -> None:
        """Keep values from the samples on at which what they were made of is shown."""
        self._first.extend(first)
        self._values.extend(values)

    def at(self, sample: int) -> T:
        """What is shown at a chosen sample."""
        return self._values[max(0, bisect_right(self._first, sample) - 1)]

"""Where one shot ends and the next begins, from pictures sampled a few times a second.

    detector = ShotDetector(fps=30)
    for batch in frames:
        detector.add(batch.pixels, batch.times)
    detector.cuts()                     # (S,) seconds

A cut changes the colours of a picture and where they lie at the same time, once. Panning moves
colours but keeps them; a flicker changes them but not where they lie; fast action does a little of
both all the time. So the change between two pictures is the geometric mean of the two, and a cut
is a peak that stands out from the two seconds around it.

A cut is placed half-way between the two samples it lies between: at 4 pictures a second at most
1/8 s off. Between consecutive pictures of the file the place is exact.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

CELLS: Final = 28
"""Pictures are compared as CELLS x CELLS mean colours: small motion and noise average out."""
LEVELS: Final = 4
"""Histogram levels of each colour: 64 colours."""
FLOOR: Final = 0.12
"""Least change between two pictures, 0..1, that can be a cut. `python -m experiments.cuts` measures
what this and CONTRAST find and miss, beside other detectors."""
CONTRAST: Final = 3.5
"""A cut's change is at least so many times the median of the changes around it; measured with FLOOR
(docs/EXPERIMENTS.md, "detectors of shot cuts")."""
AROUND: Final = 8
"""Changes on either side that this median is taken of: two seconds at 4 pictures a second."""


class ShotDetector:
    """Collects the change from picture to picture, and finds the peaks."""

    def __init__(self, *, fps: float) -> None:
        self._frame_seconds = 1 / fps if fps > 0 else 0.0
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._times: list[float] = []
        self._changes: list[float] = []

    def add(self, pixels: NDArray[np.uint8], times: NDArray[np.float64]) -> None:
        """Take the next pictures (N, H, W, 3), shown at `times` (N,) seconds."""
        for picture, seconds in zip(pixels, times.tolist(), strict=True):
            cells = _cells(picture)
            colours = _colours(cells)
            if self._last is not None:
                self._changes.append(_change(self._last, (cells, colours)))
            self._last = cells, colours
            self._times.append(seconds)

    def cuts(self) -> NDArray[np.float64]:
        """The times (S,) of the cuts found so far, in seconds, ascending."""
        changes = np.array(self._changes)
        places = [
            0.5 * (self._times[i] + self._times[i + 1])
            if self._times[i + 1] - self._times[i] > 1.5 * self._frame_seconds
            else self._times[i + 1]
            for i in range(len(changes))
            if _is_peak(changes, i)
        ]
        return np.array(places, np.float64)


def _is_peak(changes: NDArray[np.float64], i: int) -> bool:
    around = np.delete(changes[max(0, i - AROUND) : i + AROUND + 1], min(i, AROUND))
    usual = float(np.median(around)) if len(around) else 0.0
    highest = changes[i] >= changes[max(0, i - 1) : i + 2].max()
    return bool(changes[i] >= FLOOR and changes[i] >= CONTRAST * usual and highest)


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean colours (CELLS, CELLS, 3), 0..1, of the parts of a picture."""
    height, width = (side // CELLS * CELLS for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(CELLS, height // CELLS, CELLS, width // CELLS, 3)
    # Every second pixel either way is enough for a mean, at a quarter of the cost.
    means: NDArray[np.float32] = blocks[:, ::2, :, ::2].mean(axis=(1, 3), dtype=np.float32)
    return means / np.float32(255)


def _colours(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """(LEVELS ** 3,) share of the cells that has each colour. A cell counts for the eight colours
    around its own, the nearer the more, so that a fade moves the shares and never jumps."""
    scaled = cells.reshape(-1, 3) * (LEVELS - 1)
    low = np.minimum(scaled.astype(np.int64), LEVELS - 2)  # (N, 3)
    near = scaled - low  # share of the upper level
    shares = np.zeros(LEVELS**3)
    for corner in np.ndindex(2, 2, 2):
        index = (low + corner) @ (LEVELS**2, LEVELS, 1)
        weight = np.where(corner, near, 1 - near).prod(axis=1)
        shares += np.bincount(index, weight, minlength=LEVELS**3)
    return (shares / len(scaled)).astype(np.float32)


def _change(
    before: tuple[NDArray[np.float32], NDArray[np.float32]],
    after: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> float:
    """How much two pictures differ, 0..1: the geometric mean of the difference of their cells and
    that of their colours."""
    # Natural pictures of two shots differ by about a quarter a cell: that counts as all.
    places = min(1.0, 4 * float(np.abs(before[0] - after[0]).mean()))
    colours = 0.5 * float(np.abs(before[1] - after[1]).sum())
    return float(np.sqrt(places * colours))

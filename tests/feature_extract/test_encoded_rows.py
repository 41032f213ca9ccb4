"""Which pictures an encoder sees for the row of a second."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.encoded_rows import encoded_rows
from feature_extract.shown import Batch

RATE, SAMPLE = 4, 2


class Tells:
    """An encoder whose vector is what is in the first pixel of each picture."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.seen = 0

    def see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen += len(pixels)
        return pixels[..., 0, 0, 0].reshape(len(pixels), -1).astype(np.float32)


def rows_of(frames: int, ends: list[int], count: int, *, batch: int = 3) -> tuple[list[Any], int]:
    """Rows of a video whose picture number i is shown up to sample ends[i]."""
    encoder: Any = Tells(frames)
    rows = encoded_rows(encoder, rate=RATE, sample=SAMPLE)
    first = np.array([0, *ends[:-1]])
    for begin in range(0, len(ends), batch):
        part = slice(begin, begin + batch)
        shown = np.arange(begin, min(begin + batch, len(ends)), dtype=np.uint8)
        pixels = np.broadcast_to(shown[:, None, None, None], (len(shown), 2, 2, 3))
        is_last = begin + batch >= len(ends)
        rows.add(Batch(pixels, first[part] / RATE, first[part], np.array(ends)[part], is_last))
    return rows.finish(count).tolist(), encoder.seen


def test_one_picture_is_that_of_the_thumbnail() -> None:
    found, _ = rows_of(1, list(range(1, 13)), 3)
    assert found == [[2], [6], [10]]


def test_several_are_the_samples_around_it() -> None:
    """Before the first stands the first, behind the last the last."""
    found, seen = rows_of(8, list(range(1, 13)), 3)
    assert found == [
        [0, 0, 0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7, 8, 9],
        [6, 7, 8, 9, 10, 11, 11, 11],
    ]
    assert seen == 3
    assert rows_of(2, list(range(1, 13)), 3)[0] == [[1, 2], [5, 6], [9, 10]]


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_picture_that_stays_and_one_that_is_not_shown(batch: int) -> None:
    """Picture 1 is shown at no sample; picture 2 stays for two seconds."""
    found, _ = rows_of(4, [3, 3, 11, 12], 4, batch=batch)
    assert found == [[0, 0, 0, 2], [2, 2, 2, 2], [2, 2, 2, 3], [3, 3, 3, 3]]


def test_a_single_picture() -> None:
    assert rows_of(8, [1], 1) == ([[0] * 8], 1)
    assert rows_of(1, [1], 2)[0] == [[0], [0]]

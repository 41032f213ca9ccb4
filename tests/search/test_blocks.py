"""Clip vectors in the store: what was put there comes back by ranges, and damage is noticed."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vmr.library.blobs import FolderBlobs
from vmr.search.blocks import PIECE, BlockError, Blocks

WIDTH = 5
ROWS = 2 * PIECE + 7
NAME = 1 << 63


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    (tmp_path / "clips" / "model").mkdir(parents=True)
    return FolderBlobs(tmp_path)


@pytest.fixture
def rows() -> NDArray[np.float16]:
    return np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float16)


@pytest.fixture
def blocks(blobs: FolderBlobs, rows: NDArray[np.float16]) -> Blocks:
    times = np.stack([np.arange(ROWS), np.arange(ROWS) + 1.0], axis=1)
    made = Blocks(blobs, "clips/model", WIDTH)
    made.put(3, NAME, rows, times, np.array([1.5, 9.25]))
    return Blocks(blobs, "clips/model", WIDTH)


def test_any_range_is_what_was_put(
    blocks: Blocks, rows: NDArray[np.float16], blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    get_range = blobs.get_range

    def counted(key: str, start: int, end: int) -> bytes:
        asked.append((start, end))
        return get_range(key, start, end)

    monkeypatch.setattr(blobs, "get_range", counted)
    edges = (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, ROWS - 1, ROWS, ROWS + 9)
    for first in edges:
        for last in edges:
            found = blocks.rows(3, NAME, first, last)
            np.testing.assert_array_equal(found, rows[first:last])
            assert found.dtype == np.float16
    assert len(asked) <= 3  # each piece at most once
    times = blocks.times(3, NAME)
    np.testing.assert_array_equal(times.starts, np.arange(ROWS))
    np.testing.assert_array_equal(times.ends, np.arange(ROWS) + 1)
    assert times.cuts.tolist() == [1.5, 9.25]


def test_what_is_not_in_memory_is_one_request(
    blocks: Blocks, rows: NDArray[np.float16], blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    get_range = blobs.get_range

    def counted(key: str, start: int, end: int) -> bytes:
        asked.append(end - start)
        return get_range(key, start, end)

    monkeypatch.setattr(blobs, "get_range", counted)
    np.testing.assert_array_equal(blocks.rows(3, NAME, PIECE, 3 * PIECE), rows[PIECE:])
    blocks.rows(3, NAME, PIECE, PIECE + 9)
    assert asked == [2 * PIECE * WIDTH * 2]


@pytest.mark.parametrize("kind", ["rows", "times"])
@pytest.mark.parametrize("harm", ["changed", "short", "gone"])
def test_damage_is_noticed(blocks: Blocks, blobs: FolderBlobs, kind: str, harm: str) -> None:
    (key,) = (key for key in blobs.sizes("clips/model/") if key.endswith(kind))
    content = blobs.get(key)
    if harm == "gone":
        blobs.delete([key])
    else:
        changed = content[:-1] + bytes([content[-1] ^ 1])
        blobs.put(key, changed if harm == "changed" else content[:-1])
    with pytest.raises(BlockError):
        blocks.rows(3, NAME, ROWS - 1, ROWS)


def test_what_is_forgotten_is_gone(blocks: Blocks, blobs: FolderBlobs) -> None:
    assert len(blobs.sizes("clips/model/")) == 2
    blocks.forget([(3, NAME), (4, NAME)])
    assert blobs.sizes("clips/model/") == {}
    with pytest.raises(BlockError):
        blocks.times(3, NAME)

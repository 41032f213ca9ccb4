"""Shots told apart by their rows: which rows are asked with, and what counts as found."""

import numpy as np
import pytest

from vmr.training.told_apart import APART, FEWEST, MOST, ends_of, share_found


def film(count: int, cuts: list[float]) -> list[tuple[float, float]]:
    """The places of the rows that the ends of each shot are made of, on average."""
    starts = np.arange(count, dtype=np.float64)
    rows = starts[:, None]
    found = ends_of(rows, starts, starts + 1, np.array(cuts))
    return [(float(first[0]), float(last[0])) for first, last in found]


def test_the_ends_of_a_shot_share_no_picture() -> None:
    assert film(FEWEST, []) == [(0.5, 5.5)]
    assert film(FEWEST - 1, []) == []
    assert film(9, []) == [(1.0, 7.0)]
    for count in range(FEWEST, MOST + 1):
        ((first, last),) = film(count, [])
        half = first  # rows 0 .. 2 * first
        assert (last - half) - 2 * half >= APART


def test_rows_across_a_cut_are_of_no_shot() -> None:
    """Cut at 7.5: rows 0..6 and 8..15; the six behind the second cut are too few."""
    assert film(22, [7.5, 16.0]) == [(0.5, 5.5), (8.5, 14.5)]


def test_a_long_shot_is_parted() -> None:
    assert len(film(MOST, [])) == 1
    assert film(MOST + 1, []) == [(0.5, 6.5), (8.5, 13.5)]
    assert len(film(100 * MOST, [])) == 100


def test_what_is_found() -> None:
    rng = np.random.default_rng(0)
    shots = rng.normal(5, 1, (20, 8)).astype(np.float32)  # far from the origin, as rows are
    alike = [(one, 3 * one - 10 + 0.01 * rng.normal(size=8)) for one in shots]
    found = share_found(alike)
    assert found is not None
    assert found > 0.9
    wrong = [(one, shots[place - 1]) for place, one in enumerate(shots)]
    assert share_found(wrong) == 0
    half = [(one, one if place % 2 else shots[place - 2]) for place, one in enumerate(shots)]
    assert share_found(half) == pytest.approx(0.5)
    assert share_found(alike[:1]) is None
    assert share_found([]) is None

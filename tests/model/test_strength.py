"""How sure an answer is: by its score, and by how much was searched for it."""

from typing import Any

import numpy as np
import pytest

from vmr.model.strength import FEWEST_ROWS, SUREST, Calibration

ANY = Calibration(slope=2.0, offset=-4.0, possible=0.3, strong=0.8)
BY_ROWS = Calibration(2.0, -4.0, 0.3, 0.8, rows=200, right_by_rows=0.7, found_by_rows=0.25)


def logit(chance: float) -> float:
    return float(np.log(chance / (SUREST - chance)))


def test_strength_is_monotone_and_the_verdict_follows_it() -> None:
    strength = ANY.strength(np.linspace(-5, 10, 50))
    assert (np.diff(strength) > 0).all()
    assert strength.min() >= 0
    assert strength.max() < SUREST
    assert float(ANY.strength(2.0)) == pytest.approx(SUREST / 2)
    assert f"{float(ANY.strength(1e3)):.0%}" == "99%"  # as people write it
    assert ANY.score(float(ANY.strength(3.0))) == pytest.approx(3.0)
    scores = [(4.0 + logit(chance)) / 2 for chance in (0.1, 0.301, 0.79, 0.801)]
    assert [ANY.verdict(score) for score in scores] == ["none", "possible", "possible", "strong"]


def test_the_same_score_says_less_the_more_was_searched() -> None:
    strengths = [float(BY_ROWS.strength(3.0, rows)) for rows in (50, 200, 2000, 200_000)]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[1] == float(BY_ROWS.strength(3.0)) == float(ANY.strength(3.0, 200_000))
    assert logit(strengths[2]) == pytest.approx(2.0 - 0.7 * np.log(10))
    assert [BY_ROWS.verdict(3.0, rows) for rows in (200, 2000, 200_000)] == [
        "strong",
        "possible",
        "none",
    ]


def test_below_the_fewest_rows_nothing_is_gained() -> None:
    assert BY_ROWS.strength(1.0, 1) == BY_ROWS.strength(1.0, FEWEST_ROWS)
    assert BY_ROWS.strength(1.0, FEWEST_ROWS) > BY_ROWS.strength(1.0, FEWEST_ROWS + 1)


@pytest.mark.parametrize(
    "bad",
    [{"slope": 0.0}, {"possible": 0.9}, {"strong": 1.0}, {"rows": -1}, {"right_by_rows": -0.1}],
    ids=lambda bad: next(iter(bad)),
)
def test_calibrations_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match="slope" if bad.keys() & {"slope", "possible", "strong"} else "rows"
    ):
        Calibration(**{"slope": 1.0, "offset": 0.0, "possible": 0.3, "strong": 0.8, **bad})

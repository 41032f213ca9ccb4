"""Calibration: the logistic fit, and what trials count."""

import numpy as np
import pytest

from vmr.model.localise import Proposal
from vmr.training.calibration import Trial, _logistic, calibration_of


def test_logistic_fit_recovers_the_truth() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(0, 2, (20_000, 2))
    y = (draw.random(20_000) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - 0.5 * x[:, 1] - 1)))).astype(float)
    weights = _logistic(np.column_stack([x, np.ones(len(x))]), y)
    np.testing.assert_allclose(weights, [1.5, -0.5, -1], atol=0.1)


def test_a_trial_is_right_from_half_overlap_with_any_answer() -> None:
    moment = Proposal(10.0, 20.0, 1.0, 15.0)
    assert Trial((moment,), ((40.0, 50.0), (10.0, 20.0)), "thing", 60).overlap == pytest.approx(1)
    assert Trial((moment,), ((10.0, 15.0),), "thing", 60).right
    assert not Trial((moment,), ((17.0, 40.0),), "thing", 60).right
    absent = Trial((moment,), (), "thing", 60)
    assert (absent.present, absent.right, absent.overlap) == (False, False, 0.0)


def test_what_falls_with_the_searched_rows_is_recovered() -> None:
    """Scores of the best of so many rows, where the truth is known."""
    draw = np.random.default_rng(0)

    def trials(rows: int) -> list[Trial]:
        made = []
        for score in draw.normal(1, 1.5, 6000):
            odds = 1.5 * score - 0.5 - 0.7 * np.log(rows / 150)
            there = 1.2 * score - 0.36 * np.log(rows / 150)
            right = draw.random() < 1 / (1 + np.exp(-odds))
            shown = draw.random() < 1 / (1 + np.exp(-there))
            moment = Proposal(10.0, 20.0, float(score), 15.0)
            truth = ((10.0, 20.0),) if right else ((50.0, 60.0),) if shown else ()
            made.append(Trial((moment,), truth, "thing", rows))
        return made

    fitted = calibration_of(trials(150), trials(1500))
    assert fitted.rows == 150
    assert fitted.slope == pytest.approx(1.5, abs=0.1)
    assert fitted.offset == pytest.approx(-0.5, abs=0.1)
    assert fitted.right_by_rows == pytest.approx(0.7, abs=0.1)
    assert 0.1 < fitted.found_by_rows < 0.7
    none = calibration_of(trials(150), [*trials(150)[:10], *trials(150)])
    assert none.right_by_rows == 0

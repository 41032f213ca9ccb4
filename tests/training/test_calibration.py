"""Calibration: the logistic fit, and what trials count."""

import numpy as np
import pytest

from vmr.model.localise import Proposal
from vmr.training.calibration import Trial, _logistic


def test_logistic_fit_recovers_the_truth() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(0, 2, (20_000, 2))
    y = (draw.random(20_000) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - 0.5 * x[:, 1] - 1)))).astype(float)
    weights = _logistic(np.column_stack([x, np.ones(len(x))]), y)
    np.testing.assert_allclose(weights, [1.5, -0.5, -1], atol=0.1)


def test_a_trial_is_right_from_half_overlap_with_any_answer() -> None:
    moment = Proposal(10.0, 20.0, 1.0, 15.0)
    assert Trial((moment,), ((40.0, 50.0), (10.0, 20.0)), "thing").overlap == pytest.approx(1)
    assert Trial((moment,), ((10.0, 15.0),), "thing").right
    assert not Trial((moment,), ((17.0, 40.0),), "thing").right
    absent = Trial((moment,), (), "thing")
    assert (absent.present, absent.right, absent.overlap) == (False, False, 0.0)

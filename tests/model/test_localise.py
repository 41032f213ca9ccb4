"""The similarity-curve localiser, on curves whose answer is planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vmr.model.localise import (
    FLAT,
    PEAKS,
    SHARES,
    SNAP_SECONDS,
    Curve,
    Proposal,
    propose,
    propose_each,
    smooth,
    snap,
)
from vmr.model.spans import iou, nms

NO_CUTS = np.zeros(0)


def timeline(count: int) -> tuple[np.ndarray, np.ndarray]:
    starts = np.arange(count, dtype=np.float64)
    return starts, starts + 1


def planted(count: int, spans: dict[tuple[int, int], float], seed: int = 0) -> np.ndarray:
    curve = np.random.default_rng(seed).normal(0, 0.3, count).astype(np.float32)
    for (start, end), height in spans.items():
        curve[start:end] += height
    return curve


def test_a_planted_plateau_is_found_to_the_second() -> None:
    starts, ends = timeline(60)
    best = propose(planted(60, {(20, 28): 4.0}), starts, ends, NO_CUTS)[0]
    assert iou([(best.start, best.end)], [(20, 28)])[0, 0] >= 0.75
    assert 20 <= best.best <= 28


def test_two_plateaus_are_two_moments_in_order_of_height() -> None:
    starts, ends = timeline(90)
    curve = planted(90, {(10, 18): 3.0, (50, 60): 5.0})
    found = [(p.start, p.end) for p in propose(curve, starts, ends, NO_CUTS)]
    assert iou(found[:1], [(50, 60)])[0, 0] > 0.7
    assert iou(found, [(10, 18)]).max() > 0.6


def test_edges_move_onto_near_cuts_only() -> None:
    starts, ends = timeline(40)
    curve = np.zeros(40, dtype=np.float32)
    curve[10:20] = 5
    best = propose(curve, starts, ends, np.array([9.6, 20.4, 30.0]))[0]
    assert (best.start, best.end) == (9.6, 20.4)
    untouched = propose(curve, starts, ends, np.array([5.0, 30.0]))[0]
    assert (untouched.start, untouched.end) == (10.0, 20.0)


def test_edges_never_cross_when_both_snap_to_one_cut() -> None:
    starts, ends = timeline(10)
    curve = np.zeros(10, dtype=np.float32)
    curve[4] = 5
    for proposal in propose(curve, starts, ends, np.array([4.5])):
        assert proposal.start < proposal.end


def test_no_moment_is_too_short_to_be_seen() -> None:
    starts, ends = timeline(6)
    ends[-1] = 5.2
    curve = np.array([0, 0, 0, 0, -5, 9], np.float32)
    best = propose(curve, starts, ends, NO_CUTS)[0]
    assert (best.start, best.end) == pytest.approx((4.7, 5.2))
    (only,) = propose(curve[-1:], starts[-1:], ends[-1:], NO_CUTS)  # all there is
    assert (only.start, only.end) == pytest.approx((5.0, 5.2))


def test_no_rows_no_moments() -> None:
    assert propose(np.zeros(0, dtype=np.float32), NO_CUTS, NO_CUTS, NO_CUTS) == []


def test_one_row_is_a_moment() -> None:
    (only,) = propose(np.ones(1, dtype=np.float32), np.zeros(1), np.array([0.4]), NO_CUTS)
    assert (only.start, only.end) == (0.0, 0.4)


@pytest.mark.parametrize("length", [2, 3, 50])
def test_a_flat_curve_is_one_moment(length: int) -> None:
    starts, ends = timeline(length)
    found = propose(np.full(length, 2.0, dtype=np.float32), starts, ends, NO_CUTS)
    assert [(p.start, p.end) for p in found] == [(0.0, float(length))]


def test_what_an_encoder_does_to_a_still_picture_cuts_nothing_out_of_it() -> None:
    starts, ends = timeline(4)
    still = np.array([1.5377, 1.5391, 1.5396, 1.5340], np.float32)
    assert [(p.start, p.end) for p in propose(still, starts, ends, NO_CUTS)] == [(0.0, 4.0)]


@given(
    hnp.arrays(np.float32, st.integers(1, 80), elements=st.floats(-10, 10, width=32)),
    st.lists(st.floats(0, 80), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_proposals_are_ordered_spans_inside_the_window(
    curve: np.ndarray, cuts: list[float]
) -> None:
    starts, ends = timeline(len(curve))
    inside = sorted(cut for cut in cuts if cut < len(curve))
    found = propose(curve, starts, ends, np.array(inside))
    assert found
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    for p in found:
        assert 0 <= p.start < p.end <= len(curve)
        assert p.score <= smooth(curve).max() + 1e-5


def textbook(curve: Curve) -> list[Proposal]:
    """One peak, one share and one row at a time."""
    level = smooth(curve.similarity)
    count, floor = len(level), float(np.median(level)) if len(level) else 0.0
    peaks = [
        row
        for row in range(count)
        if (row == 0 or level[row] >= level[row - 1])
        and (row == count - 1 or level[row] > level[row + 1])
    ]
    found = []
    for peak in sorted(peaks, key=lambda row: -level[row])[:PEAKS]:
        for share in SHARES:
            rise = float(np.maximum(level[peak] - floor, 0.0))
            line = floor + share * rise if rise >= FLAT else level[peak] - (1 - share) * FLAT
            first, last = peak, peak
            while first > 0 and not level[first - 1] < line:
                first -= 1
            while last < count - 1 and not level[last + 1] < line:
                last += 1
            start, end = snap(curve.starts[first], curve.ends[last], curve.cuts)
            start = min(start, max(end - 0.5, curve.starts[0]))
            mean = level[first : last + 1].astype(np.float64).mean()
            middle = (curve.starts[peak] + curve.ends[peak]) / 2
            found.append(Proposal(start, end, float(0.5 * level[peak] + 0.5 * mean), middle))
    spans = [(moment.start, moment.end) for moment in found]
    kept = nms(spans, [moment.score for moment in found], threshold=0.6, keep=10)
    return [found[i] for i in kept]


@pytest.mark.parametrize("seed", range(8))
def test_curves_that_are_read_together_give_what_each_gives_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves = []
    for length in rng.choice([0, 1, 2, 7, 40, 128], 12).tolist():
        starts, ends = timeline(length)
        cuts = np.sort(rng.uniform(0, length, rng.integers(0, 9)))
        curves.append(Curve(rng.normal(size=length).astype(np.float32), starts, ends, cuts))
    together = propose_each(curves)
    for curve, found in zip(curves, together, strict=True):
        assert found == propose(*curve)
        slow = textbook(curve)
        assert [(p.start, p.end, p.best) for p in found] == [(p.start, p.end, p.best) for p in slow]
        np.testing.assert_allclose([p.score for p in found], [p.score for p in slow], rtol=1e-6)


def test_an_edge_moves_to_the_nearest_cut_within_reach() -> None:
    cuts = np.array([3.0, 10.0, 11.0, 30.0])
    assert snap(10.4, 29.0, cuts) == (10.0, 30.0)
    assert snap(10.5, 29.0, cuts) == (10.0, 30.0)  # as near to both: the earlier
    assert snap(3.0 + SNAP_SECONDS + 0.01, 20.0, cuts) == (3.0 + SNAP_SECONDS + 0.01, 20.0)
    assert snap(9.0, 9.2, cuts) == (9.0, 9.2)  # both on one cut would leave nothing

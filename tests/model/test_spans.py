"""Overlap and suppression: a hand-worked table, a slow oracle, and properties."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmr.model.spans import iou, nms, nms_each

SECONDS = st.integers(0, 40).map(lambda tenth: tenth / 4)  # a coarse grid: ties and touching edges
SPAN = st.tuples(SECONDS, SECONDS).map(lambda pair: (min(pair), max(pair)))
SPANS = st.lists(SPAN, max_size=12)
Span = tuple[float, float]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 10), (0, 10), 1.0),
        ((0, 10), (5, 15), 5 / 15),
        ((0, 10), (10, 20), 0.0),  # half-open: touching is not overlapping
        ((0, 10), (2, 4), 2 / 10),
        ((3, 3), (3, 3), 0.0),  # empty union
        ((0, 1), (8, 9), 0.0),
    ],
)
def test_iou_by_hand(a: Span, b: Span, expected: float) -> None:
    assert iou([a], [b])[0, 0] == pytest.approx(expected)


def test_iou_shapes_and_empty_sides() -> None:
    assert iou(np.zeros((0, 2)), [(0, 1), (2, 3)]).shape == (0, 2)
    assert iou([(0, 1)], []).shape == (1, 0)


@pytest.mark.parametrize("span", [(2, 1), (0, float("nan")), (0, float("inf"))])
def test_spans_that_are_none_are_refused(span: Span) -> None:
    with pytest.raises(ValueError, match="start <= end"):
        iou([span], [(0, 1)])


@given(SPANS, SPANS)
def test_iou_is_symmetric_and_within_0_and_1(a: list[Span], b: list[Span]) -> None:
    overlap = iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert ((overlap >= 0) & (overlap <= 1)).all()
    np.testing.assert_array_equal(overlap, iou(b, a).T)


@given(SPAN, st.integers(-5, 5), st.integers(1, 4))
def test_iou_ignores_shift_and_scale(span: Span, shift: int, scale: int) -> None:
    other = (1.0, 4.0)
    moved = [(scale * s + shift, scale * e + shift) for s, e in (span, other)]
    assert iou([span], [other]) == pytest.approx(iou(moved[:1], moved[1:]))


def common(a: Span, b: Span) -> float:
    """Share of the shorter that both have; empty spans share nothing."""
    shorter = min(a[1] - a[0], b[1] - b[0])
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) / shorter if shorter else 0.0


def slow_nms(
    spans: list[Span], scores: list[int], threshold: float, keep: int, nested: float
) -> list[int]:
    """The textbook loop, one pair at a time."""
    order = sorted(range(len(spans)), key=lambda i: (-scores[i], i))
    kept: list[int] = []
    for i in order:
        if all(
            iou([spans[i]], [spans[j]])[0, 0] <= threshold and common(spans[i], spans[j]) <= nested
            for j in kept
        ):
            kept.append(i)
    return kept[:keep]


@given(
    st.data(),
    SPANS,
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.integers(0, 6),
    st.sampled_from([0.0, 0.8, 1.0]),
)
def test_nms_equals_the_textbook_loop(
    data: st.DataObject, spans: list[Span], threshold: float, keep: int, nested: float
) -> None:
    size = len(spans)
    scores = data.draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    found = nms(spans, scores, threshold=threshold, keep=keep, nested=nested)
    assert found.tolist() == slow_nms(spans, scores, threshold, keep, nested)


@given(
    st.data(),
    st.lists(SPANS, min_size=1, max_size=4),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 6),
    st.sampled_from([0.0, 0.8, 1.0]),
)
def test_lists_that_are_suppressed_together_give_what_each_gives_alone(
    data: st.DataObject, lists: list[list[Span]], threshold: float, keep: int, nested: float
) -> None:
    most = max(1, *map(len, lists))
    boxes, values = np.zeros((len(lists), most, 2)), np.full((len(lists), most), -np.inf)
    for place, spans in enumerate(lists):
        size = len(spans)
        boxes[place, :size] = np.asarray(spans).reshape(-1, 2)
        values[place, :size] = data.draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    options: Any = {"threshold": threshold, "keep": keep, "nested": nested}
    found = nms_each(boxes, values, **options)
    for spans, scores, kept in zip(lists, values, found, strict=True):
        alone = nms(spans, scores[: len(spans)], **options)
        assert kept == alone.tolist()


@given(st.data(), SPANS)
def test_suppress_twice_changes_nothing(data: st.DataObject, spans: list[Span]) -> None:
    size = len(spans)
    scores = data.draw(st.lists(st.floats(-1, 1), min_size=size, max_size=size))
    once = nms(spans, scores, threshold=0.5, keep=size)
    boxes = np.asarray(spans).reshape(-1, 2)[once]
    again = nms(boxes, np.asarray(scores)[once], threshold=0.5, keep=size)
    np.testing.assert_array_equal(again, np.arange(len(once)))


def test_suppress_refuses_scores_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="finite"):
        nms([(0, 1), (1, 2)], [1.0], threshold=0.5, keep=2)
    with pytest.raises(ValueError, match="finite"):
        nms([(0, 1)], [float("nan")], threshold=0.5, keep=2)

"""Scores against hand-worked tables and a slow second implementation; predictions of anybody."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmr.research.annotations import read_annotations
from vmr.research.evaluation import (
    AP_THRESHOLDS,
    EvaluationError,
    average_precision,
    highlights,
    read_predictions,
    recall,
    score,
    table,
)


def spans(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


# Three queries whose overlaps are worked out by hand. IoU with the truth, rank by rank:
#   [0, 10] against 0-10, 0-5, 20-30            -> 1, .5, 0
#   [0, 10] against 5-15, 0-7, 0-9, 0-10, 2-10  -> 1/3, .7, .9, 1, .8
#   [0, 10] against nothing                     -> a miss
FOUND = [
    spans((0, 10), (0, 5), (20, 30)),
    spans((5, 15), (0, 7), (0, 9), (0, 10), (2, 10)),
    spans(),
]
TRUTH = [spans((0, 10))] * 3


def test_recall_by_hand() -> None:
    report = recall(FOUND, TRUTH)
    third = 100 / 3
    expected = {
        (1, 0.1): 2 * third,
        (1, 0.3): 2 * third,
        (1, 0.5): third,
        (1, 0.7): third,
        (5, 0.1): 2 * third,
        (5, 0.7): 2 * third,
    }
    assert {key: report.rate(*key) for key in expected} == pytest.approx(expected)
    assert report.miou == pytest.approx(100 * (1 + 1 / 3) / 3)


def test_the_published_miou_is_of_the_first_answer_alone() -> None:
    """First answers of IoU .5 and 0 and better ones behind them: 25, though the text of MSAT's
    line reads like a mean of the best three of five, which would be 93."""
    behind = (0, 10), (0, 9), (0, 9), (0, 8)
    report = recall([spans((0, 5), *behind), spans((20, 30), *behind)], [spans((0, 10))] * 2)
    assert report.miou == pytest.approx(25)


def test_strict_and_inclusive_differ_on_the_threshold_itself() -> None:
    found, truth = [spans((0, 5))], [spans((0, 10))]
    assert recall(found, truth, strict=True).rate(1, 0.5) == 0
    assert recall(found, truth, strict=False).rate(1, 0.5) == 100


def test_counts_are_added_before_dividing() -> None:
    """Four queries in batches of three: the mean of batch means would be 66.7, the truth is 50."""
    found = [spans((0, 10))] * 2 + [spans((20, 30)), spans((20, 30))]
    assert recall(found, [spans((0, 10))] * 4).rate(1, 0.5) == 50


def test_the_best_of_several_true_moments_counts() -> None:
    assert recall([spans((20, 30))], [spans((0, 10), (20, 30))]).miou == 100


def test_no_queries_and_unequal_numbers_are_refused() -> None:
    for found in ([], [spans()]):
        with pytest.raises(ValueError, match="predictions for"):
            recall(found, [])


pairs = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda p: (p[0], p[0] + p[1]))
lists = st.lists(pairs, min_size=1, max_size=7)


@given(st.lists(st.tuples(st.lists(pairs, max_size=7), lists), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_recall_is_the_plain_loop(
    queries: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    def iou(a: tuple[int, int], b: tuple[int, int]) -> float:
        shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
        return shared / (a[1] - a[0] + b[1] - b[0] - shared)

    found = [spans(*moments) for moments, _ in queries]
    report = recall(found, [spans(*truth) for _, truth in queries], strict=False)
    for n in (1, 5):
        for m in (0.1, 0.3, 0.5, 0.7):
            hits = sum(
                any(iou(moment, true) >= m for moment in moments[:n] for true in truth)
                for moments, truth in queries
            )
            assert report.hits[n, m] == hits
    assert report.rate(1, 0.5) <= report.rate(5, 0.5)
    assert report.rate(1, 0.7) <= report.rate(1, 0.3)


# QVHighlights.


def test_average_precision_by_hand() -> None:
    """Two true moments; ranks: right, wrong, right -> (1 + 2/3) / 2 at every threshold."""
    truth = spans((0, 10), (50, 60))
    found = spans((0, 10), (100, 110), (50, 60))
    assert average_precision(found, truth) == pytest.approx([(1 + 2 / 3) / 2] * 10)
    # A second prediction of the same moment is a false one.
    assert average_precision(spans((0, 10), (0, 10)), truth) == pytest.approx([0.5] * 10)
    # IoU .8: right up to threshold .8.
    part = average_precision(spans((0, 8)), spans((0, 10)))
    assert part.tolist() == [float(m <= 0.8) for m in AP_THRESHOLDS]
    assert average_precision(spans(), truth).tolist() == [0] * 10


def test_precision_is_interpolated() -> None:
    """Wrong, right, right of two: precision 1/2 then 2/3; the envelope lifts the first to 2/3."""
    found = spans((100, 110), (0, 10), (50, 60))
    assert average_precision(found, spans((0, 10), (50, 60)))[0] == pytest.approx(2 / 3)


def test_a_prediction_takes_the_moment_it_overlaps_most() -> None:
    truth = spans((0, 10), (2, 12))
    assert average_precision(spans((2, 12), (0, 10)), truth) == pytest.approx([1.0] * 10)


def test_highlights_by_hand() -> None:
    found = [spans((0, 5), (20, 60)), spans((0, 30))]
    truth = [spans((0, 5), (20, 60)), spans((100, 140))]
    report = highlights(found, truth)
    assert (report.r1[0.5], report.map) == (50, 50)
    assert set(report.lengths) == {"short", "long"}
    # The first query's short moment is found at rank 1, its long one at rank 2 behind a wrong one.
    assert (report.lengths["short"].queries, report.lengths["short"].map) == (1, 100)
    assert (report.lengths["long"].queries, report.lengths["long"].map) == (2, 25)


def test_only_ten_predictions_count() -> None:
    found = [spans(*[(100 + i, 101 + i) for i in range(10)], (0, 10))]
    assert highlights(found, [spans((0, 10))]).map == 0


# Predictions of anybody.


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    lines = [
        {"id": "q1", "video": "a.mp4", "query": "a dog", "duration": 30, "moments": [[0, 10]]},
        {"id": "q2", "video": "a.mp4", "query": "a cat", "duration": 30, "moments": [[10, 20]]},
        {"id": "q3", "video": "b.mp4", "query": "a dog", "duration": 30, "moments": [[5, 9]]},
    ]
    file = tmp_path / "truth.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_predictions_in_every_accepted_form(annotated: Path, tmp_path: Path) -> None:
    lines = [
        {"qid": "q1", "pred_relevant_windows": [[20, 30, 0.1], [0, 10, 0.9]]},
        {"video": "a.mp4", "query": "a cat ", "moments": [{"start": 10, "end": 20, "score": 1}]},
        {"id": "q3", "moments": [[0, 1], [5, 9]]},
    ]
    file = tmp_path / "found.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    annotations = read_annotations(annotated)
    found, unanswered = read_predictions(file, annotations)
    assert unanswered == 0
    assert [moments[0].tolist() for moments in found] == [[0, 10], [10, 20], [0, 1]]
    report = score(annotations.dataset, annotations.queries, found).recall
    assert report.rate(1, 0.7) == pytest.approx(200 / 3)
    assert report.rate(5, 0.7) == 100
    assert not report.strict


def test_unanswered_queries_are_counted(annotated: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.jsonl"
    file.write_text('{"qid": "q1", "moments": []}')
    found, unanswered = read_predictions(file, read_annotations(annotated))
    assert (unanswered, [len(moments) for moments in found]) == (2, [0, 0, 0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"found\.jsonl:1: expected a JSON object"),
        ("[]", r"found\.jsonl:1: expected a JSON object"),
        ('{"qid": "q1"}', "pred_relevant_windows"),
        ('{"qid": "q9", "moments": []}', r"found\.jsonl:1: no annotated query 'q9'"),
        ('{"qid": "q1", "moments": [[5, 2]]}', "ends before it starts"),
        ('{"qid": "q1", "moments": [[1, NaN]]}', "no number"),
        ('{"qid": "q1", "moments": [[1]]}', "expected"),
    ],
)
def test_predictions_that_are_none_name_their_line(
    annotated: Path, tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "found.jsonl"
    file.write_text(line)
    with pytest.raises(EvaluationError, match=message) as caught:
        read_predictions(file, read_annotations(annotated))
    assert "\n" not in str(caught.value)


def test_a_sentence_that_is_asked_twice_is_answered_twice(tmp_path: Path) -> None:
    entry = {"duration": 9.0, "timestamps": [[0, 3], [3, 6]], "sentences": ["same", "same"]}
    truth, file = tmp_path / "a.json", tmp_path / "found.jsonl"
    truth.write_text(json.dumps({"v": entry}))
    file.write_text('{"video": "v", "query": "same", "moments": [[0, 3]]}')
    annotations = read_annotations(truth)
    found, unanswered = read_predictions(file, annotations)
    assert unanswered == 0
    assert score("activitynet", annotations.queries, found).recall.rate(1, 0.7) == 50


def test_tables_say_what_they_count() -> None:
    report = recall(FOUND, TRUTH)
    text = table(report)
    assert "R@1 IoU>0.5" in text
    assert "33.33" in text
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize(("dataset", "miou"), [("tacos", "34.92"), ("activitynet", "46.27")])
def test_tables_put_the_published_figures_below_ours(dataset: str, miou: str) -> None:
    lines = [line.split("|") for line in table(recall(FOUND, TRUTH), dataset=dataset).splitlines()]
    assert {len(line) for line in lines} == {12}  # name, eight rates, mIoU, and the ends
    assert [cell.strip() for cell in lines[0][1:-1]][-1] == "mIoU"
    best = [cell.strip() for cell in lines[3][1:-1]]
    assert "best of" in best[0]
    assert best[1] == ""  # nothing is published at IoU .1
    assert best[-1] == miou

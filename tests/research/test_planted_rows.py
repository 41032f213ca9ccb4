"""The planted features say what they promise, since figures in docs/EXPERIMENTS.md rest on them."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.evaluation_speed import measure
from experiments.chance import hits
from experiments.planted import (
    Planter,
    as_json_line,
    best_run,
    matched_filter,
    plant,
    split_passes,
)
from tests.support.planted import packaged_words
from vmr.model.network import candidates
from vmr.research.annotations import AnnotatedQuery, read_annotations
from vmr.research.evaluation import THRESHOLDS

SENTENCES = ("a dog runs", "she cuts an onion", "he plays the guitar", "a plane takes off")


def asked(number: int, start: float, end: float, video: str = "v") -> AnnotatedQuery:
    return AnnotatedQuery(f"q{number}", video, 40.0, SENTENCES[number], ((start, end),))


QUERIES = [asked(0, 0, 10), asked(1, 10, 25), asked(2, 20, 30), asked(3, 5, 9, "w")]


@pytest.fixture(scope="module")
def planter() -> Planter:
    return Planter(QUERIES, packaged_words(), width=64)


def test_a_sentence_is_one_unit_vector_that_differs_from_others(planter: Planter) -> None:
    vectors = np.stack([planter.sentence(text) for text in SENTENCES])
    similar = vectors @ vectors.T
    assert np.allclose(np.diag(similar), 1, atol=1e-5)
    assert np.abs(similar - np.eye(4)).max() < 0.7


def test_rows_of_the_span_carry_the_sentence_and_others_do_not(planter: Planter) -> None:
    rows = planter.video(QUERIES[:3], rate=2.0, noise=0.0, seed=0)
    assert rows.shape == (80, 64)
    found = rows @ planter.sentence(SENTENCES[0])
    assert found[:20] == pytest.approx(np.ones(20), abs=1e-5)
    assert not rows[60:].any()
    both = planter.sentence(SENTENCES[1]) + planter.sentence(SENTENCES[2])
    assert np.allclose(rows[45], both, atol=1e-5)


def test_noise_has_the_length_it_says(planter: Planter) -> None:
    rows = planter.video(QUERIES[:1], rate=50.0, noise=1.5, seed=0)[1000:]
    assert np.linalg.norm(rows, axis=1).mean() == pytest.approx(1.5, rel=0.02)


def test_one_file_for_all_videos(tmp_path: Path) -> None:
    out = tmp_path / "f.hdf5"
    assert plant(QUERIES, out, width=64, rate=1.0, noise=1.0, words=packaged_words()) == 2
    with h5py.File(out) as file:
        assert sorted(file) == ["v", "w"]
        assert file["v"].shape == (40, 64)
    with pytest.raises(ValueError, match="rows of 10 columns cannot hold 50-d"):
        plant(QUERIES, out, width=10, rate=1.0, noise=1.0, words=packaged_words())


def test_passes_are_split_where_times_start_again(tmp_path: Path) -> None:
    queries = [asked(0, 0, 4), asked(1, 3, 9), asked(2, 1, 2), asked(3, 0, 1, "w"), asked(0, 0, 1)]
    split = split_passes(queries)
    assert [query.video for query in split] == [
        *("v pass 0", "v pass 0", "v pass 1", "w pass 0", "v pass 2")
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(as_json_line, split[:4])))
    assert read_annotations(file).queries == tuple(split[:4])
    assert json.loads(file.read_text().splitlines()[0])["moments"] == [[0, 4]]


def test_the_best_run_is_the_best_of_all_runs() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        similar = generator.standard_normal(12).astype(np.float32)
        runs = [(i, j) for i in range(12) for j in range(i + 1, 13)]
        totals = {run: (similar[slice(*run)] - 0.2).sum() for run in runs}
        assert best_run(similar, 0.2) == max(runs, key=totals.__getitem__)


def test_a_matched_filter_finds_what_was_planted(planter: Planter, tmp_path: Path) -> None:
    out = tmp_path / "f.hdf5"
    plant(QUERIES, out, width=64, rate=1.0, noise=0.1, words=packaged_words())
    apart = [QUERIES[0], QUERIES[3]]  # the other two lie on top of each other
    assert matched_filter(apart, out, planter, 32)[0.7] == 1
    elsewhere = [replace(query, spans=((30.0, 40.0),)) for query in apart]
    assert matched_filter(elsewhere, out, planter, 32)[0.7] == 0


def test_evaluation_speed_is_measured() -> None:
    figures = measure(3)
    assert (figures["queries"], figures["candidates"]) == (3, 2548)
    assert figures["rank_seconds"] > 0


def test_chance_by_hand() -> None:
    """Two clips: candidates 0-1, 1-2 and 0-2; the truth is the first half of the video."""
    right = hits((AnnotatedQuery("q", "v", 40.0, "a", ((0.0, 20.0),)),), clips=2)
    cells = [tuple(cell) for cell in candidates(2).tolist()]
    assert right[THRESHOLDS.index(0.3)].tolist() == [float(c in ((0, 1), (0, 2))) for c in cells]
    assert right[THRESHOLDS.index(0.5)].tolist() == [float(c == (0, 1)) for c in cells]  # > .5

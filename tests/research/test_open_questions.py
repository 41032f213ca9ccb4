"""The sets made for the open questions are as they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.open_questions import main, unseen
from vmr.research.annotations import read_annotations
from vmr.research.data import tokens
from vmr.research.rows import open_rows

SENTENCES = [
    f"a {a} {b}s near the {c}"
    for a in ("dog", "man", "bird")
    for b in ("run", "eat", "fly", "play")
    for c in ("house", "river", "beach", "tree")
]


def made(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Path:
    source = folder / "source.jsonl"
    lines = [
        {"video": "v", "query": text, "duration": 9.0, "moments": [[0, 3]]} for text in SENTENCES
    ]
    source.write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr("sys.argv", ["x", kind, str(source), "--out", str(folder), *more])
    main()
    return folder


def test_lengths_vary_and_some_words_are_never_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("lengths", tmp_path, monkeypatch, "--videos", "60")
    splits = {
        name: read_annotations(folder / f"{name}.jsonl").queries
        for name in ("train", "validation", "test")
    }
    assert {name: len(queries) for name, queries in splits.items()} == {
        **{"train": 42 * 4, "validation": 6 * 4, "test": 12 * 4}
    }
    rows = [query.duration for queries in splits.values() for query in queries]
    assert 10 <= min(rows) < 30 < 300 < max(rows) <= 1000
    counts = [len(tokens(query.sentence)) for query in splits["test"]]
    assert 3 <= min(counts) < 6 < 30 < max(counts) <= 60
    words = {
        name: {word for query in queries for word in tokens(query.sentence)}
        for name, queries in splits.items()
    }
    hidden = {word for word in words["test"] if unseen(word)}
    assert hidden
    assert not hidden & (words["train"] | words["validation"])
    videos = [{query.video for query in queries} for queries in splits.values()]
    assert not videos[0] & videos[2]
    query = splits["test"][0]
    assert open_rows(folder / "features.hdf5").rows(query.video).shape == (query.duration, 64)


def test_short_moments_take_a_hundredth_of_ten_times_what_a_network_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("short", tmp_path, monkeypatch, "--videos", "10")
    queries = read_annotations(folder / "test.jsonl").queries
    lengths = [end - start for query in queries for start, end in query.spans]
    assert np.allclose(lengths, 25.6)
    assert {query.duration for query in queries} == {2560.0}


def test_growth_needs_no_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("model.width=8", "model.heads=2", "model.feature_width=8", "model.layers=2")
    options = [f"--set={change}" for change in (*small, "model.vocabulary=0", "model.word_width=8")]
    monkeypatch.setattr("sys.argv", ["x", "growth", *options])
    main()
    printed = capsys.readouterr().out
    assert "two-stream, equal FLOPs: width" in printed
    assert "| 1000 |" in printed
    assert "| 60 |" in printed

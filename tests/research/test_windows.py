"""Long videos in windows of their own rows: where they lie, what is learnt, what it is worth."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.planted import plant
from tests.support.planted import packaged_words
from tests.support.research import CHANGES, SENTENCES
from vmr.model.network import MomentModel
from vmr.research.annotations import read_annotations
from vmr.research.data import ELSEWHERE, MomentData, choose_window, collate, window_starts
from vmr.research.loss import LossConfig, Objective, shows, stage_labels
from vmr.research.predict import predict, proposals
from vmr.research.preset import Preset, load_preset
from vmr.research.rows import open_rows
from vmr.research.run import load_run
from vmr.research.train import evaluate, train

torch.set_num_threads(1)
SECONDS, SHARE = 400, 0.01  # of a video, and of it that a moment takes
WINDOWS = (*CHANGES, "model.vocabulary=0", "model.dropout=0", "contrast.pooling=mean")


def write_long(folder: Path, name: str, videos: int, seed: int) -> Path:
    """Videos of 400 rows in which each of eight sentences is true for a hundredth, somewhere."""
    places = np.random.default_rng(seed)
    length = SECONDS * SHARE
    lines = [
        {
            "video": f"{name}{video}",
            "query": sentence,
            "duration": float(SECONDS),
            "moments": [[start, start + length]],
        }
        for video in range(videos)
        for sentence in SENTENCES
        for start in [float(places.integers(SECONDS - int(length)))]
    ]
    file = folder / f"{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    queries = read_annotations(file).queries
    plant(queries, folder / f"{name}.h5", width=50, rate=1.0, noise=0.3, words=packaged_words())
    return file


def opened(file: Path, *changes: str) -> tuple[Preset, MomentData]:
    preset = load_preset("tacos", [*WINDOWS, *changes])
    rows = open_rows(file.with_suffix(".h5"))
    data = MomentData(read_annotations(file), rows, packaged_words(), preset.model, preset.data)
    return preset, data


def test_windows_cover_a_video_and_overlap_by_half() -> None:
    assert window_starts(10, 16) == window_starts(16, 16) == [0]
    assert window_starts(17, 16) == [0, 1]
    assert window_starts(40, 16) == [0, 8, 16, 24]
    assert window_starts(41, 16) == [0, 8, 16, 24, 25]
    assert window_starts(3, 1) == [0, 1, 2]


def test_a_window_holds_the_moment_whole_or_lies_elsewhere() -> None:
    starts, draws = window_starts(64, 16), np.random.default_rng(0)
    drawn = [choose_window(starts, 16, (20.0, 25.0), draws) for _ in range(600)]
    assert set(drawn) == {0, 32, 40, 48, 16}  # 8..24 cuts it in two
    assert sum(at != 16 for at in drawn) / 600 == pytest.approx(ELSEWHERE, abs=0.06)
    longer = {choose_window(starts, 16, (4.0, 60.0), draws) for _ in range(99)}
    assert longer == {16, 24, 32}  # none holds it: those that have its middle, 32
    assert choose_window([0], 16, (0.0, 1.0), draws) == 0


def test_rows_and_spans_are_those_of_the_window(tmp_path: Path) -> None:
    file = write_long(tmp_path, "v", 1, 0)
    _, data = opened(file, "data.length=windows", "data.normalise=false")
    stored = open_rows(file.with_suffix(".h5")).rows("v0")
    query = data.queries[2]
    assert data.windows(2) == list(range(0, 184 + 1, 8))
    item = data.item(2, query.spans[0], start=24)
    assert np.array_equal(item.rows.numpy(), stored[48:80])
    assert (item.clips, item.start) == (16, 24)
    assert item.span == (query.spans[0][0] / 2 - 24, query.spans[0][1] / 2 - 24)
    asked = list(data.batches(10))
    assert sum(len(batch.spans) for batch in asked) == 8 * 24
    drawn = [data.item(2, query.spans[0], np.random.default_rng(k)) for k in range(50)]
    assert {bool(shows(torch.tensor([i.span]), torch.tensor(16))) for i in drawn} == {True, False}
    # The other lengths are one window, and take nothing from the generator that hides words.
    _, fixed = opened(file)
    assert fixed.windows(2) == [0]
    whole = fixed.item(2, query.spans[0], np.random.default_rng(1))
    assert len(whole.rows) == 32


def test_a_moment_elsewhere_teaches_that_nothing_is_here() -> None:
    visible = torch.ones(2, 17, dtype=torch.bool)
    spans = torch.tensor([[40.0, 44.0], [-9.0, -3.0]])
    assert shows(torch.tensor([[0.0, 2.0], [14, 16], [-3, 1], [15, 20]]), torch.tensor(16)).all()
    assert not shows(spans, torch.tensor([16, 16])).any()
    assert stage_labels(spans, visible, LossConfig()).abs().max() == 0


def test_the_contrast_is_of_the_moments_that_are_shown(tmp_path: Path) -> None:
    _, data = opened(write_long(tmp_path, "v", 1, 0), "data.length=windows")
    items = [data.item(n, data.queries[n].spans[0]) for n in range(4)]  # first windows
    items = [replace(item, span=(2.0, 5.0)) for item in items[:2]] + [
        replace(item, span=(30.0, 33.0)) for item in items[2:]
    ]
    losses = []
    for batch in (collate(items), collate(items[:2]), collate(items[2:])):
        torch.manual_seed(0)
        preset = load_preset("tacos", WINDOWS)
        objective = Objective(MomentModel(preset.model), preset.loss, preset.contrast)
        found = objective(batch)
        losses.append(found["contrast"].item())
        assert all(torch.isfinite(loss) for loss in found.values())
        assert objective.contrast is not None
        held = objective.contrast.queue_identities
        assert held[held >= 0].tolist() == [n for n in batch.queries.tolist() if n < 2]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[2] == 0


def test_answers_of_all_windows_are_ranked_together(tmp_path: Path) -> None:
    file = write_long(tmp_path, "v", 1, 0)
    preset, data = opened(file, "data.length=windows")
    torch.manual_seed(0)
    model = MomentModel(preset.model).eval()
    # Odd batches split the windows of a query: the answer does not depend on it.
    one = predict(model, data, suppression=0.5, batch=7)
    two = predict(model, data, suppression=0.5, batch=64)
    for a, b in zip(one, two, strict=True):
        assert np.allclose(a, b, atol=1e-4)
    found = list(proposals(model, data, 64, torch.device("cpu"), "float32"))
    assert [number for number, _, _ in found] == [n for n in range(8) for _ in range(24)]
    best = max(scores.max() for number, _, scores in found if number == 3)
    assert one[3][0, 2] == pytest.approx(best, abs=1e-5)
    assert max(moments[:, 1].max() for moments in one) > 300  # seconds, of the whole video


def test_moments_of_a_hundredth_of_the_video_are_found_by_its_own_rows(tmp_path: Path) -> None:
    """Resampled to 32 rows, a moment of 4 of 400 is a third of one; in a window it is two clips."""
    training, other = (write_long(tmp_path, *set_) for set_ in (("a", 12, 0), ("b", 4, 1)))
    right = {}
    for length in ("fixed", "windows"):
        faster = "train.batch=16", "train.rate=3e-3", "model.spread=0.1"
        preset, data = opened(training, f"data.length={length}", *faster)
        _, held_out = opened(other, f"data.length={length}")
        out = tmp_path / length
        train(preset, data, None, (), out, device="cpu", steps=200)
        model, _, _ = load_run(out)
        scores = evaluate(model, held_out, preset, torch.device("cpu")).recall
        right[length] = scores.rate(1, 0.5)
    assert right["windows"] > 40
    assert right["fixed"] < 10

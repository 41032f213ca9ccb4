"""The model: weights on disk, scores in standard deviations, strength and verdict."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from feature_extract.motion import motion_width
from feature_extract.networks.appearance import BLOCKS
from vmr.model.network import MomentModel
from vmr.model.retrieval import BASE, HUB_WEIGHT, Mix, RetrievalModel
from vmr.model.second_stage import SecondStage, second_stage_config
from vmr.model.strength import Calibration
from vmr.model.text import Query, Words
from vmr.model.towers import Towers, TowersConfig
from vmr.model.weights import ModelError
from vmr.model.windows import cut_windows

WORDS = Words(["a", "b", "c"], np.eye(3, 6, dtype=np.float32), "words")
CALIBRATION = Calibration(slope=2.0, offset=-4.0, possible=0.3, strong=0.8)


@pytest.fixture
def model() -> RetrievalModel:
    torch.manual_seed(0)
    towers = Towers(TowersConfig(blocks={"appearance": 24}, word_width=6, width=16, hidden=32))
    background = torch.nn.functional.normalize(torch.randn(64, 16), dim=1)
    captions = torch.nn.functional.normalize(torch.randn(40, 16), dim=1)
    return RetrievalModel(
        WORDS, towers, background, captions, CALIBRATION, word_fingerprint="words"
    )


def query(*, width: int = 6) -> Query:
    vectors = np.random.default_rng(1).normal(size=(3, width)).astype(np.float32)
    return Query("a b c", ("a", "b", "c"), vectors)


def test_vectors_are_unit_vectors_and_a_column_for_hubs(model: RetrievalModel) -> None:
    rows = np.random.default_rng(0).random((40, 24)).astype(np.float16)
    clips, asked = model.encode_clips(rows), model.encode_query(query())
    assert clips.shape == (40, 17)
    np.testing.assert_allclose(np.linalg.norm(clips[:, :-1], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(asked[:-1]), 1, atol=1e-5)
    # The score is the cosine minus a share of the mean of the ten nearest captions.
    nearest = np.sort(clips[:, :-1] @ model._captions.T, axis=1)[:, -10:].mean(1)
    expected = clips[:, :-1] @ asked[:-1] - HUB_WEIGHT * nearest
    np.testing.assert_allclose(clips @ asked, expected, atol=1e-5)


def test_a_clip_as_a_query_finds_itself(model: RetrievalModel) -> None:
    clips = model.encode_clips(np.random.default_rng(0).random((40, 24)).astype(np.float32))
    found = [int((clips[:, :-1] @ model.as_query(clip)[:-1]).argmax()) for clip in clips]
    assert found == list(range(40))
    assert model.as_query(clips[0])[-1] == 1


def test_batches_do_not_matter(model: RetrievalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).random((11, 24)).astype(np.float32)
    whole = model.encode_clips(rows)
    monkeypatch.setattr("vmr.model.retrieval._BATCH", 4)
    np.testing.assert_allclose(model.encode_clips(rows), whole, atol=1e-6)


def test_the_curve_is_in_standard_deviations_above_the_best_of_the_background(
    model: RetrievalModel,
) -> None:
    vector = model.encode_query(query())
    curve = model.curve(model.background, vector)
    assert curve.max() == pytest.approx(0, abs=1e-5)  # the best hundredth of 64 is one
    assert abs(curve.std() - 1) < 1e-4


def test_what_is_usual_where_one_searches_is_taken_off_and_no_more_than_some(
    model: RetrievalModel,
) -> None:
    vector = model.encode_query(query())
    nearest = model.background[np.argsort(-(model.background @ vector))]
    plain = model.curve(nearest, vector)
    farther, a_little, nearer = (model.among(rows) for rows in (nearest[-8:], nearest, nearest[:8]))
    np.testing.assert_array_equal(farther.curve(nearest, vector), plain)
    np.testing.assert_allclose(a_little.curve(nearest, vector), plain, atol=1e-5)
    np.testing.assert_allclose(
        nearer.curve(nearest, vector), plain - 8 / (8 + 60) * plain_surplus(plain, 8), atol=1e-4
    )
    many = np.repeat(nearest[:8], 100, axis=0)
    np.testing.assert_allclose(model.among(many).curve(nearest, vector), plain - 0.7, atol=1e-4)
    # Parts of a question are compared with what is around them, so they are left as they are.
    np.testing.assert_array_equal(
        model.among(many).matches(nearest, query()), model.matches(nearest, query())
    )


def plain_surplus(curve: NDArray[np.float32], first: int) -> float:
    """How far the first rows of a curve over the background are above its mean."""
    return float(curve[:first].mean() - curve.mean())


def test_a_saved_ranker_answers_the_same(model: RetrievalModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = RetrievalModel.load(tmp_path)
    rows = np.random.default_rng(0).random((5, 24)).astype(np.float32)
    # float16 on disk
    np.testing.assert_allclose(loaded.encode_clips(rows), model.encode_clips(rows), atol=5e-3)
    assert loaded.calibration == CALIBRATION
    assert loaded.fingerprint == RetrievalModel.load(tmp_path).fingerprint != model.fingerprint


def test_the_second_stage_is_saved_and_answers_for_parts(
    model: RetrievalModel, tmp_path: Path
) -> None:
    clips = model.encode_clips(np.random.default_rng(0).random((20, 24)).astype(np.float32))
    starts = np.arange(20, dtype=np.float64)
    windows = cut_windows(clips, starts, starts + 1, np.zeros(0))
    (alone,) = model.localise(windows, query())
    model.second_stage = SecondStage(
        MomentModel(second_stage_config(model.space, word_width=6, width=24)), model.space
    ).eval()
    model.mix = Mix(slope=2.0, offset=-1.0)
    assert model.localise(windows, query()) == [alone]
    # Two parts: its own moments, in the unit of the curve.
    two = Query("one then two", ("one", "then", "two"), np.eye(3, 6, dtype=np.float32))
    own = model.second_stage.propose(windows, [model.matches(clips, two)], two.vectors)[0]
    (found,) = model.localise(windows, two)
    assert [m.score for m in found] == pytest.approx([2 * m.score - 1 for m in own])
    model.save(tmp_path)
    again = RetrievalModel.load(tmp_path)
    assert again.mix == model.mix
    ((best, *_),) = again.localise(windows, two)
    assert best.score == pytest.approx(found[0].score, abs=0.1)  # float16 on disk


def test_missing_damaged_and_foreign_weights_are_refused(
    model: RetrievalModel, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no weights there"):
        RetrievalModel.load(tmp_path / "absent")
    model.save(tmp_path)
    weights, config = tmp_path / "weights.safetensors", tmp_path / "config.json"
    content, settings = weights.read_bytes(), json.loads(config.read_text())
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match="checksum"):
        RetrievalModel.load(tmp_path)
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="damaged"):
        RetrievalModel.load(tmp_path)
    weights.write_bytes(content)
    config.write_text(json.dumps({**settings, "format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        RetrievalModel.load(tmp_path)


def test_weights_of_the_format_before_are_read_word_by_word(
    model: RetrievalModel, tmp_path: Path
) -> None:
    model.save(tmp_path)
    config = tmp_path / "config.json"
    settings = json.loads(config.read_text())
    assert (settings.pop("sentences"), settings["towers"].pop("sentence_width")) == (None, 0)
    config.write_text(json.dumps({**settings, "format": 7}))
    loaded = RetrievalModel.load(tmp_path)
    assert (loaded.encoder, loaded.questions) == (None, "word by word")
    config.write_text(json.dumps({**settings, "format": 8, "sentences": "another"}))
    with pytest.raises(ModelError, match="made for the sentence encoder another"):
        RetrievalModel.load(tmp_path)


def test_word_vectors_of_another_width_are_refused(model: RetrievalModel) -> None:
    with pytest.raises(ModelError, match="width 300"):
        model.encode_query(query(width=300))


def test_rows_of_another_width_are_refused(model: RetrievalModel) -> None:
    with pytest.raises(ValueError, match="24"):
        model.encode_clips(np.zeros((3, 25), dtype=np.float32))


def test_the_shipped_weights_load_and_know_their_words() -> None:
    model = RetrievalModel.load()
    assert model.blocks == {**BLOCKS, "motion": motion_width()}
    count = sum(parameter.numel() for parameter in model.towers.parameters())
    assert count == 7_963_188  # as the model card says
    assert model.word_fingerprint == Words.load().fingerprint
    assert sum(file.stat().st_size for file in BASE.iterdir()) < 40e6

"""Attention of words to seconds: a hand-worked case, and what a reader looks at."""

import numpy as np
import pytest
import torch

from tests.support.planted import random_rows, tiny_model
from vmr.model.network import MomentModel
from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import SecondStage, second_stage_config
from vmr.model.text import Words
from vmr.model.windows import Window, cut_windows
from vmr.search.explain import attention, between


@pytest.fixture
def model() -> RetrievalModel:
    model = tiny_model()
    torch.manual_seed(0)
    config = second_stage_config(model.space, width=24)
    model.second_stage = SecondStage(MomentModel(config), model.space).eval()
    return model


def window_of_rows(model: RetrievalModel, count: int) -> Window:
    starts = np.arange(count, dtype=np.float64)
    clips = model.encode_clips(random_rows(count, 3))
    return cut_windows(clips, starts, starts + 1, np.array([2.5]))[0]


def test_a_row_has_the_mean_of_the_boundaries_beside_it() -> None:
    at = np.array([[0.3, 0.3, 0.3, 0.1], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(between(at), [[0.375, 0.375, 0.25], [1 / 3] * 3])
    np.testing.assert_allclose(between(np.array([[0.7, 0.3]])), [[1.0]])  # a window of one row


@pytest.mark.parametrize("count", [1, 5, 128])
def test_a_line_a_word_that_sums_to_one(model: RetrievalModel, words: Words, count: int) -> None:
    query = words.query("a dog runs")
    looked = attention(model, window_of_rows(model, count), query)
    assert looked.shape == (3, count)
    assert (looked >= 0).all()
    np.testing.assert_allclose(looked.sum(axis=1), 1, atol=1e-5)


def test_it_follows_what_the_words_look_at(
    model: RetrievalModel, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys that grow along the video and one query direction, every word looks at the end."""
    window, query = window_of_rows(model, 12), words.query("a dog")
    before = attention(model, window, query)

    def ramp(rows: torch.Tensor, words: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        weights = torch.arange(rows.shape[1] + 1.0).softmax(0)
        return weights.expand(6, 1, 4, words.shape[1], -1)

    assert model.second_stage is not None
    monkeypatch.setattr(model.second_stage.network, "attention_maps", ramp)
    after = attention(model, window, query)
    assert (after.argmax(axis=1) == 11).all()
    assert (np.diff(after, axis=1) > 0).all()
    assert not np.allclose(before, after)


def test_other_words_look_elsewhere(model: RetrievalModel, words: Words) -> None:
    window = window_of_rows(model, 20)
    looked = attention(model, window, words.query("zebra football"))
    assert not np.allclose(looked[0], looked[1])


def test_without_a_second_stage_it_says_so(words: Words) -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="no second stage"):
        attention(model, window_of_rows(model, 5), words.query("a dog"))

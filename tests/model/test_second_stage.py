"""The second stage: what it reads, seconds in and out, and that it learns."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from vmr.model.network import MomentModel
from vmr.model.second_stage import (
    CLIP_SCALE,
    EXTRA_COLUMNS,
    MATCH_SCALE,
    MOVEMENT_SCALE,
    SecondStage,
    second_stage_config,
    window_rows,
)
from vmr.model.space import Space
from vmr.model.text import Query
from vmr.model.windows import Window
from vmr.research.loss import LossConfig
from vmr.training.compose import Segment, Timeline
from vmr.training.second_stage import errors_of, seen_cuts
from vmr.training.second_stage_check import check
from vmr.training.second_stage_loss import Example, second_stage_loss

SPACE = Space(4, movements_width=4)
WIDTH = SPACE.width


@pytest.fixture(scope="module")
def second_stage() -> SecondStage:
    torch.manual_seed(0)
    return SecondStage(
        MomentModel(second_stage_config(SPACE, word_width=6, width=24)), SPACE
    ).eval()


def window(length: int, *, begin: float = 0.0, seed: int = 0) -> Window:
    clips = np.random.default_rng(seed).normal(size=(length, WIDTH)).astype(np.float32)
    starts = begin + np.arange(length, dtype=np.float64)
    ends = starts + 1
    ends[-1] -= 0.5  # the last row of a video is often shorter
    cuts = np.array([begin + 2.25, begin + 500.0]) if length > 2 else np.zeros(0)
    return Window(clips, starts, ends, cuts)


def matches(part: Window) -> np.ndarray:
    return part.clips[:, :3].T


def test_rows_hold_the_clip_its_matches_and_cuts() -> None:
    part = window(5, begin=10)
    curves = np.arange(15, dtype=np.float32).reshape(3, 5)
    rows = window_rows(SPACE, part, curves)
    assert rows.shape == (5, WIDTH - 1 + EXTRA_COLUMNS)
    np.testing.assert_allclose(rows[:, : WIDTH - 5], CLIP_SCALE * part.clips[:, :-5])
    np.testing.assert_allclose(
        rows[:, WIDTH - 5 : WIDTH - 1], MOVEMENT_SCALE * part.clips[:, -5:-1]
    )
    np.testing.assert_allclose(rows[:, WIDTH - 1 : WIDTH + 2], MATCH_SCALE * curves.T)
    np.testing.assert_allclose(rows[:, WIDTH + 2], [0, 0, 1, 0, 0])
    np.testing.assert_allclose(rows[:, WIDTH + 3], [0, 0, 0.25, 0, 0])


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a dog runs, then it jumps", "a dog runs", "it jumps"),
        ("first a car, then a bus and then a van", "first a car then a bus and", "a van"),
        ("a dog runs, followed by a man", "a dog runs", "by a man"),
        ("a dog runs after a ball", "a dog runs after a ball", "a dog runs after a ball"),
        ("a dog on a beach", "a dog on a beach", "a dog on a beach"),
        ("then a dog", "then a dog", "then a dog"),
    ],
)
def test_a_query_has_two_parts_around_its_last_joint(text: str, first: str, second: str) -> None:
    words = text.replace(",", "").split()
    vectors = np.arange(len(words), dtype=np.float32)[:, None]
    query = Query(text, tuple(words), vectors)
    before, after = query.parts or (query, query)
    assert (query.parts is None) == (first == second)
    assert (" ".join(before.words), " ".join(after.words)) == (first, second)
    for part in (before, after):
        assert [words[int(place)] for place in part.vectors[:, 0]] == list(part.words)


def test_moments_are_seconds_inside_the_window_best_first(second_stage: SecondStage) -> None:
    words = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    for length in (1, 2, 7, 128):
        part = window(length, begin=300)
        (moments,) = second_stage.propose([part], [matches(part)], words)
        assert moments
        scores = [moment.score for moment in moments]
        assert scores == sorted(scores, reverse=True)
        for moment in moments:
            assert 300 <= moment.start < moment.end <= 300 + length - 0.5
            assert moment.start <= moment.best <= moment.end


def test_windows_of_other_lengths_in_a_batch_change_nothing(second_stage: SecondStage) -> None:
    words = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    several = [window(length, seed=length) for length in (5, 128, 40)]
    together = second_stage.propose(several, [matches(part) for part in several], words)
    for part, moments in zip(several, together, strict=True):
        (alone,) = second_stage.propose([part], [matches(part)], words)
        assert len(alone) == len(moments)
        for one, other in zip(alone, moments, strict=True):
            assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-3)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def examples(seed: int) -> Iterator[Example]:
    """Windows whose match is high inside the answer; a third has none."""
    draw = np.random.default_rng(seed)
    while True:
        length = int(draw.integers(24, 60))
        start = float(draw.integers(0, length - 12))
        span = (start, start + float(draw.integers(4, 12)))
        rows = draw.normal(0, 0.3, (length, WIDTH - 1 + EXTRA_COLUMNS)).astype(np.float32)
        present = bool(draw.random() < 0.67)
        if present:
            rows[int(span[0]) : int(span[1]), WIDTH - 1] += 2
        words = draw.normal(size=(3, 6)).astype(np.float32)
        yield Example(rows, words, (span,) if present else (), "thing")


def test_it_learns_where_the_match_is_high_and_that_there_may_be_none() -> None:
    torch.manual_seed(0)
    network = MomentModel(second_stage_config(SPACE, word_width=6, width=24))
    second_stage = SecondStage(network, SPACE)
    stream, held_out = examples(0), examples(1)
    checks = [next(held_out) for _ in range(60)]
    before = check(second_stage, checks)
    optimizer = torch.optim.AdamW(second_stage.parameters(), 3e-3)
    for _ in range(80):
        batch = [next(stream) for _ in range(16)]
        loss = second_stage_loss(second_stage.train(), batch, LossConfig())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = check(second_stage, checks)
    assert after["all"] == after["thing"] > max(60, before["all"] + 20)
    assert after["answers"] > 90


def test_noise_is_the_same_wherever_a_picture_is_shown() -> None:
    shots = [Segment(place, 4.0 * i, 4.0 * i + 4, (0, 0), 0.0) for i, place in enumerate((7, 8, 7))]
    errors = errors_of(Timeline(tuple(shots)), 200, 1.5, np.random.default_rng(0))
    assert errors.shape == (12, 200)
    np.testing.assert_allclose(errors[0], errors[11])
    assert np.abs(errors[0] - errors[5]).max() > 0.05
    assert np.linalg.norm(errors[0]) == pytest.approx(1.5, rel=0.2)


def test_a_detector_misses_fades_more_often_than_cuts() -> None:
    draw = random.Random(0)
    for fade, low, high in ((0.0, 0.75, 0.95), (0.8, 0.4, 0.6)):
        shots = tuple(Segment(i, 3.0 * i, 3.0 * i + 3, (0, 0), fade) for i in range(401))
        assert low < len(seen_cuts(Timeline(shots), draw)) / 400 < high

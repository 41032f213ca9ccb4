"""The second stage: what it reads, seconds in and out, and that it learns."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from vmr.compose import Segment, Timeline
from vmr.localise import Proposal
from vmr.loss import LossConfig
from vmr.model import MomentModel
from vmr.reader import CLIP_SCALE, MATCH_SCALE, MomentReader, reader_config, window_rows
from vmr.reader_training import Example, _noisy, _seen_cuts, check, reader_loss
from vmr.windows import Window

WIDTH = 9


@pytest.fixture(scope="module")
def reader() -> MomentReader:
    torch.manual_seed(0)
    return MomentReader(MomentModel(reader_config(WIDTH, word_width=6, width=24))).eval()


def window(length: int, *, begin: float = 0.0, seed: int = 0) -> Window:
    clips = np.random.default_rng(seed).normal(size=(length, WIDTH)).astype(np.float32)
    starts = begin + np.arange(length, dtype=np.float64)
    ends = starts + 1
    ends[-1] -= 0.5  # the last row of a video is often shorter
    cuts = np.array([begin + 2.25, begin + 500.0]) if length > 2 else np.zeros(0)
    return Window(clips, starts, ends, cuts)


def test_rows_hold_the_clip_its_match_and_cuts() -> None:
    part = window(5, begin=10)
    curve = np.arange(5, dtype=np.float32)
    rows = window_rows(part, curve)
    np.testing.assert_allclose(rows[:, : WIDTH - 1], CLIP_SCALE * part.clips[:, :-1])
    np.testing.assert_allclose(rows[:, WIDTH - 1], MATCH_SCALE * curve)
    np.testing.assert_allclose(rows[:, WIDTH], [0, 0, 1, 0, 0])
    np.testing.assert_allclose(rows[:, WIDTH + 1], [0, 0, 0.25, 0, 0])


def test_moments_are_seconds_inside_the_window_best_first(reader: MomentReader) -> None:
    words = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    for length in (1, 2, 7, 128):
        part = window(length, begin=300)
        (moments,) = reader.propose([part], [part.clips[:, 0]], words, [[]])
        assert moments
        scores = [moment.score for moment in moments]
        assert scores == sorted(scores, reverse=True)
        for moment in moments:
            assert 300 <= moment.start < moment.end <= 300 + length - 0.5
            assert moment.start <= moment.best <= moment.end


def test_windows_of_other_lengths_in_a_batch_change_nothing(reader: MomentReader) -> None:
    words = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    parts = [window(length, seed=length) for length in (5, 128, 40)]
    together = reader.propose(parts, [part.clips[:, 0] for part in parts], words, [[]] * 3)
    for part, moments in zip(parts, together, strict=True):
        (alone,) = reader.propose([part], [part.clips[:, 0]], words, [[]])
        assert len(alone) == len(moments)
        for one, other in zip(alone, moments, strict=True):
            assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-3)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_moments_of_others_are_judged_by_the_candidate_that_fits(reader: MomentReader) -> None:
    words = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    part = window(20)
    (own,) = reader.propose([part], [part.clips[:, 0]], words, [[]], keep=1)
    other = Proposal(own[0].start, own[0].end, 99.0, own[0].best)
    (both,) = reader.propose([part], [part.clips[:, 0]], words, [[other]], keep=1)
    assert both[0] == own[0]
    assert (both[1].start, both[1].end) == (other.start, other.end)
    assert both[1].score <= own[0].score
    assert both[1].score == pytest.approx(own[0].score, abs=0.5)  # its edges may have snapped


def examples(seed: int) -> Iterator[Example]:
    """Windows whose match is high inside the answer; a third has none."""
    draw = np.random.default_rng(seed)
    while True:
        length = int(draw.integers(24, 60))
        start = float(draw.integers(0, length - 12))
        span = (start, start + float(draw.integers(4, 12)))
        rows = draw.normal(0, 0.3, (length, WIDTH - 1 + 3)).astype(np.float32)
        present = bool(draw.random() < 0.67)
        if present:
            rows[int(span[0]) : int(span[1]), WIDTH - 1] += 2
        words = draw.normal(size=(3, 6)).astype(np.float32)
        yield Example(rows, words, (span,) if present else ())


def test_it_learns_where_the_match_is_high_and_that_there_may_be_none() -> None:
    torch.manual_seed(0)
    reader = MomentReader(MomentModel(reader_config(WIDTH, word_width=6, width=24)))
    stream, held_out = examples(0), examples(1)
    checks = [next(held_out) for _ in range(60)]
    before, _ = check(reader, checks)
    optimizer = torch.optim.AdamW(reader.parameters(), 3e-3)
    for _ in range(80):
        batch = [next(stream) for _ in range(16)]
        loss = reader_loss(reader.train().model, batch, LossConfig())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found, ranked = check(reader, checks)
    assert found > before + 20
    assert found > 60
    assert ranked > 90


def test_noise_is_the_same_wherever_a_picture_is_shown() -> None:
    clips = np.zeros((12, WIDTH), np.float32)
    clips[:, 0] = 1
    shots = [Segment(place, 4.0 * i, 4.0 * i + 4, (0, 0), 0.0) for i, place in enumerate((7, 8, 7))]
    moved = _noisy(clips, Timeline(tuple(shots)), 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(moved[0], moved[11])
    assert np.abs(moved[0] - moved[5]).max() > 0.05
    np.testing.assert_allclose(np.linalg.norm(moved[:, :-1], axis=1), 1, atol=1e-6)
    assert (moved[:, -1] == clips[:, -1]).all()


def test_a_detector_misses_fades_more_often_than_cuts() -> None:
    draw = random.Random(0)
    for fade, low, high in ((0.0, 0.75, 0.95), (0.8, 0.4, 0.6)):
        shots = tuple(Segment(i, 3.0 * i, 3.0 * i + 3, (0, 0), fade) for i in range(401))
        assert low < len(_seen_cuts(Timeline(shots), draw)) / 400 < high

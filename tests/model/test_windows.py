"""Windows: every row is answered for once, and nothing is lost at a seam."""

import numpy as np

from vmr.model.localise import Proposal
from vmr.model.windows import STRIDE, WINDOW, cut_windows, distinct, distinct_each, window_of


def test_every_row_lies_in_its_window_away_from_inner_edges() -> None:
    for length in (1, 64, 127, 128, 129, 192, 193, 1000):
        for row in range(length):
            first = window_of(row, length)
            assert first % STRIDE == 0
            assert first <= row < min(first + WINDOW, length)
            margin = WINDOW // 4
            assert first == 0 or row - first >= margin
            assert first + WINDOW >= length or first + WINDOW - row >= margin


def test_windows_cover_a_video_and_know_their_place() -> None:
    for length in (1, 128, 129, 1000):
        starts = np.arange(length, dtype=np.float64)
        windows = cut_windows(np.zeros((length, 3), np.float32), starts, starts + 1, np.zeros(0))
        seen = np.concatenate([window.starts for window in windows])
        assert set(seen.tolist()) == set(starts.tolist())
        assert max(len(window.clips) for window in windows) <= WINDOW
        for row in range(length):
            moment = Proposal(row, row + 1, 0.0, row + 0.5)
            assert sum(window.answers_for([moment])[0] for window in windows) == 1


def test_a_moment_that_two_windows_see_is_reported_once_by_the_one_in_the_middle() -> None:
    starts = np.arange(192, dtype=np.float64)
    windows = cut_windows(np.zeros((192, 3), np.float32), starts, starts + 1, np.zeros(0))
    whole = Proposal(100.0, 140.0, 1.0, 120.0)
    cut_off = Proposal(100.0, 128.0, 9.0, 120.0)  # the first window ends there
    assert distinct(windows, [[cut_off], [whole]]) == [whole]
    twice = Proposal(101.0, 140.0, 0.5, 121.0)
    assert distinct(windows, [[], [whole, twice]]) == [whole]
    inside, beside = Proposal(101.0, 110.0, 0.9, 105.0), Proposal(138.0, 150.0, 0.8, 145.0)
    assert distinct(windows, [[], [whole, inside, beside]]) == [whole, beside]


def test_videos_that_are_read_together_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(0)
    videos = []
    for length in (40, 100, 500, 3):
        starts = np.arange(length, dtype=np.float64)
        windows = cut_windows(np.zeros((length, 3), np.float32), starts, starts + 1, np.zeros(0))
        read = []
        for window in windows:
            bests = np.sort(rng.choice(window.starts, min(10, len(window.starts))))[::-1]
            read.append([Proposal(b, b + rng.uniform(1, 30), float(b), b + 0.5) for b in bests])
        videos.append((windows, read))
    together = distinct_each(videos)
    assert [len(found) > 0 for found in together] == [True] * len(videos)
    assert together == [distinct(*video) for video in videos]
    assert distinct_each([]) == []
    assert distinct_each([([], [])]) == [[]]

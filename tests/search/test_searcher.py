"""Both stages of a search over libraries whose right answer we planted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.planted import WIDTH, plant, random_rows, tiny_model
from vmr.library.store import Library, LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.model.strength import SUREST
from vmr.model.text import QueryError, Words
from vmr.model.windows import WINDOW
from vmr.search.clips import WINDOWS, open_windows
from vmr.search.searcher import CANDIDATES, Searcher

QUERY = "a dog runs on the beach"


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return tiny_model()


@pytest.fixture(scope="module")
def pool(words: Words, model: RetrievalModel) -> NDArray[np.float16]:
    """Rows sorted by how much the (untrained, but real) model sees the query in them."""
    rows = random_rows(4000, 77)
    vector = model.encode_query(words.query(QUERY))
    return rows[np.argsort(model.encode_clips(rows) @ vector)]


def timeline(
    pool: NDArray[np.float16], length: int, start: int, end: int, seed: int
) -> NDArray[np.float16]:
    """A video in which only the rows [start, end) show what is asked for."""
    generator = np.random.default_rng(seed)
    rows = pool[generator.integers(0, 1500, size=length)]
    rows[start:end] = pool[-1]
    return rows


@pytest.fixture
def library(tmp_path: Path, pool: NDArray[np.float16]) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    for seed in range(4):
        plant(library, tmp_path / f"other{seed}.mp4", timeline(pool, 90, 0, 0, seed))
    plant(library, tmp_path / "short.mp4", timeline(pool, 60, 31, 43, 10))  # id 5
    yield library
    library.close()


def test_the_planted_moment_is_first_with_its_edges(
    library: Library, model: RetrievalModel
) -> None:
    answer = Searcher(library, model).search(QUERY)
    best = answer.moments[0]
    assert (best.video, best.name) == (5, "short.mp4")
    assert iou([(best.start, best.end)], [(31, 43)])[0, 0] > 0.7
    assert best.start <= best.best < best.end
    assert answer.query == QUERY
    assert answer.unknown == ()
    scores = [hit.score for hit in answer.moments]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= hit.strength <= 1 for hit in answer.moments)


def test_an_answer_is_less_sure_the_more_was_searched(library: Library) -> None:
    model = tiny_model()
    model.calibration = replace(model.calibration, rows=60, right_by_rows=0.7, found_by_rows=0.3)
    searcher = Searcher(library, model)
    everywhere = searcher.search(QUERY).moments[0]
    alone = searcher.search(QUERY, video=5).moments[0]
    assert (everywhere.video, everywhere.start) == (5, alone.start)
    assert everywhere.score == alone.score
    odds = [hit.strength / (SUREST - hit.strength) for hit in (alone, everywhere)]
    assert odds[1] / odds[0] == pytest.approx((60 / (4 * 90 + 60)) ** 0.7)
    assert alone.strength == pytest.approx(searcher.strength_curve(QUERY, 5).max(), abs=0.2)
    assert everywhere.verdict == model.calibration.verdict(everywhere.score, 420)


@pytest.mark.parametrize("start", [3, 60, 122, 250, 590, 985])
def test_a_moment_anywhere_in_a_long_video_is_found_whole(
    library: Library, model: RetrievalModel, pool: NDArray[np.float16], start: int
) -> None:
    """Also across the edge of a window, and at both ends of the video."""
    rows = timeline(pool, 1000, start, start + 14, 20)
    path = library.folder.parent / "long.mp4"
    library.remove(5)
    long = plant(library, path, rows)
    best = Searcher(library, model).search(QUERY).moments[0]
    assert best.video == long
    assert iou([(best.start, best.end)], [(start, start + 14)])[0, 0] > 0.7


def test_search_inside_one_video(library: Library, model: RetrievalModel) -> None:
    searcher = Searcher(library, model)
    assert {hit.video for hit in searcher.search(QUERY, video=2).moments} == {2}
    assert len(searcher.search(QUERY, top=3).moments) == 3
    with pytest.raises(LibraryError, match="no video 99"):
        searcher.search(QUERY, video=99)
    with pytest.raises(ValueError, match="top"):
        searcher.search(QUERY, top=0)


def test_moments_of_a_video_do_not_repeat_each_other(
    library: Library, model: RetrievalModel
) -> None:
    moments = Searcher(library, model).search(QUERY, video=5, top=50).moments
    spans = [(hit.start, hit.end) for hit in moments]
    overlap = iou(spans, spans) - np.eye(len(spans))
    assert overlap.max() <= 0.5


def test_the_strength_curve_is_high_where_the_moment_is(
    library: Library, model: RetrievalModel
) -> None:
    curve = Searcher(library, model).strength_curve(QUERY, 5)
    assert curve.shape == (60,)
    assert ((curve >= 0) & (curve <= 1)).all()
    assert curve[31:43].min() > np.delete(curve, np.s_[31:43]).max()


def test_a_library_that_grows_and_shrinks_is_followed(
    library: Library, model: RetrievalModel, pool: NDArray[np.float16]
) -> None:
    searcher = Searcher(library, model)
    library.remove(5)
    assert 5 not in {hit.video for hit in searcher.search(QUERY).moments}
    path = library.folder.parent / "later.mp4"
    later = plant(library, path, timeline(pool, 50, 10, 20, 3))
    assert searcher.search(QUERY).moments[0].video == later


def test_what_is_not_ready_cannot_be_searched(library: Library, model: RetrievalModel) -> None:
    library.video(1).path.unlink()
    library.check_presence()
    searcher = Searcher(library, model)
    assert 1 not in {hit.video for hit in searcher.search(QUERY, top=100).moments}
    with pytest.raises(LibraryError, match="missing"):
        searcher.strength_curve(QUERY, 1)


def test_unknown_words_are_reported(library: Library, model: RetrievalModel) -> None:
    searcher = Searcher(library, model)
    assert searcher.search("a dog qqzzxq runs").unknown == ("qqzzxq",)
    for nothing in ("   ", "qqzzxq"):
        with pytest.raises(QueryError):
            searcher.search(nothing)


def test_an_empty_library_answers_none(tmp_path: Path, model: RetrievalModel) -> None:
    answer = Searcher(Library(tmp_path / "empty"), model).search(QUERY)
    assert (answer.verdict, answer.moments) == ("none", ())


def test_windows_are_limited_to_the_best() -> None:
    rows = np.arange(CANDIDATES) * WINDOW
    opened = open_windows(np.ones(CANDIDATES, np.int64), rows, {1: CANDIDATES * WINDOW})
    assert [len(firsts) for _, firsts in opened] == [WINDOWS]


def test_width_of_planted_rows_is_the_models() -> None:
    assert tiny_model().blocks == {"appearance": WIDTH}


def test_search_among_some_videos(library: Library, model: RetrievalModel) -> None:
    searcher = Searcher(library, model)
    assert {hit.video for hit in searcher.search(QUERY, among=[1, 3, 99]).moments} == {1, 3}
    assert searcher.search(QUERY, among=[]).moments == ()

"""The same footage in several videos: one moment of an answer, with the others named."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.planted import plant, random_rows, tiny_model
from vmr.library.store import Library, LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Space
from vmr.model.spans import iou
from vmr.search.copies import shown_once
from vmr.search.moments import Moment, Place
from vmr.search.searcher import Searcher
from vmr.search.sentences import Quote

SPACE = Space(2)
QUERY = "a dog runs on the beach"
LOOKS = {
    video: (np.cos(turned), np.sin(turned))
    for video, turned in {1: 0.0, 2: 0.2, 3: 1.5, 4: -0.2, 5: 0.5}.items()
}
"""By video; those of 1, 2 and 4 are the same, and 5 is a copy of 2 alone."""


def moment(video: int, start: float = 3.0, said: str = "") -> Moment:
    words = (Quote("said", said, ()),) if said else ()
    name = f"{video}.mp4"
    return Moment(
        video, name, Path(name), start, start + 2, 1.0, 0.5, start, "possible", words=words
    )


def clips_of(video: int, start: float, end: float) -> NDArray[np.float32]:
    if video not in LOOKS:
        raise LibraryError(f"video {video} is not in the index")
    return np.array([(*LOOKS[video], 0.0)], np.float32).repeat(2, axis=0)


def kept(*found: Moment, top: int = 10) -> list[tuple[int, list[int]]]:
    """The videos that are shown, each with those that it stands for."""
    shown = shown_once(found, clips_of, SPACE, top)
    return [(hit.video, [place.video for place in hit.also]) for hit in shown]


def test_the_best_copy_stands_for_the_others() -> None:
    assert kept(moment(1), moment(3), moment(2), moment(4)) == [(1, [2, 4]), (3, [])]


def test_a_copy_of_a_copy_is_one() -> None:
    assert kept(moment(1), moment(5)) == [(1, []), (5, [])]
    assert kept(moment(1), moment(2), moment(5)) == [(1, [2, 5])]


def test_others_move_up_into_the_places_of_copies() -> None:
    assert kept(moment(1), moment(2), moment(3), top=2) == [(1, [2]), (3, [])]
    assert kept(moment(1), moment(3), moment(2), top=2) == [(1, []), (3, [])]


def test_a_view_that_returns_in_a_video_is_another_moment() -> None:
    assert kept(moment(1, 3), moment(1, 60), moment(3)) == [(1, []), (1, []), (3, [])]


def test_talks_in_one_room_differ_by_their_words() -> None:
    assert kept(moment(1, said="good evening"), moment(2, said="good morning")) == [
        (1, []),
        (2, []),
    ]
    assert kept(moment(1, said="good evening"), moment(2, said="good evening")) == [(1, [2])]


def test_what_cannot_be_looked_at_is_shown_by_itself() -> None:
    assert kept(moment(1), moment(9), moment(2)) == [(1, [2]), (9, [])]


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return tiny_model()


def test_a_copy_in_a_real_library_says_where_it_is(model: RetrievalModel, tmp_path: Path) -> None:
    rows = random_rows(90, 4)
    best = int(np.argmax(model.encode_clips(rows) @ model.encode_query(model.query(QUERY))))
    with_copy = random_rows(60, 5)
    with_copy[20:30] = rows[best]
    rows[40:50] = rows[best]
    library = Library(tmp_path / "library")
    for name, shown in (("one.mp4", rows), ("two.mp4", with_copy)):
        plant(library, tmp_path / name, shown)
    first = Searcher(library, model).search(QUERY).moments[0]
    library.close()
    (other,) = first.also
    assert isinstance(other, Place)
    assert {first.name, other.name} == {"one.mp4", "two.mp4"}
    assert other.path == tmp_path / other.name
    span = other if other.name == "two.mp4" else first
    assert iou([(span.start, span.end)], [(20, 30)])[0, 0] > 0.7

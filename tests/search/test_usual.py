"""What is usual in what is searched, and what an answer is worth beside it."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.planted import plant, random_rows, tiny_model
from vmr.library.store import Library
from vmr.search import usual
from vmr.search.indexes import open_index
from vmr.search.searcher import Searcher
from vmr.search.usual import usual_rows


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    for number in range(5):
        plant(library, tmp_path / f"{number}.mp4", random_rows(30, number))
    return library


def test_rows_are_drawn_of_all_videos_or_of_some(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index(library, tiny_model())
    assert usual_rows(index, None).shape == (150, tiny_model().width)
    assert usual_rows(index, [2, 4, 99]).shape == (60, tiny_model().width)
    assert not len(usual_rows(index, [99]))
    monkeypatch.setattr(usual, "ROWS", 40)
    monkeypatch.setattr(usual, "VIDEOS", 2)
    few = usual_rows(index, None)
    assert few.shape == (40, tiny_model().width)
    drawn = [id for id in range(1, 6) if (index.vectors(id, 5, 25) == few[:20]).all()]
    assert len(drawn) == 1


def test_an_answer_is_worth_less_where_all_rows_are_like_it(
    library: Library, tmp_path: Path
) -> None:
    """The more of a library lies near to a question, the less its best row says; a new video is
    heeded by the next question."""
    searcher = Searcher(library, tiny_model())
    first = searcher.search("dog").moments[0]
    near = np.repeat(random_rows(30, first.video - 1)[int(first.best)][None], 300, axis=0)
    plant(library, tmp_path / "near.mp4", near + 0.01 * random_rows(300, 9))
    again = searcher.search("dog", video=first.video).moments[0]
    assert searcher.search("dog").moments[0].strength < first.strength
    assert again.start == first.start

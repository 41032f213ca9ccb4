"""Which part of a question was found, where the whole was not."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.planted import plant, random_rows, tiny_model
from vmr.library.store import Library, LibraryError
from vmr.model.strength import Calibration, Verdict
from vmr.model.text import QueryError
from vmr.search.partly import Judgement, partly_found, parts_of
from vmr.search.query import parse
from vmr.search.searcher import Searcher

FOUND = {
    "a bridge": Judgement(0.9, 0.9),
    "a horse": Judgement(0.01, 0.02),
    "a river": Judgement(0.3, 0.4),
    "people": Judgement(0.1, 0.1),
}


def judged(part: str) -> Judgement:
    if part == "a ghost":
        raise LibraryError("the video was removed just now")
    if part not in FOUND:
        raise QueryError(f"no known word in {part!r}")
    return FOUND[part]


@pytest.mark.parametrize(
    ("question", "verdict", "there", "missing"),
    [
        ("a horse on a bridge", "none", ("a bridge",), ("a horse",)),
        ("a horse on a bridge", "possible", ("a bridge",), ("a horse",)),
        ("a horse AND a bridge", "none", ("a bridge",), ("a horse",)),
        ("a bridge THEN a horse", "none", ("a bridge",), ("a horse",)),
        ("a horse on a bridge", "strong", (), ()),
        ("a horse by a river", "none", (), ()),  # nothing is there for sure
        ("people on a bridge", "none", (), ()),  # people are near to everything
        ("a qzzqx on a bridge", "none", (), ()),
        ("a ghost on a bridge", "none", (), ()),
        ("a bridge", "none", (), ()),
        ('said:"a horse" AND a bridge', "none", (), ()),
    ],
)
def test_what_is_there_is_told_where_something_else_is_not(
    question: str, verdict: Verdict, there: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    assert partly_found(parse(question), verdict, judged) == (there, missing)


def test_a_scene_of_many_things_is_not_taken_apart() -> None:
    def never(_: str) -> Judgement:
        raise AssertionError

    long = "a horse on a bridge near a river with people in a boat under a tree"
    assert partly_found(parse(long), "none", never) == ((), ())


def test_parts_stand_between_words_of_place_and_company() -> None:
    assert parts_of("A horse in front of the old bridge") == ["A horse", "the old bridge"]
    assert parts_of("a man wearing a hat and holding an umbrella") == [
        "a man",
        "a hat",
        "an umbrella",
    ]
    assert parts_of("onions inside understanding") == ["onions", "understanding"]


def test_a_search_says_it(tmp_path: Path) -> None:
    """A library of the row that looks most like one of two things, and of rows unlike the other."""
    model = tiny_model()
    rows = random_rows(3000, 9)
    clips = model.encode_clips(rows)
    bridge, horse = (
        model.curve(clips, model.encode_query(model.query(text)))
        for text in ("a bridge", "a horse")
    )
    shown = int(np.argmax(bridge - 2 * np.maximum(horse, 0)))
    few = np.argsort(horse)[:60]
    few[20:26] = shown
    line = float(bridge[shown] + horse[few].max()) / 2
    model.calibration = Calibration(12.0, -12.0 * line, 0.3, 0.999)
    library = Library(tmp_path / "library")
    plant(library, tmp_path / "a.mp4", rows[few])
    answer = Searcher(library, model).search("a horse on a bridge")
    library.close()
    assert answer.verdict != "strong"
    assert (answer.there, answer.missing) == (("a bridge",), ("a horse",))

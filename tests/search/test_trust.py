"""What the model was hardly taught is never called strong, and the answer says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from vmr.model.retrieval import RetrievalModel
from vmr.search.moments import Moment
from vmr.search.query import parse
from vmr.search.trust import hardly_seen, less_sure

STRONG = Moment(1, "a", Path("a.mp4"), 0.0, 4.0, 3.0, 0.9, 2.0, "strong")


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return RetrievalModel.load()


@pytest.mark.parametrize("thing", ["a dinosaur", "dinosaurs", "zeppelin"])
def test_words_that_no_caption_and_no_name_has_are_hardly_seen(
    model: RetrievalModel, thing: str
) -> None:
    assert hardly_seen(thing, model) == (thing.split()[-1],)


@pytest.mark.parametrize(
    "thing",
    [
        "a dog",
        "penguins",  # the plural of a name
        "someone sprinting",  # somebody is known
        "a red zeppelin",  # red things are, and it may be the red that is found
        "something moves left",  # a movement, which no caption has to teach
        'said:"dinosaur"',  # asks the words of a video, not its pictures
    ],
)
def test_what_was_taught_in_any_form_is_trusted(model: RetrievalModel, thing: str) -> None:
    assert hardly_seen(thing, model) == ()


def test_a_moment_that_was_only_seen_is_not_strong_for_a_word_that_was_not_taught(
    model: RetrievalModel,
) -> None:
    found, words = less_sure([[STRONG]], parse("a dinosaur"), model)
    assert words == ("dinosaur",)
    assert found[0][0].verdict == "possible"
    assert found[0][0].strength < model.calibration.strong
    assert found[0][0].score == STRONG.score


def test_what_was_said_stays_strong_whatever_it_is_called(model: RetrievalModel) -> None:
    said = replace(STRONG, sense=("said",))
    assert less_sure([[said]], parse("a dinosaur"), model)[0] == [[said]]


def test_of_two_steps_only_the_one_that_was_not_taught_is_doubted(model: RetrievalModel) -> None:
    found, words = less_sure([[STRONG], [STRONG]], parse("a dog THEN a dinosaur"), model)
    assert [hits[0].verdict for hits in found] == ["strong", "possible"]
    assert words == ("dinosaur",)

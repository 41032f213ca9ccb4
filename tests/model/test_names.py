"""Names of classes in columns of their own."""

import numpy as np
import pytest

from vmr.model.movements import COLUMNS
from vmr.model.names import Names
from vmr.model.ranker import Ranker
from vmr.model.text import Words
from vmr.training.concepts import OFTEN, class_codes, class_names

TIMES = {"dog": 5600, "lion": 2, "tower": 40}


@pytest.fixture(scope="module")
def names() -> Names:
    return class_codes(TIMES)


def seen(names: Names, title: str, chance: float = 1.0) -> np.ndarray:
    chances = np.zeros((1, len(names.codes)), np.float32)
    chances[0, class_names().index(title)] = chance
    return names.seen(chances)[0]


def test_a_named_class_is_nearer_than_any_other(names: Names) -> None:
    asked = names.told(("the", "head", "of", "a", "lion"))
    every = names.seen(np.eye(len(names.codes), dtype=np.float32)) @ asked
    assert class_names()[int(every.argmax())] == "lion"
    assert every.max() > 2 * np.sort(every)[-2]


def test_plurals_kinds_and_whole_names_are_understood(names: Names) -> None:
    assert np.array_equal(names.told(("lions",)), names.told(("lion",)))
    cat = names.told(("cat",))
    assert cat @ seen(names, "tabby cat") > 0.15
    assert cat @ seen(names, "Siamese cat") > 0.15
    whole = names.told(("golf", "ball"))
    assert whole @ seen(names, "golf ball") > whole @ seen(names, "tennis ball")


def test_the_rarer_in_captions_the_more_a_name_counts() -> None:
    rare, common = class_codes({}), class_codes({"lion": OFTEN // 2})
    assert np.linalg.norm(rare.told(("lion",))) > 2 * np.linalg.norm(common.told(("lion",)))
    assert not class_codes({"lion": OFTEN}).told(("lion",)).any()


def test_words_that_name_nothing_add_nothing(names: Names) -> None:
    assert not names.told(("people", "shaking", "hands")).any()
    assert names.told(()).shape == (names.width,)


def test_the_less_sure_the_classifier_the_less_it_adds(names: Names) -> None:
    asked = names.told(("lion",))
    assert asked @ seen(names, "lion", 0.25) == pytest.approx(0.5 * asked @ seen(names, "lion"))


def test_shipped_weights_hold_the_names() -> None:
    ranker = Ranker.load()
    assert ranker.names is not None
    query = ranker.query_vector(Words.load().query("a lion"))
    assert query.shape == (ranker.width,)
    named = query[: -1 - len(COLUMNS)][-ranker.names.width :]  # movements and hubs come after
    assert np.array_equal(named, ranker.names.told(("a", "lion")))

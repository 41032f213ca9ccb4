"""Names of classes in columns of their own."""

import numpy as np
import pytest

from tests.support.planted import packaged_words
from vmr.model.movements import COLUMNS
from vmr.model.names import Names
from vmr.model.retrieval import RetrievalModel
from vmr.training.concepts import OFTEN, class_codes, class_names

TIMES = {"dog": 5600, "lion": 2, "tower": 40}


@pytest.fixture(scope="module")
def names() -> Names:
    return class_codes(TIMES)


def seen(names: Names, title: str, chance: float = 1.0) -> np.ndarray:
    probs = np.zeros((1, len(names.codes)), np.float32)
    probs[0, class_names().index(title)] = chance
    row: np.ndarray = names.clip_columns(probs)[0]
    return row


def test_a_named_class_is_nearer_than_any_other(names: Names) -> None:
    asked = names.query_columns(("the", "head", "of", "a", "lion"))
    every = names.clip_columns(np.eye(len(names.codes), dtype=np.float32)) @ asked
    assert class_names()[int(every.argmax())] == "lion"
    assert every.max() > 2 * np.sort(every)[-2]


def test_plurals_kinds_and_whole_names_are_understood(names: Names) -> None:
    assert np.array_equal(names.query_columns(("lions",)), names.query_columns(("lion",)))
    cat = names.query_columns(("cat",))
    assert cat @ seen(names, "tabby cat") > 0.15
    assert cat @ seen(names, "Siamese cat") > 0.15
    whole = names.query_columns(("golf", "ball"))
    assert whole @ seen(names, "golf ball") > whole @ seen(names, "tennis ball")


def test_the_rarer_in_captions_the_more_a_name_counts() -> None:
    rare, common = class_codes({}), class_codes({"lion": OFTEN // 2})
    assert np.linalg.norm(rare.query_columns(("lion",))) > 2 * np.linalg.norm(
        common.query_columns(("lion",))
    )
    assert not class_codes({"lion": OFTEN}).query_columns(("lion",)).any()


def test_words_that_name_nothing_add_nothing(names: Names) -> None:
    assert not names.query_columns(("people", "shaking", "hands")).any()
    assert names.query_columns(()).shape == (names.width,)


def test_the_less_sure_the_classifier_the_less_it_adds(names: Names) -> None:
    asked = names.query_columns(("lion",))
    assert asked @ seen(names, "lion", 0.25) == pytest.approx(0.5 * asked @ seen(names, "lion"))


def test_shipped_weights_hold_the_names() -> None:
    model = RetrievalModel.load()
    assert model.names is not None
    query = model.encode_query(packaged_words().query("a lion"))
    assert query.shape == (model.width,)
    named = query[: -1 - len(COLUMNS)][-model.names.width :]  # movements and hubs come after
    assert np.array_equal(named, model.names.query_columns(("a", "lion")))

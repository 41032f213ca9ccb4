"""Questions as vectors: long texts, what they repeat, and what has no sentence vector."""

import numpy as np
import pytest

from vmr.model.reading import sentence_weights
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import Query

PARAGRAPH = """
Here is what I am looking for, and I hope that it is somewhere in there. A brown dog runs over a
green field. The dog runs on the grass. It is a dog that is running, and it runs across the field.
Please let me know. The dog catches a red ball in its mouth, and brings it back to a man who stands
beside a white fence. Then the man throws the ball again, and the dog runs after it.
"""


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return RetrievalModel.load()


def cosine(model: RetrievalModel, one: str, other: str) -> float:
    vectors = (model.encode_query(model.query(text)) for text in (one, other))
    return model.space.cosine(*vectors)


def test_a_pasted_paragraph_is_near_what_it_tells(model: RetrievalModel) -> None:
    query = model.query(PARAGRAPH)
    assert 4 <= len(query.sentences) <= 8
    assert query.parts is None  # "then" joins nothing in a text
    vector = model.encode_query(query)
    assert np.linalg.norm(model.space.shared(vector)) == pytest.approx(1, abs=1e-5)
    assert model.space.hub(vector) == 1
    dog = cosine(model, PARAGRAPH, "a dog runs over a field with a ball")
    for other in ("a woman cooks in a kitchen", "a city at night", "a man plays the piano"):
        assert dog > cosine(model, PARAGRAPH, other) + 0.2


def test_a_text_without_sentences_is_read_in_pieces(model: RetrievalModel) -> None:
    text = " ".join(["a dog runs over a green field and a man throws a ball"] * 12)
    query = model.query(text)
    assert len(query.sentences) > 2
    assert cosine(model, text, "a dog runs over a field and a man throws a ball") > 0.7


def test_what_repeats_or_says_nothing_counts_little() -> None:
    def sentence(text: str) -> Query:
        return Query(text, tuple(text.split()), np.zeros((1, 50), np.float32))

    dog, cat = "a brown dog runs fast over grass", "the black cat sleeps on red sofa"
    said = tuple(map(sentence, (dog, dog, cat, "this is it")))
    shared = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    weights = sentence_weights(shared, said)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == weights[2] > 0.4
    assert max(weights[1], weights[3]) < 0.05


def test_questions_of_usual_length_are_read_as_one(model: RetrievalModel) -> None:
    query = model.query("A dog runs. It catches a ball.")
    assert query.sentences == ()
    assert query.telling == 4  # dog, runs, catches, ball

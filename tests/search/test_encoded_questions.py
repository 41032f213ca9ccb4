"""Questions of every form to a library whose encoder knows dogs, cats and cars, in two languages.

The encoder is made up and so are the rows; index, hubs, scores, second stage and search are real.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.features import Features
from feature_extract.motion import motion_width
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows, write_file
from vmr.library.content import full_digest
from vmr.library.store import Library, Rating
from vmr.model.encoded import Basis, EncodedModel
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.model.text import tokenize
from vmr.search.moments import Answer, Moment
from vmr.search.searcher import Searcher

WIDTH = 32
BLOCK = "encoder-made-up"
KNOWN = {"dog": 0, "hund": 0, "cat": 1, "katze": 1, "car": 2, "auto": 2}
SHOTS = {
    "a": {(10, 18): "dog cat", (40, 46): "dog", (46, 52): "cat", (90, 96): "cat", (96, 102): "dog"},
    "b": {(20, 28): "dog", (70, 78): "cat", (100, 110): "car"},
}
"""What is seen in which seconds of two films of 120; else nothing that there is a word for."""


class MadeUp:
    """A text tower for a few words; what else is said is noise."""

    def __init__(self, known: dict[str, int]) -> None:
        self._known = known

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).normal(0, 0.05, WIDTH)
        for word in tokenize(text):
            if word in self._known:
                vector[self._known[word]] += 1
        return unit(vector)


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    long = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / long, np.float32)


def looks(shots: dict[tuple[int, int], str], seed: int) -> NDArray[np.float32]:
    """(120, WIDTH) of a film; a shot looks the same throughout, but for some noise."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((120, WIDTH))
    for first in range(0, 120, 6):
        rows[first : first + 6, 3:] = unit(rng.normal(size=WIDTH - 3))
    for (start, end), shown in shots.items():
        rows[start:end, 3:] *= 0.6
        rows[start:end, [KNOWN[word] for word in shown.split()]] = 0.8
    return unit(rows + rng.normal(0, 0.02, rows.shape))


def features(name: str) -> Features:
    plain = planted_extraction(random_rows(120, seed=len(name))).features
    shots = SHOTS[name]
    still = np.zeros((120, motion_width()), np.float16)
    rows = looks(shots, seed=ord(name))
    cuts = np.array(sorted({float(edge) for span in shots for edge in span}))
    return replace(plain.with_block("motion", still).with_block(BLOCK, rows), cuts=cuts)


@pytest.fixture(scope="module")
def base() -> RetrievalModel:
    return RetrievalModel.load(sentences=False)


def model_of(base: RetrievalModel, known: dict[str, int]) -> EncodedModel:
    rng = np.random.default_rng(5)
    background = np.zeros((400, WIDTH + base.space.movements_width), np.float32)
    background[:, :WIDTH] = unit(rng.normal(size=(400, WIDTH)))
    basis = Basis(background, unit(rng.normal(size=(64, WIDTH))))
    encoder: Any = MadeUp(known)
    return EncodedModel(base, BLOCK, WIDTH, basis, lambda _: encoder)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    place = tmp_path_factory.mktemp("made-up")
    library = Library(place / "library")
    library.adopt(FINGERPRINT)
    for name in SHOTS:
        path = write_file(place / f"{name}.mp4")
        extraction = planted_extraction(random_rows(120, seed=1))
        video = library.register(path)
        extraction = replace(extraction, features=features(name))
        library.store(video.id, extraction, full=full_digest(path))
    return library


@pytest.fixture(scope="module")
def searcher(library: Library, base: RetrievalModel) -> Searcher:
    return Searcher(library, model_of(base, KNOWN))


def best(answer: Answer) -> Moment:
    assert answer.moments
    assert not answer.unknown
    assert not answer.suggestions
    return answer.moments[0]


def overlap(moment: Moment, span: tuple[float, float]) -> float:
    return float(iou([(moment.start, moment.end)], [span]).max())


@pytest.mark.parametrize(
    ("question", "span"),
    [
        ("a dog runs, then a cat", (40, 52)),
        ("a cat and then a dog", (90, 102)),
        ("a dog followed by a cat", (40, 52)),
        ("ein Hund, then eine Katze", (40, 52)),
        ("eine Katze, then ein Hund", (90, 102)),
    ],
)
def test_a_question_in_two_parts_is_answered_by_both_in_their_order(
    searcher: Searcher, question: str, span: tuple[float, float]
) -> None:
    """The second stage was taught another space; how well rows match tells it enough."""
    assert searcher.model.query(question).parts is not None
    found = best(searcher.search(question))
    assert (found.name, overlap(found, span) > 0.7) == ("a.mp4", True)


@pytest.mark.parametrize(
    ("question", "name", "span"),
    [
        ("ein Hund THEN eine Katze WITHIN 9", "a.mp4", (40, 52)),
        ("eine Katze THEN ein Hund WITHIN 9", "a.mp4", (90, 102)),
        ("Hund AND Katze", "a.mp4", (10, 18)),
        ("Auto", "b.mp4", (100, 110)),
        ("Auto -Hund", "b.mp4", (100, 110)),
        # What stands before or after a "before" is no part: the sentence is read as one.
        ("a car before a garage", "b.mp4", (100, 110)),
        ("after it has rained, a car", "b.mp4", (100, 110)),
    ],
)
def test_other_forms_in_words_of_the_encoder(
    searcher: Searcher, question: str, name: str, span: tuple[float, float]
) -> None:
    found = best(searcher.search(question))
    assert (found.name, overlap(found, span) > 0.7) == (name, True)


def test_what_is_taken_off_is_not_found(searcher: Searcher) -> None:
    alone = {
        (moment.name, round(moment.start))
        for moment in searcher.search("Hund -Katze").moments
        if moment.score > 0
    }
    assert alone == {("a.mp4", 40), ("a.mp4", 96), ("b.mp4", 20)}


def test_a_thumb_and_a_moment_as_a_question(library: Library, base: RetrievalModel) -> None:
    searcher = Searcher(library, model_of(base, KNOWN))
    assert best(searcher.like(2, 20.0, 28.0)).name == "a.mp4"
    before = searcher.search("a dog, then a cat").moments[0]
    library.rate(Rating("a dog, then a cat", before.video, before.start, before.end, True))
    after = searcher.search("a dog, then a cat").moments[0]
    assert overlap(after, (before.start, before.end)) > 0.9
    assert after.score >= before.score


def test_an_encoder_that_knows_nothing_is_sure_of_nothing(
    library: Library, base: RetrievalModel
) -> None:
    searcher = Searcher(library, model_of(base, {}))
    for question in ("a dog, then a cat", "ein Hund THEN eine Katze", "a dog"):
        assert searcher.search(question).verdict != "strong", question

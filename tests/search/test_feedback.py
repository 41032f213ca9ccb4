"""What people said of answers: it helps similar questions and leaves all others alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.networks.appearance import WIDTH
from tests.support.planted import plant
from vmr.library.catalogue import Rating
from vmr.library.store import Library, NoVideoError
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import Words
from vmr.research.annotations import read_annotations
from vmr.search.feedback import Feedback, save_annotations
from vmr.search.query import QueryStep, parse, understand
from vmr.search.searcher import Searcher

ASKED = "a dog runs on the beach"
SIMILAR = ("a dog running along the sea shore", "a dog on the beach")
OTHERS = ("two cooks in a kitchen", "a red car drives", "snow covered mountains")


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    """The shipped model: only a trained one knows which questions are similar."""
    return RetrievalModel.load()


@pytest.fixture
def library(tmp_path: Path, model: RetrievalModel) -> Iterator[Library]:
    """Twenty scenes of ten seconds, a video each, of which none is plainly what is asked for."""
    library = Library(tmp_path / "library")
    generator = np.random.default_rng(1)
    width = sum(model.towers.config.blocks.values())
    still = np.zeros((10, model.blocks["motion"]))
    for scene in range(20):
        row = np.maximum(generator.normal(size=width), 0)
        rows = np.maximum(row + generator.normal(scale=0.05, size=(10, width)), 0)
        rows = np.concatenate([rows, still], axis=1).astype(np.float16)
        plant(library, tmp_path / f"{scene}.mp4", rows)
    yield library
    library.close()


def ranks(searcher: Searcher, query: str) -> dict[int, int]:
    """Place of each video in the answer, from 0."""
    found = [hit.video for hit in searcher.search(query, top=1000).moments]
    return {video: place for place, video in enumerate(dict.fromkeys(found))}


def test_a_right_moment_rises_for_similar_questions_and_others_stay(
    library: Library, model: RetrievalModel
) -> None:
    searcher = Searcher(library, model)
    before = {query: ranks(searcher, query) for query in (ASKED, *SIMILAR)}
    others = {query: searcher.search(query, top=1000) for query in OTHERS}
    chosen = sorted(before[ASKED], key=before[ASKED].__getitem__)[12]
    library.rate(Rating(ASKED, chosen, 0.0, 10.0, True))
    for query in (ASKED, *SIMILAR):
        assert ranks(searcher, query)[chosen] < before[query][chosen] / 2, query
    for query, answer in others.items():
        assert searcher.search(query, top=1000) == answer


def test_a_wrong_moment_falls_and_others_stay(library: Library, model: RetrievalModel) -> None:
    searcher = Searcher(library, model)
    before = {query: ranks(searcher, query) for query in (ASKED, *SIMILAR)}
    others = {query: searcher.search(query, top=1000) for query in OTHERS}
    first = min(before[ASKED], key=before[ASKED].__getitem__)
    library.rate(Rating(ASKED, first, 0.0, 10.0, False))
    for query in (ASKED, *SIMILAR):
        assert ranks(searcher, query)[first] > before[query][first], query
    for query, answer in others.items():
        assert searcher.search(query, top=1000) == answer


def test_the_switch_turns_it_off(library: Library, model: RetrievalModel) -> None:
    plain = Searcher(library, model).search(ASKED)
    library.rate(Rating(ASKED, plain.moments[-1].video, 0.0, 10.0, True))
    assert Searcher(library, model).search(ASKED) != plain
    assert Searcher(library, model, use_feedback=False).search(ASKED) == plain


def test_corrected_edges_are_used_for_that_question_only(
    library: Library, model: RetrievalModel
) -> None:
    searcher = Searcher(library, model)
    hit = searcher.search(ASKED).moments[0]
    library.rate(Rating(ASKED, hit.video, hit.best - 0.4, hit.best + 0.6, True))
    spans = {(h.start, h.end) for h in searcher.search(ASKED).moments if h.video == hit.video}
    assert (hit.best - 0.4, hit.best + 0.6) in spans
    similar = searcher.search(SIMILAR[0], top=1000).moments
    assert (hit.best - 0.4, hit.best + 0.6) not in {(h.start, h.end) for h in similar}


def test_a_video_that_was_away_teaches_again_when_it_is_back(
    library: Library, model: RetrievalModel
) -> None:
    plain = Searcher(library, model).search(ASKED)
    hit = plain.moments[-1]
    library.rate(Rating(ASKED, hit.video, 0.0, 10.0, True))
    away = hit.path.rename(hit.path.with_suffix(".away"))
    library.check_presence()
    searcher = Searcher(library, model)
    assert hit.video not in ranks(searcher, ASKED)
    away.rename(hit.path)
    library.check_presence()
    assert searcher.search(ASKED) == Searcher(library, model).search(ASKED) != plain


def test_what_is_read_by_its_words_still_is(model: RetrievalModel) -> None:
    """A thumb must not take the second stage off a question in two parts."""

    def moved(text: str) -> QueryStep:
        (target,), _ = understand(parse(text), model)
        assert target.moved(lambda vector: vector) is target
        return target.moved(lambda vector: 2 * vector)

    assert moved("a dog runs, then it jumps").query is not None
    assert moved("a dog runs").query is None


def test_a_movement_alone_is_not_taught_what_things_look_like(
    library: Library, model: RetrievalModel
) -> None:
    searcher, asked = Searcher(library, model), "the camera zooms out"
    before = searcher.search(asked)
    library.rate(Rating(asked, before.moments[-1].video, 0.0, 10.0, False))
    assert searcher.search(asked) == before


def test_many_judgements_do_not_outweigh_the_words(
    library: Library, model: RetrievalModel, words: Words
) -> None:
    question = model.encode_query(words.query(ASKED))

    def clips_of(video: int, start: float, end: float) -> NDArray[np.float32]:
        return model.encode_clips(np.ones((3, WIDTH), np.float16))

    said = [Rating(ASKED, 1, float(i), i + 1.0, True) for i in range(50)]
    one = Feedback.learn(said[:1], model, clips_of).adjust(question)
    many = Feedback.learn(said, model, clips_of).adjust(question)
    np.testing.assert_allclose(one, many, atol=1e-5)
    assert np.linalg.norm(many[:-1]) == pytest.approx(1.0, abs=1e-5)


def test_judgements_are_kept_replaced_and_go_with_their_video(library: Library) -> None:
    library.rate(Rating(ASKED, 1, 2.0, 5.0, True))
    library.rate(Rating(ASKED, 1, 7.0, 9.0, True))
    library.rate(Rating(ASKED, 2, 2.0, 5.0, True))
    library.rate(Rating(ASKED, 1, 4.0, 6.0, False))  # another word on the first
    again = Library(library.folder)
    assert [(j.video, j.start, j.good) for j in again.ratings()] == [
        (1, 7.0, True),
        (2, 2.0, True),
        (1, 4.0, False),
    ]
    library.remove(1)
    assert [rating.video for rating in library.ratings()] == [2]
    with pytest.raises(NoVideoError):
        library.rate(Rating(ASKED, 1, 2.0, 5.0, True))
    for wrong in ((" ", 1, 2.0, 5.0), (ASKED, 1, 5.0, 5.0), (ASKED, 1, -1.0, 5.0)):
        with pytest.raises(ValueError, match="span"):
            Rating(*wrong, True)


def test_right_moments_are_annotations_that_train_reads(library: Library, tmp_path: Path) -> None:
    said = [
        Rating(ASKED, 1, 7.0, 9.0, True),
        Rating(ASKED, 1, 2.0, 5.0, True),
        Rating(ASKED, 2, 2.0, 5.0, False),
        Rating("two cats", 3, 0.0, 4.5, True),
    ]
    videos = {video.id: video for video in library.videos()}
    assert save_annotations(said, videos, tmp_path / "said.jsonl") == 2
    lines = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "video": "0.mp4",
        "query": ASKED,
        "duration": 10.0,
        "moments": [[2.0, 5.0], [7.0, 9.0]],
    }
    assert len(read_annotations(tmp_path / "said.jsonl").queries) == 2

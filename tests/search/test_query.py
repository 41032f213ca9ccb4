"""The forms of a question: how they are read, and that each finds what was planted for it."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from feature_extract.extract import Extractor
from tests.support.planted import plant, random_rows, tiny_model
from vmr.library.ingest import Ingest
from vmr.library.scope import Scope
from vmr.library.store import Library, LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.model.text import QueryError, Words
from vmr.search.moments import Answer, Moment, follow_on
from vmr.search.picture import PictureError, PictureReader
from vmr.search.query import WITHIN_SECONDS, ParsedQuery, parse, suggestions, understand
from vmr.search.searcher import Searcher

Make = Callable[..., Library]
A, B = "a dog runs on the beach", "two cooks in a kitchen"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", ParsedQuery((("a dog",),))),
        ("a dog and a ball", ParsedQuery((("a dog and a ball",),))),
        ("then a dog", ParsedQuery((("then a dog",),))),
        ("a dog AND a ball", ParsedQuery((("a dog", "a ball"),))),
        ("a dog -crowd", ParsedQuery((("a dog",),), ("crowd",))),
        ('-"parked car" a dog -crowd', ParsedQuery((("a dog",),), ("parked car", "crowd"))),
        ("a pick-up truck - red", ParsedQuery((("a pick-up truck - red",),))),
        ("minus -5 degrees", ParsedQuery((("minus -5 degrees",),))),
        ("he enters THEN sits", ParsedQuery((("he enters",), ("sits",)))),
        ("a THEN b WITHIN 20", ParsedQuery((("a",), ("b",)), (), 20.0)),
        ("a THEN b WITHIN 2.5 s", ParsedQuery((("a",), ("b",)), (), 2.5)),
        ("a AND b THEN c THEN d -e", ParsedQuery((("a", "b"), ("c",), ("d",)), ("e",))),
        (
            "a dog\u3000ＡＮＤ a ba\u00adll \u200b-crowd",
            ParsedQuery((("a dog", "a ball"),), ("crowd",)),
        ),
        ("a BANDANA", ParsedQuery((("a BANDANA",),))),
        ("", ParsedQuery((("",),))),  # that there are no words is said by Words
    ],
)
def test_parse(text: str, expected: ParsedQuery) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["AND a", "a AND", "a THEN", "THEN", "a AND THEN b", "a AND AND b"]
)
def test_operators_need_words(text: str) -> None:
    with pytest.raises(QueryError, match="both sides"):
        parse(text)


def test_what_makes_no_sense_is_said() -> None:
    with pytest.raises(QueryError, match="not only what to avoid"):
        parse("-crowd")
    with pytest.raises(QueryError, match="no THEN"):
        parse("a dog WITHIN 5")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("a dog OR a cat", "by itself"),
        ("a dog THEN a cat OR a cow", "by itself"),
        ("NOT a cat", "not only what to avoid"),
        ("NOT a cat AND NOT a dog", "not only what to avoid"),
        ("NOT a cat THEN a dog", "both sides"),
        ("a dog NOT", "needs words behind it"),
        ("a dog AND NOT", "needs words behind it"),
        ("a dog NOT NOT a cat", "needs words behind it"),
        ("a dog NOT -cat", "needs words behind it"),
    ],
)
def test_capital_words_that_make_no_sense_are_not_taken_for_words(text: str, advice: str) -> None:
    with pytest.raises(QueryError, match=advice):
        parse(text)


@pytest.mark.parametrize(
    ("text", "minus"),
    [
        ("dog NOT cat", "dog -cat"),
        ("a dog NOT a cat", 'a dog -"a cat"'),
        ('a street NOT "parked cars"', 'a street -"parked cars"'),
        ("a dog AND NOT a cat", 'a dog -"a cat"'),
        ("NOT a cat AND a dog", 'a dog -"a cat"'),
        ("a dog NOT a cat AND a ball", 'a dog AND a ball -"a cat"'),
        ("a dog NOT a cat NOT people", 'a dog -"a cat" -people'),
        ("a dog NOT a cat THEN a man WITHIN 5", 'a dog THEN a man WITHIN 5 -"a cat"'),
        ("a dog THEN a man AND NOT a cat WITHIN 5", 'a dog THEN a man WITHIN 5 -"a cat"'),
        ("a harbour NOT said:music", "a harbour -said:music"),
        ('said:goal NOT written:"the end"', 'said:goal -written:"the end"'),
        ("a dog ＮＯＴ a cat", 'a dog -"a cat"'),
    ],
)
def test_not_in_capitals_is_the_minus_sign_for_all_words_up_to_the_next_operator(
    text: str, minus: str
) -> None:
    assert parse(text) == parse(minus)


def test_or_and_not_stay_words_in_small_letters_and_within_quotes() -> None:
    assert parse("a dog or not").steps == (("a dog or not",),)
    assert parse('a dog -"NOT OR"').avoided == ("NOT OR",)


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return tiny_model()


@pytest.fixture(scope="module")
def rows(words: Words, model: RetrievalModel) -> dict[str, NDArray[np.float16]]:
    """Rows that show A alone, B alone, both or neither, as this model sees it."""
    pool = random_rows(20_000, 7)
    clips = model.encode_clips(pool)
    a, b = (model.curve(clips, model.encode_query(words.query(text))) for text in (A, B))

    def best(measure: NDArray[np.float32]) -> NDArray[np.float16]:
        row: NDArray[np.float16] = pool[np.argmax(measure)]
        return row

    return {
        "a": best(a - 3 * np.abs(b + 0.5)),
        "b": best(b - 3 * np.abs(a + 0.5)),
        "both": best(np.minimum(a, b)),
        "neither": best(-np.maximum(a, b)),
    }


@pytest.fixture
def make(tmp_path: Path, rows: dict[str, NDArray[np.float16]]) -> Iterator[Make]:
    """A library of videos that are given as [("neither", 10), ("a", 8), ...], seconds each."""
    library = Library(tmp_path / "library")

    def make_library(**videos: list[tuple[str, int]]) -> Library:
        for name, parts in videos.items():
            timeline = np.concatenate([np.tile(rows[kind], (count, 1)) for kind, count in parts])
            noise = np.random.default_rng(len(name)).normal(scale=0.01, size=timeline.shape)
            plant(library, tmp_path / f"{name}.mp4", (timeline + noise).astype(np.float16))
        return library

    yield make_library
    library.close()


def check_first(answer: Answer, name: str, span: tuple[float, float], overlap: float = 0.6) -> None:
    best = answer.moments[0]
    assert best.name == f"{name}.mp4"
    assert iou([(best.start, best.end)], [span])[0, 0] > overlap


def test_and_finds_where_both_are(make: Make, model: RetrievalModel) -> None:
    library = make(
        apart=[("a", 10), ("neither", 20), ("b", 10)],
        together=[("neither", 20), ("both", 8), ("neither", 20)],
    )
    searcher = Searcher(library, model)
    check_first(searcher.search(f"{A} AND {B}"), "together", (20, 28))
    assert searcher.search(f"{B} AND {A}").moments == searcher.search(f"{A} AND {B}").moments


def test_minus_keeps_away_from_what_follows(make: Make, model: RetrievalModel) -> None:
    library = make(
        mixed=[("neither", 20), ("both", 8), ("neither", 20)],
        pure=[("neither", 30), ("a", 9), ("neither", 20)],
    )
    searcher = Searcher(library, model)
    check_first(searcher.search(f'{A} -"{B}"'), "pure", (30, 39))
    curve = searcher.strength_curve(f'{A} -"{B}"', 1)
    assert curve[20:28].max() < searcher.strength_curve(A, 1)[20:28].min()


def test_then_finds_the_order(make: Make, model: RetrievalModel) -> None:
    gap = ("neither", 15)
    library = make(
        backwards=[gap, ("b", 8), gap, ("a", 8), gap],
        forwards=[gap, ("a", 8), ("neither", 10), ("b", 8), gap],
    )
    searcher = Searcher(library, model)
    answer = searcher.search(f"{A} THEN {B}")
    check_first(answer, "forwards", (15, 41))
    assert answer.moments[0].best < 23
    check_first(searcher.search(f"{B} THEN {A}"), "backwards", (15, 46))
    for seconds, found in ((12, True), (5, False)):
        moments = searcher.search(f"{A} THEN {B} WITHIN {seconds}").moments
        joined = [hit for hit in moments if iou([(hit.start, hit.end)], [(15, 41)])[0, 0] > 0.6]
        assert bool(joined) == found
    curve = searcher.strength_curve(f"{A} THEN {B}", 2)
    assert min(curve[15:23].min(), curve[33:41].min()) > curve[:14].max()


def test_many_parts_cost_no_more_than_each_of_them() -> None:
    """A sequence that ends with the same part is kept once: 40 parts are 40 times as much work."""
    hits = [
        Moment(1, "a", Path("a"), 3.0 * i, 3.0 * i + 3, 1.0, 0.5, 3.0 * i + 1, "possible")
        for i in range(80)
    ]
    best = max(follow_on([hits] * 40, 1e9), key=lambda hit: hit.score)
    assert (best.score, best.end - best.start) == (1.0, 120.0)
    weak = [replace(hit, score=0.1 * i) for i, hit in enumerate(hits[:3])]
    (found,) = follow_on([weak, [replace(hits[5], score=0.15)]], 1e9)
    assert (found.start, found.score) == (6.0, 0.15)  # the best of the three that it could follow


def test_a_word_that_was_taught_is_no_slip(words: Words) -> None:
    model = RetrievalModel.load()
    assert words.meant("kneels") == "knees"  # rare in GloVe, but not in captions
    (offer,) = suggestions("a man kneels by a motocycle", (), model)
    assert (offer.word, offer.instead, offer.unknown) == ("motocycle", ("motorcycle",), False)


def test_three_in_a_row(make: Make, model: RetrievalModel) -> None:
    gap = ("neither", 10)
    library = make(story=[gap, ("a", 6), gap, ("b", 6), gap, ("both", 6), gap])
    answer = Searcher(library, model).search(f"{A} THEN {B} THEN {A} AND {B}")
    check_first(answer, "story", (10, 48))


def test_more_like_this_moment(make: Make, model: RetrievalModel) -> None:
    library = make(
        here=[("neither", 10), ("a", 8), ("neither", 12)],
        there=[("b", 9), ("neither", 10), ("a", 7), ("neither", 10)],
    )
    searcher = Searcher(library, model)
    answer = searcher.like(1, 10.0, 18.0)
    check_first(answer, "there", (19, 26))
    assert all(h.video != 1 or h.end <= 10 or h.start >= 18 for h in answer.moments)
    assert {hit.video for hit in searcher.like(1, 10.0, 18.0, among={1}).moments} <= {1}
    with pytest.raises(LibraryError, match="nothing from 90"):
        searcher.like(1, 90.0, 95.0)


def test_unknown_words_of_every_part_are_reported(make: Make, model: RetrievalModel) -> None:
    searcher = Searcher(make(one=[("a", 9)]), model)
    answer = searcher.search('a dog qqzx AND a wwzzq cat -"vvkqzx crowd" THEN a house')
    assert answer.unknown == ("qqzx", "wwzzq", "vvkqzx")
    with pytest.raises(QueryError, match="vvkqzx"):
        searcher.search("a dog -vvkqzx")


def test_one_thing_alone_is_the_plain_query(model: RetrievalModel) -> None:
    (target,), _ = understand(parse(A), model)
    clips = model.encode_clips(random_rows(50, 1))
    assert target.query is not None
    assert target.query.text == A
    np.testing.assert_array_equal(
        target.curve(model, clips), model.curve(clips, model.encode_query(target.query))
    )
    assert parse(A).within == WITHIN_SECONDS


def test_scope_by_folder_date_and_length(tmp_path: Path) -> None:
    import os

    library = Library(tmp_path / "library")
    for day, (name, length) in enumerate({"x/one": 10, "x/y/two": 20, "z/three": 30}.items()):
        path = tmp_path / f"{name}.mp4"
        plant(library, path, random_rows(length, day))
        os.utime(path, (day * 86400, day * 86400))
        library.register(path)
    videos = library.videos()

    def names(**scope: Any) -> list[str]:
        chosen = library.within(Scope(**scope))
        return [video.path.stem for video in videos if video.id in chosen]

    assert names() == ["one", "two", "three"]
    assert names(folder=tmp_path / "x") == ["one", "two"]
    assert names(folder=tmp_path / "x" / "y") == ["two"]
    assert names(since=86400.0) == ["two", "three"]
    assert names(until=86400.0) == ["one"]
    assert names(min_length=20.0) == ["two", "three"]
    assert names(folder=tmp_path / "x", min_length=15.0, since=1.0) == ["two"]


def test_a_picture_finds_its_own_scene(tmp_path: Path) -> None:
    """Real pictures in a real video through the real networks."""
    from skimage import data

    pictures = [Image.fromarray(data.astronaut()), Image.fromarray(data.coffee())]
    write_video(tmp_path / "film.mp4", [picture.resize((320, 240)) for picture in pictures], 5)
    library = Library(tmp_path / "library")
    with Ingest(library, Extractor) as ingest:
        ingest.add([tmp_path / "film.mp4"])
        ingest.wait()
    searcher, reader = Searcher(library, RetrievalModel.load()), PictureReader()
    for number, picture in enumerate(pictures):
        file = io.BytesIO()
        picture.crop((20, 20, 500, 380)).save(file, "PNG")
        best = searcher.like_picture(reader.row(file)).moments[0]
        assert iou([(best.start, best.end)], [(5 * number, 5 * number + 5)])[0, 0] > 0.7


def write_video(path: Path, pictures: list[Image.Image], seconds: int) -> None:
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuv420p"
        for picture in pictures:
            for _ in range(seconds * 10):
                output.mux(stream.encode(av.VideoFrame.from_image(picture)))
        output.mux(stream.encode())


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    reader = PictureReader()
    (tmp_path / "text.png").write_text("hello")
    for name in ("text.png", "gone.png"):
        with pytest.raises(PictureError, match=name):
            reader.row(tmp_path / name)

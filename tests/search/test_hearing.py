"""Words that are said and written: how a question asks for them, and that the right place answers.

The pictures are random rows of planted videos; the words are ours, so every answer is known.
"""

from pathlib import Path

import numpy as np
import pytest

from feature_extract.transcript import Sense, TextSpan, TimedWord, Transcript
from tests.support.planted import plant, random_rows, tiny_model
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import QueryError
from vmr.search.hearing import EXACT, SCATTERED, Evidence, Hearing, TextPart, _groups
from vmr.search.languages import language_of
from vmr.search.moments import Answer, Moment, fuse
from vmr.search.query import ParsedQuery, parse
from vmr.search.searcher import Searcher

TALK = (
    "Welcome to the harbour festival.",
    "Tonight the old lighthouse opens",
    "its doors again. Thank you all for coming.",
    "The weather will be fine.",
    "And now a goal by the visitors!",
    "What a crowd.",
)


def spoken(*texts: str, start: float = 0.0, seconds: float = 4.0) -> tuple[TextSpan, ...]:
    """Spans one after the other, their words evenly spread."""
    spans = []
    for at, text in enumerate(texts):
        begins, words = start + at * seconds, text.split()
        step = seconds / len(words)
        timed = [
            TimedWord(begins + step * place, begins + step * (place + 1), word)
            for place, word in enumerate(words)
        ]
        spans.append(TextSpan(begins, begins + seconds, text, tuple(timed)))
    return tuple(spans)


def tell(library: Library, video: int, *spans: TextSpan, sense: Sense = "said") -> None:
    library.transcripts.replace(video, Transcript(sense, "made up", "en", spans))


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return tiny_model()


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, model: RetrievalModel) -> Searcher:
    """Three videos of a minute: one talks, one shows signs and talks, one is silent."""
    folder: Path = tmp_path_factory.mktemp("heard")
    library = Library(folder / "library")
    for number, name in enumerate(("talk.mp4", "signs.mp4", "silent.mp4")):
        plant(library, folder / name, random_rows(60, number))
    tell(library, 1, *spoken(*TALK))
    tell(library, 2, *spoken("Nobody says a word about it.", "The goal is another one.", start=30))
    tell(library, 2, TextSpan(20, 40, "EXIT"), TextSpan(20, 40, "Platform 9"), sense="written")
    return Searcher(library, model)


def first(answer: Answer) -> tuple[int, float, float]:
    best = answer.moments[0]
    return best.video, best.start, best.end


@pytest.mark.parametrize(
    ("text", "steps", "avoided"),
    [
        ('said:"thank you"', (('said:"thank you"',),), ()),
        ("written:exit", (('written:"exit"',),), ()),
        ("SAID:Goal -Written:exit", (('said:"Goal"',),), ('written:"exit"',)),
        ('a dog said:"a THEN b AND c"', (("a dog", 'said:"a THEN b AND c"'),), ()),
        ('said:goal THEN a "crowd" -x', (('said:"goal"',), ('a "crowd"',)), ("x",)),
        ("he said: hello", (("he said: hello",),), ()),
        ('said:"thank you', (('said:"thank you"',),), ()),
        ('ｓａｉｄ:"ＯＲ"', (('said:"OR"',),), ()),
        ("unsaid:goal", (("unsaid:goal",),), ()),
    ],
)
def test_senses_are_parsed(
    text: str, steps: tuple[tuple[str, ...], ...], avoided: tuple[str, ...]
) -> None:
    assert parse(text) == ParsedQuery(steps, avoided)


@pytest.mark.parametrize(
    "text", ['said:""', "written:...", 'said:"  "', "said:", 'a dog said:"', "said: "]
)
def test_a_sense_needs_words(text: str) -> None:
    with pytest.raises(QueryError, match="needs words"):
        parse(text)


def test_a_phrase_is_found_in_its_sentence(searcher: Searcher) -> None:
    answer = searcher.search('said:"thank you"')
    assert answer.verdict == "strong"
    best = answer.moments[0]
    assert (best.video, best.sense, best.strength) == (1, ("said",), EXACT)
    # The sentence begins in the middle of a span, after "again.", and ends with it.
    assert (best.start, best.end) == pytest.approx((9.5, 12.0))
    (quote,) = best.words
    assert quote.text == "Thank you all for coming."
    assert [quote.text[start:end] for start, end in quote.matched] == ["Thank", "you"]
    assert [hit.video for hit in answer.moments] == [1]


def test_a_phrase_of_which_a_word_was_misheard_is_found_and_never_strong(
    searcher: Searcher,
) -> None:
    answer = searcher.search('said:"the old lighthouse closes its doors"')
    assert first(answer) == pytest.approx((1, 4, 9.5))
    assert answer.moments[0].strength <= SCATTERED
    assert answer.verdict == "possible"
    (quote,) = answer.moments[0].words
    found = [quote.text[start:end] for start, end in quote.matched]
    assert found == ["the", "old", "lighthouse", "its", "doors"]
    # Half of the words are no such find.
    assert not searcher.search('said:"lighthouse keeper"').moments
    assert not searcher.search('written:"the old lighthouse closes its doors"').moments


def test_a_sentence_over_two_spans_is_one_moment(searcher: Searcher) -> None:
    assert first(searcher.search('said:"lighthouse opens its doors"')) == pytest.approx((1, 4, 9.5))
    assert first(searcher.search("said:lighthouses")) == pytest.approx((1, 4.0, 9.5))


def test_a_sentence_without_a_full_stop_ends_at_a_pause_before_a_capital(
    searcher: Searcher,
) -> None:
    first_one, second = (
        spoken("the ferry leaves at noon", start=2),
        spoken("Bring a coat", start=6.5),
    )
    tell(searcher.library, 3, *first_one, *second)
    try:
        assert first(searcher.search("said:ferry")) == (3, 2.0, 6.0)
        assert first(searcher.search("said:coat")) == (3, 6.5, 10.5)
    finally:
        searcher.library.transcripts.remove(3)


def test_the_strip_shows_where_words_are(searcher: Searcher) -> None:
    curve = searcher.match_curve('said:"thank you"', 1)
    assert np.flatnonzero(curve > 0.5).tolist() == [9, 10, 11]  # 9.5 to 12 s, a row a second
    assert curve[9:12].tolist() == [EXACT] * 3
    plain = "the old lighthouse opens its doors"
    both = searcher.match_curve(plain, 1)
    assert (both >= searcher.strength_curve(plain, 1)).all()
    assert both[4:10].min() > 0.9


def test_what_is_written_is_another_sense(searcher: Searcher) -> None:
    answer = searcher.search("written:exit")
    assert first(answer) == (2, 20, 40)
    assert answer.moments[0].sense == ("written",)
    assert not searcher.search("said:exit").moments
    assert searcher.search('said:"you thank"').verdict == "possible"
    assert searcher.search('said:"coming all thank"').verdict != "strong"


def test_plain_words_ask_every_sense_and_one_common_word_is_not_strong(searcher: Searcher) -> None:
    answer = searcher.search("the old lighthouse opens its doors")
    said = [hit for hit in answer.moments if "said" in hit.sense]
    assert (said[0].video, said[0].verdict) == (1, "strong")
    assert any(hit.sense == ("seen",) for hit in answer.moments)
    for plain in ("a goal", "people in fine weather at the window", "a word about cooking pasta"):
        said = [hit for hit in searcher.search(plain, top=50).moments if hit.sense == ("said",)]
        assert all(hit.verdict != "strong" for hit in said), plain


def test_a_name_without_a_vector_may_be_said(searcher: Searcher, model: RetrievalModel) -> None:
    library = searcher.library
    tell(library, 3, *spoken("This is Zyxwortle speaking from Qarntown."))
    try:
        with pytest.raises(QueryError):
            model.query("zyxwortle")
        answer = searcher.search("zyxwortle qarntown")
        assert (first(answer)[0], answer.verdict) == (3, "strong")
        assert answer.unknown == ("zyxwortle", "qarntown")
        with pytest.raises(QueryError, match="unknown"):
            searcher.search("zyxwortlissimo")
    finally:
        library.transcripts.remove(3)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("ein hund läuft am strand", "German"),
        ("un chien court sur la plage", "French"),
        ("el perro corre por la playa", "Spanish"),
        ("un gato", "French, Spanish or Italian"),
        ("собака бежит по пляжу", "Cyrillic letters"),
        ("海辺を走る犬", "Chinese or Japanese letters"),
        ("a dog runs on the beach", None),
        ("dog beach", None),
        ("le mans race car", None),
        ("el niño storm", None),
        ("la la land dance", None),
        ("chihuahua", None),
        ("", None),
    ],
)
def test_another_language_is_told(model: RetrievalModel, text: str, language: str | None) -> None:
    assert language_of(text, model.words.rank) == language


def test_a_question_in_another_language_gets_one_line(searcher: Searcher) -> None:
    with pytest.raises(QueryError, match=r"looks like German.*English only.*said:"):
        searcher.search("ein hund läuft am strand")
    tell(searcher.library, 3, *spoken("Ein Hund läuft über den Strand."))
    try:
        assert first(searcher.search("ein hund läuft"))[0] == 3
        assert first(searcher.search('said:"ein hund"'))[0] == 3
    finally:
        searcher.library.transcripts.remove(3)


def test_parts_go_across_senses(searcher: Searcher) -> None:
    both = searcher.search("said:word AND written:exit").moments[0]
    assert (both.video, both.sense) == (2, ("said", "written"))
    assert (both.start, both.end) == (20, 40)
    assert [quote.sense for quote in both.words] == ["said", "written"]
    assert not searcher.search("said:welcome AND said:goal").moments  # 13 s apart
    order = 'said:"thank you" THEN said:goal'
    found = searcher.search(f"{order} WITHIN 10").moments
    assert [(hit.video, hit.end) for hit in found] == [(1, 20.0)]
    assert found[0].start == pytest.approx(9.5)
    assert not searcher.search(f"{order} WITHIN 1").moments
    assert not searcher.search('said:goal THEN said:"thank you"').moments
    assert {hit.video for hit in searcher.search("said:goal").moments} == {1, 2}
    assert {hit.video for hit in searcher.search("said:goal -said:visitors").moments} == {2}
    assert {hit.video for hit in searcher.search("said:goal -written:exit").moments} == {1}
    assert {hit.video for hit in searcher.search("said:goal", video=1).moments} == {1}
    assert not searcher.search("said:goal", among=[3]).moments


def test_what_is_said_can_be_asked_with_what_is_seen(
    searcher: Searcher, model: RetrievalModel
) -> None:
    """The strength is that of the weaker of the two, wherever the picture is best near by."""
    step = "a dog on the beach"
    for hit in searcher.search(f"{step} AND said:goal").moments:
        curve = searcher.strength_curve(step, hit.video)
        assert hit.sense == ("seen", "said")
        assert hit.strength <= max(curve.max(), 1e-3) + 1e-6
    after = searcher.search(f"said:lighthouse THEN {step} WITHIN 20").moments
    assert after
    assert all(hit.start == pytest.approx(4.0) and "said" in hit.sense for hit in after)


def test_without_transcripts_it_is_said_so_and_nothing_changes(
    tmp_path: Path, model: RetrievalModel
) -> None:
    library = Library(tmp_path / "library")
    plant(library, tmp_path / "a.mp4", random_rows(40, 1))
    silent = Searcher(library, model)
    with pytest.raises(QueryError, match="rescan"):
        silent.search("said:goal")
    before = silent.search("a dog on the beach")
    tell(library, 1, *spoken("entirely unrelated talk"))
    assert silent.search("a dog on the beach") == before


def moment(start: float, end: float, strength: float, *sense: str) -> Moment:
    return Moment(
        1,
        "a",
        Path("a"),
        start,
        end,
        strength,
        strength,
        start,
        "possible",
        sense,  # type: ignore[arg-type]
    )


def test_a_moment_that_two_senses_name_rises() -> None:
    def weigh(hit: Moment, value: float) -> Moment:
        from dataclasses import replace

        return replace(hit, strength=value, score=value)

    seen = [moment(0, 10, 0.5, "seen"), moment(60, 70, 0.6, "seen")]
    heard = [moment(4, 8, 0.6, "said"), moment(100, 104, 0.3, "said")]
    fused = sorted(fuse(seen, heard, weigh), key=lambda hit: -hit.strength)
    assert [hit.sense for hit in fused] == [("seen", "said"), ("seen",), ("said",)]
    assert fused[0].strength == pytest.approx(0.8)
    assert (fused[0].start, fused[0].end) == (4, 8)
    assert fuse(seen, [], weigh) == seen


def test_strength_rises_with_every_part() -> None:
    grid = np.linspace(0, 40, 9)
    shares = np.linspace(0, 1, 9)
    for as_asked in (False, True):
        table = [[Evidence(r, s, as_asked).strength for s in shares] for r in grid]
        assert (np.diff(table, axis=0) > 0).all()
        assert (np.diff(table, axis=1) > 0).all()
    assert Evidence(10, 0.5, True).strength > Evidence(10, 0.5, False).strength


def test_no_find_is_missed_by_what_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same finds as of every passage there is: the index leaves out only what is none."""
    rng = np.random.default_rng(3)
    words = ["people", "house", "time", "river", "harbour", "lantern", "gravel", "quartz", "the"]
    shares = np.array([0.2, 0.15, 0.1, 0.04, 0.01, 0.01, 0.01, 0.005, 0.475])
    library = Library(tmp_path / "library")
    plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    texts = [" ".join(rng.choice(words, 8, p=shares)) for _ in range(300)]
    tell(library, 1, *spoken(*texts))
    hearing = Hearing(library.transcripts, rank=lambda word: 50 + 900 * words.index(word))
    monkeypatch.setattr("vmr.search.hearing.PASSAGES", 10_000)
    monkeypatch.setattr("vmr.search.hearing.FINDS", 10_000)
    everything = library.transcripts.near([[word] for word in words], limit=10_000)
    assert len(everything) == library.transcripts.passages() > 40
    parts = [TextPart(" ".join(rng.choice(words[:8], n))) for n in (1, 2, 3, 3, 4, 4, 5, 9)]
    found = [hearing.find(part) for part in parts]
    read: list[int] = []
    near = library.transcripts.near
    monkeypatch.setattr(
        library.transcripts,
        "near",
        lambda groups, *_, **__: [*near(groups, limit=10_000), *everything],
    )
    assert any(found)
    for part, before in zip(parts, found, strict=True):
        again = {(heard.start, round(heard.strength, 6)) for heard in hearing.find(part)}
        assert {(heard.start, round(heard.strength, 6)) for heard in before} == again, part
        read.append(len(near(_groups(hearing._weights(part.text.split(), None)))))
    assert min(read) < len(everything) / 2


def test_a_misheard_word_does_not_join_the_sentence_beside_it(
    model: RetrievalModel, tmp_path: Path
) -> None:
    """Its shelves were heard as elves, and are said before in another connection."""
    library = Library(tmp_path / "library")
    plant(library, tmp_path / "talk.mp4", random_rows(20, 0))
    before = "The carpenter measured twelve shelves."
    tell(library, 1, *spoken(before, "A gardener painted yellow elves beneath crooked windows."))
    hearing = Hearing(library.transcripts, rank=model.words.rank)
    (heard, *_) = hearing.find(TextPart("gardener painted yellow shelves beneath crooked windows"))
    assert (heard.start, heard.end) == (4.0, 8.0)
    (heard, *_) = hearing.find(TextPart("carpenter measured shelves gardener painted windows"))
    assert (heard.start, heard.end) == (0.0, 8.0)  # what is in two sentences is both

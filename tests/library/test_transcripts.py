"""Transcripts: what is kept comes back, goes with its video, and is found by its words."""

import random
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from feature_extract.transcript import Sense, TextSpan, TimedWord, Transcript
from tests.support.planted import as_made_by_version, plant, random_rows
from vmr.library.store import Library, LibraryError
from vmr.library.tokens import Stems
from vmr.library.transcripts import PASSAGE_SECONDS, _runs

WORDS = "harbour lantern gravel orchard violin thunder pepper saddle marble whisper".split()  # noqa: SIM905


def span(start: float, end: float, text: str) -> TextSpan:
    """A sentence whose words are evenly spread."""
    words = text.split()
    step = (end - start) / len(words)
    timed = [
        TimedWord(start + step * place, start + step * (place + 1), word)
        for place, word in enumerate(words)
    ]
    return TextSpan(start, end, text, tuple(timed), 0.9)


def said(*texts: str, seconds: float = 4.0, sense: Sense = "said") -> Transcript:
    """Sentences one after the other."""
    spans = [span(seconds * at, seconds * (at + 1), text) for at, text in enumerate(texts)]
    return Transcript(sense, "subtitles: a.srt", "en", tuple(spans))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        plant(library, tmp_path / name, random_rows(4, 0))
    return library


def texts(library: Library, *terms: str, **narrow: object) -> list[tuple[int, str]]:
    found = library.transcripts.search(terms, **narrow)  # type: ignore[arg-type]
    return [(passage.video, " ".join(span.text for span in passage.spans)) for passage in found]


def test_what_is_kept_comes_back_equal(library: Library) -> None:
    plain = TextSpan(1.25, 2.0, "EXIT")
    written = Transcript("written", "text in the picture", None, (plain, plain))
    spoken = said("Thank you.", "Gern geschehen – ça va?")
    library.transcripts.replace(1, spoken)
    library.transcripts.replace(1, written)
    library.transcripts.replace(2, Transcript("said", "whisper tiny.en", "en", ()))
    assert library.transcripts.of(1, "said") == spoken
    assert library.transcripts.of(1, "written") == written
    assert library.transcripts.of(2, "said") == Transcript("said", "whisper tiny.en", "en", ())
    assert library.transcripts.of(3, "said") is None
    assert library.transcripts.known() == {
        1: {"said": "subtitles: a.srt", "written": "text in the picture"}
    }  # in the second, nobody speaks
    read = Library(library.folder, read_only=True)
    assert read.transcripts.of(1, "said") == spoken
    assert len(read.transcripts.search(["thank you"])) == 1
    with pytest.raises(LibraryError, match="reading only"):
        read.transcripts.replace(1, spoken)


def test_a_word_is_found_whatever_is_hidden_in_it_here_or_in_the_question(library: Library) -> None:
    """Subtitles hyphenate softly, pages hide marks, macOS takes accents apart."""
    library.transcripts.replace(
        1, said("the na\u00efve har\u00adbour", "a \u202blan\u200btern\u202c")
    )
    for asked in ("nai\u0308ve harbour", "\ufeffhar\u200bbour", "ｌａｎｔｅｒｎ", "lan\u00adtern"):
        assert library.transcripts.search([asked]), asked


def test_it_is_found_by_phrase_by_form_without_accents_and_by_beginning(library: Library) -> None:
    library.transcripts.replace(1, said("Thank you for the runners’ café.", "You thank nobody."))
    library.transcripts.replace(2, said("The exits are there.", "Nobody is 東京都 here."))
    library.transcripts.replace(3, said("EXIT", sense="written"))

    def found(*terms: str, sense: Sense | None = None) -> list[int]:
        return sorted({video for video, _ in texts(library, *terms, sense=sense)})

    assert found("thank you") == found("THANK YOU!") == [1]
    assert found("you for the runner") == found("cafe") == found("CAFÉ", sense="said") == [1]
    assert found("exit") == found("exiting") == [2, 3]
    assert found("exit", sense="written") == found("exi*", sense="written") == [3]
    assert found("exi*", sense="said") == [2]
    assert found("京都") == [2]
    assert found("you you") == found("goodbye") == found("...") == found('"') == found("*") == []


def test_all_of_the_terms_come_first_and_some_after_them(library: Library) -> None:
    library.transcripts.replace(1, said("a violin in the harbour"))
    library.transcripts.replace(2, said("a violin", "and then thunder over the harbour"))
    library.transcripts.replace(3, said("pepper and thunder"))
    order = [video for video, _ in texts(library, "violin", "thunder", "harbour")]
    assert order[0] == 2
    assert set(order) == {1, 2, 3}
    assert [video for video, _ in texts(library, "violin", "absent")] == [1, 2]
    assert [video for video, _ in texts(library, "thunder", scope=[3])] == [3]
    assert {video for video, _ in texts(library, "thunder", scope=[3, 1, 2])} == {2, 3}
    assert texts(library, "thunder", scope=[]) == texts(library, "thunder", scope=[1]) == []
    assert len(texts(library, "harbour", limit=1)) == 1


def test_every_two_spans_that_follow_each_other_share_a_passage() -> None:
    draw = random.Random(0)
    for _ in range(200):
        starts = sorted(draw.uniform(0, 300) for _ in range(draw.randrange(60)))
        spans = [TextSpan(at, at + draw.choice((0.1, 3.0, 50.0)), "words") for at in starts]
        runs = list(_runs(spans))
        shared = {(place, place + 1) for first, last in runs for place in range(first, last)}
        assert shared == set(pairwise(range(len(spans))))
        assert all(early < late for (early, _), (late, _) in pairwise(runs))
        for first, last in runs:
            length = spans[last].end - spans[first].start
            assert length <= PASSAGE_SECONDS or last - first <= 1
    assert list(_runs([])) == []
    assert list(_runs([TextSpan(0, 1, "one")])) == [(0, 0)]


def test_a_phrase_over_two_spans_is_found(library: Library) -> None:
    library.transcripts.replace(1, said(*(f"{word} and" for word in WORDS * 20), seconds=25.0))
    for early, late in pairwise(WORDS):
        assert texts(library, f"{early} and {late}")


def test_the_new_takes_the_place_of_the_old_and_goes_with_its_video(library: Library) -> None:
    library.transcripts.replace(1, said(*["the violin"] * 50))
    library.transcripts.replace(1, said("a lantern", sense="written"))
    library.transcripts.replace(1, said("the thunder"))
    library.transcripts.replace(2, said("the thunder"))
    assert texts(library, "violin") == []
    assert [video for video, _ in texts(library, "thunder")] == [1, 2]
    assert library.transcripts.passages() == 3
    library.transcripts.remove(1, "said")
    assert library.transcripts.of(1, "said") is None
    assert texts(library, "lantern")
    library.remove(1)
    assert library.transcripts.known().keys() == {2}
    assert texts(library, "lantern") == []
    library.transcripts.remove(2)
    assert not library.transcripts
    with sqlite3.connect(library.folder / "library.db") as db:
        counted = "SELECT count(*) FROM "
        for table in ("transcripts", "spans", "passages", "passage_words"):
            assert db.execute(counted + table).fetchone() == (0,)
        db.execute("INSERT INTO passage_words (passage_words) VALUES ('integrity-check')")


def test_it_is_written_whole_or_not_at_all(library: Library) -> None:
    before = said("the violin")
    library.transcripts.replace(1, before)
    with sqlite3.connect(library.folder / "library.db") as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON passages WHEN new.said LIKE '%marble%' "
            "BEGIN SELECT RAISE (ABORT, 'disk is full'); END"
        )
    with pytest.raises(LibraryError, match="disk is full"):
        library.transcripts.replace(1, said(*WORDS, seconds=40))
    assert library.transcripts.of(1, "said") == before
    assert texts(library, "violin")
    assert texts(library, "harbour") == []
    with pytest.raises(LibraryError, match="no video 9"):
        library.transcripts.replace(9, before)


def test_a_library_of_before_opens_and_gets_its_tables(library: Library, tmp_path: Path) -> None:
    library.close()
    as_made_by_version(library.folder, 3)
    read = Library(library.folder, read_only=True)
    assert len(read.videos()) == 3
    assert not read.transcripts
    assert read.transcripts.search(["violin"]) == []
    read.close()
    library = Library(library.folder)
    assert len(library.videos()) == 3
    library.transcripts.replace(1, said("the violin"))
    assert texts(library, "violin")


def test_words_are_taken_apart_as_the_index_does(library: Library) -> None:
    """Every word of a made-up text, found under the stems that are told of it."""
    written = ["Cafés,", "don't", "RUNNING", "–", "naïve", "東京", "３Ｄ", "relational", "ß", "a_b"]
    library.transcripts.replace(1, said(" ".join(written)))
    with sqlite3.connect(library.folder / "library.db") as db:
        db.execute("CREATE VIRTUAL TABLE temp.held USING fts5vocab (main, passage_words, instance)")
        held = [term for (term,) in db.execute("SELECT term FROM held ORDER BY offset")]
    stems = Stems().of(written)
    assert [stem for word in stems for stem in word] == held
    assert stems[:5] == [("cafe",), ("don", "t"), ("run",), (), ("naiv",)]
    assert stems[5] == ("東", "京")


def test_words_near_each_other(library: Library) -> None:
    """Half a minute of talk between two words is too much, and a picture says nothing."""
    talk = " ".join(["so"] * 60)
    library.transcripts.replace(1, said(f"harbour {talk} lantern", "gravel and an orchard"))
    library.transcripts.replace(2, said("A lantern in the harbour", "an orchard"))
    library.transcripts.replace(3, said("harbour, lantern", sense="written"))
    near = library.transcripts.near
    assert {p.video for p in near([["harbour", "lantern"]])} == {2, 3}
    assert {p.video for p in near([["harbour", "lantern"]], sense="said")} == {2}
    assert {p.video for p in near([["harbour", "lantern"]], [1, 3])} == {3}
    some = near([["lantern", "orchard", "harbour"], ["gravel", "orchard"], ["harbour"]])
    assert some[0].video == 2  # the whole first
    assert {p.video for p in some} == {1, 2, 3}
    assert near([["nothing"], ["–"], ["gravel", "harbours", "whisper"]]) == []
    assert near([]) == near([[]]) == []

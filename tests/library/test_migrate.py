"""A library is copied whole, a page of its rows at a time; between servers: test_servers.py."""

from pathlib import Path
from typing import Any

import pytest

from feature_extract.transcript import TextSpan, Transcript
from tests.support.planted import plant, random_rows
from vmr.library.migrate import migrate
from vmr.library.store import Library, LibraryError, Rating

VIDEOS = 5


@pytest.fixture
def source(tmp_path: Path, noted: Path) -> Library:
    library = Library(tmp_path / "source")
    for number in range(VIDEOS):
        id = plant(library, tmp_path / f"{number}.mp4", random_rows(4, number))
        spans = tuple(TextSpan(9.0 * n, 9.0 * n + 5, f"word {number} {n}") for n in range(number))
        library.words.record(id, "said", Transcript("said", "made up", "en", spans), "")
        library.rate(Rating("a dog", id, 0.0, 1.0 + number, True))
    library.remember(tmp_path)
    return library


@pytest.mark.parametrize("page", [1, 2, VIDEOS, VIDEOS + 1])
def test_pages_make_the_whole_and_are_never_more_than_that(
    source: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr("vmr.library.migrate.PAGE", page)
    target = Library(tmp_path / "target")
    longest = []
    for library in (source, target):
        fetch = library.catalogue.fetch

        def counted(query: str, *values: Any, fetch: Any = fetch) -> Any:
            rows = fetch(query, *values)
            if not query.startswith("SELECT id FROM videos"):
                longest.append(len(rows))
            return rows

        monkeypatch.setattr(library.catalogue, "fetch", counted)
    rows = migrate(source, target)
    assert max(longest) <= page
    assert (rows["videos"], rows["judgements"], rows["spans"]) == (VIDEOS, VIDEOS, 10)
    monkeypatch.undo()
    assert target.videos() == source.videos()
    assert target.ratings() == source.ratings()
    assert target.folders() == source.folders()
    last = source.videos()[-1].id
    assert target.transcripts.of(last, "said") == source.transcripts.of(last, "said")
    assert migrate(source, target) == rows


@pytest.mark.parametrize("harm", ["changed", "gone", "more"])
def test_a_copy_that_is_another_is_no_target(source: Library, tmp_path: Path, harm: str) -> None:
    target = Library(tmp_path / "target")
    migrate(source, target)
    last = source.videos()[-1].id
    with target.catalogue.transaction() as statements:
        statements.execute(
            {
                "changed": "UPDATE spans SET text = 'other' WHERE video = ? AND place = 2",
                "gone": "DELETE FROM judgements WHERE video = ?",
                "more": "INSERT INTO looked VALUES (?, 'written', '', '', '')",
            }[harm],
            (last,),
        )
    with pytest.raises(LibraryError, match="not empty"):
        migrate(source, target)

"""When, where and with what: kept, found by, and asked for later of a library from before."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from feature_extract.video.recording import Recording
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows, write_file
from vmr.library.content import full_digest
from vmr.library.scope import Near, Scope, read_day
from vmr.library.store import Library

EAST = timezone(timedelta(hours=2))
TAGS: dict[str, dict[str, str]] = {
    "berlin": {
        "com.apple.quicktime.creationdate": "2023-05-31T23:30:00+0200",  # in UTC still May, too
        "com.apple.quicktime.location.ISO6709": "+52.5200+013.4050/",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 13 Pro",
    },
    "tokyo": {
        "com.apple.quicktime.creationdate": "2023-06-01T00:30:00+0900",  # in UTC it is May
        "location": "+35.6812+139.7671/",
        "make": "Canon",
        "model": "Canon EOS R5",
    },
    "silent": {},
    "gopro": {"creation_time": "2022-08-02T09:00:00Z", "handler_name": "GoPro AVC"},
}


def keep(library: Library, path: Path, tags: dict[str, str]) -> int:
    """Index a file as if its header said this."""
    library.adopt(FINGERPRINT)
    video = library.register(write_file(path))
    planted = planted_extraction(random_rows(5, video.id))
    info = replace(planted.info, tags=tags)
    library.store(video.id, replace(planted, info=info), full=full_digest(path))
    return video.id


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    for name, tags in TAGS.items():
        keep(library, tmp_path / f"{name}.mp4", tags)
    yield library
    library.close()


def test_what_a_file_says_is_kept(library: Library) -> None:
    berlin, tokyo, silent, gopro = library.videos()
    night = datetime(2023, 5, 31, 23, 30, tzinfo=EAST).timestamp()
    assert berlin.recording == Recording(night, 120, 52.52, 13.405, "Apple", "iPhone 13 Pro")
    assert (tokyo.recording.text, tokyo.recording.camera) == (
        "2023-06-01T00:30:00+09:00",
        "Canon EOS R5",
    )
    assert silent.recording == Recording()
    assert gopro.recording.camera == "GoPro"
    assert [video.when for video in (berlin, silent)] == [night, silent.modified]
    told = library.recordings.silent()
    assert (told.time, told.place, told.camera) == (1, 2, 1)
    read = Library(library.folder, read_only=True)
    assert read.videos() == library.videos()
    read.close()


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(recorded_since=read_day("2023-06")), ["tokyo"]),
        (Scope(recorded_until=read_day("2023-06")), ["berlin", "gopro"]),
        (Scope(recorded_since=read_day("2023"), recorded_until=read_day("2023-06")), ["berlin"]),
        (Scope(recorded_since=read_day("2023-05-31T23:30")), ["berlin", "tokyo"]),
        (Scope(recorded_since=read_day("2023-05-31T23:31")), ["tokyo"]),
        (Scope(recorded_since=read_day("2022-07"), camera="gopro"), ["gopro"]),
        (Scope(camera="canon eos"), ["tokyo"]),
        (Scope(camera="Canon Canon"), []),
        (Scope(camera="apple iphone"), ["berlin"]),
        (Scope(camera="%"), []),
        (Scope(near=Near.read("52.39,13.065,28km")), ["berlin"]),
        (Scope(near=Near.read("52.39,13.065,27km")), []),
        (Scope(near=Near.read("35.68,139.77,500m")), ["tokyo"]),
        (Scope(near=Near.read("0,0,25000km")), ["berlin", "tokyo"]),
        (Scope(), ["berlin", "tokyo", "silent", "gopro"]),
    ],
)
def test_filters_hold(library: Library, scope: Scope, expected: list[str]) -> None:
    names = {video.id: video.path.stem for video in library.videos()}
    assert [names[id] for id in sorted(library.within(scope))] == expected


def test_a_time_without_a_zone_is_read_by_the_clock_of_this_computer(library: Library) -> None:
    """09:00 in UTC."""
    here = datetime(2022, 8, 2, 9, tzinfo=UTC).astimezone().replace(tzinfo=None)
    gopro = next(video.id for video in library.videos() if video.path.stem == "gopro")
    for minutes, found in ((0, True), (1, False)):
        when = here + timedelta(minutes=minutes)
        assert (gopro in library.within(Scope(recorded_since=when))) == found


@pytest.mark.parametrize(
    "text", ["52.5,13.4", "52.5,13.4,20", "Berlin,20km", "99,13,2km", "1,2,0km"]
)
def test_no_place_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 52\.5|no such place"):
        Near.read(text)


@pytest.mark.parametrize(
    "text", ["", "May", "2023-13", "2023-02-30", "23-05-14", "2023-05-14T99:00"]
)
def test_no_date_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date, such as 2023, 2023-05 or 2023-05-14"):
        read_day(text)


def test_a_zone_where_none_belongs_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        Scope(recorded_since=datetime.now(UTC))


def test_a_library_from_before_asks_its_files_once(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their headers; those that do not answer are asked again, and nothing else changes."""
    with sqlite3.connect(library.folder / "library.db") as db:
        db.execute("UPDATE videos SET asked = 0, recorded = NULL, make = '', model = ''")
    os.rename(tmp_path / "tokyo.mp4", tmp_path / "away")  # noqa: PTH104
    library.check_presence()
    before, asked = library.videos(), list[list[str]]()
    said = {"berlin": Recording(5.0, 60, make="Apple"), "gopro": Recording(7.0)}

    def answers(paths: Iterable[Path]) -> Iterator[tuple[Path, Recording]]:
        asked.append([path.stem for path in paths])
        return iter([(path, said[path.stem]) for path in paths if path.stem in said])

    monkeypatch.setattr("vmr.library.recordings.read_recordings", answers)
    assert [library.recordings.complete() for _ in range(2)] == [2, 0]
    assert asked == [["berlin", "silent", "gopro"], ["silent"]]
    for old, new in zip(before, library.videos(), strict=True):
        kept = said.get(old.path.stem, old.recording)
        assert new == replace(old, recording=kept)

"""A second look at the disk: what is read again, what only got another name, what is gone."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from feature_extract.extract import Extraction
from tests.support.planted import PlantedExtractor, write_file
from vmr.library.ingest import Ingest
from vmr.library.rescan import Rescan, find_and_remember, missing, rescan
from vmr.library.store import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    yield library
    library.close()


@pytest.fixture
def films(tmp_path: Path, library: Library) -> Path:
    """A folder of three, indexed."""
    for name in ("kept.mp4", "moved.mp4", "gone.mp4"):
        write_file(tmp_path / "films" / name)
    look(library, [tmp_path / "films"])
    return tmp_path / "films"


class Counting(PlantedExtractor):
    """Notes which files it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def extract(self, path: Path, **options: Any) -> Extraction:
        self.read.append(path.name)
        return super().extract(path, **options)


def look(library: Library, paths: Sequence[Path] = (), **options: Any) -> tuple[Rescan, list[str]]:
    """(what the rescan found, the names of the files that were read)."""
    extractor = Counting()
    with Ingest(library, lambda: extractor) as ingest:
        found = rescan(library, ingest, paths, patience_seconds=60.0, **options)
        ingest.wait()
    return found, sorted(extractor.read)


def states(library: Library) -> dict[str, str]:
    return {video.name: video.state for video in library.videos()}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files here are whole as soon as they are there."""
    monkeypatch.setattr("vmr.library.rescan.wait_for_copies", lambda files, **_: [])


def test_only_what_is_new_or_changed_is_read(library: Library, films: Path) -> None:
    (films / "moved.mp4").rename(films / "renamed.mp4")
    (films / "gone.mp4").unlink()
    write_file(films / "new.mp4")
    write_file(films / "kept.mp4", b"other content")
    found, read = look(library)
    assert read == ["kept.mp4", "new.mp4"]
    assert (found.growing, found.problems) == ((), ())
    assert {path.name for path in found.files} == {"kept.mp4", "renamed.mp4", "new.mp4"}
    assert all(path.is_absolute() for path in found.files)
    assert [video.name for video in missing(library)] == ["gone.mp4"]
    assert states(library) == {
        "kept.mp4": "ready",
        "renamed.mp4": "ready",
        "new.mp4": "ready",
        "gone.mp4": "missing",
    }
    assert look(library)[1] == []


def test_what_comes_back_is_not_read_again(library: Library, films: Path, tmp_path: Path) -> None:
    shutil.move(films, tmp_path / "elsewhere")
    found, read = look(library)
    assert (read, len(missing(library))) == ([], 3)
    assert found.problems == (f"{films}: no such file or folder",)
    found, read = look(library, [tmp_path / "elsewhere"])
    assert (read, missing(library)) == ([], [])
    assert set(states(library).values()) == {"ready"}


def test_what_was_refused_is_tried_again_only_when_it_changed(
    library: Library, films: Path
) -> None:
    write_file(films / "bad.mp4", b"bad")
    assert look(library)[1] == ["bad.mp4"] * 2  # once more before it is kept as a fact
    assert look(library)[1] == []
    write_file(films / "bad.mp4", b"mended")
    assert look(library)[1] == ["bad.mp4"]
    assert states(library)["bad.mp4"] == "ready"


def test_what_is_still_being_written_waits_for_the_next_rescan(
    library: Library, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, patience = write_file(films / "late.mp4"), []

    def growing(
        files: Iterable[Path], *, patience_seconds: float, say: Callable[[str], None]
    ) -> list[Path]:
        patience.append(patience_seconds)
        return [late]

    monkeypatch.setattr("vmr.library.rescan.wait_for_copies", growing)
    found, read = look(library)
    assert (found.growing, read, patience) == ((late,), [], [60.0])
    assert late not in found.files
    assert states(library)["late.mp4"] == "waiting"
    monkeypatch.setattr("vmr.library.rescan.wait_for_copies", lambda files, **_: [])
    assert look(library)[1] == ["late.mp4"]


def test_folders_are_remembered_and_one_that_is_wrong_stops_no_other(
    library: Library, tmp_path: Path
) -> None:
    for name in ("a/one.mp4", "b/two.mp4", "empty/notes.txt"):
        write_file(tmp_path / name)
    paths = [tmp_path / "nowhere", tmp_path / "a", tmp_path / "empty", tmp_path / "b/two.mp4"]
    files, problems = find_and_remember(library, paths)
    assert [path.name for path in files] == ["one.mp4", "two.mp4"]
    assert [line.partition(": ")[2] for line in problems] == [
        "no such file or folder",
        "no video files in this folder",
    ]
    assert library.folders() == [tmp_path / "a", tmp_path / "empty"]

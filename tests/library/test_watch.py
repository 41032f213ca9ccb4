"""A folder that is followed while files come, grow, move and go."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.planted import PlantedExtractor, write_file
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError
from vmr.library.watch import keep_indexed, wait_for_copies

SETTLE = 0.2
LONG = 60.0
"""Seconds after which a test gives up; none of them depends on how fast this machine is."""


class Clock:
    """Stands still unless told to go on; counts how often it was looked at."""

    def __init__(self) -> None:
        self.seconds, self.looks = 1e9, 0
        self.meanwhile: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        self.looks += 1
        return self.seconds

    def time(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile()

    def wait_for_looks(self, count: int) -> None:
        """Until whoever follows a growing file has looked at the clock so often from now on."""
        seen, deadline = self.looks, time.monotonic() + LONG
        while self.looks < seen + count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Library]]:
    """A library that follows `films`, in the background."""
    films, library = tmp_path / "films", Library(tmp_path / "library")
    films.mkdir()
    write_file(films / "there before.mp4")
    monkeypatch.setattr("vmr.library.watch.TICK_SECONDS", 0.05)
    stop, failures = threading.Event(), []

    def work() -> None:
        try:
            with Ingest(library, PlantedExtractor) as ingest:
                for _ in keep_indexed(library, ingest, films, stop, settle_seconds=SETTLE):
                    pass
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(library, {"there before.mp4": "ready"})
    yield films, library
    stop.set()
    thread.join()
    assert failures == []


def id_of(library: Library, path: Path) -> int:
    video = library.find(path)
    assert video is not None
    return video.id


def states(library: Library) -> dict[str, str]:
    return {video.name: video.state for video in library.videos()}


def wait_for(library: Library, expected: dict[str, str]) -> None:
    deadline = time.monotonic() + LONG
    while states(library) != expected:
        assert time.monotonic() < deadline, states(library)
        time.sleep(0.05)


@pytest.mark.parametrize("named", ["whole", "here", "link"])
def test_a_folder_that_goes_and_comes_back_as_another_is_followed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """As a drive that is unmounted and mounted again: the watch stayed with what had gone."""
    films, library = tmp_path / "films", Library(tmp_path / "library")
    write_file(films / "one.mp4")
    folder = Path() if named == "here" else films
    if named == "here":
        if os.name == "nt":
            pytest.skip("Windows moves no folder that somebody works in")
        monkeypatch.chdir(films)
    if named == "link":
        folder = tmp_path / "link"
        folder.symlink_to(films)
    monkeypatch.setattr("vmr.library.watch.TICK_SECONDS", 0.05)
    stop = threading.Event()
    said: list[str] = []
    failures: list[Exception] = []

    def work() -> None:
        try:
            with Ingest(library, PlantedExtractor) as ingest:
                for _ in keep_indexed(
                    library, ingest, folder, stop, settle_seconds=SETTLE, say=said.append
                ):
                    pass
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(library, {"one.mp4": "ready"})
        films.rename(tmp_path / "away")
        wait_for(library, {"one.mp4": "missing"})
        write_file(films / "two.mp4")
        wait_for(library, {"one.mp4": "missing", "two.mp4": "ready"})
        films.rename(tmp_path / "second")
        (tmp_path / "away").rename(films)
        write_file(films / "three.mp4")
        wait_for(library, {"one.mp4": "ready", "two.mp4": "missing", "three.mp4": "ready"})
    finally:
        stop.set()
        thread.join()
    assert failures == []
    shown = folder if named == "link" else films
    lines = [f"{shown}: gone, or another one now; waiting for it", f"{shown}: followed again"]
    assert said == lines * 2


def test_what_the_system_does_not_tell_of_is_found_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drive mounted further in, or another machine that writes to a share: no events."""
    films, library = tmp_path / "films", Library(tmp_path / "library")
    write_file(films / "one.mp4")
    monkeypatch.setattr("vmr.library.watch.TICK_SECONDS", 0.01)
    monkeypatch.setattr("vmr.library.watch._REST", 0.0)
    stop = threading.Event()
    found: list[tuple[str, str]] = []

    def silent(_: Path, *, stop_event: threading.Event, **options: object) -> Iterator[set[object]]:
        while not stop_event.wait(0.01):
            yield set()

    monkeypatch.setattr("vmr.library.watch.watch", silent)
    with Ingest(library, PlantedExtractor) as ingest:
        for job in keep_indexed(
            library, ingest, films, stop, settle_seconds=0.05, look_seconds=0.02
        ):
            found.append((job.path.name, job.state))
            if len(found) == 1:
                write_file(films / "drive/two.mp4")
            elif len(found) == 2:
                (films / "one.mp4").unlink()
                write_file(films / "drive/two.mp4", b"written over elsewhere")
            else:
                stop.set()
    assert found == [("one.mp4", "ready"), ("two.mp4", "ready"), ("two.mp4", "ready")]
    assert states(library) == {"one.mp4": "missing", "two.mp4": "ready"}


def test_files_that_come_move_change_and_go(followed: tuple[Path, Library], tmp_path: Path) -> None:
    films, library = followed
    write_file(films / "deep/er/new.mp4")
    write_file(films / ".hidden.mp4")
    write_file(films / "notes.txt")
    wait_for(library, {"there before.mp4": "ready", "new.mp4": "ready"})
    ids = {video.name: video.id for video in library.videos()}
    (films / "there before.mp4").rename(films / "renamed.mp4")
    wait_for(library, {"renamed.mp4": "ready", "new.mp4": "ready"})
    assert id_of(library, films / "renamed.mp4") == ids["there before.mp4"]
    write_file(films / "deep/er/new.mp4", b"another film")
    deadline = time.monotonic() + LONG
    while id_of(library, films / "deep/er/new.mp4") == ids["new.mp4"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (films / "renamed.mp4").unlink()
    wait_for(library, {"renamed.mp4": "missing", "new.mp4": "ready"})


def test_a_copy_is_waited_for(
    followed: tuple[Path, Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    films, library = followed
    there = {"there before.mp4": "ready"}
    clock = Clock()
    monkeypatch.setattr("vmr.library.watch.time", clock)
    with (films / "copy.mp4").open("wb") as file:
        for part in range(4):  # almost long enough each time
            file.write(b"part %d" % part)
            file.flush()
            clock.wait_for_looks(2)  # the first look may have begun before the part was written
            clock.seconds += 0.9 * SETTLE
            clock.wait_for_looks(2)
            assert states(library) == there | {"copy.mp4": "waiting"}
    clock.seconds += SETTLE
    wait_for(library, there | {"copy.mp4": "ready"})
    assert len(library.videos()) == 2  # nothing is left of the unfinished ones


def test_a_folder_that_is_moved_in_and_out(followed: tuple[Path, Library], tmp_path: Path) -> None:
    films, library = followed
    for name in ("a.mp4", "b.mp4"):
        write_file(tmp_path / "trip" / name)
    shutil.move(tmp_path / "trip", films / "trip")
    there = {"there before.mp4": "ready", "a.mp4": "ready", "b.mp4": "ready"}
    wait_for(library, there)
    shutil.move(films / "trip", tmp_path / "away")
    wait_for(library, there | {"a.mp4": "missing", "b.mp4": "missing"})
    shutil.move(tmp_path / "away", films / "back")
    wait_for(library, there)
    assert len(library.videos()) == 3


def test_a_folder_that_may_not_be_listed_does_not_end_it(
    followed: tuple[Path, Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    films, library = followed

    def denied(folder: Path, left_out: Any) -> None:
        raise LibraryError(f"{folder}: permission denied")

    monkeypatch.setattr("vmr.library.watch.videos_inside", denied)
    (films / "locked").mkdir()
    write_file(films / "after.mp4")
    wait_for(library, {"there before.mp4": "ready", "after.mp4": "ready", "locked": "refused"})


def test_what_is_refused_is_said_and_not_tried_again_and_again(
    followed: tuple[Path, Library],
) -> None:
    films, library = followed
    write_file(films / "bad.mp4", b"bad")
    wait_for(library, {"there before.mp4": "ready", "bad.mp4": "refused"})
    write_file(films / "bad.mp4", b"mended")
    wait_for(library, {"there before.mp4": "ready", "bad.mp4": "ready"})


def test_a_rescan_waits_for_copies_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("vmr.library.watch.time", clock)
    began = clock.seconds
    old, whole, growing = (write_file(tmp_path / f"{i}.mp4") for i in range(3))
    for path in (old, whole, growing):
        os.utime(path, (began - (3600 if path == old else 0),) * 2)

    def write() -> None:
        """Once more at every look, for four seconds."""
        if clock.seconds < began + 4:
            with growing.open("ab") as file:
                file.write(b"more")
            os.utime(growing, (clock.seconds, clock.seconds))

    clock.meanwhile = write
    gone = tmp_path / "gone.mp4"
    said: list[str] = []
    assert wait_for_copies([old, gone], say=said.append) == []
    assert said == []  # there is nothing to wait for
    assert clock.seconds == began
    paths = [old, whole, growing, gone]
    left = wait_for_copies(paths, settle_seconds=0.4, patience_seconds=1.5, say=said.append)
    assert left == [growing]
    assert said == ["2 just written; waiting up to 2 s for their copies"]
    assert clock.seconds == pytest.approx(began + 1.5, abs=0.15)
    assert wait_for_copies(paths, settle_seconds=0.4, patience_seconds=20) == []
    assert clock.seconds == pytest.approx(began + 4.4, abs=0.3)


def test_nothing_is_missed_while_the_watch_begins(tmp_path: Path) -> None:
    """Files that came between the first look and the first event were never seen."""
    films, library = tmp_path / "films", Library(tmp_path / "library")
    films.mkdir()
    stop = threading.Event()
    names = {f"{number}.mp4" for number in range(60)}

    def write() -> None:
        for name in sorted(names):
            write_file(films / name)
            time.sleep(0.015)

    writer = threading.Thread(target=write)
    writer.start()
    found = set()
    with Ingest(library, PlantedExtractor) as ingest:
        deadline = time.monotonic() + LONG
        for job in keep_indexed(library, ingest, films, stop, settle_seconds=0.1):
            found.add(job.path.name)
            if found == names or time.monotonic() > deadline:
                stop.set()
    writer.join()
    assert found == names

"""A folder that is followed while files come, grow, move and go."""

import os
import shutil
import threading
import time

import pytest

from tests.planted import PlantedExtractor, write_file
from vmr.ingest import Ingest
from vmr.store import Library
from vmr.watch import keep_indexed, wait_for_copies

SETTLE = 0.7


@pytest.fixture
def followed(tmp_path):
    """A library that follows `films`, in the background."""
    films, library = tmp_path / "films", Library(tmp_path / "library")
    films.mkdir()
    write_file(films / "there before.mp4")
    stop, failures = threading.Event(), []

    def work():
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


def states(library):
    return {video.name: video.state for video in library.videos()}


def wait_for(library, expected):
    deadline = time.monotonic() + 15
    while states(library) != expected:
        assert time.monotonic() < deadline, states(library)
        time.sleep(0.05)


def test_files_that_come_move_change_and_go(followed, tmp_path):
    films, library = followed
    write_file(films / "deep/er/new.mp4")
    write_file(films / ".hidden.mp4")
    write_file(films / "notes.txt")
    wait_for(library, {"there before.mp4": "ready", "new.mp4": "ready"})
    ids = {video.name: video.id for video in library.videos()}
    (films / "there before.mp4").rename(films / "renamed.mp4")
    wait_for(library, {"renamed.mp4": "ready", "new.mp4": "ready"})
    assert library.find(films / "renamed.mp4").id == ids["there before.mp4"]
    write_file(films / "deep/er/new.mp4", b"another film")
    deadline = time.monotonic() + 15
    while library.find(films / "deep/er/new.mp4").id == ids["new.mp4"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (films / "renamed.mp4").unlink()
    wait_for(library, {"renamed.mp4": "missing", "new.mp4": "ready"})


def test_a_copy_is_waited_for(followed):
    films, library = followed
    with (films / "copy.mp4").open("wb") as file:
        for part in range(15):
            file.write(b"part %d" % part)
            file.flush()
            time.sleep(0.15)
            seen = states(library).get("copy.mp4", "waiting")
            assert seen == "waiting"
    wait_for(library, {"there before.mp4": "ready", "copy.mp4": "ready"})
    assert len(library.videos()) == 2  # nothing is left of the unfinished ones


def test_a_folder_that_is_moved_in_and_out(followed, tmp_path):
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


def test_what_is_refused_is_said_and_not_tried_again_and_again(followed):
    films, library = followed
    write_file(films / "bad.mp4", b"bad")
    wait_for(library, {"there before.mp4": "ready", "bad.mp4": "refused"})
    write_file(films / "bad.mp4", b"mended")
    wait_for(library, {"there before.mp4": "ready", "bad.mp4": "ready"})


def test_a_rescan_waits_for_copies_but_not_for_ever(tmp_path):
    old, whole, growing = (write_file(tmp_path / f"{i}.mp4") for i in range(3))
    os.utime(old, (1, 1))
    stop = threading.Event()

    def write():
        with growing.open("ab") as file:
            while not stop.wait(0.05):
                file.write(b"more")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    gone = tmp_path / "gone.mp4"
    paths = [old, whole, growing, gone]
    began = time.monotonic()
    assert wait_for_copies([old, gone]) == []
    assert time.monotonic() - began < 0.5
    assert wait_for_copies(paths, settle_seconds=0.4, patience_seconds=1.5) == [growing]
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    assert wait_for_copies(paths, settle_seconds=0.4, patience_seconds=20) == []
    assert 0.8 < time.monotonic() - began < 10
    writer.join()


def test_nothing_is_missed_while_the_watch_begins(tmp_path):
    """Files that came between the first look and the first event were never seen."""
    films, library = tmp_path / "films", Library(tmp_path / "library")
    films.mkdir()
    stop = threading.Event()
    names = {f"{number}.mp4" for number in range(60)}

    def write():
        for name in sorted(names):
            write_file(films / name)
            time.sleep(0.015)

    writer = threading.Thread(target=write)
    writer.start()
    found = set()
    with Ingest(library, PlantedExtractor) as ingest:
        deadline = time.monotonic() + 20
        for job in keep_indexed(library, ingest, films, stop, settle_seconds=0.1):
            found.add(job.path.name)
            if found == names or time.monotonic() > deadline:
                stop.set()
    writer.join()
    assert found == names

"""The queue: what is taken, skipped, refused, cancelled; and that nothing stops the others."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import pytest

from feature_extract.extract import Extraction, Extractor
from feature_extract.video.child import Child
from feature_extract.video.frames import read_frames
from tests.support.media import counter_video
from tests.support.planted import PlantedExtractor, write_file
from vmr.library import content
from vmr.library.content import SAMPLE_BYTES
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    yield library
    library.close()


LONG = 60.0
"""Seconds after which a test gives up; none of them depends on how fast this machine is."""


def endless() -> PlantedExtractor:
    """Never comes to the end of a file by itself: a test is never too late to find it at work."""
    return PlantedExtractor(steps=10**9, pause_seconds=0.01)


class Stepped(PlantedExtractor):
    """Makes the four steps of a file one by one, when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.asked = threading.Semaphore(0), 0

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        def report(fraction: float) -> None:
            self.asked += 1
            assert self.steps.acquire(timeout=LONG)
            assert on_progress is not None
            on_progress(fraction)

        return super().extract(path, on_progress=report)


@pytest.fixture
def stepped() -> Iterator[Stepped]:
    extractor = Stepped()
    yield extractor
    extractor.steps.release(1000)  # so that a test that failed ends


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, f"waited {LONG:.0f} s"
        time.sleep(0.005)


# Finding


def test_find_videos_in_folders(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    wanted = ["a.MP4", "b.mkv", "deep/er/c.webm", "x.mp4/inside.avi"]
    others = [".hidden.mp4", ".trash/d.mp4", "notes.txt", "poster.jpg", "deep/._a.mp4"]
    for name in (*wanted, *others):
        write_file(folder / name)
    (folder / "loop").symlink_to(folder)
    found = [path.relative_to(folder).as_posix() for path in find_videos([folder])]
    assert found == wanted


def test_find_videos_takes_what_is_named_once(tmp_path: Path) -> None:
    note = write_file(tmp_path / "film.dat")
    video = write_file(tmp_path / "films/a.mp4")
    assert find_videos([note, video, tmp_path / "films", note]) == [note, video]


def test_find_videos_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").mkdir()
    with pytest.raises(LibraryError, match="no video files in this folder"):
        find_videos([tmp_path / "empty.mp4"])
    with pytest.raises(LibraryError, match=r"nowhere\.mp4: no such file"):
        find_videos([tmp_path / "nowhere.mp4"])


# Indexing


def test_real_videos_with_the_real_networks(library: Library, tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", 3.0)
    counter_video(tmp_path / "b.mp4", 5.0)
    with Ingest(library, Extractor) as ingest:
        ingest.add([tmp_path / "a.mp4", tmp_path / "b.mp4"])
        assert ingest.wait(120)
        progress = ingest.progress()
    assert [(job.state, job.taken, job.skipped) for job in progress.jobs] == [
        ("ready", True, False)
    ] * 2
    assert (progress.running, progress.fraction, progress.seconds_left) == (False, 1.0, 0.0)
    assert progress.bytes_per_second > 0
    for video, seconds in zip(library.videos(), (3, 5), strict=True):
        features = library.features(video.id)
        assert video.rows == seconds
        assert video.duration == pytest.approx(seconds)
        np.testing.assert_array_equal(features.starts, np.arange(seconds))
        assert library.thumbnails(video.id, [seconds - 1])[0].startswith(b"\xff\xd8")


def test_one_bad_file_never_stops_the_rest(library: Library, tmp_path: Path) -> None:
    contents = {"a": b"fine 1", "b": b"bad", "c": b"bug", "e": b"fine 2"}
    paths = [write_file(tmp_path / f"{name}.mp4", data) for name, data in contents.items()]
    paths.insert(3, tmp_path / "d.mp4")
    paths[3].symlink_to(tmp_path / "nowhere")
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add(paths)
        ingest.wait()
        jobs = ingest.progress().jobs
    assert [job.state for job in jobs] == ["ready", "refused", "refused", "refused", "ready"]
    assert [job.reason for job in jobs] == [
        "",
        "not a video",
        "could not be indexed (ZeroDivisionError: nobody thought of this)",
        "a link to a file that is not there",
        "",
    ]
    shown = {video.path: (video.state, video.reason) for video in library.videos()}
    assert shown == {job.path: (job.state, job.reason) for job in jobs}


def test_what_is_unchanged_is_skipped_and_what_was_refused_tried_again(
    library: Library, tmp_path: Path
) -> None:
    good = write_file(tmp_path / "good.mp4")
    bad = write_file(tmp_path / "bad.mp4", b"bad")
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([good, bad])
        ingest.wait()
        ingest.add([good, bad], retry=False)
        ingest.wait()
        assert [(job.skipped, job.state) for job in ingest.progress().jobs] == [
            (True, "ready"),
            (True, "refused"),
        ]
        assert ingest.progress().fraction == 1.0
        write_file(bad, b"good now")
        ingest.pause()
        ingest.add([good, bad], retry=False)
        assert ingest.progress().fraction == 0.0  # what is skipped is no work that was done
        ingest.resume()
        ingest.wait()
    assert {video.state for video in library.videos()} == {"ready"}
    assert len(library.videos()) == 2


def test_the_same_content_twice_is_one_video_under_two_names(
    library: Library, tmp_path: Path
) -> None:
    one, two = (write_file(tmp_path / name, b"same") for name in ("one.mp4", "two.mp4"))
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([one, two])
        ingest.wait()
        assert [job.state for job in ingest.progress().jobs] == ["ready", "ready"]
    (video,) = library.videos()
    assert {video.path, *video.also} == {one, two}


def test_a_file_that_changes_while_it_is_read_waits(
    library: Library, stepped: Stepped, tmp_path: Path
) -> None:
    path = write_file(tmp_path / "a.mp4", b"first part")
    with Ingest(library, lambda: stepped) as ingest:
        ingest.add([path])
        stepped.steps.release()
        wait_for(lambda: ingest.progress().jobs[0].fraction > 0)
        write_file(path, b"first part and second part")
        stepped.steps.release(3)
        assert ingest.wait(LONG)
        (job,) = ingest.progress().jobs
        assert (job.state, job.taken) == ("waiting", False)
    assert library.videos()[0].state == "waiting"
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([path])
        ingest.wait()
    assert [video.state for video in library.videos()] == ["ready"]


# Steering


def test_progress_speed_and_time_left(
    library: Library, stepped: Stepped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(seconds=100.0)
    clock.monotonic = lambda: clock.seconds
    monkeypatch.setattr("vmr.library.ingest.time", clock)
    with Ingest(library, lambda: stepped) as ingest:
        ingest.add([write_file(tmp_path / f"{i}.mp4", bytes([i]) * 1000) for i in range(2)])
        wait_for(lambda: stepped.asked == 1)
        clock.seconds += 1.0  # a second for each quarter of 1,000 bytes
        stepped.steps.release()
        wait_for(lambda: ingest.progress().jobs[0].fraction == 0.25)
        progress = ingest.progress()
        assert (progress.running, progress.paused, progress.note) == (True, False, "")
        assert progress.fraction == 0.125
        assert progress.bytes_per_second == pytest.approx(250)
        assert progress.seconds_left == pytest.approx(7)
        wait_for(lambda: library.videos()[0].progress == 0.25)  # what `list` elsewhere shows
        assert library.videos()[0].state == "indexing"
        assert not ingest.wait(0.01)
        stepped.steps.release(7)
        assert ingest.wait(LONG)


def test_cancel_one_and_all(library: Library, tmp_path: Path) -> None:
    with Ingest(library, endless) as ingest:
        ingest.add([write_file(tmp_path / f"{i}.mp4", bytes([i])) for i in range(4)])
        wait_for(lambda: ingest.progress().jobs[0].fraction > 0)
        first, second, *_ = (job.video for job in ingest.progress().jobs)
        ingest.cancel(second)
        assert [job.path.name for job in ingest.progress().jobs] == ["0.mp4", "2.mp4", "3.mp4"]
        ingest.cancel(first)
        wait_for(lambda: ingest.progress().jobs[0].state == "indexing")
        assert [job.path.name for job in ingest.progress().jobs] == ["2.mp4", "3.mp4"]
        ingest.cancel()
        assert ingest.wait(LONG)
    assert {video.state for video in library.videos()} == {"new"}
    assert not [*library.folder.glob("features/*")]


def test_a_long_look_at_many_files_is_no_wait_and_can_be_cancelled(
    library: Library, tmp_path: Path
) -> None:
    """The first is read while the others are still looked at, and no more come after a cancel."""
    paths = [write_file(tmp_path / f"{i}.mp4", b"film %d" % i) for i in range(5)]
    with Ingest(library, PlantedExtractor) as ingest:

        def looked_at() -> Iterator[Path]:
            yield paths[0]
            assert ingest.wait(60)
            assert [job.state for job in ingest.progress().jobs] == ["ready"]
            ingest.pause()
            yield from paths[1:3]
            ingest.cancel()
            yield from paths[3:]

        ingest.add(looked_at())
        ingest.resume()
        assert ingest.wait(60)
        assert [job.path for job in ingest.progress().jobs] == paths[:1]
        ingest.add(paths)
        assert ingest.wait(60)
        assert [job.state for job in ingest.progress().jobs] == ["ready"] * 5


def test_cancelled_at_the_last_moment(library: Library, tmp_path: Path) -> None:
    """Off the queue, not yet begun: it was indexed whole, and closing waited for that."""

    def make() -> PlantedExtractor:
        ingest.cancel()
        return endless()

    with Ingest(library, make) as ingest:
        ingest.add([write_file(tmp_path / "a.mp4")])
        assert ingest.wait(LONG)
    assert library.videos()[0].state == "new"


def test_what_was_cancelled_can_be_added_again(
    library: Library, stepped: Stepped, tmp_path: Path
) -> None:
    """At once, while the worker does not know of it yet: the file is done from its beginning."""
    one, two = (write_file(tmp_path / name) for name in ("a.mp4", "b.mp4"))
    with Ingest(library, lambda: stepped) as ingest:
        ingest.add([one, two])
        wait_for(lambda: stepped.asked == 1)
        ingest.cancel(ingest.progress().jobs[0].video)
        ingest.add([one])
        stepped.steps.release()
        wait_for(lambda: stepped.asked == 2)
        shown = [(job.path, job.state, job.fraction) for job in ingest.progress().jobs]
        assert shown == [(two, "indexing", 0), (one, "new", 0)]
        stepped.steps.release(8)
        assert ingest.wait(LONG)
    assert [video.state for video in library.videos()] == ["ready"] * 2


def test_pause_and_resume(library: Library, tmp_path: Path) -> None:
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.pause()
        ingest.add([write_file(tmp_path / "a.mp4")])
        assert not ingest.wait(0.2)
        assert ingest.progress().paused
        ingest.resume()
        assert ingest.wait(LONG)
    assert library.videos()[0].state == "ready"


def test_pause_holds_the_file_in_work(library: Library, stepped: Stepped, tmp_path: Path) -> None:
    with Ingest(library, lambda: stepped) as ingest:
        ingest.add([write_file(tmp_path / "a.mp4")])
        stepped.steps.release()
        wait_for(lambda: stepped.asked == 2)
        ingest.pause()
        stepped.steps.release(3)  # the step that is being made ends, and is the last
        wait_for(lambda: ingest.progress().jobs[0].fraction == 0.5)
        assert not ingest.wait(0.2)
        assert ingest.progress().jobs[0].fraction == 0.5
        ingest.resume()
        assert ingest.wait(LONG)
    assert library.videos()[0].state == "ready"


def test_a_video_removed_while_it_waits_is_let_go(library: Library, tmp_path: Path) -> None:
    with Ingest(library, endless) as ingest:
        ingest.add([write_file(tmp_path / f"{i}.mp4", bytes([i])) for i in range(2)])
        wait_for(lambda: ingest.progress().jobs[0].fraction > 0)
        first, second = (job.video for job in ingest.progress().jobs)
        library.remove(second)
        ingest.cancel(first)
        assert ingest.wait(LONG)
    assert [video.id for video in library.videos()] == [first]


def test_files_can_be_added_while_it_works(library: Library, tmp_path: Path) -> None:
    with Ingest(library, PlantedExtractor) as ingest:
        adders = [
            threading.Thread(target=ingest.add, args=([write_file(tmp_path / f"{i}.mp4")],))
            for i in range(8)
        ]
        for adder in adders:
            adder.start()
        for adder in adders:
            adder.join()
        assert ingest.wait(LONG)
    assert [video.state for video in library.videos()] == ["ready"] * 8


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A file and one of the same size, beginning, middle and end; larger than what is sampled."""
    monkeypatch.setattr("vmr.library.content._PIECE_BYTES", 1000)
    monkeypatch.setattr("vmr.library.content._LONGEST_STEP_BYTES", 1000)
    content = bytearray(4 * SAMPLE_BYTES)
    first = write_file(tmp_path / "a.mp4", bytes(content))
    content[SAMPLE_BYTES + 10] = 1
    other = write_file(tmp_path / "b.mp4", bytes(content))
    os.utime(other, (10**9, 10**9))
    return first, other


def test_what_is_in_doubt_is_read_in_the_queue_and_not_where_it_is_added(
    library: Library, large: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = large
    copy = write_file(tmp_path / "copy.mp4", first.read_bytes())
    os.utime(copy, (10**9 + 1, 10**9 + 1))
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([first])
        assert ingest.wait(LONG)
        ingest.pause()
        with monkeypatch.context() as patched:
            patched.setattr("vmr.library.naming.full_digest", lambda path: 1 / 0)
            ingest.add([other, copy])
        assert [job.state for job in ingest.progress().jobs] == ["ready", "new", "new"]
        ingest.resume()
        assert ingest.wait(LONG)
        states = [(job.path.name, job.state, job.skipped) for job in ingest.progress().jobs]
    assert states == [
        ("a.mp4", "ready", False),
        ("b.mp4", "ready", False),
        ("copy.mp4", "ready", True),
    ]
    assert [{video.path, *video.also} for video in library.videos()] == [{first, copy}, {other}]


def test_a_digest_shows_progress_and_heeds_pause_and_cancel(
    library: Library, large: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file on a slow disk: nothing told how far it was, and nothing stopped it."""
    first, other = large
    pieces, read = threading.Semaphore(0), content._read

    def slow(path: Path, file: BinaryIO, count: int) -> bytes:
        if path == other and count <= 1000:
            assert pieces.acquire(timeout=LONG)
        return read(path, file, count)

    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([first])
        assert ingest.wait(LONG)
        monkeypatch.setattr("vmr.library.content._read", slow)
        ingest.add([other])
        pieces.release(10)
        wait_for(lambda: ingest.progress().jobs[1].fraction > 0)
        assert ingest.progress().jobs[1].fraction < 0.1
        ingest.pause()
        pieces.release()
        before = ingest.progress().jobs[1].fraction
        assert not ingest.wait(0.1)
        assert ingest.progress().jobs[1].fraction <= before + 0.01
        ingest.cancel()
        pieces.release(2)
        assert ingest.wait(LONG)
    assert [video.state for video in library.videos()] == ["ready", "new"]


def test_a_file_that_is_no_video_is_not_read_to_its_end(library: Library, tmp_path: Path) -> None:
    """A sparse file of terabytes: the probe comes first, and nothing after it."""
    path = tmp_path / "sparse.mp4"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with Ingest(library, Probing) as ingest:
        ingest.add([path])
        assert ingest.wait(LONG)
        (job,) = ingest.progress().jobs
    assert job.state == "refused"
    assert "not a video" in job.reason


class Probing(PlantedExtractor):
    """Reads as the real one begins: what the decoder refuses."""

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        with read_frames(path, rate=4) as frames:
            list(frames)
        return super().extract(path, on_progress=on_progress)


def test_cancel_reaches_a_decoder_that_gives_nothing(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that hangs: the file is left at once, not after a minute."""
    path, asked = tmp_path / "a.mp4", threading.Event()
    counter_video(path, 1.0)

    class Silent:
        def get(self, timeout: float) -> None:
            asked.set()
            time.sleep(min(timeout, 0.01))
            raise queue.Empty

        def put(self, message: object) -> None:
            pass

    class Hanging(PlantedExtractor):
        def extract(
            self, path: Path, *, on_progress: Callable[[float], None] | None = None
        ) -> Extraction:
            report = on_progress
            assert report is not None
            child = Child({"path": str(path), "rate": 0, "size": [1, 1], "after": None})
            monkeypatch.setattr(child, "_messages", Silent())
            try:
                child.next(10 * LONG, lambda: report(0.0))
            finally:
                child.close()
            return super().extract(path, on_progress=on_progress)

    with Ingest(library, Hanging) as ingest:
        ingest.add([path])
        assert asked.wait(LONG)
        ingest.cancel()
    assert [video.state for video in library.videos()] == ["new"]


def test_a_queue_that_is_paused_while_it_waits_for_another_process_lets_others_go_on(
    library: Library, tmp_path: Path
) -> None:
    with Ingest(library, PlantedExtractor) as ingest:
        with library.exclusive():
            ingest.add([write_file(tmp_path / "a.mp4")])
            wait_for(lambda: "another process" in ingest.progress().note)
            ingest.pause()
        assert not ingest.wait(0.7)
        with library.exclusive(wait_seconds=LONG) as alone:
            assert alone
        ingest.resume()
        assert ingest.wait(LONG)


# The library's own troubles


def test_another_extractor_is_refused_before_anything_is_mixed(
    library: Library, tmp_path: Path
) -> None:
    library.adopt("somebody else's")
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([write_file(tmp_path / "a.mp4")])
        with pytest.raises(LibraryError, match="rescan --reindex"):
            ingest.wait()
        assert "rescan --reindex" in ingest.progress().note
    assert library.videos()[0].state == "new"


def test_it_waits_while_another_process_indexes(library: Library, tmp_path: Path) -> None:
    with Ingest(library, PlantedExtractor) as ingest:
        with library.exclusive():
            ingest.add([write_file(tmp_path / "a.mp4")])
            wait_for(lambda: "another process" in ingest.progress().note)
        assert ingest.wait(LONG)
        assert ingest.progress().note == ""


def test_what_another_process_finished_meanwhile_is_not_done_again(
    tmp_path: Path, library: Library
) -> None:
    made: list[Path] = []

    class Counting(PlantedExtractor):
        def extract(
            self, path: Path, *, on_progress: Callable[[float], None] | None = None
        ) -> Extraction:
            made.append(path)
            return super().extract(path, on_progress=on_progress)

    paths = [write_file(tmp_path / f"{i}.mp4") for i in range(10)]
    other = Library(library.folder)
    with Ingest(library, Counting) as one, Ingest(other, Counting) as two:
        one.add(paths)
        two.add(paths)
        assert one.wait(LONG)
        assert two.wait(LONG)
        for ingest in (one, two):
            assert [job.state for job in ingest.progress().jobs] == ["ready"] * 10
    assert sorted(made) == sorted(paths)

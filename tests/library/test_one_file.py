"""One file never decides over another: whatever its date, its disk or its bytes do."""

import errno
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feature_extract.extract import Extraction
from feature_extract.video.frames import NotNowError, VideoError
from tests.support.planted import PlantedExtractor, write_file
from vmr.library.content import ContentError, FileStamp
from vmr.library.ingest import Ingest
from vmr.library.locks import plain_errors
from vmr.library.rescan import rescan
from vmr.library.store import Library, Video
from vmr.library.watch import keep_indexed


@pytest.fixture(autouse=True)
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks twenty times a second."""
    monkeypatch.setattr("vmr.library.watch.TICK_SECONDS", 0.05)


CENTURY = 36_525 * 24 * 3600


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    yield library
    library.close()


def indexed(
    library: Library,
    paths: list[Path],
    extractor: Callable[[], PlantedExtractor] = PlantedExtractor,
    **options: Any,
) -> list[tuple[str, str]]:
    """What became of each file: its state and reason, in order."""
    with Ingest(library, extractor) as ingest:
        ingest.add(paths, **options)
        assert ingest.wait(60)
        return [(job.state, job.reason) for job in ingest.progress().jobs]


def films(tmp_path: Path, count: int = 3) -> list[Path]:
    return [write_file(tmp_path / f"films/{i}.mp4", b"film %d" % i) for i in range(count)]


@pytest.mark.parametrize("centuries", [4, -4])
def test_a_file_dated_centuries_away_is_taken_like_its_neighbours(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, centuries: int
) -> None:
    paths = films(tmp_path)
    stat = Path.stat

    def dated(
        path: Path, **options: Any
    ) -> os.stat_result:  # as XFS tells it; others hold dates to 2446 or 2038
        status = stat(path, **options)
        if path != paths[0]:
            return status
        far = centuries * CENTURY * 10**9
        return os.stat_result(status[:10], {"st_mtime_ns": far, "st_ctime_ns": far})

    monkeypatch.setattr(Path, "stat", dated)
    assert indexed(library, paths) == [("ready", "")] * 3
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add(paths)
        assert all(job.skipped for job in ingest.progress().jobs)


@pytest.mark.parametrize("place", ["registration", "decoding"])
@pytest.mark.parametrize("error", [OverflowError, RecursionError, UnicodeDecodeError])
def test_whatever_one_file_raises_and_wherever_it_is_refused_by_name_and_the_others_go_on(
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    error: type[Exception],
) -> None:
    paths = films(tmp_path)
    raised = error("utf-8", b"", 0, 1, "odd") if error is UnicodeDecodeError else error("odd")
    register = library.register

    def failing(path: Path, **options: bool) -> Video:
        if path == paths[1]:
            raise raised
        return register(path, **options)

    class Failing(PlantedExtractor):
        def extract(
            self, path: Path, *, on_progress: Callable[[float], None] | None = None
        ) -> Extraction:
            if path == paths[1]:
                raise raised
            return super().extract(path, on_progress=on_progress)

    if place == "registration":
        monkeypatch.setattr(library, "register", failing)
    found = indexed(library, paths, PlantedExtractor if place == "registration" else Failing)
    assert [state for state, _ in found] == ["ready", "refused", "ready"]
    assert found[1][1] == f"could not be indexed ({error.__name__}: {raised})"


def test_a_panic_of_a_native_library_ends_one_file_and_not_the_queue(
    library: Library, tmp_path: Path
) -> None:
    class Panic(BaseException):
        """As those of Rust, which are no exceptions to Python."""

    class Panicking(PlantedExtractor):
        def extract(
            self, path: Path, *, on_progress: Callable[[float], None] | None = None
        ) -> Extraction:
            if path.name == "0.mp4":
                raise Panic("index out of bounds")
            return super().extract(path, on_progress=on_progress)

    found = indexed(library, films(tmp_path), Panicking)
    assert [state for state, _ in found] == ["refused", "ready", "ready"]


def test_a_name_that_no_file_can_have_is_refused_and_the_others_go_on(
    library: Library, tmp_path: Path
) -> None:
    paths = films(tmp_path)
    found = indexed(library, [*paths, tmp_path / "zero\0byte.mp4"])
    assert [state for state, _ in found] == ["ready", "ready", "ready", "refused"]
    with pytest.raises(ContentError, match="zero"):
        FileStamp.of(tmp_path / "zero\0byte.mp4")


class Dropout(PlantedExtractor):
    """Reads as over a network that fails for the first few readings: some call that damage, some
    call it no video, some are told by the system, some find the file gone for a moment."""

    def __init__(self, kind: str, readings: int) -> None:
        super().__init__()
        self.kind, self.readings = kind, readings

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        extraction = super().extract(path, on_progress=on_progress)
        self.readings -= 1
        if self.readings < 0:
            return extraction
        if self.kind == "damage":
            spans = ((1.0, 5.0 + self.readings),)
            return replace(extraction, features=replace(extraction.features, unreadable=spans))
        if self.kind == "no video":
            raise VideoError(f"{path}: not a video, reading {self.readings}")
        if self.kind == "decoder":
            raise NotNowError(f"{path}: stale file handle")
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


KINDS = ["damage", "no video", "decoder", "system"]
NOT_NOW = ("waiting", "could not be read now")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", ["index", "rescan", "watch"])
def test_what_a_network_did_is_told_as_such_and_tried_again(
    library: Library, tmp_path: Path, kind: str, again: str
) -> None:
    path, extractor = films(tmp_path, 1)[0], Dropout(kind, 2 if kind in KINDS[:2] else 1)
    with Ingest(library, lambda: extractor) as ingest:
        if again == "watch":
            assert followed(library, ingest, path) == [NOT_NOW, ("ready", "")]
            return
        ingest.add([path])
        assert ingest.wait(60)
        (video,) = library.videos()
        assert (video.state, video.reason[:21]) == NOT_NOW
        if again == "index":
            ingest.add([path])
        else:
            os.utime(path, (10**9, 10**9))  # not fresh: nothing to wait for
            rescan(library, ingest)
        assert ingest.wait(60)
    (video,) = library.videos()
    assert (video.state, video.reason) == ("ready", "")


def followed(library: Library, ingest: Ingest, path: Path) -> list[tuple[str, str]]:
    """What is said while a folder is followed, until this file is ready."""
    stop = threading.Event()
    found: list[tuple[str, str]] = []
    jobs = keep_indexed(library, ingest, path.parent, stop, settle_seconds=0.0, retry_seconds=0.1)
    for job in jobs:
        if job.path == path:
            found.append((job.state, job.reason[:21]))
            if job.taken:
                stop.set()
    return found


def test_a_permission_that_is_given_later_is_a_fault_that_passed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first byte was read, too: the file is shown and taken without anybody's word."""
    path, other = films(tmp_path, 2)
    opened, tries = Path.open, list[int]()

    def denied(self: Path, *args: Any, **options: Any) -> Any:
        if self == path and len(tries) < 2:
            tries.append(1)
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", denied)
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([path, other])
        assert ingest.wait(60)
        assert [(video.path, video.state, video.reason) for video in library.videos()] == [
            (path, "waiting", "could not be read now (no permission to read it)"),
            (other, "ready", ""),
        ]
    with Ingest(library, PlantedExtractor) as ingest:
        assert followed(library, ingest, path) == [NOT_NOW, ("ready", "")]
    assert [video.state for video in library.videos()] == ["ready", "ready"]


def test_a_mount_that_vanishes_while_a_file_is_read_refuses_nothing(
    library: Library, tmp_path: Path
) -> None:
    paths = films(tmp_path)

    class Unmounted(PlantedExtractor):
        def extract(
            self, path: Path, *, on_progress: Callable[[float], None] | None = None
        ) -> Extraction:
            if paths[0].parent.exists():
                paths[0].parent.rename(tmp_path / "unmounted")
            raise VideoError(f"{path}: no such file or directory")

    found = indexed(library, paths, Unmounted)
    assert found == [("waiting", "could not be read now (no such file or folder)")] * 3
    library.check_presence()
    assert {video.state for video in library.videos()} == {"missing"}
    (tmp_path / "unmounted").rename(paths[0].parent)
    assert indexed(library, paths) == [("ready", "")] * 3


def test_damage_that_a_single_reading_saw_is_not_kept(library: Library, tmp_path: Path) -> None:
    dropout = Dropout("damage", 1)
    assert indexed(library, films(tmp_path, 1), lambda: dropout) == [("ready", "")]


@pytest.mark.parametrize("fault", ["error", "short"])
def test_a_file_that_cannot_be_read_to_its_end_waits_although_it_decoded(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """By an error, or because a network gives fewer bytes than there are and says nothing."""
    (path,) = films(tmp_path, 1)
    opened, times, content = Path.open, list[int](), path.read_bytes()

    class Broken(io.BytesIO):
        def read(self, count: int | None = -1) -> bytes:
            if fault == "error":
                raise OSError(errno.EIO, "Input/output error")
            return super().read(count)[:-1]

    def failing(self: Path, *args: Any, **options: Any) -> Any:
        times.append(1)
        if len(times) > 1:  # the first look is for the quick digest
            return Broken(content)
        return opened(self, *args, **options)

    class NotOpening(PlantedExtractor):
        def extract(
            self, path: Path, *, on_progress: Callable[[float], None] | None = None
        ) -> Extraction:
            with monkeypatch.context() as patched:
                patched.setattr(Path, "open", opened)
                return super().extract(path, on_progress=on_progress)

    monkeypatch.setattr(Path, "open", failing)
    found = indexed(library, [path], NotOpening)
    why = {"error": "input/output error", "short": "it ends before its size says"}[fault]
    assert found == [("waiting", f"could not be read now ({why})")]


def test_what_the_bytes_say_twice_is_kept_as_a_fact(library: Library, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.mp4", b"bad")
    assert indexed(library, [path]) == [("refused", "not a video")]
    assert library.videos()[0].state == "refused"


@pytest.mark.parametrize("when", ["registration", "storing", "marking"])
def test_a_row_that_the_database_will_not_have_does_not_end_the_queue(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Whatever two names, two processes or two file systems make of one file."""
    paths = films(tmp_path)
    name = {"registration": "register", "storing": "commit", "marking": "mark"}[when]
    method, failed = getattr(library, name), list[int]()

    def contradicted(first: object, *args: Any, **options: Any) -> Any:
        if not failed and (first in (paths[1], 2)):
            failed.append(1)
            with plain_errors(library.folder):
                raise sqlite3.IntegrityError("UNIQUE constraint failed: paths.path")
        return method(first, *args, **options)

    monkeypatch.setattr(library, name, contradicted)
    found = indexed(library, paths)
    assert [state for state, _ in found] == ["ready", "refused", "ready"]
    assert "UNIQUE constraint failed" in found[1][1]

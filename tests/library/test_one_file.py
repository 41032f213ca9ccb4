"""One file never decides over another: whatever its date, its disk or its bytes do."""

import os
from pathlib import Path

import pytest

from tests.support.planted import PlantedExtractor, write_file
from vmr.library.content import ContentError, FileStamp
from vmr.library.ingest import Ingest
from vmr.library.store import Library

CENTURY = 36_525 * 24 * 3600


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path / "library")
    yield library
    library.close()


def indexed(library, paths, extractor=PlantedExtractor, **options):
    """What became of each file: its state and reason, in order."""
    with Ingest(library, extractor) as ingest:
        ingest.add(paths, **options)
        assert ingest.wait(60)
        return [(job.state, job.reason) for job in ingest.progress().jobs]


def films(tmp_path, count=3):
    return [write_file(tmp_path / f"films/{i}.mp4", b"film %d" % i) for i in range(count)]


@pytest.mark.parametrize("centuries", [4, -4])
def test_a_file_dated_centuries_away_is_taken_like_its_neighbours(
    library, tmp_path, monkeypatch, centuries
):
    paths = films(tmp_path)
    stat = Path.stat

    def dated(path, **options):  # as XFS tells it; others hold dates to 2446 or 2038
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
    library, tmp_path, monkeypatch, place, error
):
    paths = films(tmp_path)
    raised = error("utf-8", b"", 0, 1, "odd") if error is UnicodeDecodeError else error("odd")
    register = library.register

    def failing(path):
        if path == paths[1]:
            raise raised
        return register(path)

    class Failing(PlantedExtractor):
        def extract(self, path, *, on_progress=None):
            if path == paths[1]:
                raise raised
            return super().extract(path, on_progress=on_progress)

    if place == "registration":
        monkeypatch.setattr(library, "register", failing)
    found = indexed(library, paths, PlantedExtractor if place == "registration" else Failing)
    assert [state for state, _ in found] == ["ready", "refused", "ready"]
    assert found[1][1] == f"could not be indexed ({error.__name__}: {raised})"


def test_a_panic_of_a_native_library_ends_one_file_and_not_the_queue(library, tmp_path):
    class Panic(BaseException):
        """As those of Rust, which are no exceptions to Python."""

    class Panicking(PlantedExtractor):
        def extract(self, path, *, on_progress=None):
            if path.name == "0.mp4":
                raise Panic("index out of bounds")
            return super().extract(path, on_progress=on_progress)

    found = indexed(library, films(tmp_path), Panicking)
    assert [state for state, _ in found] == ["refused", "ready", "ready"]


def test_a_name_that_no_file_can_have_is_refused_and_the_others_go_on(library, tmp_path):
    paths = films(tmp_path)
    found = indexed(library, [*paths, tmp_path / "zero\0byte.mp4"])
    assert [state for state, _ in found] == ["ready", "ready", "ready", "refused"]
    with pytest.raises(ContentError, match="zero"):
        FileStamp.of(tmp_path / "zero\0byte.mp4")

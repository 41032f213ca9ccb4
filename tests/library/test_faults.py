"""What a library survives: kills at any write, full and read-only disks, locks, other processes.

The short form runs with every test; `make soak` kills at 200 random writes.
"""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vmr.library.database
from feature_extract.files import PREFIX
from tests.support.planted import PlantedExtractor, tiny_model, write_file
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.search.index import ClipIndex
from vmr.search.searcher import Searcher

# Children are forked from a small server that has the modules loaded: a kill costs milliseconds.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["tests.support.planted", "vmr.library.ingest", "vmr.search.index"])
FOUND: list[tuple[Path, int, float]] = []
"""What the undisturbed run answers."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Pausing(PlantedExtractor):
    """Takes 20 ms a file, so that other processes come between its writes."""

    def __init__(self) -> None:
        super().__init__(steps=4, pause_seconds=0.005)


def index_all(folder: Path, paths: list[Path]) -> None:
    """What `python -m vmr index` does, in a child."""
    library = Library(folder)
    with Ingest(library, Pausing) as ingest:
        ingest.add(paths)
        ingest.wait()
    ClipIndex.open(library, tiny_model())
    library.close()


def run_child(target: Callable[..., None], *arguments: object) -> int:
    """Run to the end in a child process; its exit code."""
    child = START.Process(target=target, args=arguments)
    child.start()
    child.join(60)
    assert child.exitcode is not None, "hung"
    return child.exitcode


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [write_file(folder / f"{i}.mp4", b"film %d" % i) for i in range(20)]


@pytest.fixture(scope="module")
def undisturbed(
    paths: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, tuple[bytes, ...]]:
    """What a run without trouble makes: the bytes of every feature and thumbnail file, by film."""
    folder = tmp_path_factory.mktemp("undisturbed") / "library"
    assert run_child(index_all, folder, paths) == 0
    library = Library(folder)
    made = contents(library)
    assert made.keys() == set(paths)
    FOUND.extend(answers(library))
    assert len(FOUND) == 20 * len(paths)
    library.close()
    return made


def contents(library: Library) -> dict[Path, tuple[bytes, ...]]:
    return {
        video.path: tuple(
            (library.folder / name).read_bytes()
            for name in (f"features/{video.id}.safetensors", f"thumbnails/{video.id}.zip")
        )
        for video in library.videos()
        if video.searchable
    }


def answers(library: Library, model: RetrievalModel | None = None) -> list[tuple[Path, int, float]]:
    """Every clip's path, row and score for a fixed query, best first."""
    model = tiny_model() if model is None else model
    vector = np.full(model.width, 0.25, np.float32)
    videos, rows, scores = ClipIndex.open(library, model).nearest(vector, 10_000)
    names = {video.id: video.path for video in library.videos()}
    return sorted(
        (names[id], row, round(score, 5))
        for id, row, score in zip(videos.tolist(), rows.tolist(), scores.tolist(), strict=True)
    )


def check_sound(
    folder: Path, finished: set[Path], undisturbed: dict[Path, tuple[bytes, ...]]
) -> set[Path]:
    """The library opens; what was finished still is; what answers is whole."""
    library = Library(folder)
    made = contents(library)
    assert finished <= made.keys()
    assert all(made[path] == undisturbed[path] for path in made)
    assert {path for path, _, _ in answers(library)} == set(made)
    for video in library.videos():
        assert video.state in ("new", "ready")
    leftovers = [file for file in folder.rglob("*") if ".tmp" in file.name or PREFIX in file.name]
    assert leftovers == []
    library.close()
    return set(made)


def check_completes(
    folder: Path, paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]]
) -> None:
    """The next run ends with what an undisturbed one makes."""
    assert run_child(index_all, folder, paths) == 0
    library = Library(folder)
    assert contents(library) == {path: undisturbed[path] for path in paths}
    assert len(library.videos()) == len(paths)
    assert answers(library) == [found for found in FOUND if found[0] in paths]
    library.close()


# Kills


def die_at_write(folder: Path, paths: list[Path], boundary: int, count: Path) -> None:
    """Index, and die just before the write of this number; without one, count them all."""
    seen = 0

    def write() -> None:
        nonlocal seen
        seen += 1
        if seen == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if opened or event in ("os.rename", "os.remove", "os.mkdir"):
            write()

    connect = vmr.library.database._connect

    def connect_watched(uri: str) -> sqlite3.Connection:
        db = connect(uri)
        db.set_trace_callback(lambda statement: write())
        return db

    sys.addaudithook(watch)
    vmr.library.database._connect = connect_watched  # of this child only
    index_all(folder, paths)
    count.write_text(str(seen))


def count_writes(paths: list[Path], tmp_path: Path) -> int:
    """How many an undisturbed run makes."""
    count = tmp_path / "count"
    assert run_child(die_at_write, tmp_path / "counted", paths, 0, count) == 0
    return int(count.read_text())


def kill_at_random_writes(
    kills: int, paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    """By a number of writes, not by a clock: a faster or busier machine is hit as often."""
    rng, writes = random.Random(5), count_writes(paths, tmp_path)
    done, library = 0, tmp_path / "library0"
    finished: set[Path] = set()
    while done < kills:
        code = run_child(die_at_write, library, paths, rng.randint(1, writes), tmp_path / "count")
        assert code in (0, -signal.SIGKILL)
        done += code != 0  # a run that goes on from another writes less, and may end before
        finished = check_sound(library, finished, undisturbed)
        if len(finished) == len(paths):
            check_completes(library, paths, undisturbed)
            library, finished = tmp_path / f"library{done}", set()
    check_completes(library, paths, undisturbed)


def test_killed_at_random_writes(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    kill_at_random_writes(8, paths, undisturbed, tmp_path)


@pytest.mark.soak
def test_killed_at_200_random_writes(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    kill_at_random_writes(200, paths, undisturbed, tmp_path)


def kill_before_writes(
    share: int, paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> int:
    writes = count_writes(paths[:2], tmp_path)
    assert writes > 60
    for boundary in range(1, writes + 1, share):
        library = tmp_path / f"library{boundary}"
        code = run_child(die_at_write, library, paths[:2], boundary, tmp_path / "count")
        assert code in (0, -signal.SIGKILL)
        check_sound(library, set(), undisturbed)
        check_completes(library, paths[:2], undisturbed)
        shutil.rmtree(library)
    return writes


def test_killed_before_every_eleventh_write(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    """Opening, renaming and deleting files, and every statement of SQLite."""
    kill_before_writes(11, paths, undisturbed, tmp_path)


@pytest.mark.soak
def test_killed_before_every_write(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    print(kill_before_writes(1, paths, undisturbed, tmp_path), "writes")


# Power cuts


@pytest.mark.parametrize("cut", [1, 3_000])
def test_the_newest_files_cut_short(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path, cut: int
) -> None:
    """As after a power cut on a disk that lied about what it had written."""
    folder = tmp_path / "library"
    writes = count_writes(paths, tmp_path)
    code = run_child(die_at_write, folder, paths, writes * 3 // 5, tmp_path / "count")
    assert code == -signal.SIGKILL
    files = [file for file in folder.rglob("*.*") if file.is_file()]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)[-8:]:
        if file.suffix != ".db":  # its own journal is what protects the database
            content = file.read_bytes()
            file.write_bytes(content[: max(0, len(content) - cut)])
    check_sound(folder, set(), undisturbed)
    check_completes(folder, paths, undisturbed)


# Disks


def index_with_small_files(folder: Path, paths: list[Path], limit: int) -> None:
    """No file may grow beyond the limit, as where a quota or the disk ends."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    expect_library_error(folder, paths)


def expect_library_error(folder: Path, paths: list[Path]) -> None:
    """Exit code 7 and no other when the library says what is wrong, in one line."""
    try:
        index_all(folder, paths)
    except LibraryError as error:
        sys.exit(7 if "\n" not in str(error) else 8)


@pytest.mark.parametrize("limit", [0, 2_000, 150_000])
def test_where_files_cannot_grow(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path, limit: int
) -> None:
    folder = tmp_path / "library"
    assert run_child(index_with_small_files, folder, paths, limit) == 7
    check_sound(folder, set(), undisturbed)
    check_completes(folder, paths, undisturbed)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let us mount a small disk")
    try:
        folder = disk / "library"
        assert run_child(expect_library_error, folder, paths) == 7
        finished = set(contents(Library(folder, read_only=True)))
        (disk / "rest").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096))  # not a byte left
        reader = Library(folder, read_only=True)
        assert set(contents(reader)) == finished
        assert {path for path, _, _ in answers(reader)} == finished
        (disk / "rest").unlink()
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        check_sound(folder, finished, undisturbed)
        check_completes(folder, paths, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def read_as_nobody(folder: Path, expected: int) -> None:
    """Search a library that this process may not write."""
    model = tiny_model()  # word vectors may lie where nobody may look
    if os.geteuid() == 0:
        os.setuid(65534)
    assert not os.access(folder, os.W_OK)
    with pytest.raises(LibraryError, match=r"cannot be written|permission"):
        Library(folder)
    library = Library(folder, read_only=True)
    assert len(answers(library, model)) == expected


@pytest.mark.parametrize("killed", [False, True])
def test_a_read_only_library_answers(paths: list[Path], killed: bool) -> None:
    """Also when the last writer was killed and left its journal behind."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # tmp_path is closed to other users
        folder = Path(place) / "library"
        assert run_child(die_after if killed else index_all, folder, paths[:4]) in (0, -9)
        assert (folder / "library.db-wal").exists() == killed
        before = sorted(folder.rglob("*"))
        for file in (folder, *before):
            file.chmod(0o555 if file.is_dir() else 0o444)
        assert run_child(read_as_nobody, folder, 80) == 0
        assert sorted(folder.rglob("*")) == before
        for file in (folder, *before):
            file.chmod(0o755)


def die_after(folder: Path, paths: list[Path]) -> None:
    """Index all, then die without closing anything."""
    library = Library(folder)
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add(paths)
        ingest.wait()
    os.kill(os.getpid(), signal.SIGKILL)


# Company


def test_two_processes_index_the_same_library(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    children = [
        START.Process(target=index_all, args=(folder, order)) for order in (paths, paths[::-1])
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    check_completes(folder, paths, undisturbed)


def test_searching_while_another_process_indexes(
    paths: list[Path], undisturbed: dict[Path, tuple[bytes, ...]], tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    library = Library(folder)
    searcher = Searcher(library, tiny_model())
    child = START.Process(target=index_all, args=(folder, paths))
    child.start()
    seen = []
    while child.is_alive():
        found = {hit.video for hit in searcher.search("a dog on a beach", top=1000).moments}
        states = {video.id: video.searchable for video in library.videos()}
        assert all(states[id] for id in found)
        seen.append(len(found))
    child.join()
    assert child.exitcode == 0
    assert seen == sorted(seen)  # what answers once goes on answering
    answered = {hit.path for hit in searcher.search("a dog on a beach", top=1000).moments}
    assert len(answered) > 10
    library.close()


def test_searching_while_videos_come_and_go(paths: list[Path], tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    searcher = Searcher(library, tiny_model())
    stop, failures = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                searcher.search("a dog on a beach")
                searcher.search("two cats", top=3)
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    with Ingest(library, PlantedExtractor) as ingest:
        for _ in range(2):
            ingest.add(paths)
            ingest.wait()
            for video in library.videos():
                library.remove(video.id)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_locked_database_stops_the_run_in_one_line_and_loses_nothing(
    paths: list[Path],
    undisturbed: dict[Path, tuple[bytes, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sqlite3

    monkeypatch.setattr("vmr.library.database.BUSY_SECONDS", 0.1)
    folder = tmp_path / "library"
    library = Library(folder)
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add(paths[:3])
        ingest.wait()
        ingest.pause()
        ingest.add(paths)
        other = sqlite3.connect(folder / "library.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ingest.resume()
        with pytest.raises(LibraryError, match="another program holds the library"):
            ingest.wait()
        other.close()
    library.close()
    assert check_sound(folder, set(paths[:3]), undisturbed) == set(paths[:3])
    check_completes(folder, paths, undisturbed)

"""Drivers, workers and servers that die at seeded moments, and a store that fails: by `make soak`.

Each case ends with all videos ready, none read again that was ready before, and the same bytes as
an undisturbed run at home.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feature_extract.extract import Extraction
from tests.library.test_ray import cluster as cluster  # a fixture
from tests.library.test_ray import join, nodes
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows, write_file
from tests.support.servers import SLOW, ObjectStore, Postgres
from vmr.library.address import Address
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError

pytestmark = [pytest.mark.server_soak, pytest.mark.timeout(3600)]
ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
FILES = 4
PIECES = 5


class Noting:
    """Notes beside a file that it reads it; dies in the piece that the file names, once."""

    fingerprint = FINGERPRINT
    pause_seconds = 0.0

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        content = path.read_bytes()
        with path.with_suffix(".reads").open("a") as log:
            log.write("read\n")
        first = len(path.with_suffix(".reads").read_text().splitlines()) == 1
        for piece in range(PIECES):
            time.sleep(self.pause_seconds)
            if first and content.startswith(b"trap %d" % piece):
                os.kill(os.getpid(), signal.SIGKILL)
            if on_progress is not None:
                on_progress(piece / PIECES)
        return planted_extraction(random_rows(4, len(content)))


class Slow(Noting):
    """Takes a second and a half."""

    pause_seconds = 0.3


def drive(library: Library, files: list[Path], step: Callable[[], None]) -> None:
    """Index files; `step` is told before and after all that is written anywhere."""
    put, transaction = library.blobs.put, library.catalogue.transaction

    def stepping_put(key: str, content: bytes) -> None:
        step()
        put(key, content)
        step()

    @contextmanager
    def stepping_transaction() -> Iterator[Any]:
        step()
        with transaction() as statements:
            yield statements
            step()
        step()

    library.blobs.put = stepping_put  # type: ignore[method-assign]
    library.catalogue.transaction = stepping_transaction  # type: ignore[method-assign]
    with Ingest(library, Noting) as ingest:
        ingest.add(files)
        assert ingest.wait(300)


def dying(at: int) -> Callable[[], None]:
    """Ends the process at a step, as a power cut does."""
    left = iter(range(at, -1, -1))

    def step() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


class Killing:
    """Kills a server so many seconds after a step."""

    def __init__(self, server: Postgres, at: int, delay: float) -> None:
        self._server, self._left, self._delay = server, at, delay
        self.done = threading.Event()

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            threading.Timer(self._delay, self._kill).start()

    def _kill(self) -> None:
        self._server.kill()
        self.done.set()


def steps(address: Address, store: str, folder: Path) -> int:
    """Of an undisturbed run."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    drive(fresh(address, store), films(folder), step)
    return count


def fresh(address: Address, store: str) -> Library:
    library = Library(address, store=store)
    library.words.want(speech="")
    return library


def films(folder: Path, count: int = FILES) -> list[Path]:
    return [write_file(folder / f"{n}.mp4", b"film" + b"x" * n) for n in range(count)]


def check(library: Library, files: list[Path], home: Path, ready: set[Path]) -> None:
    """All are ready with the bytes that they have at home; those ready before were read once."""
    videos = library.videos()
    assert {video.path: video.state for video in videos} == dict.fromkeys(files, "ready")
    assert len(library.blobs.sizes("features/")) == len(library.blobs.sizes("thumbnails/"))
    other = Library(home)
    for video in videos:
        if video.path in ready:
            assert video.path.with_suffix(".reads").read_text() == "read\n"
        library.features(video.id)
        twin = other.register(video.path)
        rows = random_rows(4, video.path.stat().st_size)
        other.store(twin.id, planted_extraction(rows), full="")
        for folder, kind in (("features", ".safetensors"), ("thumbnails", ".zip")):
            own, made = f"{folder}/{video.id}{kind}", f"{folder}/{twin.id}{kind}"
            assert library.blobs.get(own) == other.blobs.get(made)


def ready_of(library: Library) -> set[Path]:
    return {video.path for video in library.videos() if video.searchable}


def test_drivers_that_are_killed(
    servers: tuple[Postgres, ObjectStore], tmp_path: Path, noted: Path
) -> None:
    postgres, objects = servers
    count = steps(postgres.database(), objects.bucket(), tmp_path / "first")
    rng, finished = random.Random(1), 0
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        address, store, files = postgres.database(), objects.bucket(), films(folder)
        library = fresh(address, store)
        at = rng.randrange(count)
        code = (
            "from tests.library.test_soak_servers import *\n"
            f"drive(Library(Address({address.url!r})), films(Path({str(folder)!r})), dying({at}))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        ready = ready_of(library)
        finished += len(ready)
        drive(Library(address), files, lambda: None)
        check(library, files, folder / "home", ready)
    print(f"\ndriver: {KILLS} kills over {count} steps, {finished} videos ready before: none lost")


def test_a_database_that_is_killed(
    servers: tuple[Postgres, ObjectStore], tmp_path: Path, noted: Path
) -> None:
    postgres, objects = servers
    count = steps(postgres.database(), objects.bucket(), tmp_path / "first")
    rng = random.Random(2)
    for number in range(KILLS):
        folder = tmp_path / str(number)
        address, store, files = postgres.database(), objects.bucket(), films(folder)
        library = fresh(address, store)
        kill = Killing(postgres, rng.randrange(1, count), rng.uniform(0, 0.02))
        with pytest.raises(LibraryError, match="server"):
            drive(Library(address), files, kill.step)
        assert kill.done.wait(60)
        postgres.start()
        ready = ready_of(library)
        drive(Library(address), files, lambda: None)
        check(library, files, folder / "home", ready)
    print(f"\nPostgreSQL: {KILLS} kills, each of which stopped a run: none lost")


@pytest.mark.parametrize("ways", [("500",), SLOW], ids=["500", "slow"])
def test_a_store_that_fails(
    servers: tuple[Postgres, ObjectStore],
    tmp_path: Path,
    noted: Path,
    monkeypatch: pytest.MonkeyPatch,
    ways: tuple[str, ...],
) -> None:
    if ways == SLOW:
        monkeypatch.setattr("vmr.library.bucket.REQUEST_SECONDS", 1.0)
    rng = random.Random(3)
    for run in range(KILLS):
        folder, every = tmp_path / str(run), rng.randrange(2, 6)
        with ObjectStore(monkeypatch, failing_every=every, failing=ways) as objects:
            library = fresh(servers[0].database(), objects.bucket())
            files = films(folder)
            drive(library, files, lambda: None)
            check(library, files, folder / "home", {*files})
    print(f"\nS3: {KILLS} runs, every second to fifth request {', '.join(ways)}: none lost")


def test_workers_that_are_killed(
    servers: tuple[Postgres, ObjectStore], cluster: str, tmp_path: Path, noted: Path
) -> None:
    from vmr.library.ray_engine import RayEngine

    rng = random.Random(4)
    address, store = servers[0].database(), servers[1].bucket()
    library = fresh(address, store)
    traps = [
        write_file(tmp_path / f"trap {n}.mp4", b"trap %d" % rng.randrange(PIECES) + b"x" * n)
        for n in range(KILLS)
    ]
    files = [*traps, *films(tmp_path)]
    with Ingest(library, Noting, RayEngine(cluster, Noting, store)) as ingest:
        ingest.add(files)
        assert ingest.wait(1800)
    reads = Counter(len(file.with_suffix(".reads").read_text().splitlines()) == 2 for file in traps)
    assert reads == {True: KILLS}
    check(library, files, tmp_path / "home", {*films(tmp_path)})
    print(f"\nworkers: {KILLS} kills, each file read once more, none refused")


def test_nodes_that_are_killed(
    servers: tuple[Postgres, ObjectStore], cluster: str, tmp_path: Path, noted: Path
) -> None:
    rng, twice, before = random.Random(5), 0, 0
    seconds = run_on_nodes(servers, cluster, tmp_path / "first", None)[0]
    for number in range(KILLS):
        folder = tmp_path / str(number)
        at = rng.uniform(0, seconds)
        _, ready, again = run_on_nodes(servers, cluster, folder, at)
        twice, before = twice + again, before + ready
        join(cluster, folder)
    print(f"\nnodes: {KILLS} kills, {before} videos ready before, {twice} read twice: none lost")


def run_on_nodes(
    servers: tuple[Postgres, ObjectStore], cluster: str, folder: Path, at: float | None
) -> tuple[float, int, int]:
    """Index films on two nodes, one of which is killed so many seconds after the beginning: how
    long it took, how many were ready by then, and how many were read twice."""
    from vmr.library.ray_engine import RayEngine

    address, store = servers[0].database(), servers[1].bucket()
    library, files, ready = fresh(address, store), films(folder, 6), set[Path]()
    _, other = nodes(cluster)

    def kill() -> None:
        ready.update(ready_of(library))
        os.kill(other, signal.SIGKILL)

    timer = threading.Timer(0.0 if at is None else at, kill)
    with Ingest(library, Slow, RayEngine(cluster, Slow, store)) as ingest:
        began = time.monotonic()
        if at is not None:
            timer.start()
        ingest.add(files)
        assert ingest.wait(600)
        seconds = time.monotonic() - began
        if at is not None:
            timer.join()  # nothing may be left to kill: the run was faster than the first one
    check(library, files, folder / "home", ready)
    reads = [file.with_suffix(".reads").read_text().count("read") for file in files]
    assert max(reads) <= 2
    return seconds, len(ready), reads.count(2)

"""Files read by workers on two Ray nodes, some of which die: nothing is lost, doubled or refused
without a reason."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from socket import socket

import pytest

from feature_extract.extract import Extraction
from feature_extract.files import cache_folder
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows, write_file
from tests.support.servers import ObjectStore, Postgres
from vmr.library.address import Address
from vmr.library.engine import Engine
from vmr.library.film_cache import local_film
from vmr.library.films import BucketPath, bucket_of, film_path
from vmr.library.ingest import Ingest
from vmr.library.receipts import Receipt
from vmr.library.rescan import rescan
from vmr.library.store import Library, LibraryError

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).parent / "ray")


class Reader:
    """Takes a while; a file that begins with "poison" ends its process, one with "trap" once."""

    fingerprint = FINGERPRINT

    def extract(self, path: Path, *, on_progress: object = None) -> Extraction:
        content = path.read_bytes()
        mark = path.with_suffix(".sprung")
        if content.startswith(b"poison") or (content.startswith(b"trap") and not mark.exists()):
            mark.touch()
            os._exit(1)
        for step in range(4):
            time.sleep(0.5 if content.startswith(b"slow") else 0.05)
            on_progress(step / 4)  # type: ignore[operator]
        return planted_extraction(random_rows(4, len(content)))


@pytest.fixture(scope="module")
def cluster(servers: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head with a second node; both know the store by their environment."""
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = tmp_path_factory.mktemp("ray")
    _start("--head", f"--port={port}", "--include-dashboard=false", logs=logs)
    address = f"ray://127.0.0.1:{port}"
    join(address, logs)
    yield address
    subprocess.run(
        [RAY, "stop", "--force"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def join(cluster: str, logs: Path) -> None:
    """Start one more node; again where a busy machine is too slow for it: it waits 15 s for its
    own parts, and no setting says otherwise."""
    there = len(nodes(cluster))
    for _ in range(4):
        with suppress(AssertionError):
            return _start(f"--address={cluster.removeprefix('ray://')}", logs=logs)
        if len(nodes(cluster)) > there:
            return None
    return _start(f"--address={cluster.removeprefix('ray://')}", logs=logs)


def _start(*options: str, logs: Path) -> None:
    """Its words go into a file: what it starts would hold a pipe open for ever."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_DISABLE_IMPORT_WARNING": "1"}
    environment["VMR_CACHE"] = str(logs / "cache")
    shared = ["--num-cpus=1", "--disable-usage-stats", "--object-store-memory=80000000"]
    log = logs / "start"
    with log.open("w") as out:
        done = subprocess.run(
            [RAY, "start", *options, *shared], env=environment, stdout=out, stderr=out, timeout=180
        )
    assert done.returncode == 0, log.read_text()


def nodes(cluster: str) -> list[int]:
    """The processes that are the nodes of a cluster, by their age: the head is the first."""
    port, found = cluster.rpartition(":")[2], []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_bytes().decode()
            if line.split("\0")[0].endswith("raylet/raylet") and f":{port}\0" in line:
                began = (process / "stat").read_text().rpartition(")")[2].split()[19]
                found.append((int(began), int(process.name)))
    return [number for _, number in sorted(found)]


@pytest.fixture
def place(servers: tuple[Postgres, ObjectStore], noted: Path) -> tuple[Address, str]:
    postgres, store = servers
    address, bucket = postgres.database(), store.bucket()
    library = Library(address, store=bucket)
    library.words.want(speech="")
    library.close()
    return address, bucket


def _engine(cluster: str, reader: type[Reader], store: str) -> Engine:
    from vmr.library.ray_engine import RayEngine  # ray is there for these tests alone

    return RayEngine(cluster, reader, store)


def _films(folder: Path, count: int) -> list[Path]:
    return [write_file(folder / f"{n}.mp4", b"film" + b"x" * n) for n in range(count)]


def _ingest(place: tuple[Address, str], cluster: str, files: list[Path]) -> Library:
    library = Library(place[0])
    with Ingest(library, Reader, _engine(cluster, Reader, place[1])) as ingest:
        ingest.add(files)
        assert ingest.wait(240)
    return library


def _same_bytes(library: Library, folder: Path) -> None:
    """Each ready video has the files that an undisturbed run at home makes."""
    home = Library(folder)
    for video in library.videos():
        if video.searchable:
            other = home.register(video.path)
            with local_film(video.path) as file:
                home.store(other.id, Reader().extract(file, on_progress=print), full="")
            for ours, kept in (("features", ".safetensors"), ("thumbnails", ".zip")):
                assert library.blobs.get(f"{ours}/{video.id}{kept}") == home.blobs.get(
                    f"{ours}/{other.id}{kept}"
                )


def test_workers_that_die_cost_nothing_and_a_poison_file_is_refused(
    place: tuple[Address, str], cluster: str, tmp_path: Path
) -> None:
    files = _films(tmp_path, 6)
    poison = write_file(tmp_path / "poison.mp4", b"poison")
    trap = write_file(tmp_path / "trap.mp4", b"trap")
    library = _ingest(place, cluster, [poison, trap, *files])
    states = {video.path: video for video in library.videos()}
    assert {states[file].state for file in [trap, *files]} == {"ready"}
    assert states[poison].state == "refused"
    assert "3 workers died reading it" in states[poison].reason
    assert len(library.blobs.sizes("features/")) == 7
    _same_bytes(library, tmp_path / "home")


def test_workers_fetch_films_from_a_bucket(
    place: tuple[Address, str],
    cluster: str,
    servers: tuple[Postgres, ObjectStore],
    tmp_path: Path,
) -> None:
    """Each into the cache of its own machine; this process fetches none."""
    folder = film_path(servers[1].bucket())
    assert isinstance(folder, BucketPath)
    films = {folder / f"deep/{n}.mp4": b"film" + b"x" * n for n in range(5)}
    for path, content in films.items():
        bucket_of(path).put(path.key, content)
    poison = folder / "poison.mp4"
    bucket_of(poison).put(poison.key, b"poison")
    library = Library(place[0])
    with Ingest(library, Reader, _engine(cluster, Reader, place[1])) as ingest:
        assert rescan(library, ingest, [folder]).problems == ()
        assert ingest.wait(240)
    videos = {video.path: video for video in library.videos()}
    assert {videos[path].state for path in films} == {"ready"}
    assert (videos[poison].state, "3 workers died" in videos[poison].reason) == ("refused", True)
    assert not (cache_folder() / "films").exists()
    _same_bytes(library, tmp_path / "home")


def test_what_no_worker_can_load_is_said_and_not_tried_again(
    place: tuple[Address, str], cluster: str
) -> None:
    from vmr.library.ray_engine import RayEngine

    def broken() -> Reader:
        raise ValueError("the networks are not installed")

    engine = RayEngine(cluster, broken, place[1])
    with pytest.raises(LibraryError, match="the networks are not installed"):
        engine.ready()
    engine.close()


def test_two_drivers_read_no_video_twice(
    place: tuple[Address, str], cluster: str, tmp_path: Path
) -> None:
    files = _films(tmp_path, 10)
    commits: list[int] = []

    def drive(order: int) -> None:
        library = Library(place[0])
        commit = library.commit

        def counted(id: int, receipt: Receipt) -> None:
            commits.append(id)
            commit(id, receipt)

        library.commit = counted  # type: ignore[method-assign]
        # One in this process and one on the cluster: a process joins one cluster once.
        engine = _engine(cluster, Reader, place[1]) if order > 0 else None
        with Ingest(library, Reader, engine) as ingest:
            ingest.add(files[::order])
            assert ingest.wait(240)

    drivers = [threading.Thread(target=drive, args=(order,)) for order in (1, -1)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    library = Library(place[0])
    assert [video.state for video in library.videos()] == ["ready"] * 10
    assert sorted(commits) == [video.id for video in library.videos()]


def test_a_killed_driver_is_followed_by_another(
    place: tuple[Address, str], cluster: str, tmp_path: Path
) -> None:
    _films(tmp_path, 12)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, '.')\n"
        "from tests.library.test_ray import Address, Reader, _ingest\n"
        f"files = sorted(Path({str(tmp_path)!r}).glob('*.mp4'))\n"
        f"_ingest((Address({place[0].url!r}), {place[1]!r}), {cluster!r}, files)\n"
    )
    library = Library(place[0])
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as driver:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if sum(video.searchable for video in library.videos()) >= 3:
                break
            time.sleep(0.05)
        driver.kill()
    done = {video.id for video in library.videos() if video.searchable}
    assert 3 <= len(done) < 12
    number = library.changes().number
    again = _ingest(place, cluster, sorted(tmp_path.glob("*.mp4")))
    assert [video.state for video in again.videos()] == ["ready"] * 12
    assert not done & {video.id for video in again.changes(number).videos}  # nor committed twice
    _same_bytes(again, tmp_path / "home")


def test_cancelling_leaves_a_file_and_the_cluster_goes_on(
    place: tuple[Address, str], cluster: str, tmp_path: Path
) -> None:
    files = _films(tmp_path, 6)
    library = Library(place[0])
    with Ingest(library, Reader, _engine(cluster, Reader, place[1])) as ingest:
        ingest.add(files)
        ingest.cancel()
        assert ingest.wait(60)
        ingest.add(files[:2])
        assert ingest.wait(120)
    states = [library.find(file).state for file in files]  # type: ignore[union-attr]
    assert states[:2] == ["ready", "ready"]
    assert set(states[2:]) <= {"new", "ready"}


def test_a_node_that_is_lost_is_done_without(
    place: tuple[Address, str], cluster: str, tmp_path: Path
) -> None:
    """There is room for one worker then, where there were slots for two."""
    files = [write_file(tmp_path / f"{n}.mp4", b"slow" + b"x" * n) for n in range(6)]
    library, commits = Library(place[0]), list[int]()
    commit = library.commit

    def counted(id: int, receipt: Receipt) -> None:
        commits.append(id)
        commit(id, receipt)
        if len(commits) == 1:
            os.kill(nodes(cluster)[1], signal.SIGKILL)

    library.commit = counted  # type: ignore[method-assign]
    with Ingest(library, Reader, _engine(cluster, Reader, place[1])) as ingest:
        ingest.add(files)
        assert ingest.wait(240)
    assert [video.state for video in library.videos()] == ["ready"] * 6
    assert sorted(commits) == [video.id for video in library.videos()]
    _same_bytes(library, tmp_path / "home")
    join(cluster, tmp_path)  # as the other tests find it


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with pytest.raises(LibraryError, match="no Ray cluster answers"):
        _engine("ray://127.0.0.1:1", Reader, "s3://films/moments")

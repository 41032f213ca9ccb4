"""Files read by workers on two Ray nodes, some of which die: nothing is lost, doubled or refused
without a reason."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from feature_extract.extract import Extraction
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows, write_file
from tests.support.servers import ObjectStore, Postgres
from vmr.library.address import Address
from vmr.library.engine import Engine
from vmr.library.ingest import Ingest
from vmr.library.receipts import Receipt
from vmr.library.store import Library, LibraryError

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]


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
            time.sleep(0.05)
            on_progress(step / 4)  # type: ignore[operator]
        return planted_extraction(random_rows(4, len(content)))


@pytest.fixture(scope="module")
def cluster(servers: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head with a second node; both know the store by their environment."""
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_DISABLE_IMPORT_WARNING": "1"}
    ray = str(Path(sys.executable).parent / "ray")
    shared = ["--num-cpus=1", "--disable-usage-stats", "--object-store-memory=80000000"]
    head = [ray, "start", "--head", f"--port={port}", "--include-dashboard=false", *shared]
    logs = tmp_path_factory.mktemp("ray")
    _start(head, environment, logs / "head")
    _start([ray, "start", f"--address=127.0.0.1:{port}", *shared], environment, logs / "node")
    yield f"ray://127.0.0.1:{port}"
    subprocess.run(
        [ray, "stop", "--force"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _start(command: list[str], environment: dict[str, str], log: Path) -> None:
    """Into a file: what it starts would hold a pipe open for ever."""
    with log.open("w") as out:
        done = subprocess.run(command, env=environment, stdout=out, stderr=out, timeout=180)
    assert done.returncode == 0, log.read_text()


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
            home.store(other.id, Reader().extract(video.path, on_progress=print), full="")
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


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with pytest.raises(LibraryError, match="no Ray cluster answers"):
        _engine("ray://127.0.0.1:1", Reader, "s3://films/moments")

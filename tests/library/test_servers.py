"""A library on servers that fail: what is whole stays whole, and what cannot be done is said."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from feature_extract.transcript import TextSpan, Transcript
from tests.support.command import vmr
from tests.support.media import cup_video
from tests.support.planted import (
    FINGERPRINT,
    plant,
    planted_extraction,
    random_rows,
    tiny_model,
    write_file,
)
from tests.support.servers import SLOW, ObjectStore, Postgres
from vmr.library.address import Address
from vmr.library.ingest import Ingest
from vmr.library.locks import AwayError
from vmr.library.migrate import migrate
from vmr.library.opening import open_store
from vmr.library.store import Library, LibraryError, Rating
from vmr.search.index import ClipIndex

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmr.library.bucket.RETRY_SECONDS", 2.0)


def test_a_killed_database_comes_back_with_all_that_was_committed(
    postgres: Postgres, tmp_path: Path, noted: Path
) -> None:
    library = Library(postgres.database(), store=str(tmp_path / "store"))
    id = plant(library, tmp_path / "a.mp4", random_rows(3, 0))

    def half() -> None:
        with library.catalogue.transaction():
            library.mark(id, "refused", "half")
            postgres.kill()
            library.settings.set("half", "done")

    with pytest.raises(LibraryError, match="the server does not answer"):
        half()
    with pytest.raises(LibraryError, match="the server does not answer"):
        library.videos()
    postgres.start()
    assert [video.state for video in library.videos()] == ["ready"]
    assert library.settings.get("half") == ""
    library.mark(id, "refused", "whole")
    assert library.video(id).reason == "whole"


def test_a_lock_goes_with_its_process(postgres: Postgres, tmp_path: Path, noted: Path) -> None:
    address = postgres.database()
    library = Library(address, store=str(tmp_path / "store"))
    code = (
        "import os, sys, time; from vmr.library.address import Address\n"
        "from vmr.library.store import Library\n"
        "library = Library(Address(os.environ['VMR_LIBRARY']))\n"
        "with library.exclusive() as alone:\n    print(alone, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "VMR_LIBRARY": address.url}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with library.exclusive() as alone:
            assert not alone
        child.kill()
    with library.exclusive(wait_seconds=10) as alone:
        assert alone


class _Slow:
    """Reads a file in two steps, and waits for a word before the second."""

    fingerprint = FINGERPRINT

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def extract(self, path: Path, *, on_progress: Callable[[float], None]) -> object:
        self.begun.set()
        assert self.go_on.wait(60)
        on_progress(0.5)
        return planted_extraction(random_rows(4, 0))


@pytest.mark.parametrize("told", [True, False])
def test_who_lost_a_lock_keeps_nothing(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """A machine that slept comes back when another one has read its video: no word of it counts,
    neither of its progress nor of its end."""
    monkeypatch.setattr("vmr.library.ingest._REPORT_SECONDS", -1.0 if told else 600.0)
    address = postgres.database()
    asleep, awake = Library(address, store=str(tmp_path / "store")), Library(address)
    file, slow = write_file(tmp_path / "a.mp4"), _Slow()
    asleep.words.want(speech="")
    with Ingest(asleep, lambda: slow) as ingest:  # type: ignore[arg-type, return-value]
        ingest.add([file])
        assert slow.begun.wait(60)
        ended = awake.catalogue.fetch(
            "SELECT pg_terminate_backend(pid) FROM "
            "(SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory') AS held"
        )
        assert {*ended} == {(True,)}
        id = asleep.videos()[0].id
        with awake.claim(id, wait_seconds=60) as alone:  # the ended session takes a moment
            assert alone
            awake.store(id, planted_extraction(random_rows(5, 9)), full="of the one awake")
        before = awake.changes().number
        slow.go_on.set()
        assert ingest.wait(60)
        (job,) = ingest.progress().jobs
        assert job.state == "ready"
    assert awake.changes().number == before
    assert (awake.video(id).rows, awake.video(id).full) == (5, "of the one awake")


def test_a_lock_that_is_lost_again_and_again_ends_the_run(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(postgres.database(), store=str(tmp_path / "store"))
    monkeypatch.setattr(library.catalogue, "lost", lambda name: name.startswith("video"))
    slow = _Slow()
    slow.go_on.set()
    with Ingest(library, lambda: slow) as ingest:  # type: ignore[arg-type, return-value]
        ingest.add([write_file(tmp_path / "a.mp4")])
        with pytest.raises(LibraryError, match="the lock of video 1 was lost"):
            ingest.wait(60)


def test_a_store_that_fails_now_and_then_loses_nothing(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ObjectStore(monkeypatch, failing_every=3) as store:
        library = Library(postgres.database(), store=store.bucket())
        rows = {}
        for number in range(6):
            rows[plant(library, tmp_path / f"{number}.mp4", random_rows(4, number))] = number
        for id, number in rows.items():
            assert np.array_equal(library.features(id).rows, random_rows(4, number))
            assert library.thumbnails(id, [3]) == [b"jpeg 3"]


def test_a_store_that_answers_late_or_never_in_part_loses_nothing(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.library.bucket.REQUEST_SECONDS", 1.0)
    with ObjectStore(monkeypatch, failing_every=3, failing=SLOW) as store:
        library = Library(postgres.database(), store=store.bucket())
        ids = [plant(library, tmp_path / f"{n}.mp4", random_rows(4, n)) for n in range(3)]
        for number, id in enumerate(ids):
            assert np.array_equal(library.features(id).rows, random_rows(4, number))
            assert library.thumbnails(id, [3]) == [b"jpeg 3"]
        assert len(library.blobs.sizes("features/")) == 3  # a listing may stop half way, too
        for id in ids:  # and what is deleted may not be told
            library.remove(id)
        assert library.blobs.sizes("features/") == library.blobs.sizes("thumbnails/") == {}


@pytest.mark.usefixtures("short_patience")
def test_a_store_that_takes_connections_and_never_answers_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.library.bucket.REQUEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not to be seen")
        blobs, began = open_store("s3://films/moments"), time.monotonic()
        for ask in (
            lambda: blobs.put("features/1", b"rows"),
            lambda: blobs.get("features/1"),
            lambda: blobs.get_range("features/1", 0, 2),
            lambda: blobs.sizes("features/"),
            lambda: blobs.delete(["features/1"]),
            lambda: blobs.open("features/1"),
        ):
            with pytest.raises(OSError, match="s3://films/moments/features") as said:
                ask()
            assert len(str(said.value).splitlines()) == 1
            assert "not to be seen" not in str(said.value)
        assert time.monotonic() - began < 60


@pytest.mark.usefixtures("short_patience")
def test_a_store_that_is_gone_answers_nothing_wrong(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ObjectStore(monkeypatch) as store:
        address = postgres.database()
        library = Library(address, store=store.bucket())
        ids = [plant(library, tmp_path / f"{n}.mp4", random_rows(4, n)) for n in range(2)]
        index = ClipIndex.open(library, tiny_model())
        third = plant(library, tmp_path / "third.mp4", random_rows(4, 9))
    with pytest.raises(AwayError, match="the store does not answer"):
        index.sync()  # the third one's rows are not known: no answer without it
    with pytest.raises(AwayError):
        library.features(ids[0])
    assert library.video(ids[0]).state == "ready"  # nothing is known to be wrong with it
    assert library.video(third).state == "ready"
    file = write_file(tmp_path / "late.mp4")
    with pytest.raises(LibraryError) as said:
        plant(library, file, random_rows(4, 5))
    assert "not to be seen" not in str(said.value)
    assert library.find(file).state == "new"  # type: ignore[union-attr]


def test_a_store_is_said_once(postgres: Postgres, tmp_path: Path, noted: Path) -> None:
    address = postgres.database()
    with pytest.raises(LibraryError, match="--store"):
        Library(address)
    Library(address, store=str(tmp_path / "store")).close()
    library = Library(address)
    assert library.shared == tmp_path / "store"
    with pytest.raises(LibraryError, match="has its features in"):
        Library(address, store="s3://elsewhere/moments")


def test_what_cannot_be_opened_is_one_line(postgres: Postgres, noted: Path) -> None:
    with pytest.raises(LibraryError, match="no library here"):
        Library(postgres.database(), read_only=True)
    with pytest.raises(LibraryError, match="the server does not answer") as said:
        Library(Address("postgresql://me:secret@127.0.0.1:1/films"))
    assert "secret" not in str(said.value)


def test_the_commands_from_end_to_end(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres.database()
    monkeypatch.setenv("VMR_LIBRARY", address.url)
    (tmp_path / "films").mkdir()
    cup_video(tmp_path / "films" / "cup.mp4")
    with ObjectStore(monkeypatch) as store:
        said = vmr("index", tmp_path / "films", "--store", store.bucket(), "--no-speech", "--json")
        assert [file["state"] for file in json.loads(said)["files"]] == ["ready"]
        vmr("index", tmp_path / "films", "--library", tmp_path / "home", "--no-speech")
        found = json.loads(vmr("search", "a cup of coffee", "--json"))["moments"]
        at_home = json.loads(
            vmr("search", "a cup of coffee", "--json", "--library", tmp_path / "home")
        )["moments"]
        assert found == at_home
        assert found[0]["path"] == str(tmp_path / "films" / "cup.mp4")
        checks = json.loads(vmr("doctor", "--json", status=None))["checks"]
        named = {check["name"]: check for check in checks}
        assert named["catalogue"]["good"]
        assert "PostgreSQL 18" in named["catalogue"]["finding"]
        assert named["store"]["good"]
        vmr("export", "1@0-1", "--to", tmp_path / "clip.mp4")
        assert (tmp_path / "clip.mp4").stat().st_size
        vmr("rescan")
        vmr("remove", "1")
        assert json.loads(vmr("list", "--json")) == {"videos": []}


def test_a_library_goes_to_servers_and_back(
    postgres: Postgres, tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.library.migrate.PAGE", 2)
    home = Library(tmp_path / "home")
    ids = [plant(home, tmp_path / f"{n}.mp4", random_rows(4, n)) for n in range(3)]
    home.remove(ids[0])
    span = TextSpan(0.0, 1.0, "thank you")
    home.words.record(ids[1], "said", Transcript("said", "made up", "en", (span,)), "")
    home.rate(Rating("a dog", ids[1], 0.0, 1.0, True))
    home.remember(tmp_path)
    with ObjectStore(monkeypatch) as store:
        there = Library(postgres.database(), store=store.bucket())
        put = there.blobs.put

        def stopped(key: str, content: bytes) -> None:
            put(key, content)
            if key == f"features/{ids[2]}.safetensors":
                raise KeyboardInterrupt

        monkeypatch.setattr(there.blobs, "put", stopped)
        with pytest.raises(KeyboardInterrupt):
            migrate(home, there)
        assert there.videos() == []
        sent: list[str] = []

        def counted(key: str, content: bytes) -> None:
            sent.append(key)
            put(key, content)

        monkeypatch.setattr(there.blobs, "put", counted)
        rows = migrate(home, there)
        assert sent == [f"thumbnails/{ids[2]}.zip"]  # the rest was there
        assert (rows["videos"], rows["spans"], rows["judgements"]) == (2, 1, 1)
        assert there.videos() == home.videos()
        assert migrate(home, there) == rows  # once more changes nothing
        assert [p.video for p in there.transcripts.search(["thank you"])] == [ids[1]]
        assert plant(there, tmp_path / "new.mp4", random_rows(4, 9)) > ids[2]
        with pytest.raises(LibraryError, match="not empty"):
            migrate(home, there)
        back = Library(tmp_path / "back")
        migrate(there, back)
        assert back.videos() == there.videos()
        assert back.ratings() == home.ratings()
        for id in ids[1:]:
            assert np.array_equal(back.features(id).rows, home.features(id).rows)
            assert back.thumbnails(id, [0, 3]) == home.thumbnails(id, [0, 3])

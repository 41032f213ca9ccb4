"""A Milvus server that is killed at seeded moments, while videos come and go: by `make soak`.

Each case ends with the answers of the index on this computer, hit for hit; as long as the server
is away, no question is answered.
"""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.planted import plant, random_rows, tiny_model
from tests.support.servers import Milvus, ObjectStore, Postgres
from vmr.library.locks import AwayError
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.search.index import ClipIndex
from vmr.search.indexes import open_index, place

pytestmark = [pytest.mark.server_soak, pytest.mark.timeout(3600)]  # which ends what never answers
KILLS = 20
ROWS = 5000
"""Of a video at most: more than are put there with one request."""


@pytest.fixture
def milvus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Milvus]:
    monkeypatch.setattr(Milvus, "START_SECONDS", 300.0)
    (tmp_path / "milvus").mkdir()
    with Milvus(tmp_path / "milvus", monkeypatch) as server:
        yield server


def test_an_index_server_that_is_killed(
    servers: tuple[Postgres, ObjectStore],
    milvus: Milvus,
    tmp_path: Path,
    noted: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = servers[0].database()
    library = Library(address, store=servers[1].bucket())
    place(library, milvus.address)
    model, asked = tiny_model(), Asked(monkeypatch)
    rng, stopped, waits = random.Random(6), 0, list[float]()
    change(library, tmp_path, rng, 0)
    count = asked.during(library, model)
    for number in range(1, KILLS + 1):
        change(library, tmp_path, rng, number)
        killed = asked.kill_at(milvus, rng.randrange(count), rng.uniform(0, 0.05))
        try:
            asked.during(library, model)
        except AwayError:
            stopped += 1
        asked.kill_at_last()
        assert killed.wait(60)
        with pytest.raises(AwayError):
            open_index(library, model).nearest(np.ones(model.width, np.float32), 10)
        began = time.monotonic()
        milvus.start()
        waits.append(compare_in_time(Library(address), model) - began)
        print(f"{number}: {waits[-1]:.0f} s", flush=True)
    library.close()
    print(
        f"\nMilvus: {KILLS} kills over {count} requests, {stopped} stopped what was done; "
        f"answers again after {np.median(waits):.0f} s ({min(waits):.0f} to {max(waits):.0f})"
    )


def change(library: Library, folder: Path, rng: random.Random, number: int) -> None:
    """Two videos come, and one goes."""
    for video in range(2):
        rows = random_rows(rng.randrange(1, ROWS), rng.randrange(1 << 30))
        plant(library, folder / f"{number} {video}.mp4", rows)
    if number:
        library.remove(rng.choice([video.id for video in library.videos()]))


def compare_in_time(library: Library, model: RetrievalModel) -> float:
    """Compare once it answers, as it says before that that it cannot; when that was."""
    while True:
        try:
            compare(library, model)
            return time.monotonic()
        except AwayError:
            time.sleep(1.0)


def compare(library: Library, model: RetrievalModel) -> None:
    there, here = open_index(library, model), ClipIndex.open(library, model)
    assert type(there) is not type(here)
    assert (len(there), sorted(there.ids())) == (len(here), sorted(here.ids()))
    for vector in np.random.default_rng(0).normal(size=(3, model.width)).astype(np.float32):
        own, other = there.nearest(vector, 1000), here.nearest(vector, 1000)
        assert own[0].tolist() == other[0].tolist()
        assert own[1].tolist() == other[1].tolist()
        np.testing.assert_allclose(own[2], other[2], rtol=1e-5, atol=1e-5)


class Asked:
    """Counts what is asked of the server."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from vmr.search.milvus import MilvusRows

        ask = MilvusRows._ask
        self._count, self._at, self._kill = 0, -1, threading.Timer(0, int)

        def counted(rows: MilvusRows, what: str, **how: object) -> object:
            self._count += 1
            if self._count == self._at:
                self._at = -1
                self._kill.start()
            return ask(rows, what, **how)  # type: ignore[arg-type]

        patch.setattr(MilvusRows, "_ask", counted)

    def during(self, library: Library, model: RetrievalModel) -> int:
        """Have the server follow the library, and ask it something; how many requests that took."""
        self._count = 0
        open_index(library, model).nearest(np.ones(model.width, np.float32), 10)
        return self._count

    def kill_at(self, server: Milvus, at: int, delay: float) -> threading.Event:
        """Kill it so many seconds after a request is made."""
        killed = threading.Event()

        def kill() -> None:
            server.kill()
            killed.set()

        self._at, self._kill = at + 1, threading.Timer(delay, kill)
        return killed

    def kill_at_last(self) -> None:
        """Kill it now, if there were fewer requests than that."""
        if self._at > 0:
            self._at = -1
            self._kill.start()

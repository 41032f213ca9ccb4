"""Files are read by workers of a Ray cluster: the home of ray.

    engine = RayEngine("auto", partial(make_extractor, chosen(library)), library.blobs.name)
    with Ingest(library, make_extractor, engine) as ingest: ...

A worker is an actor that reads one file at a time, puts what it holds into the store and gives a
receipt back; it sees neither the catalogue nor other workers. Ray restarts nothing by itself: calls
to a restarting actor fail at once, and a driver that counts those against files refuses good ones.
Here a worker that died is let go, and a fresh one gets a file only after it has answered.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from feature_extract.video.frames import VideoError
from vmr.library.engine import LostWorkerError, work
from vmr.library.films import film_path
from vmr.library.locks import LibraryError
from vmr.library.opening import open_store
from vmr.library.reading import FaultError, Report, VideoReader, in_the_way
from vmr.library.receipts import Receipt

CONNECT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.5
"""How often a worker is asked how far it is."""
SILENCE_SECONDS: Final = 10.0
"""A worker that is not asked for so long holds: the queue is paused, or whoever asks is gone."""
START_SECONDS: Final = 300.0
"""How long a fresh worker may take before it answers; its networks are loaded by then."""
LEAVE_SECONDS: Final = 10.0
"""How long one may take to leave a file that is cancelled."""


@dataclass(frozen=True)
class _Failure:
    """Why there is no receipt; as a value, since an exception may not survive the journey."""

    kind: Literal["fault", "video", "library", "stopped"]
    text: str


class _StoppedError(Exception):
    """The file is no longer wanted."""


class _Worker:
    """What runs on another machine; its methods are called from several threads."""

    def __init__(self, make_extractor: Callable[[], VideoReader], store: str) -> None:
        self._make_extractor, self._store = make_extractor, store
        self._extractor: VideoReader | None = None
        self._fraction, self._asked, self._stopped = 0.0, 0.0, False

    def ready(self) -> str:
        """The fingerprint of the extractor, which is loaded then."""
        if self._extractor is None:
            self._extractor = self._make_extractor()
        return self._extractor.fingerprint

    def read(self, id: int, path: str) -> Receipt | _Failure:
        """One file."""
        self._fraction, self._asked, self._stopped = 0.0, time.monotonic(), False
        file = film_path(path)
        try:
            if self._extractor is None:
                self._extractor = self._make_extractor()
            return work(id, file, self._extractor, open_store(self._store), self._report)
        except _StoppedError:
            return _Failure("stopped", "")
        except LibraryError as error:
            return _Failure("library", str(error))
        except VideoError as error:
            return _Failure("video", str(error))
        except BaseException as error:  # one file must never end a worker; Rust panics, too
            if (fault := in_the_way(error, file)) is not None:
                return _Failure("fault", fault)
            return _Failure("video", f"could not be indexed ({type(error).__name__}: {error})")

    def progress(self) -> float:
        """The share of the file that is read."""
        self._asked = time.monotonic()
        return self._fraction

    def stop(self) -> None:
        """Leave the file."""
        self._stopped = True

    def _report(self, fraction: float) -> None:
        self._fraction = fraction
        while not self._stopped and time.monotonic() - self._asked > SILENCE_SECONDS:
            time.sleep(0.1)
        if self._stopped:
            raise _StoppedError


class RayEngine:
    """As `Engine`: as many slots as the cluster has room for when it is opened."""

    def __init__(
        self,
        address: str,
        make_extractor: Callable[[], VideoReader],
        store: str,
        *,
        gpus: float = 0.0,
    ) -> None:
        """Joins a cluster; this machine is one of its nodes.

        Args:
            address: ray://HOST:PORT of the head as `ray start` says it, or "auto" for the cluster
                that this machine has joined.
            make_extractor: sent to the workers; it loads the networks there.
            store: the address of the store; its keys are those of each node's environment.
            gpus: what a worker has of its machine's; parts of one are shared.

        Raises:
            LibraryError: there is no such cluster, or no room in it.
        """
        named = address.removeprefix("ray://")
        try:
            if named != "auto":  # ray itself would try for minutes
                host, _, port = named.rpartition(":")
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            ray.init(address=named, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise LibraryError(f"{address}: no Ray cluster answers ({_line(error)})") from error
        room = ray.cluster_resources()
        self.slots = int(room.get("GPU", 0) / gpus) if gpus else int(room.get("CPU", 0))
        if not self.slots:
            ray.shutdown()
            raise LibraryError(f"{address}: no node of the cluster has room for a worker")
        actor: Any = ray.remote(_Worker)
        self._make = actor.options(
            max_restarts=0, max_task_retries=0, max_concurrency=4, num_cpus=1, num_gpus=gpus or None
        )
        self._settings = make_extractor, store
        self._fingerprint = ""
        self._counting = threading.Lock()
        self._working = 0  # workers that have answered, and were not let go
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.slots):
            self._free.put(None)  # to be started when it is needed

    def ready(self) -> str:
        """As `Engine.ready`; of the workers, which are all alike."""
        if not self._fingerprint:
            worker = self._taken()
            self._free.put(worker)
        return self._fingerprint

    def read(self, id: int, path: Path, report: Report) -> Receipt:
        """As `Engine.read`."""
        worker = self._taken()
        try:
            outcome = self._watched(worker, worker.read.remote(id, str(path)), report)
        except RayActorError as error:
            self._let_go(worker)
            raise LostWorkerError(_line(error)) from error
        except BaseException:
            self._let_go(worker)
            raise
        self._free.put(worker)
        if isinstance(outcome, Receipt):
            return outcome
        if outcome.kind == "fault":
            raise FaultError(outcome.text)
        raise {"video": VideoError, "library": LibraryError}[outcome.kind](outcome.text)

    def close(self) -> None:
        """As `Engine.close`; workers go with their driver."""
        ray.shutdown()

    def _watched(self, worker: Any, call: Any, report: Report) -> Receipt | _Failure:
        """What becomes of a call, asked how far it is until then."""
        while not ray.wait([call], timeout=POLL_SECONDS)[0]:
            with suppress(GetTimeoutError):
                fraction = ray.get(worker.progress.remote(), timeout=LEAVE_SECONDS)
                report(fraction)
        outcome: Receipt | _Failure = ray.get(call)
        return outcome

    def _taken(self) -> Any:
        """A worker that has answered just now and that nobody else has."""
        while True:
            worker = self._free.get() or self._made()
            try:  # whoever was lost while nobody used it says nothing of any file
                ray.get(worker.progress.remote(), timeout=LEAVE_SECONDS)
                return worker
            except RayError:
                self._let_go(worker)

    def _made(self) -> Any:
        """A fresh worker that has answered; or one that came free meanwhile: where a node was lost,
        the others have no room for as many as there are slots, and a fresh one waits in vain."""
        until, said, fresh = time.monotonic() + START_SECONDS, "it has no room", None
        while self._working or time.monotonic() < until:
            if fresh is None:
                fresh = self._make.remote(*self._settings)
                answer = fresh.ready.remote()
            try:
                if ray.wait([answer], timeout=POLL_SECONDS)[0]:
                    self._welcome(ray.get(answer))
                    return fresh
            except RayTaskError as error:  # raised by what it loads: the next one would, too
                self._give_up(fresh)
                raise LibraryError(f"no worker could be started ({_line(error.cause)})") from error
            except RayError as error:  # which says nothing of any file
                ray.kill(fresh)
                fresh, said = None, _line(error)
                time.sleep(POLL_SECONDS)
            with suppress(queue.Empty):
                if (other := self._free.get_nowait()) is not None:
                    self._give_up(fresh)
                    return other
                self._free.put(None)  # another empty slot
        self._give_up(fresh)
        raise LibraryError(f"no worker could be started ({said})")

    def _welcome(self, fingerprint: str) -> None:
        """Know a worker that has answered."""
        if self._fingerprint not in ("", fingerprint):
            self._free.put(None)
            raise LibraryError("nodes of the cluster have different networks: install alike")
        with self._counting:
            self._fingerprint = fingerprint
            self._working += 1

    def _give_up(self, fresh: Any) -> None:
        """Leave a slot empty that was to have this worker."""
        if fresh is not None:
            ray.kill(fresh)
        self._free.put(None)

    def _let_go(self, worker: Any) -> None:
        """Never use a worker again: it is dead, or may still be at a file."""
        with suppress(RayError):
            ray.kill(worker)
        with self._counting:
            self._working -= 1
        self._free.put(None)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

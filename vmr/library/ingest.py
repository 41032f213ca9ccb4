"""Files into the library: a queue, workers, progress, time left, pause and cancel.

The command line and the page use the same class. A worker is a thread that mostly waits for the
decoder's own process, or for another machine, so that closing a tab stops nothing; there are as
many as the engine reads files at once, which is one, here.

    with Ingest(library, Extractor) as ingest:       # the networks load when first needed
        ingest.add(find_videos([Path("holiday")]))
        ingest.wait()
        for job in ingest.progress().jobs:
            print(job.path, job.state, job.reason)
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from feature_extract.video.frames import VideoError, shown_name
from vmr.library.content import ContentError, FileStamp, RunningDigest
from vmr.library.engine import Engine, LocalEngine, LostWorkerError
from vmr.library.film_cache import local_film
from vmr.library.jobs import NO_VIDEO, Job, Progress
from vmr.library.listen import WordQueue
from vmr.library.locks import LostLockError, RowError
from vmr.library.reading import VideoReader, in_the_way
from vmr.library.receipts import Receipt
from vmr.library.store import Library, LibraryError, NoVideoError, State, describe_damage

logger = logging.getLogger(__name__)
_REPORT_SECONDS: Final = 0.5
"""How often the progress of a file reaches the database, for `list` in another process."""

DEATHS: Final = 3
"""So many workers may die over a file before it is refused."""
_GROWING: Final = "it changed while it was read; index it again when it is whole"
_FAULT: Final = "could not be read now"


class _Cancelled(Exception):  # noqa: N818 - not an error: the way out of a running extraction
    pass


class Ingest:
    """The queue and its workers; safe to use from any thread."""

    def __init__(
        self,
        library: Library,
        make_extractor: Callable[[], VideoReader],
        engine: Engine | None = None,
    ) -> None:
        """`engine` reads elsewhere than here; it is closed with the queue."""
        self._library = library
        self._engine = engine or LocalEngine(library, make_extractor)
        self._jobs: dict[Path, Job] = {}
        self._cancelled: set[int] = set()
        self._changed = threading.Condition(threading.RLock())
        self._paused = self._closing = False
        self._cancels = 0  # of everything
        self._note = ""
        self._failure: LibraryError | None = None
        self._worked_bytes = self._worked_seconds = 0.0
        self._began: float | None = None
        self._busy = 0  # workers with a file
        self._threads: set[threading.Thread] = set()
        self._held: set[int] = set()  # videos that a worker has
        self._lost: Counter[int] = Counter()  # how often the lock of a video was lost
        self.words = WordQueue(library, busy=lambda: bool(self._open_jobs()))
        """Finds what is said and written in videos that are ready."""

    def __enter__(self) -> "Ingest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, paths: Iterable[Path], *, retry: bool = True) -> None:
        """Queue files; what the library holds unchanged is skipped. Of many files even a look at
        each takes long: reading begins with the first, and `cancel` of everything ends it.

        Args:
            retry: try once more what was refused before.
        """
        cancels, begun = self._cancels, False
        for path in paths:
            job = self._register(path, retry)
            with self._changed:
                if self._cancels != cancels:
                    break
                self._jobs.pop(path, None)  # so that a file added again comes last
                self._jobs[path] = job
                self._changed.notify_all()
                if job.open and not begun:
                    self._begin()
                    begun = True
        self._library.drop_unnamed()
        with self._changed:
            if self._open_jobs() and not begun:
                self._begin()
        self.words.wake()

    def _begin(self) -> None:
        """Have as many workers as there may be; what stopped them before is tried again."""
        if self._failure is not None or not self._threads:
            self._failure, self._note = None, ""
        while len(self._threads) < self._engine.slots:
            thread = threading.Thread(target=self._work, name="ingest", daemon=True)
            self._threads.add(thread)
            thread.start()

    def progress(self) -> Progress:
        """Where the queue stands now."""
        with self._changed:
            begun = [job for job in self._open_jobs() if job.state == "indexing"]
            worked = self._worked_bytes + sum(job.size_bytes * job.fraction for job in begun)
            running = time.monotonic() - self._began if self._began is not None else 0.0
            seconds = self._worked_seconds + running
            speed = worked / seconds if worked else 0.0
            left = sum(job.size_bytes * (1 - job.fraction) for job in self._open_jobs())
            return Progress(
                tuple(self._jobs.values()),
                self._paused,
                speed,
                left / speed if speed else None,
                self._note,
            )

    def pause(self) -> None:
        """Hold the queue, and the file in work where it is."""
        self.words.pause()
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        self.words.resume()
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def cancel(self, video: int | None = None) -> None:
        """Take one video, or everything, off the queue; the file in work is left at once."""
        self.words.cancel(video)
        with self._changed:
            self._cancels += video is None
            for job in [job for job in self._open_jobs() if video in (None, job.video)]:
                del self._jobs[job.path]
                if job.state == "indexing":
                    self._cancelled.add(job.video)
            self._changed.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the queue is empty, and words are found; False when the time was not enough.

        Raises:
            LibraryError: the library could not be written; what was finished is kept.
        """
        until = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._failure is not None or not self._open_jobs(), seconds
            )
            if self._failure is not None:
                raise self._failure
        left = None if until is None else max(0.0, until - time.monotonic())
        return done and self.words.wait(left)

    def close(self) -> None:
        """Cancel what is left and stop the workers."""
        with self._changed:
            self._closing = True
            self.cancel()
            threads = [*self._threads]
        for thread in threads:
            thread.join()
        self._engine.close()
        self.words.close()

    # The workers

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._take(job)
            except RowError as error:  # of this file alone
                logger.info("%s: cannot be kept", job.path, exc_info=error)
                self._update(job.video, state="refused", reason=_why(error, job.path))
            except Exception as error:  # nothing else could be kept either, and others wait for us
                known = error if isinstance(error, LibraryError) else None
                failure = known or LibraryError(f"indexing stopped ({_unforeseen(error)})")
                logger.info("indexing stopped", exc_info=error)
                with self._changed:
                    self._failure, self._note = failure, str(failure)
                    self._threads.discard(threading.current_thread())
                    self._changed.notify_all()
                return
            finally:
                with self._changed:
                    self._held.discard(job.video)
                    self._changed.notify_all()

    def _next(self) -> Job | None:
        """The next file that no worker has, once there is one; None when there is no more."""
        job: list[Job] = []

        def found() -> bool:
            job[:] = [job for job in self._open_jobs() if job.video not in self._held][:1]
            return self._closing or self._failure is not None or bool(job and not self._paused)

        with self._changed:
            self._changed.wait_for(found)
            if self._closing or self._failure is not None:
                self._threads.discard(threading.current_thread())
                return None
            self._held.add(job[0].video)
            return job[0]

    def _take(self, job: Job) -> None:
        """Index one file while no other process does."""
        while True:
            with self._library.claim(job.video, wait_seconds=0.5) as alone:
                if alone and not self._paused:
                    self._note = ""
                    self._index_claimed(job)
                    return
            with self._changed:
                if self._paused:  # others may go on meanwhile
                    return
                self._note = "another process is indexing this library; waiting for it"
                if self._closing or self._jobs.get(job.path) != job:
                    return
                if not self._library.one_at_a_time:  # others may be free
                    self._jobs[job.path] = self._jobs.pop(job.path)
                    return

    def _index_claimed(self, job: Job) -> None:
        try:
            self._index(job)
        except LostLockError as error:  # whoever has it now goes on with it
            self._lost[job.video] += 1
            if self._lost[job.video] > DEATHS:
                raise
            logger.info("%s: %s", job.path, error)
            self._update(job.video, state="new", fraction=0.0)

    def _index(self, job: Job) -> None:
        try:
            video = self._library.video(job.video)
        except NoVideoError:  # removed while it waited
            with self._changed:
                for path in [p for p, other in self._jobs.items() if other.video == job.video]:
                    del self._jobs[path]
                self._changed.notify_all()
            return
        if video.searchable:  # another process did it while we waited
            self._update(job.video, state=video.state, reason=video.reason, fraction=1.0)
            return
        with self._changed:
            self._busy += 1
            self._began = self._began or time.monotonic()
        try:
            state, reason = self._extract(job)
        finally:
            with self._changed:
                self._busy -= 1
                self._worked_bytes += job.size_bytes
                now = time.monotonic()
                self._worked_seconds += now - (self._began or now)
                self._began = now if self._busy else None
        if state not in ("ready", "partly readable"):
            self._library.mark(job.video, state, reason)
        # A cancelled one may have been added again: it is to be done from its beginning.
        fraction, faulty = float(state != "new"), reason.startswith(_FAULT)
        self._update(job.video, state=state, reason=reason, fraction=fraction, faulty=faulty)

    def _extract(self, job: Job) -> tuple[State, str]:
        """Extract and keep one file; its state and reason afterwards."""
        self._library.adopt(self._engine.ready())
        self._library.mark(job.video, "indexing")
        with self._changed:
            if job.path not in self._jobs:  # cancelled after it was taken off the queue
                return "new", ""
            self._cancelled.discard(job.video)  # of an earlier attempt
            self._update(job.video, state="indexing", fraction=0.0)
        try:
            if (known := self._known(job)) is not None:
                return known
            receipt = self._read(job)
            if job.changed:
                logger.info("%s: %s", job.path, _GROWING)
                return "waiting", _GROWING
            self._library.commit(job.video, receipt)
            self.words.take(job.video, job.path, receipt.info)
        except _Cancelled:
            return "new", ""
        except BaseException as error:  # one file must never stop the others; Rust panics, too
            if isinstance(error, LibraryError) and not isinstance(error, RowError):
                raise  # nothing else could be kept either
            if job.changed:  # half a copy looks damaged
                return "waiting", _GROWING
            if (fault := in_the_way(error, job.path)) is not None:
                logger.info("%s: %s", job.path, _FAULT, exc_info=error)
                return "waiting", f"{_FAULT} ({fault})"
            logger.info("%s: refused", job.path, exc_info=error)
            return "refused", _why(error, job.path)
        damage = receipt.unreadable
        return ("partly readable", describe_damage(damage)) if damage else ("ready", "")

    def _read(self, job: Job) -> Receipt:
        """Have one file read; a VideoError where that is the end of whoever tries."""
        for _ in range(DEATHS):
            try:
                return self._engine.read(job.video, job.path, self._reporter(job.video))
            except LostWorkerError as error:
                logger.info("%s: its worker died: %s", job.path, error)
                said = error
        raise VideoError(f"{shown_name(job.path)}: {DEATHS} workers died reading it ({said})")

    def _known(self, job: Job) -> tuple[State, str] | None:
        """State and reason of another video that has the same bytes, if there is one; its name is
        then one of that."""
        if not self._library.doubtful(job.video):
            return None
        report = self._reporter(job.video)
        with local_film(job.path, lambda _: report(0.0)) as file, RunningDigest(file) as digest:
            twin = self._library.unite(job.video, digest.finish(report))
        if twin.id == job.video:
            return None
        done = twin.searchable
        self._update(job.video, video=twin.id, state=twin.state if done else "new", skipped=done)
        return twin.state, twin.reason

    def _reporter(self, video: int) -> Callable[[float], None]:
        written = time.monotonic()

        def report(fraction: float) -> None:
            nonlocal written
            with self._changed:
                if video not in self._cancelled:
                    self._update(video, fraction=fraction)
                self._changed.wait_for(lambda: not self._paused or video in self._cancelled)
                if video in self._cancelled:
                    raise _Cancelled
            if time.monotonic() - written > _REPORT_SECONDS:
                written = time.monotonic()
                self._library.mark(video, "indexing", progress=fraction)

        return report

    def _register(self, path: Path, retry: bool) -> Job:
        try:
            stamp = FileStamp.of(path)
            video = self._library.register(path, compare=False)
        except Exception as error:  # one file must never stop the others
            if isinstance(error, LibraryError) and not isinstance(error, RowError):
                raise  # nothing else could be kept either
            logger.info("%s: cannot be registered", path, exc_info=error)
            return self._unread(path, error)
        done = video.searchable or (video.state == "refused" and not retry)
        state: State = video.state if done else "new"
        reason = video.reason if done else ""
        return Job(video.id, path, state, float(done), reason, stamp, done)

    def _unread(self, path: Path, error: Exception) -> Job:
        """Of a file that cannot even be registered; it is tried again whenever it is added."""
        words = in_the_way(error, path)
        state: State = "waiting" if words else "refused"
        reason = f"{_FAULT} ({words})" if words else _why(error, path)
        try:
            id = self._library.register_unread(path, state, reason)
        except RowError:
            id = NO_VIDEO
        return Job(id, path, state, 1.0, reason, faulty=bool(words))

    def _open_jobs(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.open]

    def _update(self, video: int, /, **changes: Any) -> None:
        """Change every job of this video: the same content may be queued under two names."""
        with self._changed:
            for path, job in self._jobs.items():
                if job.video == video:
                    self._jobs[path] = replace(job, **changes)
            self._changed.notify_all()


def _why(error: BaseException, path: Path) -> str:
    """Why a file is not taken, in a line that need not name it."""
    if isinstance(error, VideoError | ContentError):
        return str(error).removeprefix(f"{shown_name(path)}: ")
    return f"could not be indexed ({_unforeseen(error)})"


def _unforeseen(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

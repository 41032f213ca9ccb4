"""Follow a folder tree: which videos came or changed, once they have stopped growing.

    for job in keep_indexed(library, ingest, Path("holiday"), stop):
        print(job.state, job.path)
    growing = wait_for_copies(paths)      # once: those that are still written after a while

A copy in progress looks like a finished file that is damaged, so nothing is handed out before its
size and time have stood still for a while.
"""

import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from watchfiles import Change as Kind
from watchfiles import watch

from vmr.library.content import ContentError, FileStamp
from vmr.library.films import BucketPath
from vmr.library.folders import LeftOut, is_video, videos_inside
from vmr.library.ingest import Ingest
from vmr.library.jobs import Job
from vmr.library.locks import RowError
from vmr.library.store import Library, LibraryError

logger = logging.getLogger(__name__)


SETTLE_SECONDS: Final = 2.0
"""A copy over a slow network pauses for less."""
TICK_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 30.0
"""After which a file that could not be read is tried again: a network comes back by itself. Each
further wait is twice as long, up to LONGEST_RETRY_SECONDS."""
LONGEST_RETRY_SECONDS: Final = 3600.0
LOOK_SECONDS: Final = 60.0
"""After which everything is looked through again, whatever the system has said of it."""
_REST: Final = 20.0
"""How many times as long as a look takes there is none."""
PATIENCE_SECONDS: Final = 60.0
"""How long a rescan waits for copies; a recording that goes on for hours is left for later."""


@dataclass(frozen=True)
class Change:
    """What happened since the last tick; usually nothing."""

    ready: tuple[Path, ...]
    "files that came or changed, and are whole"
    growing: tuple[Path, ...]
    "files that are still being written"
    gone: bool
    "whether something was deleted or moved away"


@dataclass
class _Pending:
    stamp: FileStamp
    since: float
    "monotonic seconds at which it was first seen like this"


def follow(
    folder: Path,
    stop: Event,
    *,
    exclude: Sequence[str] = (),
    settle_seconds: float = SETTLE_SECONDS,
    look_seconds: float = LOOK_SECONDS,
    say: Callable[[str], None] = logger.info,
) -> Iterator[Change]:
    """Ticks, twice a second, until `stop` is set; the first one with everything that is there.

    The folder may go, as a drive does that is unmounted, and come back, or be replaced.

    Args:
        say: is told when the folder goes and when it is back.

    Raises:
        FileNotFoundError: the folder is not there in the beginning.
    """
    folder = folder.absolute()  # "." would go along with a folder that is moved, and see no more
    tree = _Tree(folder, exclude, settle_seconds, look_seconds)
    while not stop.is_set():
        identity = _identity(folder)
        try:
            for change in tree.ticks(stop):
                yield change
                if _identity(folder) != identity:
                    break
        except OSError as error:  # gone before it was watched
            if tree.never_seen:
                raise
            logger.info("%s: cannot be watched: %s", folder, error)
        if stop.is_set():
            return
        say(f"{folder}: gone, or another one now; waiting for it")
        yield Change((), (), gone=True)
        while _identity(folder) is None:
            if stop.wait(TICK_SECONDS):
                return
        say(f"{folder}: followed again")


class _Tree:
    """What lies in a folder, and which of it has been handed out as it is now."""

    def __init__(
        self, folder: Path, exclude: Sequence[str], settle_seconds: float, look_seconds: float
    ) -> None:
        self._folder, self._exclude = folder, exclude
        self._settle_seconds, self._look_seconds = settle_seconds, look_seconds
        self._pending: dict[Path, _Pending | None] = {}
        self._given: dict[Path, FileStamp | None] = {}
        self._ticks_left = 0.0
        self.never_seen = True
        """Whether it has not been looked through yet."""

    def ticks(self, stop: Event) -> Iterator[Change]:
        """Watch the folder that is there now; OSError when there is none."""
        folder = self._folder.resolve(strict=True)  # as the events name it
        self._given.clear()
        self._ticks_left = 0.0
        events = watch(
            folder,
            watch_filter=None,
            stop_event=stop,
            rust_timeout=int(TICK_SECONDS * 1000),
            yield_on_timeout=True,
        )
        for event in events:
            left_out = LeftOut(folder, self._exclude)  # each time, as ignore files may have changed
            # First only now, with the watch in place, so that nothing falls between the two.
            gone = self._look(folder, left_out) | any(kind == Kind.deleted for kind, _ in event)
            for kind, name in event:
                if kind != Kind.deleted:
                    found = _videos_at(Path(name), left_out)
                    self._pending |= {path: self._pending.get(path) for path in found}
            yield Change(self._ready(), tuple(self._pending), gone)

    def _look(self, folder: Path, left_out: LeftOut) -> bool:
        """Look through everything, now and then: drives that are mounted further in, and what other
        machines write to a share, are no events here. Whether something has gone."""
        self._ticks_left -= 1
        if self._ticks_left > 0:
            return False
        began = time.monotonic()
        try:
            inside = videos_inside(folder, left_out)
        except LibraryError as error:
            if self.never_seen:
                raise
            logger.info("%s", error)  # it has just gone
            return False
        self.never_seen = False
        for path in inside:
            if path not in self._pending and self._given.get(path, _NEVER) != _stamp(path):
                self._pending[path] = None
        lost = self._given.keys() - set(inside)
        for path in lost:
            del self._given[path]
        rest = max(self._look_seconds, _REST * (time.monotonic() - began))
        self._ticks_left = rest / TICK_SECONDS
        return bool(lost)

    def _ready(self) -> tuple[Path, ...]:
        pending = self._pending
        self._pending = {path: seen for path, seen in pending.items() if os.path.lexists(path)}
        ready = tuple(p for p in self._pending if _settled(self._pending, p, self._settle_seconds))
        for path in ready:
            del self._pending[path]
            self._given[path] = _stamp(path)
        return ready


_NEVER: Final = FileStamp(-1, 0)
"""Of a file that has not been handed out: none has this."""


def _stamp(path: Path) -> FileStamp | None:
    try:
        return FileStamp.of(path)
    except ContentError:
        return None


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder has the name now; None while there is none."""
    try:
        state = folder.stat()
    except OSError:
        return None
    return (state.st_dev, state.st_ino) if stat.S_ISDIR(state.st_mode) else None


def keep_indexed(
    library: Library,
    ingest: Ingest,
    folder: Path,
    stop: Event,
    *,
    exclude: Sequence[str] = (),
    settle_seconds: float = SETTLE_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
    look_seconds: float = LOOK_SECONDS,
    say: Callable[[str], None] = logger.info,
) -> Iterator[Job]:
    """Index whatever comes into a folder until `stop` is set; every job, as it ends.

    Args:
        say: is told when the folder goes and when it is back.

    Raises:
        LibraryError: the library could not be written.
    """
    told: set[Job] = set()
    faulty, words_due = _Faulty(retry_seconds), 0.0
    changes = follow(
        folder,
        stop,
        exclude=exclude,
        settle_seconds=settle_seconds,
        look_seconds=look_seconds,
        say=say,
    )
    library.check_presence()  # of what went before
    for change in changes:
        for path in change.growing:
            with suppress(RowError):  # one file must never stop the others
                library.register_unread(path, "waiting", "waiting for its copy to finish")
        if change.gone:
            library.check_presence()
        if change.ready:
            ingest.add(change.ready, retry=False)
        ingest.wait(0)  # raises what went wrong
        ended = [job for job in ingest.progress().jobs if not job.open]
        yield from [job for job in ended if job not in told]
        told = set(ended) | {job for job in told if job.faulty}
        if due := faulty.due(ended):
            ingest.add(due, retry=False)
        if not ingest.words.faulty:
            words_due = time.monotonic() + retry_seconds
        elif time.monotonic() >= words_due:
            ingest.words.wake()


class _Faulty:
    """Files that could not be read, and when each is to be tried again."""

    def __init__(self, first_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._next: dict[Path, tuple[float, float]] = {}  # monotonic seconds, the wait after that

    def due(self, ended: Iterable[Job]) -> list[Path]:
        """Those of these jobs' files whose time has come."""
        faulty = []
        for job in ended:
            if job.faulty and os.path.lexists(job.path):
                faulty.append(job.path)
            else:
                self._next.pop(job.path, None)
        if not faulty:
            return []
        now = time.monotonic()
        first = now + self._first_seconds, 2 * self._first_seconds
        self._next |= {path: self._next.get(path, first) for path in faulty}
        due = [path for path in faulty if self._next[path][0] <= now]
        for path in due:
            wait = min(self._next[path][1], LONGEST_RETRY_SECONDS)
            self._next[path] = now + wait, 2 * wait
        return due


def wait_for_copies(
    paths: Iterable[Path],
    *,
    settle_seconds: float = SETTLE_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
    say: Callable[[str], None] = logger.info,
) -> list[Path]:
    """Wait until files that were written just now stand still; those that do not in that time.

    Args:
        say: is told for how many it waits, if for any.
    """
    pending: dict[Path, _Pending | None]
    files = [path for path in paths if not isinstance(path, BucketPath)]  # objects are whole
    pending = {path: None for path in files if _is_fresh(path, settle_seconds)}
    if pending:
        say(f"{len(pending)} just written; waiting up to {patience_seconds:.0f} s for their copies")
    deadline = time.monotonic() + patience_seconds
    while pending:
        for path in [path for path in pending if _settled(pending, path, settle_seconds)]:
            del pending[path]
        if time.monotonic() > deadline:
            break
        if pending:
            time.sleep(min(TICK_SECONDS, settle_seconds / 4))
    return list(pending)


def _is_fresh(path: Path, settle_seconds: float) -> bool:
    try:
        return time.time() - FileStamp.of(path).modified_ns / 1e9 < settle_seconds
    except ContentError:
        return False  # nothing to wait for; whoever takes it says why


def _videos_at(path: Path, left_out: LeftOut) -> list[Path]:
    """The videos that an event names: the file itself, or all of a folder that was moved in; that
    folder, where it cannot be looked into: whoever takes it says why."""
    try:
        if left_out.holds_any(path):
            return []
        if not os.path.isdir(path):  # noqa: PTH112  # False where one may not look
            return [path] if is_video(path) else []
        return videos_inside(path, left_out)
    except LibraryError as error:
        logger.info("%s: cannot be looked into: %s", path, error)
        return [path]


def _settled(pending: dict[Path, _Pending | None], path: Path, settle_seconds: float) -> bool:
    """Whether a file has been the same for long enough."""
    try:
        stamp = FileStamp.of(path)
    except ContentError:
        return True  # nothing to wait for; whoever takes it says why
    known = pending[path]
    if known is None or known.stamp != stamp:
        pending[path] = _Pending(stamp, time.monotonic())
        return False
    return time.monotonic() - known.since >= settle_seconds

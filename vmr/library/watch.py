"""Follow a folder tree: which videos came or changed, once they have stopped growing.

    for job in keep_indexed(library, ingest, Path("holiday"), stop):
        print(job.state, job.path)
    growing = wait_for_copies(paths)      # once: those that are still written after a while

A copy in progress looks like a finished file that is damaged, so nothing is handed out before its
size and time have stood still for a while.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from watchfiles import Change as Kind
from watchfiles import watch

from vmr.library.content import ContentError, FileStamp
from vmr.library.folders import LeftOut, is_video, videos_inside
from vmr.library.ingest import Ingest, Job
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
) -> Iterator[Change]:
    """Ticks, twice a second, until `stop` is set; the first one with everything that is there.

    Raises:
        FileNotFoundError: the folder is not there.
    """
    folder = folder.resolve()  # as the events name it
    pending: dict[Path, _Pending | None] = {}
    looked = False
    events = watch(
        folder,
        watch_filter=None,
        stop_event=stop,
        rust_timeout=int(TICK_SECONDS * 1000),
        yield_on_timeout=True,
    )
    for event in events:
        left_out = LeftOut(folder, exclude)  # each time, as the ignore files may have changed
        if not looked:  # only now, with the watch in place, so that nothing falls between the two
            pending |= dict.fromkeys(videos_inside(folder, left_out))
            looked = True
        for kind, name in event:
            if kind != Kind.deleted:
                pending |= {path: pending.get(path) for path in _videos_at(Path(name), left_out)}
        pending = {path: seen for path, seen in pending.items() if os.path.lexists(path)}
        ready = tuple(path for path in pending if _settled(pending, path, settle_seconds))
        for path in ready:
            del pending[path]
        gone = any(kind == Kind.deleted for kind, _ in event)
        yield Change(ready, tuple(pending), gone)


def keep_indexed(
    library: Library,
    ingest: Ingest,
    folder: Path,
    stop: Event,
    *,
    exclude: Sequence[str] = (),
    settle_seconds: float = SETTLE_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> Iterator[Job]:
    """Index whatever comes into a folder until `stop` is set; every job, as it ends.

    Raises:
        LibraryError: the library could not be written.
    """
    told: set[Job] = set()
    faulty = _Faulty(retry_seconds)
    for change in follow(folder, stop, exclude=exclude, settle_seconds=settle_seconds):
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
) -> list[Path]:
    """Wait until files that were written just now stand still; those that do not in that time."""
    pending: dict[Path, _Pending | None]
    pending = {path: None for path in paths if _is_fresh(path, settle_seconds)}
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
    if left_out.holds_any(path):
        return []
    if not os.path.isdir(path):  # noqa: PTH112  # False where one may not look
        return [path] if is_video(path) else []
    try:
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

"""The files of a queue, each with how far it is, and where the whole queue stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmr.library.content import ContentError, FileStamp
from vmr.library.store import State

NO_VIDEO: Final = 0
"""The id of a job whose file the library cannot even show: none that a video has."""


@dataclass(frozen=True)
class Job:
    """One file in the queue, or done."""

    video: int
    "its id in the library; NO_VIDEO where it has none"
    path: Path
    state: State
    fraction: float = 0.0
    "0..1"
    reason: str = ""
    stamp: FileStamp | None = None
    "of the file when it was queued; None for one that cannot be read"
    skipped: bool = False
    "it was in the library already, unchanged"
    faulty: bool = False
    "disk, network or permission kept it from being read: it is to be tried again"

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self.stamp.size_bytes if self.stamp else 0

    @property
    def changed(self) -> bool:
        """Whether the file is another one now than when it was queued."""
        try:
            return not FileStamp.of(self.path).same_file(self.stamp)
        except ContentError:
            return False  # gone: not a matter of waiting

    @property
    def taken(self) -> bool:
        """Whether the library now answers for this file."""
        return self.state in ("ready", "partly readable")

    @property
    def open(self) -> bool:
        """Whether there is work left."""
        return self.state in ("new", "indexing")


@dataclass(frozen=True)
class Progress:
    """Where the queue stands, at one moment."""

    jobs: tuple[Job, ...]
    paused: bool
    bytes_per_second: float
    "of source files, over the files worked on; 0 before anything is done"
    seconds_left: float | None
    "None before the speed is known"
    note: str
    "why nothing moves, such as another process that is indexing; empty otherwise"

    @property
    def running(self) -> bool:
        """Whether there is work left."""
        return any(job.open for job in self.jobs)

    @property
    def fraction(self) -> float:
        """0..1 of the bytes of all files that have to be read."""
        jobs = [job for job in self.jobs if not job.skipped]
        total = sum(job.size_bytes for job in jobs)
        done = sum(job.size_bytes * (job.fraction if job.open else 1.0) for job in jobs)
        return done / total if total else 1.0

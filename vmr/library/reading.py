"""One file read through: what its bytes say, or what a disk, network or permission was in the way.

    reading = read_file(path, extractor, report)
    library.store(id, reading.extraction, full=reading.full)

What is said against a file is a fact about it only when a second reading says the same and the
disk gives its bytes. Otherwise it is said of the disk, and the file is to be tried again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from feature_extract.extract import Extraction
from feature_extract.video.faults import in_words
from feature_extract.video.frames import NotNowError, VideoError, shown_name
from vmr.library.catalogue import describe_damage
from vmr.library.content import NotReadError, RunningDigest, is_there, quick_digest

logger = logging.getLogger(__name__)

Report = Callable[[float], None]
"""Is told the share that is read, 0..1; what it raises ends the reading."""


class FaultError(Exception):
    """The file could not be read now; the text says what the system said, without its name."""


class VideoReader(Protocol):
    """What reads a video for the queue: an `Extractor`, or what stands in for one in a test."""

    @property
    def fingerprint(self) -> str:
        """Of what the rows follow from, as `Library.adopt` takes it."""

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        """As `Extractor.extract`."""


@dataclass(frozen=True)
class Reading:
    """All of one file."""

    extraction: Extraction
    full: str
    "digest of every byte"


def read_file(path: Path, extractor: VideoReader, report: Report) -> Reading:
    """What a file holds; it is probed first, and read once unless something is wrong with it.

    Raises:
        FaultError: it cannot be read now, or two readings found different damage.
        VideoError: it is no video.
    """
    try:
        return _confirmed(path, extractor, report)
    except Exception as error:
        words = in_the_way(error, path)
        if words is None:
            raise
        raise FaultError(words) from error


def in_the_way(error: BaseException, path: Path) -> str | None:
    """What a system says that kept a file from being read; None where it is no such error."""
    if isinstance(error, FaultError):
        return str(error)
    if isinstance(error, NotNowError | NotReadError):
        return str(error).removeprefix(f"{shown_name(path)}: ")
    if isinstance(error, OSError) and error.errno is not None:
        return in_words(error)
    if isinstance(error, VideoError) and _is_gone(path):
        return "no such file or folder"
    return "not enough memory" if isinstance(error, MemoryError) else None


def _is_gone(path: Path) -> bool:
    try:
        return not is_there(path)
    except NotReadError:
        return True


def _confirmed(path: Path, extractor: VideoReader, report: Report) -> Reading:
    first = _attempt(path, extractor, report)
    if _complaint(first):
        logger.info("%s: read once more: %s", path, _complaint(first))
        again = _attempt(path, extractor, report)
        if _complaint(again):
            quick_digest(path)  # raises what the disk says
            if _complaint(again) != _complaint(first):
                raise FaultError("two readings found different damage")
        first = again
    if isinstance(first, VideoError):
        raise first
    return first


def _attempt(path: Path, extractor: VideoReader, report: Report) -> Reading | VideoError:
    """Both in one go; or what the bytes seem to say against the file."""
    with RunningDigest(path) as digest:

        def follow(fraction: float) -> None:
            digest.up_to(fraction)
            report(fraction)

        try:
            extraction = extractor.extract(path, on_progress=follow)
        except NotNowError:
            raise
        except VideoError as error:
            return error
        return Reading(extraction, digest.finish(report))


def _complaint(result: Reading | VideoError) -> str:
    """What is wrong with a file; empty for a sound one."""
    if isinstance(result, VideoError):
        return str(result)
    return describe_damage(result.extraction.features.unreadable)

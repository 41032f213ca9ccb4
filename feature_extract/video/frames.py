"""Timed pictures from a video file, read by a child process that can be killed.

Above `decoder.py`, which does the decoding; below everything that looks at pictures.

    info = probe(Path("a.mp4"))                          # VideoError: one line, names the file
    with read_frames(Path("a.mp4"), rate=4) as frames:
        for batch in frames:
            batch.times, batch.pixels                    # (N,) seconds, (N, 224, 224, 3) uint8
    frames.duration, frames.unreadable                   # known once the last batch has come

Time is presentation time in seconds from the start of the file: 0 is the earliest start of its
streams. A file whose pictures start after its sound has its first picture later than 0.
"""

import contextlib
import ctypes
import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.video.child import NOTHING, Child, LostError, Message
from feature_extract.video.faults import in_words, is_fault

logger = logging.getLogger(__name__)


WAIT_SECONDS: Final = 60.0
"""Longest wait for a file to open, and then for each batch."""
DISK_BYTES_A_SECOND: Final = 10e6
"""decord reads a file through before its first picture; large files may take longer to start."""
SLOWNESS: Final = 30.0
"""Seconds of waiting that a second of video may cost in all; 8K AV1 on two cores costs about 20."""
GIVE_BACK_BATCHES: Final = 64
"""After so many batches what is free goes back to the system: pictures, and the maps that networks
make of them, leave holes between rows that stay, which add up to a gigabyte in three hours
(`python -m benchmarks.memory --hours 3`)."""


_SAME_FILE: Final = ("st_dev", "st_ino", "st_size", "st_mtime_ns")


class VideoError(ValueError):
    """A file that cannot be read as video: one line with its name, what is wrong, what to do."""


class NotNowError(VideoError):
    """A disk, a network or a permission kept the file from being read; it may be sound."""


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds, by its header."""

    duration: float
    """Seconds; 0 where the header does not say."""
    width: int
    """Pixels as shown: rotation and pixel aspect applied."""
    height: int
    fps: float
    """Average frames a second; 0 when unknown."""
    codec: str
    rotation: int
    """Degrees, counter-clockwise, that the coded picture is turned for showing."""
    has_audio: bool
    size_bytes: int
    origin: float = 0.0
    """The container's clock at our 0 s; almost always 0. ffmpeg's `-ss` counts from it, as we do;
    a browser's `currentTime` is the container's clock: add it before seeking there."""
    tags: dict[str, str] = field(default_factory=dict, hash=False)
    """What it says of its recording, by the container's own names; see recording.py."""
    has_text: bool = False
    """Whether there are tracks of subtitles, as text or as pictures."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Consecutive pictures of one video."""

    pixels: NDArray[np.uint8]
    """(N, H, W, 3) RGB, each the whole picture squashed to the size asked for."""
    times: NDArray[np.float64]
    """(N,) seconds at which each is first shown; ascending."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be (N, H, W, 3) uint8, not {self.pixels.shape}")
        if self.times.shape != (len(self.pixels),) or (np.diff(self.times) <= 0).any():
            raise ValueError("times must be one a picture, ascending")


class FrameReader:
    """The pictures of one file, in order; iterate once. Closing it ends the child process."""

    def __init__(
        self,
        path: Path,
        *,
        rate: float,
        size: tuple[int, int],
        deadline_seconds: float | None,
        on_wait: Callable[[], None] | None = None,
    ) -> None:
        self._path, self._rate, self._size, self._on_wait = path, rate, size, on_wait
        self._stat = check_file(path)
        self._last = -1.0
        self.duration = 0.0
        """Seconds, once read through: to the end of the last picture, or of a damaged tail."""
        self.unreadable: tuple[tuple[float, float], ...] = ()
        """Damaged spans in seconds, once read through."""
        self._child, self.info = self._start(after=None)
        self._left = deadline_seconds or 2 * WAIT_SECONDS + SLOWNESS * self.info.duration

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frames]:
        try:
            yield from self._batches()
        finally:
            self.close()

    def close(self) -> None:
        """End the child process, finished or not."""
        self._child.close()

    def _start(self, *, after: float | None) -> tuple[Child, VideoInfo]:
        request = {
            "path": os.path.abspath(self._path),  # noqa: PTH100  # links stay as named
            "rate": self._rate,
            "size": self._size,
            "after": after,
        }
        child = Child(request)
        try:
            patience = WAIT_SECONDS + self._stat.st_size / DISK_BYTES_A_SECOND
            kind, fields, _ = child.next(patience, self._on_wait)
            if kind == "refused":
                raise refusal(self._path, **fields)
            return child, VideoInfo(**fields, size_bytes=self._stat.st_size)
        except BaseException as error:
            child.close()
            if isinstance(error, LostError):
                raise self._error(f"{error} while it was opened") from error
            raise

    def _batches(self) -> Iterator[Frames]:
        for count, (kind, fields, pixels) in enumerate(self._messages(), 1):
            if count % GIVE_BACK_BATCHES == 0:
                give_back_memory()
            if kind == "refused":
                raise refusal(self._path, **fields)
            if kind == "end":
                self._finish(fields["end"], fields["unreadable"])
                return
            times = np.asarray(fields["times"], np.float64)
            new = times > self._last  # a second child may repeat what the first one sent
            if new.any():
                self._last = float(times[-1])
                yield Frames(pixels[new] if not new.all() else pixels, times[new])

    def _messages(self) -> Iterator[Message]:
        """What the child sends; when decord hangs or crashes, PyAV reads on in another child. If
        that is lost too, what has come is kept, and the rest marked as unreadable."""
        try:
            yield from self._waited_for()
        except LostError as lost:
            self._child.close()
            since = f"after {self._last:.2f} s" if self._last >= 0 else "from the start"
            logger.info("%s: %s; PyAV reads %s in another child", self._path, lost, since)
            try:
                self._child, _ = self._start(after=self._last)
                yield from self._waited_for()
            except NotNowError:
                raise
            except (LostError, VideoError) as again:
                if self._last < 0:
                    reason = f"{lost} before its first picture; convert it and index the copy"
                    raise self._error(reason) from again
                end = max(self.info.duration, self._last + 1 / self._rate)
                logger.info("%s: %s again; unreadable %s", self._path, again, since)
                yield "end", {"end": end, "unreadable": [(self._last, end)]}, NOTHING

    def _waited_for(self) -> Iterator[Message]:
        """Messages of the child, up to the last; time counts only while we wait for it."""
        kind = ""
        while kind not in ("end", "refused"):
            began, held = time.monotonic(), self._child.held_seconds
            try:
                message = self._child.next(min(WAIT_SECONDS, self._left), self._on_wait)
            finally:  # what a hung child cost does not come back with the next one
                self._left -= time.monotonic() - began - (self._child.held_seconds - held)
            kind = message[0]
            yield message

    def _finish(self, end: float, unreadable: list[tuple[float, float]]) -> None:
        now = check_file(self._path)
        if any(getattr(now, part) != getattr(self._stat, part) for part in _SAME_FILE):
            raise self._error("changed while it was read; index it again when it is complete")
        if self._last < 0:
            raise self._error("holds no picture that can be read")
        self.duration = end
        self.unreadable = tuple((start, stop) for start, stop in unreadable)

    def _error(self, reason: str) -> VideoError:
        return VideoError(f"{shown_name(self._path)}: {reason}")


def read_frames(
    path: Path,
    *,
    rate: float,
    size: tuple[int, int] = (224, 224),
    deadline_seconds: float | None = None,
    on_wait: Callable[[], None] | None = None,
) -> FrameReader:
    """The pictures shown at the times k/`rate`, each once, and the first picture.

    Args:
        rate: sample times a second. A picture shown at several of them comes once.
        size: (width, height) of the pictures.
        deadline_seconds: of waiting in all; by default in proportion to the duration.
        on_wait: called some times a second while nothing comes; what it raises ends the reading,
            and its own time does not count.

    Raises:
        NotNowError: a disk, a network or a permission kept it from being read, which may pass.
        VideoError: the file cannot be read as video. Damage further in is no error: the pictures
            around it come, and `unreadable` says where it was.
    """
    if rate <= 0:
        raise ValueError(f"rate must be positive, not {rate}")
    return FrameReader(
        path, rate=rate, size=size, deadline_seconds=deadline_seconds, on_wait=on_wait
    )


def probe(path: Path) -> VideoInfo:
    """What a file holds, by its header and first picture.

    Raises:
        VideoError: the file cannot be read as video.
    """
    with FrameReader(path, rate=0, size=(1, 1), deadline_seconds=None) as reader:
        return reader.info


def refusal(path: Path, *, reason: str, passing: bool) -> VideoError:
    """The error that a decoder's refusal stands for."""
    return (NotNowError if passing else VideoError)(f"{shown_name(path)}: {reason}")


def check_file(path: Path) -> os.stat_result:
    """The state of a regular file that may be read; never blocks on a pipe or a device.

    Raises:
        NotNowError: the system does not let it be read now.
        VideoError: anything else.
    """
    name = shown_name(path)
    try:
        state = path.stat()
    except OSError as error:
        if error.errno == errno.ENOENT and path.is_symlink():
            raise VideoError(f"{name}: a link to a file that is not there") from error
        raise (NotNowError if is_fault(error) else VideoError)(
            f"{name}: {in_words(error)}"
        ) from error
    if stat.S_ISDIR(state.st_mode):
        raise VideoError(f"{name}: a folder, not a video file")
    if not stat.S_ISREG(state.st_mode):
        raise VideoError(f"{name}: a pipe or device, not a video file")
    if state.st_size == 0:
        raise VideoError(f"{name}: empty (0 bytes); copy or record it again")
    if not os.access(path, os.R_OK):
        raise NotNowError(f"{name}: no permission to read it; change its mode or owner")
    return state


def give_back_memory() -> None:
    """Let the C library return memory that is free, from between what is in use, too."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # GNU only
        ctypes.CDLL(None).malloc_trim(0)


def shown_name(path: Path) -> str:
    """The path on one line: what cannot be printed, such as a newline, is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))

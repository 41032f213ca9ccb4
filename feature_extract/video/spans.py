"""A span of a video file, taken out: its pictures in full size, its sound, and what the file says.

Beside `frames.py`, by whose rules the index reads: the same stream, times and colours. What is
shown, saved and joined comes from here.

    with read_span(Path("a.ts"), 12.0, 15.0) as pictures:
        for batch in pictures:
            batch.times, batch.pixels                 # (N,) seconds, (N, H, W, 3) uint8
    pictures.end                                      # of the last one, once read through
    with read_sound(Path("a.ts"), 12.0, 15.0) as sound:
        for samples in sound: ...                     # (N, 2) int16, 48,000 a second
    picture_at(Path("a.ts"), 12.0)                    # (H, W, 3)
    read_facts(Path("a.ts")).timecode                 # "10:00:00:00"
"""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from feature_extract.video.child import Child, LostError, Message
from feature_extract.video.frames import (
    DISK_BYTES_A_SECOND,
    SLOWNESS,
    WAIT_SECONDS,
    Frames,
    VideoError,
    VideoInfo,
    check_file,
    refusal,
    shown_name,
)

LARGE_SLOWNESS: Final = 20.0
"""How many times as long a second of large pictures may take as one of small ones."""
MOMENT: Final = 2e-3
"""Seconds of the span in which the picture of one instant is looked for."""


@dataclass(frozen=True)
class Facts:
    """What a file says of itself beyond its pictures."""

    info: VideoInfo
    video_stream: int
    """Number of the stream that is shown."""
    rate: Fraction
    """Pictures a second, on average; 0 when unknown."""
    timecode: str
    """Of the first picture, as 10:00:00:00 or, frames being dropped, 10:00:00;00; empty: none."""
    tags: dict[str, str]
    """When, where and with what it was recorded, by the container's own names."""
    sounds: tuple[tuple[int, str], ...]
    """(number, codec) of the sound streams, the one that players choose first; the codec is empty
    where nobody here knows it."""
    counted_from: float = 0.0
    """Seconds at which the pictures begin to be numbered: where sound comes first, later than 0."""


class SpanChild:
    """What one child process says of a span; iterate once. Closing it ends the process."""

    def __init__(
        self,
        path: Path,
        what: Literal["pictures", "sound", "words", "facts"],
        span: tuple[float, float],
        box: tuple[int, int],
        grow: bool = False,
    ) -> None:
        if not 0 <= span[0] < span[1] < math.inf:
            raise ValueError(f"{span[0]} to {span[1]} s is no span of time")
        self._path, state = path, check_file(path)
        request = {"path": os.path.abspath(path), "what": what, "span": span}  # noqa: PTH100  # links stay as named
        self._child = Child(request | {"box": (*box, int(grow))})
        # A file that cannot be sought is read up to the span.
        self._patience = WAIT_SECONDS + state.st_size / DISK_BYTES_A_SECOND
        try:
            _, info, _ = self._next()
            _, fields, _ = self._next()
        except BaseException:
            self._child.close()
            raise
        self.info = VideoInfo(**info, size_bytes=state.st_size)
        self.facts = Facts(
            info=self.info,
            video_stream=fields["video_stream"],
            rate=Fraction(*fields["rate"]),
            timecode=fields["timecode"],
            tags=fields["tags"],
            sounds=tuple((index, codec) for index, codec in fields["sounds"]),
            counted_from=fields["counted_from"],
        )
        self._left = 2 * self._patience + SLOWNESS * LARGE_SLOWNESS * (span[1] - span[0])
        self._left += SLOWNESS * self.info.duration

    def __enter__(self) -> "Any":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, finished or not."""
        self._child.close()

    def _messages(self) -> Iterator[Message]:
        """Up to the last one, which says "end"; time counts only while we wait."""
        kind = ""
        while kind != "end":
            began = time.monotonic()
            message = self._next()
            self._left -= time.monotonic() - began
            self._patience = min(self._patience, self._left)
            kind = message[0]
            yield message

    def _next(self) -> Message:
        try:
            message = self._child.next(self._patience)
        except LostError as lost:
            raise self._error(f"{lost}; convert it and try the copy") from lost
        if message[0] == "refused":
            raise refusal(self._path, **message[1])
        return message

    def _error(self, reason: str) -> VideoError:
        return VideoError(f"{shown_name(self._path)}: {reason}")


class SpanPictures(SpanChild):
    """The pictures of a span, in order."""

    def __init__(
        self, path: Path, start: float, end: float, *, box: tuple[int, int], grow: bool
    ) -> None:
        super().__init__(path, "pictures", (start, end), box, grow)
        self._start = start
        self.end = end
        """Seconds at which the last picture ends, once read through."""
        self.key: float | None = None
        """Seconds of the key picture that was decoded first, once read through."""
        self.unreadable: tuple[tuple[float, float], ...] = ()
        """Damaged spans in seconds up to the end, once read through."""

    def __iter__(self) -> Iterator[Frames]:
        some = False
        for kind, fields, content in self._messages():
            if kind == "pictures":
                some = True
                yield Frames(content, np.asarray(fields["times"], np.float64))
            else:
                self.end, self.key = fields["end"], fields["key"]
                self.unreadable = tuple((a, b) for a, b in fields["unreadable"])
        if not some:
            raise self._error(self._nothing())

    def _nothing(self) -> str:
        for start, end in self.unreadable:
            if start <= self._start + 1 and self._start < end:
                return f"it is damaged at {self._start:.1f} s"
        return f"shows nothing at {self._start:.1f} s; its pictures end at {self.end:.1f} s"


class SpanSound(SpanChild):
    """The samples of a span, in order; none where the file has no sound that can be decoded."""

    def __init__(self, path: Path, start: float, end: float) -> None:
        super().__init__(path, "sound", (start, end), (0, 0))
        self.usable = False
        """Whether there was a stream to decode, once read through."""
        self.left_out: tuple[str, ...] = ()
        """Codecs of the streams that could not be decoded, once read through."""

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        for kind, fields, content in self._messages():
            if kind == "sound":
                yield content.view("<i2").reshape(-1, 2)
            else:
                self.usable, self.left_out = fields["usable"], tuple(fields["left_out"])


def read_span(
    path: Path, start: float, end: float, *, box: tuple[int, int] = (0, 0), grow: bool = False
) -> SpanPictures:
    """The pictures of [start, end) seconds, each whole, upright, deinterlaced and tone-mapped.

    The one on the screen at `start` is the first, with that time, unless it is gone within 0.05 s.

    Args:
        box: (width, height) in pixels that they have to fit into, keeping their shape; 0 is no
            limit. Sizes are even numbers.
        grow: enlarge what is smaller than the box.

    Raises:
        VideoError: the file cannot be read, or, while iterating, shows nothing there.
    """
    return SpanPictures(path, start, end, box=box, grow=grow)


def read_sound(path: Path, start: float, end: float) -> SpanSound:
    """The sound of [start, end) seconds: 48,000 stereo samples each, silence where there is none.

    Raises:
        VideoError: the file cannot be read.
    """
    return SpanSound(path, start, end)


def picture_at(path: Path, seconds: float, *, box: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
    """The picture (H, W, 3) on the screen at `seconds`.

    Raises:
        VideoError: there is none.
    """
    with read_span(path, seconds, seconds + MOMENT, box=box) as pictures:
        last: NDArray[np.uint8] = [batch.pixels[-1] for batch in pictures][-1]
    return last


def read_facts(path: Path) -> Facts:
    """What a file says of itself.

    Raises:
        VideoError: the file cannot be read as video.
    """
    with SpanChild(path, "facts", (0.0, 1.0), (0, 0)) as reader:
        facts: Facts = reader.facts
    return facts

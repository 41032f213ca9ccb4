"""The pictures of a span of time, in full size, by the rules that the index reads by.

Runs inside the child process of `decoder.py`. Everything about streams, times and damage is
`AvReader`'s; this adds where to begin, which pictures a span holds, and how they are shown large.

A span holds the pictures that begin in it, and the one on the screen when it begins, unless that
one stays for less than HELD: a moment's edge is a tenth of a second beside a cut as soon as it is
written down, and the rest of the picture before would flash up. In the same way the last picture is
shown to its own end where that lies less than HELD behind the span's.
"""

import contextlib
import math
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import av

from feature_extract.video.av_reader import AvReader
from feature_extract.video.libav_log import Complaints
from feature_extract.video.shown import Deinterlacer, Painter
from feature_extract.video.source import COUNTED, Picture, Source, open_video
from feature_extract.video.timing import CUT_SECONDS, HELD, TOLERANCE

SOUGHT: Final = frozenset(("mov", "matroska", "avi", "asf", "mxf", "nut"))
"""Containers with an index, in which seeking finds the key picture before. In others libav guesses
by bisection and ends behind it, or in another recording of the same file: those are read from their
head, and decoded only from the last key picture on."""
MOST_WAITING: Final = 1 << 28
"""Bytes of packets kept undecoded; streams without key pictures are decoded from there."""
LEAD: Final = 0.5
"""Seconds before the span from which on interlaced pictures are needed: the fields of its first one
are taken apart by the one before."""
REORDERED: Final = 0.5
"""Seconds by which a picture may be shown later than its packet says, where that says one time."""


def held_in(
    frames: Iterator[tuple[float, Any]],
    span: tuple[float, float],
    *,
    unreadable: list[tuple[float, float]],
    content_end: Callable[[], float],
    from_head: Callable[[], bool],
) -> Generator[tuple[float, Any], None, float]:
    """Those of `frames` that the span holds, as (seconds, frame); returns where the last one ends.

    Args:
        frames: with the seconds at which they are first shown, ascending.
        unreadable: damaged spans, added to while the frames come: nothing is shown in them.
        content_end: the end of the last frame so far.
        from_head: whether the first of `frames` is the first of the file.
    """
    start, stop = span
    before: tuple[float, Any] | None = None
    shown, marks = False, 0

    def edge(ends: float) -> float:
        return ends if ends < stop + HELD - TOLERANCE else stop

    for seconds, frame in frames:
        ends = seconds
        # Damage is marked before the frame behind it comes, and maybe a frame earlier.
        while len(unreadable) > marks and unreadable[marks][0] < seconds:
            ends, marks = min(ends, unreadable[marks][0]), marks + 1
        over = seconds >= stop - TOLERANCE
        if seconds < start - TOLERANCE:
            before = seconds, frame
            continue
        if before is not None and not shown:
            stays = min(ends, stop) - start
            if stays > (TOLERANCE if over else HELD - TOLERANCE):
                yield start, before[1]
                shown = True
        elif over and not shown and from_head():
            yield start, frame  # before the first picture the index shows that one
            return edge(seconds)
        if over:
            return edge(ends)
        shown = True
        yield seconds, frame
    if before is not None and not shown and content_end() > start + TOLERANCE:
        yield start, before[1]
    return edge(content_end())


class SpanReader(AvReader):
    """Pictures of [start, end) seconds, the last one's end, and the key picture before them."""

    def __init__(
        self,
        path: str,
        source: Source,
        size: tuple[int, int],
        complaints: Complaints,
        span: tuple[float, float],
    ) -> None:
        super().__init__(path, source, size, complaints, after=span[0])
        self._start, self._stop = span
        # Broadcasts may turn interlaced anywhere, without a word before.
        self._early = source.woven or not source.indexed
        self._needed = self._start - (LEAD if self._early else 0)
        self._skipped = False
        self._careful = False
        self._painter = Painter(size, source.turn, source.hdr)
        self.key: float | None = None
        """Seconds of the last key picture at or before the span's first."""

    def pictures(
        self,
        rate: float = 0.0,  # noqa: ARG002  # as the other readers have it; a span is shown whole
    ) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of each; the first may have begun before and is then given the start.

        Afterwards `end` is where the last one ends: in the span's end, or beside it.
        """
        for seconds, frame in self._chosen():
            yield seconds, self._painter.paint(frame)

    def _chosen(self) -> Iterator[tuple[float, Any]]:
        """The frames that the span holds; decoded from the file's head if a short cut misled."""
        frames = self._attempt()
        first = next(frames, None)
        if self._skipped and (self.key is None or self.key > self._start + TOLERANCE):
            self._begin_again()
            frames = self._attempt()
            first = next(frames, None)
        if first is not None:
            yield first
            yield from frames

    def _begin_again(self) -> None:
        self._careful, self._skipped, self.key = True, False, None
        self._doubt, self._clock, self._content_end, self._late, self._again = None, 0.0, 0, 0, 0
        self.end, self.unreadable = self._start, []

    def _attempt(self) -> Iterator[tuple[float, Any]]:
        self.end = yield from held_in(
            # All of them, so that the first and the last have the pictures beside them, too.
            Deinterlacer(self._source.info.codec).frames(self._noted()),
            (self._start, self._stop),
            unreadable=self.unreadable,
            content_end=lambda: self.end,
            from_head=lambda: not self._skipped,
        )

    def _noted(self) -> Iterator[tuple[float, Any]]:
        for seconds, frame in self._frames():
            nearer = self._early and frame.key_frame and seconds <= self._start + TOLERANCE
            if self.key is None or nearer:
                self.key = seconds
            yield seconds, frame

    def _seek(self, container: Any, stream: Any) -> tuple[Any, Any]:
        """To a key picture before the start, where the container can be trusted with that."""
        if self._careful or SOUGHT.isdisjoint(container.format.name.split(",")):
            return container, stream
        with contextlib.suppress(av.FFmpegError):
            first = self._first_at_key(container, stream)
            if first is not None and first.interlaced_frame and not self._early:
                self._early = True  # from its middle on
                self._needed -= LEAD
                first = self._first_at_key(container, stream)
            if self._is_safe(first):
                self._to_key(container)
                self._skipped = True
                return container, stream
        container.close()
        return open_video(self._path)

    def _first_at_key(self, container: Any, stream: Any) -> Any:
        self._to_key(container)
        return next(container.decode(stream), None)

    def _to_key(self, container: Any) -> None:
        """The last one before what is needed."""
        target = int((self._needed + self._source.info.origin) * av.time_base)
        container.seek(target, backward=True)

    def _is_safe(self, frame: Any) -> bool:
        if frame is None or frame.time is None or not frame.key_frame:
            return False
        return bool(frame.time - self._source.info.origin <= self._needed + TOLERANCE)

    def _packets(self, container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
        """As stored, from the last key picture before the start on; what comes after the clock has
        jumped back is another recording, and left out."""
        raw = container.format.name in COUNTED and container.format.name != "avi"
        waiting: list[tuple[Any, bool]] | None = None if self._careful or raw else []
        size, reach = 0, -math.inf
        for packet, broken in super()._packets(container, stream):
            if waiting is None:
                yield packet, broken
                continue
            waiting.append((packet, broken))
            if packet is None or packet.stream is not stream or not packet.size:
                continue
            size += packet.size
            shown, stored = self._times(packet)
            # By the order in which they are stored: B-frames of slow films are shown seconds before
            # a picture that lies before them.
            place = shown if packet.dts is None else stored
            if place < reach - CUT_SECONDS:
                waiting.pop()
                break
            reach = max(reach, place)
            if packet.is_keyframe and shown <= self._needed + TOLERANCE:
                self._skipped = self._skipped or len(waiting) > 1
                del waiting[:-1]
                size = packet.size
            if stored > self._start + TOLERANCE or size > MOST_WAITING:
                yield from waiting
                waiting = None
        yield from waiting or ()

    def _times(self, packet: Any) -> tuple[float, float]:
        """Seconds at which it is shown, at the latest, and stored."""
        base, origin = float(packet.time_base or 0), self._source.info.origin
        stored = -math.inf if packet.dts is None else packet.dts * base - origin
        if packet.pts is None:
            return stored + REORDERED, stored
        return packet.pts * base - origin, stored

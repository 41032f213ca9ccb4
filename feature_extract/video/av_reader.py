"""Pictures through PyAV, around whatever damage there is.

Runs inside the child process of `decoder.py`, after or instead of decord.
"""

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import av
from av.video.reformatter import VideoReformatter

from feature_extract.video.fields import Parameters
from feature_extract.video.hdr import to_sdr
from feature_extract.video.libav_log import Complaints, is_of_matroska, is_patched
from feature_extract.video.mpegts_continuity import holes
from feature_extract.video.shown import Deinterlacer
from feature_extract.video.skippable import CODECS, unseen
from feature_extract.video.source import MAX_SECONDS, THREADS, Picture, Source, open_video, packets
from feature_extract.video.timing import CUT_SECONDS, TOLERANCE, slot


class Doubt(NamedTuple):
    """Pictures from `start` seconds on are damaged, up to a key picture after `stop`."""

    start: float
    stop: float

    def and_also(self, other: "Doubt | None") -> "Doubt":
        """Both doubts as one; the other may be none."""
        if other is None:
            return self
        return Doubt(min(self.start, other.start), max(self.stop, other.stop))


NOW: Final = Doubt(-math.inf, -math.inf)
"""Where only the place in the stream is known."""


class AvReader:
    """Pictures in order through PyAV, skipping what is damaged and remembering where that was."""

    def __init__(
        self,
        path: str,
        source: Source,
        size: tuple[int, int],
        complaints: Complaints,
        *,
        after: float,
    ) -> None:
        self._path, self._source, self._size, self._after = path, source, size, after
        self._complaints = complaints
        self._scaler = VideoReformatter()  # keeps its tables; a picture's own makes them anew
        _speak_up()
        self._fps = source.info.fps or 25.0
        self._doubt: Doubt | None = None
        self._unseen: frozenset[int] = frozenset()
        self._clock = 0.0  # end of the last picture decoded, for streams without times
        self._content_end = 0.0  # of all streams, pictures and sound
        self._late = 0.0  # end of what comes after the last possible second
        self._again = 0.0  # length of what came after the clock had jumped back
        self._broke_off = False  # the container, by its own words
        self._patched = False  # said by a decoding thread while a packet was read
        self.end = max(0.0, after)
        self.unreadable: list[tuple[float, float]] = []

    def pictures(self, rate: float) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of those shown at a sample time, later than `after`."""
        self._unseen = unseen(self._path, self._source, rate) if self._after < 0 else frozenset()
        shown: tuple[float, Any] | None = None
        for seconds, frame in Deinterlacer(self._source.info.codec).frames(self._frames()):
            if shown is not None and slot(shown[0], rate) < slot(seconds, rate):
                yield from self._new(shown)
            elif shown is None and self._after < 0:
                yield from self._new((seconds, frame))
            shown = seconds, frame
        if shown is not None and slot(shown[0], rate) < slot(self.end, rate):
            yield from self._new(shown)
        self._judge_tail()

    def _new(self, shown: tuple[float, Any]) -> Iterator[tuple[float, Picture]]:
        seconds, frame = shown
        if seconds > self._after + TOLERANCE:
            self._after = seconds
            yield seconds, self._picture(frame)

    def _frames(self) -> Iterator[tuple[float, Any]]:
        """Sound pictures, times ascending. After damage the first is a key picture: the ones
        before it are built upon pictures that are missing. Where times are counted, the end."""
        last = -1.0
        for item in self._steady():
            if isinstance(item, Doubt):
                self._doubt = item.and_also(self._doubt)
                if self._source.counted:
                    return
                continue
            seconds = self._seconds(item)
            if self._again or 0 <= last > seconds + CUT_SECONDS:
                # Two recordings in one file: their times are taken, and no player goes there.
                self._again += self._length(item)
                continue
            seconds = max(0.0, seconds)
            possible = last < seconds < MAX_SECONDS
            if item.is_corrupt or seconds >= MAX_SECONDS:
                self._doubt = NOW.and_also(self._doubt)
            if seconds > self._source.last:
                self._late = max(self._late, self._clock)
                continue
            if not possible or not self._is_sound(item, seconds):
                continue
            last, self.end = seconds, self._clock
            yield seconds, item

    def _is_sound(self, frame: Any, seconds: float) -> bool:
        if self._doubt is None or seconds < self._doubt.start:
            return True
        if not frame.key_frame or frame.is_corrupt or seconds <= self._doubt.stop:
            return False
        self._mark(self.end, seconds)
        self._doubt = None
        return True

    def _seconds(self, frame: Any) -> float:
        """Presentation time; below zero before the file's origin. Pictures of raw streams have
        none, and follow one another."""
        seconds = (
            self._clock if frame.time is None else float(frame.time) - self._source.info.origin
        )
        self._clock = min(max(0.0, seconds) + self._length(frame), MAX_SECONDS)
        return seconds

    def _length(self, frame: Any) -> float:
        return float(frame.duration * frame.time_base) if frame.duration else 1 / self._fps

    def _steady(self) -> Iterator[Any]:
        """The same without single pictures whose time is far ahead of the next: a damaged time."""
        held: Any = None
        before = -math.inf
        for item in self._decoded():
            # Now: who is given a picture may set its clock anew.
            time = None if held is None or isinstance(held, Doubt) else held.time or 0
            ahead = False
            if time is not None and not isinstance(item, Doubt):
                ahead = before < (item.time or 0) < time - CUT_SECONDS
            if held is not None and not ahead:
                yield held
                before = before if time is None else time
            held = item
        if held is not None:
            yield held

    def _decoded(self) -> Iterator[Any]:
        """Every picture in order; in between, doubts about those that follow."""
        container, stream = open_video(self._path)
        with container:
            if self._after > 0:
                container, stream = self._seek(container, stream)
            self._complaints.new()
            within: deque[float] = deque(maxlen=THREADS + 1)  # the decoder: starts of packets
            for packet, broken in self._packets(container, stream):
                if packet is None:
                    yield NOW
                    continue
                start = self._note_end(packet)
                if packet.stream is not stream:
                    continue
                if broken and packet.size:  # the last one is empty
                    yield self._hole(packet)
                if packet.is_corrupt:
                    yield Doubt(start, start)
                if packet.pts is not None:
                    within.append(start)
                self._choose(stream.codec_context, packet)
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    frames = [NOW]
                if is_patched(self._complaints.new()) or self._patched:
                    self._patched = False
                    yield Doubt(min(within, default=-math.inf), max(within, default=-math.inf))
                yield from frames

    def _choose(self, decoder: Any, packet: Any) -> None:
        """Have a picture left out that nobody sees, if no other is built upon it. Once there is
        damage, all are decoded: each may say something of it."""
        passed = packet.pts in self._unseen and self._doubt is None and not self.unreadable
        decoder.skip_frame = "NONREF" if passed else "DEFAULT"

    def _packets(self, container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
        """(packet, whether some of the pictures before it are missing)."""
        lost: Iterator[int] = iter(())
        if self._source.transport is not None:
            lost = holes(self._path, self._source.transport)
        hole = next(lost, math.inf)
        begun, broken = False, False
        for packet in packets(container, stream, *container.streams.audio):
            # Where Matroska skips what it cannot read, it says so and goes on.
            said = self._complaints.new() if self._source.matroska else b""
            self._patched = self._patched or is_patched(said)
            self._broke_off = is_of_matroska(said)
            broken = broken or self._broke_off
            ours = packet is not None and packet.stream is stream
            if ours and packet.pos is not None:
                while hole <= packet.pos:
                    broken, hole = begun, next(lost, math.inf)
                begun = True
            yield packet, broken
            broken = broken and not ours

    def _hole(self, packet: Any) -> Doubt:
        """All that is decoded from this packet on; itself it is whole."""
        if packet.dts is None:
            return NOW
        start = float(packet.dts * packet.time_base) - self._source.info.origin - TOLERANCE
        return Doubt(start, start)

    def _note_end(self, packet: Any) -> float:
        """Remember how far the content reaches; the packet's start in seconds."""
        if packet.pts is None:
            return -math.inf
        start = float(packet.pts * packet.time_base) - self._source.info.origin
        length = float((packet.duration or 0) * packet.time_base)
        promised = self._source.promised
        if promised is None or start < promised + CUT_SECONDS:  # one later is damaged, or no help
            self._content_end = max(self._content_end, start + length)
        return start

    def _seek(self, container: Any, stream: Any) -> tuple[Any, Any]:
        """To a key picture at or before `after`; to the file's head when seeking overshoots."""
        target = int((self._after + self._source.info.origin) * av.time_base)
        with contextlib.suppress(av.FFmpegError):
            container.seek(target, backward=True)
            first = next(container.decode(stream), None)
            if first is not None and (first.time or 0) - self._source.info.origin <= self._after:
                container.seek(target, backward=True)
                return container, stream
        container.close()
        return open_video(self._path)

    def _picture(self, frame: Any) -> Picture:
        hdr, turn = self._source.hdr, self._source.turn
        width, height = self._size[::-1] if turn.transpose else self._size
        pixels: Any = self._scaler.reformat(
            frame, width, height, "rgb48le" if hdr else "rgb24", interpolation="BICUBIC", threads=1
        ).to_ndarray()
        return turn.apply(to_sdr(pixels, hdr) if hdr else pixels)

    def _judge_tail(self) -> None:
        """Mark an end that broke off, by an error or by the header's promise."""
        end = 0.0 if self._doubt is None else self._content_end
        if self._again > CUT_SECONDS:
            end = max(end, self.end + self._again)
        promised = self._source.promised
        sure = self._broke_off or self._doubt is not None
        rounding = 2 / self._fps if sure else CUT_SECONDS
        if promised is not None and promised - max(self._content_end, self.end) > rounding:
            end = promised
        if promised is None and self._broke_off:  # nobody knows how much is missing
            end = max(end, self.end + 1 / self._fps)
        if max(end, self._late) > self.end:
            end = min(max(end, self._late), MAX_SECONDS)
            self._mark(self.end, end)
            self.end = end

    def _mark(self, start: float, end: float) -> None:
        start = max(start, self._after, 0.0)
        if end - start > TOLERANCE:
            self.unreadable.append((start, end))


def changes(path: str, source: Source, complaints: Complaints) -> str:
    """What happens to a stream on its way that decord would not say; empty: nothing.

    Its parameters may become others: decord would go on as before, and show interlaced pictures
    with combs. Matroska skips what it cannot read; decord's older libav does so without a word."""
    if not source.matroska and source.info.codec not in CODECS:
        return ""
    _speak_up()
    container, stream = open_video(path)
    with container:
        complaints.new()
        parameters = Parameters(source.info.codec, stream.codec_context.extradata)
        for packet in packets(container, stream):
            if packet is None:
                return "it breaks off"
            if parameters.change(packet):
                return "it turns into another stream"
        return "its container leaves something out" if source.matroska and complaints.new() else ""


def _speak_up() -> None:
    """Have libav complain to standard error."""
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)

"""The child process that decodes: timed, resized pictures out of its standard output.

With `source.py`, the only file with decord and PyAV. `video.py` starts it as a program of its own,
because both run native code that no exception or thread can stop: a process can be killed. It
imports numpy and the two and nothing more, so that it starts in a fraction of a second.

    python -m feature_extract.decoder '{"path": "/a.mp4", "rate": 4, "size": [224, 224], ...}'

decord reads first. PyAV reads what decord cannot be trusted with: several video streams, mirrored
or HDR pictures, old codecs, streams without an index, times that start below zero (edit lists), and
everything from the first complaint on, because decord hides damage by repeating pictures.

A message is 8 bytes of length, a JSON object, and the pixels of as many pictures as it has times.
"""

import contextlib
import json
import math
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO, Final

import av
import numpy as np

from feature_extract.animation import WebpReader, is_webp
from feature_extract.hdr import to_sdr
from feature_extract.source import (
    MAX_SECONDS,
    Picture,
    RefusedError,
    Source,
    describe,
    open_video,
    packets,
)
from feature_extract.timing import TOLERANCE, slot

BATCH: Final = 16
DECORD_CODECS: Final = frozenset(("h264", "hevc", "vp8", "vp9", "av1", "libdav1d"))
"""Of MPEG-2 and MPEG-4 part 2 with B-frames it gives other pictures than those asked for."""
CUT_SECONDS: Final = 1.0
"""Content that ends this much before the header says is a cut file, not rounding."""
OPEN_SECONDS: Final = 600.0
SLOWNESS: Final = 60.0
"""Processor seconds, times cores, for opening and for each second of video: a last resort for a
child whose parent was killed, looser than the deadlines that the parent keeps."""
MEMORY_BYTES: Final = 4 << 30
"""Address space of this process; a hostile header that asks for more ends it, not the machine."""


NOW: Final = -math.inf


class DistrustError(Exception):
    """decord's answer cannot be right, or may not be; PyAV has to read on."""


class DecordReader:
    """Pictures in order through decord; raises DistrustError instead of a doubtful picture."""

    def __init__(self, path: str, source: Source, size: tuple[int, int]) -> None:
        usual = source.indexed and source.single and source.info.codec in DECORD_CODECS
        if not usual or source.turn.mirrored or source.hdr:
            raise DistrustError("decord would show another picture, or at another time")
        # What libav writes to standard error is the only sign of damage that decord lets out.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        os.dup2(self._complaints.fileno(), 2)
        import decord  # here: not every file needs it

        try:
            self._reader = decord.VideoReader(path, width=size[0], height=size[1], fault_tol=2)
            spans = self._reader.get_frame_timestamp(range(len(self._reader)))
        except Exception as error:
            raise DistrustError(str(error)) from error
        # decord counts from the first picture, or wrongly: below zero where frames are hidden.
        if spans[0, 0] < 0 or (np.diff(spans[:, 0]) <= 0).any() or not np.isfinite(spans).all():
            raise DistrustError("times below zero or out of order")
        self._starts = spans[:, 0].astype(np.float64) + source.first
        self.end = float(spans[-1, 1]) + source.first
        if source.promised is not None and source.promised - self.end > CUT_SECONDS:
            raise DistrustError("shorter than the header says")

    def pictures(self, rate: float) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of the first picture and of each that is shown at a sample time."""
        shown = np.diff(slot(np.append(self._starts, self.end), rate)) > 0
        shown[0] = True
        position = 0
        for index in np.flatnonzero(shown).tolist():
            try:
                if index > position:
                    self._reader.skip_frames(index - position)
                picture = self._reader.next().asnumpy()
            except Exception as error:
                raise DistrustError(str(error)) from error
            if os.fstat(self._complaints.fileno()).st_size:
                raise DistrustError("libav complained")
            yield float(self._starts[index]), picture
            position = index + 1


class AvReader:
    """Pictures in order through PyAV, skipping what is damaged and remembering where that was."""

    def __init__(self, path: str, source: Source, size: tuple[int, int], *, after: float) -> None:
        self._path, self._source, self._size, self._after = path, source, size, after
        self._fps = source.info.fps or 25.0
        self._damage: float | None = None  # from this second on, until a key picture
        self._clock = 0.0  # end of the last picture decoded, for streams without times
        self._content_end = 0.0  # of all streams, pictures and sound
        self.end = max(0.0, after)
        self.unreadable: list[tuple[float, float]] = []

    def pictures(self, rate: float) -> Iterator[tuple[float, Picture]]:
        """As DecordReader's, of what is later than `after`."""
        shown: tuple[float, Any] | None = None
        for seconds, frame in self._frames():
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
        before it are built upon pictures that are missing."""
        last = -1.0
        for item in self._decoded():
            if isinstance(item, float):
                self._damage = item if self._damage is None else max(item, self._damage)
                continue
            seconds = self._seconds(item)
            if item.is_corrupt or seconds > MAX_SECONDS:
                self._damage = NOW
            if seconds <= last or not self._is_sound(item, seconds):
                continue
            last, self.end = seconds, self._clock
            yield seconds, item

    def _is_sound(self, frame: Any, seconds: float) -> bool:
        if self._damage is None or seconds < self._damage:
            return True
        if not frame.key_frame or frame.is_corrupt or seconds == self._damage:
            return False
        self._mark(self.end, seconds)
        self._damage = None
        return True

    def _seconds(self, frame: Any) -> float:
        """Presentation time; pictures of raw streams have none, and follow one another."""
        seconds = self._clock if frame.time is None else float(frame.time) - self._source.origin
        length = float(frame.duration * frame.time_base) if frame.duration else 1 / self._fps
        self._clock = max(0.0, seconds) + length
        return max(0.0, seconds)

    def _decoded(self) -> Iterator[Any]:
        """Every picture in order; in between, as a float, the second from which on pictures are
        damaged, NOW where only the place in the stream is known."""
        container, stream = open_video(self._path)
        with container:
            if self._after > 0:
                container, stream = self._seek(container, stream)
            for packet in packets(container, stream, *container.streams.audio):
                if packet is None:
                    yield NOW
                    continue
                start = self._note_end(packet)
                if packet.stream is not stream:
                    continue
                if packet.is_corrupt:
                    yield start
                try:
                    yield from packet.decode()
                except av.FFmpegError:
                    yield NOW

    def _note_end(self, packet: Any) -> float:
        """Remember how far the content reaches; the packet's start in seconds."""
        if packet.pts is None:
            return NOW
        start = float(packet.pts * packet.time_base) - self._source.origin
        length = float((packet.duration or 0) * packet.time_base)
        self._content_end = max(self._content_end, start + length)
        return start

    def _seek(self, container: Any, stream: Any) -> tuple[Any, Any]:
        """To a key picture at or before `after`; to the file's head when seeking overshoots."""
        target = int((self._after + self._source.origin) * av.time_base)
        with contextlib.suppress(av.FFmpegError):
            container.seek(target, backward=True)
            first = next(container.decode(stream), None)
            if first is not None and (first.time or 0) - self._source.origin <= self._after:
                container.seek(target, backward=True)
                return container, stream
        container.close()
        return open_video(self._path)

    def _picture(self, frame: Any) -> Picture:
        hdr, turn = self._source.hdr, self._source.turn
        width, height = self._size[::-1] if turn.transpose else self._size
        pixels = frame.to_ndarray(
            format="rgb48le" if hdr else "rgb24",
            width=width,
            height=height,
            interpolation="BICUBIC",
        )
        return turn.apply(to_sdr(pixels, hdr) if hdr else pixels)

    def _judge_tail(self) -> None:
        """Mark an end that broke off, by an error or by the header's promise."""
        end = 0.0 if self._damage is None else self._content_end
        promised = self._source.promised
        if promised is not None and promised - max(self._content_end, self.end) > CUT_SECONDS:
            end = promised
        if end > self.end:
            self._mark(self.end, end)
            self.end = end

    def _mark(self, start: float, end: float) -> None:
        start = max(start, self._after, 0.0)
        if end - start > TOLERANCE:
            self.unreadable.append((start, end))


class Sender:
    """Writes messages; collects pictures into batches."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._batch: list[tuple[float, Picture]] = []
        self.last = -1.0
        """Seconds of the last picture sent; below zero when none was."""

    def message(self, kind: str, **fields: Any) -> None:
        header = json.dumps({"kind": kind, **fields}).encode()
        self._out.write(struct.pack("<Q", len(header)) + header)
        self._out.flush()

    def pictures(self, pictures: Iterator[tuple[float, Picture]]) -> None:
        """Send them all, or those before an error; the unfinished batch is then forgotten."""
        self._batch.clear()
        for seconds, picture in pictures:
            self._batch.append((seconds, picture))
            if len(self._batch) == BATCH:
                self._send_batch()
        if self._batch:
            self._send_batch()

    def _send_batch(self) -> None:
        times = [seconds for seconds, _ in self._batch]
        self.message("pictures", times=times)
        for _, picture in self._batch:
            self._out.write(np.ascontiguousarray(picture).data)
        self._out.flush()
        self.last = times[-1]
        self._batch.clear()


def read(
    sender: Sender, path: str, rate: float, size: tuple[int, int], after: float | None
) -> None:
    """Send what the file is, then its pictures, then where they ended.

    Args:
        rate: sample times a second; 0 sends no pictures.
        after: None tries decord first. Otherwise PyAV reads on from here, the seconds of the last
            picture that the caller has; below zero for none.
    """
    webp = WebpReader(path, size) if is_webp(path) else None
    source = webp.source if webp else describe(path)
    sender.message("info", **asdict(source.info))
    if rate <= 0:
        return
    if webp:
        sender.pictures(webp.pictures(rate, -1.0 if after is None else after))
        sender.message("end", end=webp.end, unreadable=[])
        return
    limit_time(OPEN_SECONDS + SLOWNESS * source.info.duration)
    if after is None:
        with contextlib.suppress(DistrustError):
            first = DecordReader(path, source, size)
            sender.pictures(first.pictures(rate))
            sender.message("end", end=first.end, unreadable=[])
            return
    reader = AvReader(path, source, size, after=sender.last if after is None else after)
    sender.pictures(reader.pictures(rate))
    sender.message("end", end=reader.end, unreadable=reader.unreadable)


def limit_memory() -> None:
    """Let the system end this process when it asks for more than MEMORY_BYTES."""
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_time(seconds: float) -> None:
    """Let the system end this process when, orphaned, it still computes after so long."""
    with contextlib.suppress(ImportError):
        import resource

        allowed = int(seconds * (os.cpu_count() or 1))
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


def _end_with_parent() -> None:
    """Standard input is a pipe that nobody writes to: it ends when the parent does."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Serve one request, a JSON object on the command line."""
    request = json.loads(sys.argv[1])
    limit_memory()
    limit_time(OPEN_SECONDS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Native libraries print to 1 as they like; the messages get a descriptor of their own.
    sender = Sender(os.fdopen(os.dup(1), "wb", buffering=1 << 16))
    os.dup2(2, 1)
    try:
        width, height = request["size"]
        read(sender, request["path"], request["rate"], (width, height), request["after"])
    except RefusedError as refusal:
        sender.message("refused", reason=str(refusal))
    # Not sys.exit: the readers' threads may be busy in native code, and nobody waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()

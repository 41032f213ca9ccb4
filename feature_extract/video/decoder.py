"""The child process that decodes: timed, resized pictures out of its standard output.

`frames.py` starts it as a program of its own, because decord and PyAV run native code that no
exception or thread can stop: a process can be killed. It imports numpy and the two and nothing
more, so that it starts in a fraction of a second.

    python -m feature_extract.video.decoder '{"path": "/a.mp4", "rate": 4, "size": [224, 224], ...}'

Asked for a span, it sends the pictures of that in full size, or the sound (`spans.py`); or, for
what listens to words, text tracks and then sound (`sound.py`).

decord reads first. PyAV reads what decord cannot be trusted with: several video streams, pictures
that are mirrored or HDR, old codecs, streams without an index, times that start below zero (edit
lists), files so long that their pictures would fill the memory, and everything from the first
complaint on, because decord hides damage by repeating pictures.

`child.py` says what a message is.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

from feature_extract.video.av_reader import AvReader
from feature_extract.video.child import send
from feature_extract.video.decord_reader import DecordReader, DistrustError
from feature_extract.video.facts import facts
from feature_extract.video.faults import in_words, is_fault
from feature_extract.video.libav_log import Complaints
from feature_extract.video.sound_reader import SPEECH, SoundReader
from feature_extract.video.source import Picture, RefusedError, describe, is_webp, open_video
from feature_extract.video.span_reader import SpanReader
from feature_extract.video.tags import told_by
from feature_extract.video.text_tracks import text_tracks

logger = logging.getLogger("feature_extract.video.decoder")  # `__name__` is `__main__` here

BATCH: Final = 16
OPEN_SECONDS: Final = 600.0
SLOWNESS: Final = 60.0
"""Processor seconds, times cores, for opening and for each second of video: a last resort for a
child whose parent was killed, looser than the deadlines that the parent keeps."""
LARGE_SLOWNESS: Final = 20.0
"""How many times as long a second of large pictures may take: HDR in 8K."""
MESSAGE_BYTES: Final = 1 << 24
MEMORY_BYTES: Final = 4 << 30
"""Memory that this process may write to; a hostile header that asks for more ends it, not the
machine. Address space is not limited: threads reserve much of it, and more on larger machines."""


class Reader(Protocol):
    """What reads a file from one end to the other."""

    end: float
    """Seconds, once read through."""
    unreadable: list[tuple[float, float]]
    """Damaged spans in seconds, once read through."""

    def pictures(self, rate: float) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of the first picture and of each that is shown at a time k/rate."""


class SpanPictures(Protocol):
    """What reads the pictures of a span."""

    end: float
    """Seconds at which the last one ends, once read through."""
    unreadable: list[tuple[float, float]]
    key: float | None

    def pictures(self) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of each picture of the span."""


class Sender:
    """Writes messages; collects pictures into batches."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._batch: list[tuple[float, Picture]] = []
        self.last = -1.0
        """Seconds of the last picture sent; below zero when none was."""

    def message(self, kind: str, **fields: Any) -> None:
        """Send one message of this kind, with its fields, to the parent process."""
        send(self._out, kind, **fields)

    def contents(self, reader: Reader, rate: float) -> None:
        """Send all pictures and where they end; or those before an error, in whole batches."""
        self._batch.clear()
        for seconds, picture in reader.pictures(rate):
            self._batch.append((seconds, picture))
            if len(self._batch) == BATCH:
                self._send_batch()
        if self._batch:
            self._send_batch()
        self.message("end", end=reader.end, unreadable=reader.unreadable)

    def pictures_of(self, reader: SpanPictures) -> None:
        """Send the pictures of a span, some megabytes at a time, and how far they reach."""
        held = 0
        for seconds, picture in reader.pictures():
            self._batch.append((seconds, picture))
            held += picture.nbytes
            if held > MESSAGE_BYTES or len(self._batch) == BATCH:
                self._send_batch()
                held = 0
        if self._batch:
            self._send_batch()
        self.message("end", end=reader.end, unreadable=reader.unreadable, key=reader.key)

    def sound_of(self, reader: SoundReader) -> None:
        """Send the samples of a span as they come, and which streams could not be decoded."""
        for piece in reader.pieces():
            content = np.ascontiguousarray(piece, "<i2")
            self.message("sound", shape=(content.nbytes,))
            self._out.write(content.data)
        self._out.flush()
        self.message("end", usable=reader.usable, left_out=reader.left_out)

    def _send_batch(self) -> None:
        times = [seconds for seconds, _ in self._batch]
        shape = len(times), *self._batch[0][1].shape
        self.message("pictures", times=times, shape=shape)
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
    if is_webp(path):
        read_webp(sender, path, rate, size)
        return
    complaints = Complaints()
    source = describe(path)
    sender.message("info", **asdict(source.info))
    if rate <= 0:
        return
    limit_time(OPEN_SECONDS + SLOWNESS * source.info.duration)
    if after is None:
        try:
            sender.contents(DecordReader(path, source, size, complaints), rate)
            return
        except DistrustError as reason:
            after = sender.last
            since = f"after {after:.2f} s" if after >= 0 else "from the start"
            logger.info("%s: decord is not trusted (%s); PyAV reads %s", path, reason, since)
    sender.contents(AvReader(path, source, size, complaints, after=after), rate)


def read_span(sender: Sender, request: dict[str, Any]) -> None:
    """Send what the file is, then the pictures, the sound or the facts of a span of it.

    Args:
        request: the path; what: pictures, sound, words (text tracks, then sound) or facts; the
            span, in seconds; the box that pictures have to fit into, in pixels.
    """
    what, path, (start, end) = request["what"], request["path"], request["span"]
    if is_webp(path):
        read_webp_span(sender, request)
        return
    complaints = Complaints()
    source = describe(path)
    sender.message("info", **asdict(source.info))
    limit_time(OPEN_SECONDS + SLOWNESS * (source.info.duration + LARGE_SLOWNESS * (end - start)))
    sender.message("facts", **facts(path, source))
    if what == "sound":
        sender.sound_of(SoundReader(path, source, (start, end)))
    elif what == "words":
        sender.message("tracks", tracks=text_tracks(path, source.info.origin))
        sender.sound_of(SoundReader(path, source, (start, end), SPEECH))
    elif what == "pictures":
        size = fitting(source.info.width, source.info.height, request["box"])
        sender.pictures_of(SpanReader(path, source, size, complaints, (start, end)))


def fitting(width: int, height: int, box: Sequence[int]) -> tuple[int, int]:
    """The largest size of this shape in a box of (width, height) pixels, in even numbers, as H.264
    wants them; 0 is no limit, and a third number other than 0 lets pictures grow into the box."""
    scale = min((box[0] or width) / width, (box[1] or height) / height)
    scale = scale if box[2] else min(1.0, scale)
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


def read_webp_span(sender: Sender, request: dict[str, Any]) -> None:
    """As `read_span`, of a WebP animation, which has no sound and says nothing of itself."""
    from feature_extract.video.webp_reader import WebpReader, WebpSpan  # here, too

    what, path = request["what"], request["path"]
    info = WebpReader(path, (2, 2)).info
    sender.message("info", **asdict(info))
    nothing = {"timecode": "", "counted_from": 0.0, "tags": {}, "sounds": []}
    sender.message("facts", video_stream=0, rate=[0, 1], **nothing)
    if what == "words":
        sender.message("tracks", tracks=[])
    if what in ("sound", "words"):
        sender.message("end", usable=False, left_out=[])
    elif what == "pictures":
        reader = WebpReader(path, fitting(info.width, info.height, request["box"]))
        sender.pictures_of(WebpSpan(reader, tuple(request["span"])))


def read_tags(sender: Sender, paths: Sequence[str]) -> None:
    """Send what each file says of its recording, by its header: no picture is decoded."""
    for path in paths:
        limit_time(time.process_time() + OPEN_SECONDS)
        if is_webp(path):
            sender.message("tags", tags={})
            continue
        try:
            container, stream = open_video(path)
        except (RefusedError, OSError) as error:
            sender.message("refused", reason=str(error))
            continue
        with container:
            sender.message("tags", tags=told_by(container, stream))


class _ToParent(logging.Handler):
    """Sends what is logged here: `child.py` says it in the parent, whose log is the one shown."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        self._sender.message("log", name=record.name, text=record.getMessage())


def read_webp(sender: Sender, path: str, rate: float, size: tuple[int, int]) -> None:
    """As `read`, of a WebP animation."""
    from feature_extract.video.webp_reader import (
        WebpReader,  # here: Pillow costs, and is seldom needed
    )

    reader = WebpReader(path, size)
    sender.message("info", **asdict(reader.info))
    if rate > 0:
        sender.contents(reader, rate)


def limit_memory() -> None:
    """Let the system end this process when it asks for more than MEMORY_BYTES."""
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
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
    logger.addHandler(_ToParent(sender))
    logger.setLevel(logging.INFO)
    try:
        if "paths" in request:
            read_tags(sender, request["paths"])
        elif "span" in request:
            read_span(sender, request)
        else:
            width, height = request["size"]
            read(sender, request["path"], request["rate"], (width, height), request["after"])
    except RefusedError as refusal:
        sender.message("refused", reason=str(refusal), passing=refusal.passing)
    except OSError as error:  # of a file that Python reads here; a broken pipe is no such thing
        if not is_fault(error):
            raise
        sender.message("refused", reason=in_words(error), passing=True)
    # Not sys.exit: the readers' threads may be busy in native code, and nobody waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()

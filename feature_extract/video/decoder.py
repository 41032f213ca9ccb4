"""The child process that decodes: timed, resized pictures out of its standard output.

`frames.py` starts it as a program of its own, because decord and PyAV run native code that no
exception or thread can stop: a process can be killed. It imports numpy and the two and nothing
more, so that it starts in a fraction of a second.

    python -m feature_extract.video.decoder '{"path": "/a.mp4", "rate": 4, "size": [224, 224], ...}'

decord reads first. PyAV reads what decord cannot be trusted with: several video streams, pictures
that are mirrored or HDR, old codecs, streams without an index, times that start below zero (edit
lists), files so long that their pictures would fill the memory, and everything from the first
complaint on, because decord hides damage by repeating pictures.

A message is 8 bytes of length, a JSON object, and bytes in the shape that it states, if any.
"""

import contextlib
import json
import os
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

from feature_extract.video.av_reader import AvReader
from feature_extract.video.decord_reader import DecordReader, DistrustError
from feature_extract.video.libav_log import Complaints
from feature_extract.video.source import Picture, RefusedError, describe, is_webp

BATCH: Final = 16
OPEN_SECONDS: Final = 600.0
SLOWNESS: Final = 60.0
"""Processor seconds, times cores, for opening and for each second of video: a last resort for a
child whose parent was killed, looser than the deadlines that the parent keeps."""
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
        except DistrustError:
            after = sender.last
    sender.contents(AvReader(path, source, size, complaints, after=after), rate)


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
    try:
        width, height = request["size"]
        read(sender, request["path"], request["rate"], (width, height), request["after"])
    except RefusedError as refusal:
        sender.message("refused", reason=str(refusal))
    # Not sys.exit: the readers' threads may be busy in native code, and nobody waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()

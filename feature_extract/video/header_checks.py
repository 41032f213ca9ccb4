"""Where a file says its length or its pace twice, and differently: then no time in it can be right.

Runs inside the child process of `decoder.py`. Only gross contradictions count, and of two sources
both: honest muxers round, and honest editors leave old lengths behind.

    contradiction("/a.mp4", container, stream, packets)    # in words; empty when there is none
    last_second(container, promised)      # after which no picture of it can have a right time
"""

import os
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Final

Packets = Callable[..., Iterator[Any]]

FACTOR: Final = 1.5
SECONDS: Final = 1.0
ALIKE: Final = 0.05
"""Two factors this near to each other have one cause."""
LOOK: Final = 32
"""Packets whose pace is taken."""
MOVIE_BYTES: Final = 1 << 26
"""Of the index of an mp4 file; ten hours take some 10 MB."""
LATE: Final = 0.5
"""Seconds beyond the last that are rounding."""


def contradiction(path: str, container: Any, stream: Any, packets: Packets) -> str:
    """Why the clock of a file cannot be right, in words; empty when nothing speaks against it.

    Args:
        packets: (container, stream) -> the next packets.
    """
    names = container.format.name.split(",")
    if "mov" in names and stream.duration:
        stated = _movie_seconds(path, stream.id)
        total = float(stream.duration * stream.time_base)
        if stated and total > FACTOR * stated + SECONDS:
            return f"its pictures would last {total:.0f} s, its header says {stated:.1f} s"
    if "matroska" in names:
        return _matroska(container, stream, packets)
    return ""


def last_second(container: Any, promised: float | None) -> float:
    """Where an AVI file ends whose index has as many pictures as its header; otherwise never."""
    if container.format.name != "avi" or not promised:
        return float("inf")
    video = container.streams.best("video")
    return promised + LATE if len(video.index_entries) == video.frames else float("inf")


def seconds_of(text: str) -> float | None:
    """Seconds that a tag like 00:01:02.500000000 says."""
    hours, _, rest = text.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _matroska(container: Any, stream: Any, packets: Packets) -> str:
    """All times hang on one number, the length of a tick; what a tag says of a track's length, and
    the length of one picture, do not. Either may be old, but not both in the same proportion."""
    tagged, total = seconds_of(stream.metadata.get("DURATION", "")), (container.duration or 0) / 1e6
    if not tagged or not total or abs(total - tagged) < SECONDS:
        return ""
    found = [packet for packet in islice(packets(container, stream), LOOK) if packet is not None]
    times = [float(packet.pts * packet.time_base) for packet in found if packet.pts is not None]
    if len(times) < 2 or not stream.average_rate:
        return ""
    pace = (max(times) - min(times)) / (len(times) - 1) * float(stream.average_rate)
    factor = total / tagged
    if 1 / FACTOR < factor < FACTOR or abs(pace / factor - 1) > ALIKE:
        return ""
    return f"its pictures would last {total:.1f} s, its tags say {tagged:.1f} s"


def _movie_seconds(path: str, track: int) -> float:
    """The longer of what an mp4 file says of itself and of a track; 0 where either is not said, or
    where pictures follow in fragments, whose sum nobody states."""
    with open(path, "rb") as file:  # noqa: PTH123  # path is text here
        boxes = list(_boxes(_movie(file)))
    ticks, total, own = 0, 0, 0
    for kind, content in boxes:
        if kind == b"mvex":
            return 0.0
        if kind == b"mvhd":
            ticks, total = _numbers(content, ">12xII", ">20xIQ")
        if kind == b"trak":
            header = dict(_boxes(content)).get(b"tkhd", b"")
            number, length = _numbers(header, ">12xI4xI", ">20xI4xQ")
            own = length if number == track else own
    unknown = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return 0.0 if not ticks or total in unknown or own in unknown else max(total, own) / ticks


def _movie(file: BinaryIO) -> bytes:
    """The content of the box that describes the movie; empty where there is none."""
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        size -= 8
        if size == -7:  # too large for four bytes
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0] - 16
        if size < 0:  # up to the end of the file, or nonsense
            break
        if kind == b"moov":
            return file.read(min(size, MOVIE_BYTES))
        file.seek(min(size, 1 << 60), os.SEEK_CUR)
    return b""


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each box in a box."""
    place = 0
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        if size < 8:
            return
        yield kind, content[place + 8 : place + size]
        place += size


def _numbers(content: bytes, short: str, long: str) -> tuple[int, int]:
    """Two numbers of a header, which has a short and a long form; zeros where it is cut."""
    form = long if content[:1] == b"\1" else short
    if len(content) < struct.calcsize(form):
        return 0, 0
    first, second = struct.unpack_from(form, content)
    return int(first), int(second)

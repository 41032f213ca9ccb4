"""Where packets of a transport stream are missing or useless, by their counters and beginnings.

libav looks at the counters too, but marks only the picture that a hole runs through: where whole
pictures are lost, those after it are shown as if they were built on what is there.

    for place in holes("/a.ts", pid): ...     # bytes into the file: the first packet after a hole
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

SYNC: Final = 0x47
SIZES: Final = (188, 192, 204)
"""Bytes from packet to packet: plain, with the time stamps of m2ts, with error correction."""
CHUNK: Final = 1 << 22


def holes(path: str, pid: int) -> Iterator[int]:
    """Offsets, ascending, of packets of this stream that do not continue the one before, or that
    begin a picture and do not look like it."""
    counter: int | None = None
    with open(path, "rb") as file:  # noqa: PTH123  # path is text here
        for offset, data, places in _packets(file, _packet_size(file)):
            places, counters = _of_stream(data, places, pid)
            if not len(places):
                continue
            before = np.concatenate([[counters[0] - 1 if counter is None else counter], counters])
            steps = np.diff(before) & 15
            # A packet may be sent twice; a new counter may be announced.
            new = (steps > 1) & ~_announced(data, places) | _headless(data, places)
            counter = int(counters[-1])
            yield from (places[new] + offset).tolist()


def _packet_size(file: BinaryIO) -> int:
    head = np.frombuffer(file.read(1 << 16), np.uint8)
    return max(SIZES, key=lambda size: int(_in_step(head, size).sum()))


def _packets(
    file: BinaryIO, size: int
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.int64]]]:
    """(offset, bytes, where in them packets begin) of the file, piece by piece."""
    file.seek(0)
    offset, content = 0, b""
    while True:
        more = file.read(CHUNK)
        content += more or bytes([SYNC]) * (2 * size)  # as if more followed the last packet
        data = np.frombuffer(content, np.uint8)
        places, end = _steps(data, size)
        yield offset, data, places if more else places[places < len(data) - 2 * size]
        if not more:
            return
        offset, content = offset + end, content[end:]


def _in_step(data: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """At which bytes a packet may begin: where another one would follow."""
    here: NDArray[np.bool_] = (data[:-size] == SYNC) & (data[size:] == SYNC)
    return here


def _steps(data: NDArray[np.uint8], size: int) -> tuple[NDArray[np.int64], int]:
    """Where packets begin, each one packet after the last as far as that goes; and where the next
    one would. Out of step, the next place is one that two more packets follow."""
    in_step = _in_step(data, size)
    anew = np.flatnonzero(in_step[:-size] & in_step[size:])
    runs, place = [np.zeros(0, np.int64)], 0
    while place < len(in_step):
        if not in_step[place]:
            nearest = int(np.searchsorted(anew, place))
            if nearest == len(anew):
                break
            place = int(anew[nearest])
        row = in_step[place::size]
        length = len(row) if row.all() else int(np.argmin(row))
        runs.append(place + size * np.arange(length))
        place += size * length
    return np.concatenate(runs), min(max(place, len(data) - 2 * size), len(data))


def _of_stream(
    data: NDArray[np.uint8], places: NDArray[np.int64], pid: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Those of the packets that carry a part of this stream, and their counters."""
    ids = (data[places + 1] & 0x1F).astype(np.int64) << 8 | data[places + 2]
    places = places[(ids == pid) & (data[places + 3] & 0x10 != 0)]
    return places, (data[places + 3] & 15).astype(np.int64)


def _announced(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    has_field = (data[places + 3] & 0x20 != 0) & (data[places + 4] > 0)
    announced: NDArray[np.bool_] = has_field & (data[places + 5] & 0x80 != 0)
    return announced


def _headless(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which packets are to begin a picture, and lack its start code."""
    begins = (data[places + 1] & 0x40 != 0) & (data[places + 3] & 0xC0 == 0)  # and not encrypted
    skipped = np.where(data[places + 3] & 0x20 != 0, data[places + 4].astype(np.int64) + 1, 0)
    payload = np.minimum(places + 4 + skipped, len(data) - 3)
    code = np.stack([data[payload + i] for i in range(3)], axis=1)
    headless: NDArray[np.bool_] = begins & (code != (0, 0, 1)).any(axis=1)
    return headless

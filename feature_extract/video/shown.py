"""Pictures as they are meant to be looked at: without combs, upright, tone-mapped, in one size.

Runs inside the child process of `decoder.py`. Index and spans take the two fields of an interlaced
picture apart in the same way.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from feature_extract.video.fields import APART
from feature_extract.video.hdr import to_sdr
from feature_extract.video.source import Picture, Turn

ROWS: Final = 16
_BASE: Final = Fraction(1, 1000)


class Deinterlacer:
    """One whole picture from each that is marked as two fields; others are left as they are."""

    def __init__(self, codec: str) -> None:
        """For the frames of this codec."""
        self._apart = codec == APART
        self._graph: Any = None
        self._shape: tuple[Any, ...] = ()
        self._times: deque[float] = deque()
        self._count = 0

    def frames(self, frames: Iterator[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
        """(seconds, frame) as they come, one for one."""
        if self._apart:
            yield from frames
            return
        for seconds, frame in frames:
            shape = (frame.width, frame.height, frame.format.name)
            if self._graph is not None and shape != self._shape:
                yield from self._flush()
            if self._graph is None and frame.interlaced_frame:
                self._shape = shape
                self._graph = _graph(frame, [("bwdif", "mode=send_frame:deint=interlaced")])
            if self._graph is None:
                yield seconds, frame
                continue
            self._times.append(seconds)
            frame.pts, frame.time_base = self._count, _BASE
            self._count += 1
            self._graph.push(frame)
            yield from self._ready()
        if self._graph is not None:
            yield from self._flush()

    def _ready(self) -> Iterator[tuple[float, Any]]:
        while self._times:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            yield self._times.popleft(), frame

    def _flush(self) -> Iterator[tuple[float, Any]]:
        self._graph.push(None)
        yield from self._ready()
        self._graph = None
        self._times.clear()


class Painter:
    """Frames to (H, W, 3) RGB of one size, upright, HDR tone-mapped."""

    def __init__(self, size: tuple[int, int], turn: Turn, hdr: str | None) -> None:
        self._turn, self._hdr = turn, hdr
        self._size = size[::-1] if turn.transpose else size
        self._scaler = VideoReformatter()
        self._workers = ThreadPoolExecutor(os.cpu_count()) if hdr else None

    def paint(self, frame: Any) -> Picture:
        """The picture (H, W, 3) of a frame."""
        kind = "rgb48le" if self._hdr else "rgb24"
        pixels: Any = self._scaler.reformat(
            frame, *self._size, kind, interpolation="BICUBIC"
        ).to_ndarray()
        return self._turn.apply(self._mapped(pixels, self._hdr) if self._hdr else pixels)

    def _mapped(self, pixels: Any, hdr: str) -> Picture:
        """Some rows at a time, which stay in the processor's cache: twice as fast, the same."""
        assert self._workers is not None
        pieces = [pixels[row : row + ROWS] for row in range(0, len(pixels), ROWS)]
        return np.concatenate([*self._workers.map(lambda rows: to_sdr(rows, hdr), pieces)])


def _graph(frame: Any, filters: list[tuple[str, str]]) -> Any:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=_BASE
    )
    nodes = [source, *(graph.add(*named) for named in filters), graph.add("buffersink")]
    for here, there in pairwise(nodes):
        here.link_to(there)
    graph.configure()
    return graph

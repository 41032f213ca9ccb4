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
from typing import Any, Final, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from feature_extract.video.fields import APART, is_field
from feature_extract.video.hdr import to_sdr
from feature_extract.video.source import Picture, Turn

ROWS: Final = 16
_BASE: Final = Fraction(1, 1000)


class _Fields(NamedTuple):
    """Two frames that are the fields of one picture."""

    first: Any
    second: Any
    top_first: bool


class Deinterlacer:
    """One whole picture from each that is marked as two fields, and from each two that are fields;
    others are left as they are. What comes out depends on the pictures beside it only, not on
    where reading began."""

    def __init__(self, codec: str) -> None:
        """For the frames of this codec."""
        self._codec = codec
        self._graph: Any = None
        self._times: deque[float | None] = deque()
        self._count = 0

    def frames(self, frames: Iterator[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
        """(seconds, frame) as they come, one for one, and one for two fields."""
        before: Any = None
        kind: tuple[Any, ...] = ()
        for seconds, frame in _Pairs(self._codec).of(frames):
            if (isinstance(frame, _Fields), *_kind(frame)) != kind:
                kind, before = (isinstance(frame, _Fields), *_kind(frame)), None
                yield from self._flush()
            if self._graph is None and self._has_fields(frame):
                self._begin(frame, before)
            before = frame
            if self._graph is None:
                yield seconds, frame
                continue
            self._push(seconds, frame)
            yield from self._ready()
        yield from self._flush()

    def _has_fields(self, frame: Any) -> bool:
        return isinstance(frame, _Fields) or bool(self._codec != APART and frame.interlaced_frame)

    def _begin(self, frame: Any, before: Any) -> None:
        """With the picture before, by which the fields of the first one are taken apart, too."""
        if isinstance(frame, _Fields):
            order = f"first_field={'top' if frame.top_first else 'bottom'}"
            woven = [("weave", order), ("bwdif", "mode=send_frame:deint=all")]
            self._graph = _graph(frame.first, woven)
        else:
            self._graph = _graph(frame, [("bwdif", "mode=send_frame:deint=interlaced")])
        if before is not None:
            self._push(None, before)

    def _push(self, seconds: float | None, frame: Any) -> None:
        self._times.append(seconds)
        for each in (frame.first, frame.second) if isinstance(frame, _Fields) else (frame,):
            each.pts, each.time_base = self._count, _BASE
            self._count += 1
            self._graph.push(each)

    def _ready(self) -> Iterator[tuple[float, Any]]:
        while self._times:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            seconds = self._times.popleft()
            if seconds is not None:
                yield seconds, frame

    def _flush(self) -> Iterator[tuple[float, Any]]:
        if self._graph is None:
            return
        self._graph.push(None)
        yield from self._ready()
        self._graph = None
        self._times.clear()


class _Pairs:
    """Fields that are pictures of their own, by twos; one that has lost its other is left out."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._first_top: bool | None = None  # of each two
        self._graph: Any = None
        self._kind: tuple[Any, ...] = ()

    def of(self, frames: Iterator[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
        """(seconds, frame), and (seconds of the first, both) of fields."""
        waiting: tuple[float, Any] | None = None
        for seconds, frame in frames:
            if not is_field(self._codec, frame):
                self._first_top = waiting = None
                yield seconds, frame
                continue
            top = self._is_top(frame)
            self._first_top = top if self._first_top is None else self._first_top
            if top == self._first_top:
                waiting = seconds, frame
            elif waiting is not None:
                yield waiting[0], _Fields(waiting[1], frame, top_first=not top)
                waiting = None

    def _is_top(self, frame: Any) -> bool:
        """Whether a field holds the first line; PyAV does not tell, a filter of libav does."""
        if self._kind != _kind(frame):
            self._kind = _kind(frame)
            self._graph = _graph(frame, [("select", "eq(interlace_type,TOPFIRST)")])
        self._graph.push(frame)
        try:
            self._graph.pull()
        except BlockingIOError:
            return False
        return True


def _kind(frame: Any) -> tuple[Any, ...]:
    """What has to stay the same for frames to go through one graph."""
    frame = frame.first if isinstance(frame, _Fields) else frame
    return frame.width, frame.height, frame.format.name


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

"""Opening a video file and saying what it holds, from its header and its first picture.

Runs inside the child process of `decoder.py`; with `av_reader.py`, the only file with PyAV.

    source = describe("/videos/a.mp4")     # RefusedError when it is no video that can be read
    source.info.duration, source.turn, source.hdr
"""

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from feature_extract.video.faults import DiskFile, in_words, is_fault
from feature_extract.video.fields import is_field, may_be_woven
from feature_extract.video.formats import FORMATS, is_jpeg_stream
from feature_extract.video.header_checks import contradiction, last_second, seconds_of
from feature_extract.video.tags import told_by

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

THREADS: Final = min(8, (os.cpu_count() or 1) + 2)
"""Decoding threads: two more than cores, as they wait for each other. Each holds pictures, and more
than 8 cost memory and gain little."""
ONE_BY_ONE: Final = frozenset(("theora", "vp3", "vp4"))
MAX_SECONDS: Final = 24 * 3600.0
"""A few bytes can claim any duration, and each second of it costs a row and a thumbnail."""
MAX_PIXELS: Final = 1 << 27
"""16,384 x 8,192: beyond it a header is damaged or hostile."""
TIMED: Final = frozenset(("mov", "matroska", "avi", "asf"))
"""Containers whose header states the duration, so that shorter content means a cut file."""
COUNTED: Final = frozenset(("avi", "h264", "hevc", "mpegvideo", "m4v", "mjpeg", "obu"))
INDEXED: Final = frozenset(("mov", "matroska"))
HDR_TRANSFERS: Final = {16: "pq", 18: "hlg"}  # SMPTE ST 2084, ARIB STD-B67
FASTEST: Final = 240
"""Pictures a second: an average above it may be the unit that a container counts time in."""
SHEAR: Final = 0.1
"""Cosine between the sides of a picture as shown, from which on its header is damaged."""
COVER: Final = av.stream.Disposition.attached_pic


class RefusedError(Exception):
    """The file is no video that can be read; the text says why."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        """`passing`: the system kept it from being read now, which says nothing of the file."""
        super().__init__(reason)
        self.passing = passing


class Turn(NamedTuple):
    """How a coded picture is turned for showing: transposed first, then flipped."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether the picture is shown left to right reversed."""
        return sum(self) % 2 == 1

    @property
    def degrees(self) -> int:
        """Counter-clockwise; of a mirrored picture, before it is mirrored left to right."""
        if self.transpose:
            return 90 if self.flip_rows else 270
        return 180 if self.flip_rows else 0

    def apply(self, picture: Picture) -> Picture:
        """The picture (H, W, 3) as it is to be shown: turned, and mirrored where that is said."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        picture = picture[::-1] if self.flip_rows else picture
        return picture[:, ::-1] if self.flip_columns else picture


@dataclass(frozen=True)
class Info:
    """What is shown of a file. Seconds; pixels as shown, after rotation and pixel aspect."""

    duration: float
    """By the header; 0 where it does not say, as in raw streams and animations."""
    width: int
    height: int
    fps: float
    """Average frames a second; 0 when unknown."""
    codec: str
    rotation: int
    """Degrees, counter-clockwise."""
    has_audio: bool
    origin: float
    """The container's clock at 0 s: the earliest start of its streams."""
    tags: dict[str, str] = field(default_factory=dict)
    """What it says of its recording, by the container's own names."""
    has_text: bool = False
    """Whether there are tracks of subtitles, or captions inside the pictures."""


@dataclass(frozen=True)
class Source:
    """What the readers have to know of a file."""

    info: Info
    rate: Fraction
    """Average whole pictures a second; 0 when unknown."""
    first: float
    """Seconds from the origin to the first picture."""
    turn: Turn
    hdr: str | None
    woven: bool
    """Whether pictures may hold two fields, or are fields: interlaced."""
    counted: bool
    """Whether packets carry no time and are counted, so that all times after a hole are wrong."""
    indexed: bool
    """Whether the container lists its packets. Others, such as transport streams, can lose some
    without a word."""
    single: bool
    """Whether there is one video stream only, cover art counted."""
    promised: float | None
    """Seconds that the content has to fill, where the header can be believed."""
    last: float
    """Seconds after which no picture can have a right time; infinite where that is not known."""
    matroska: bool
    transport: int | None
    """Which packets of a transport stream carry the pictures; None for other containers."""


def is_webp(path: str) -> bool:
    """Whether a file is a WebP picture or animation, by its first bytes."""
    with open(path, "rb") as file:  # noqa: PTH123  # path is text here
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def open_video(path: str) -> tuple[Any, Any]:
    """The container and its video stream (the best one, never cover art); caller closes."""
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        kind = "mjpeg" if is_jpeg_stream(path) else None
        file = DiskFile(path)
        container = av.open(file, format=kind, options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as error:
        if _is_fault(error):
            raise RefusedError(in_words(error), passing=True) from error
        raise RefusedError(_reason(error)) from error
    streams = [s for s in container.streams.video if not s.disposition & COVER]
    if not streams:
        has_audio = bool(container.streams.audio)
        container.close()
        raise RefusedError("holds sound but no video" if has_audio else "holds no video stream")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if (stream.width or 0) * (stream.height or 0) > MAX_PIXELS:
        raise RefusedError(f"claims {stream.width} x {stream.height} pixels")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads_for(stream.codec_context.name)
    return container, stream


def threads_for(codec: str) -> int:
    """Decoding threads for a codec, or a decoder of it: dav1d's work on one picture together, and
    more of them than cores only change places. libav's Theora begun at a later key picture shows
    half-decoded pictures now and then with more than one."""
    if codec in ONE_BY_ONE:
        return 1
    return min(THREADS, os.cpu_count() or 1) if "av1" in codec else THREADS


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """Packets of the streams as stored; None once where reading breaks off.

    Raises:
        RefusedError: the system could not read on, which says nothing of the file.
    """
    try:
        yield from container.demux(*streams)
    except (av.FFmpegError, OSError) as error:
        if _is_fault(error):
            raise RefusedError(in_words(error), passing=True) from error
        yield None


def _is_fault(error: Exception) -> bool:
    return is_fault(error, of_libav=isinstance(error, av.FFmpegError))


def describe(path: str) -> Source:
    """Look at the header and decode one picture.

    Raises:
        RefusedError: no video, no picture, or a header that cannot be true.
    """
    container, stream = open_video(path)
    with container:
        frame = _first_frame(container, stream)
        start = container.start_time
        first = float(frame.time or 0)
        origin = first if start is None else start / av.time_base
        turn = _turn(frame)
        promised = _promised(container, origin)
        last = last_second(container, promised)
        against = contradiction(path, container, stream, packets)
        if against or first - origin > last:
            against = against or "its pictures would begin after its end"
            raise RefusedError(f"contradicts itself: {against}; copy or convert it again")
        rate = _rate(stream, frame)
        return Source(
            info=_info(container, stream, frame, turn, origin, rate),
            rate=rate,
            first=first - origin,
            turn=turn,
            hdr=HDR_TRANSFERS.get(int(frame.color_trc)),
            woven=may_be_woven(stream, frame),
            counted=container.format.name in COUNTED,
            indexed=not INDEXED.isdisjoint(container.format.name.split(",")),
            single=len(container.streams.video) == 1,
            promised=promised,
            last=last,
            matroska="matroska" in container.format.name,
            transport=int(stream.id) if container.format.name == "mpegts" else None,
        )


def _first_frame(container: Any, stream: Any) -> Any:
    for packet in packets(container, stream):
        if packet is None:
            break
        with contextlib.suppress(av.FFmpegError):
            for frame in packet.decode():
                return frame
    raise RefusedError("holds no picture that can be read")


def _rate(stream: Any, frame: Any) -> Fraction:
    """Whole pictures a second; 0 when unknown."""
    rate = stream.average_rate if frame.time is not None else None  # of raw streams always 25
    if not rate or rate > FASTEST:
        rate = stream.guessed_rate or 0
    return Fraction(rate) / (2 if is_field(stream.codec_context.name, frame) else 1)


def _info(
    container: Any, stream: Any, frame: Any, turn: Turn, origin: float, rate: Fraction
) -> Info:
    width, height = frame.width, frame.height
    if is_field(stream.codec_context.name, frame):
        height *= 2
    aspect = stream.sample_aspect_ratio
    if aspect is not None and aspect > 0:
        width = max(1, round(width * float(aspect)))
    if turn.transpose:
        width, height = height, width
    duration = _duration(container, stream, origin)
    if duration > MAX_SECONDS:
        hours = f"{duration / 3600:.0f} hours, more than the {MAX_SECONDS / 3600:.0f} that are read"
        raise RefusedError(f"claims to last {hours}; cut it into parts")
    return Info(
        duration=duration,
        width=width,
        height=height,
        fps=float(rate),
        codec=stream.codec_context.name,
        rotation=turn.degrees,
        has_audio=bool(container.streams.audio),
        origin=origin,
        tags=told_by(container, stream),
        has_text=bool(container.streams.subtitles) or "A53_CC" in frame.side_data,
    )


def _duration(container: Any, stream: Any, origin: float) -> float:
    """To the end of the video, or of everything where the video's own length is not stated."""
    if stream.duration is not None:
        start = stream.start_time or 0
        return max(0.0, float((start + stream.duration) * stream.time_base) - origin)
    tagged = seconds_of(stream.metadata.get("DURATION", ""))  # Matroska, by track
    return max(0.0, _total(container, origin) if tagged is None else tagged - origin)


def _total(container: Any, origin: float) -> float:
    """The container's length; Matroska states where it ends, the others how long it is."""
    total = (container.duration or 0) / av.time_base
    return total - origin if "matroska" in container.format.name else total


def _promised(container: Any, origin: float) -> float | None:
    if TIMED.isdisjoint(container.format.name.split(",")) or not container.duration:
        return None
    if container.format.name == "avi":  # there the container's length is that of the file
        video = container.streams.best("video")
        total = float(video.frames * video.time_base)
    else:
        total = _total(container, origin)
    return total if total <= MAX_SECONDS else None


def _turn(frame: Any) -> Turn:
    """From the display matrix: 3 x 3 fixed-point, (x, y) -> (a x + c y, b x + d y)."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Turn()
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), "<i4").tolist()
    if abs(a * c + b * d) > SHEAR * math.hypot(a, b) * math.hypot(c, d):
        raise RefusedError("contradicts itself: its pictures would be sheared; convert it again")
    if abs(b) > abs(a):
        return Turn(True, flip_rows=b < 0, flip_columns=c < 0)
    return Turn(False, flip_rows=d < 0, flip_columns=a < 0)


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, av.InvalidDataError | av.ArgumentError):
        return "not a video, or its index is missing (an unfinished copy or recording)"
    said = in_words(error) if isinstance(error, OSError) else text.partition("\n")[0]
    return f"cannot be opened ({said or type(error).__name__})"

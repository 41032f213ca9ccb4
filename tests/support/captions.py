"""Closed captions as broadcasts carry them: pairs of bytes inside coded pictures (CEA-608, A/53).

captioned(tmp_path / "a.ts", pop_on(1.0, 3.0, "Hello there"), seconds=4)
"""

from collections import deque
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.video.stream import VideoStream

FPS: Final = 30
Pairs = list[tuple[int, bytes]]
"""The first picture that may carry it, and a pair of bytes."""
CLEAR, LOAD, SHOW, ROLL, RETURN, ROW = 0x2C, 0x20, 0x2F, 0x25, 0x2D, 0x70


def pop_on(start: float, end: float, text: str) -> Pairs:
    """A text that is loaded, and shown from about `start` to `end`."""
    begin = round(start * FPS) - 8 - len(text) // 2  # what it takes to load it
    loaded = [*_command(LOAD), *_command(ROW), *_letters(text), *_command(SHOW)]
    shown = [(begin + at, pair) for at, pair in enumerate(loaded)]
    return [*shown, *((round(end * FPS) + at, pair) for at, pair in enumerate(_command(CLEAR)))]


def roll_up(start: float, text: str) -> Pairs:
    """A line that comes from below, letter by letter."""
    written = [*_command(ROLL), *_command(RETURN), *_command(ROW), *_letters(text)]
    return [(round(start * FPS) + at, pair) for at, pair in enumerate(written)]


def captioned(path: Path, pairs: Pairs, seconds: float, codec: str = "libx264") -> None:
    """Write grey pictures, 30 a second and some stored before they are shown, with these pairs."""
    coming = deque(sorted(pairs))
    carried = [
        coming.popleft()[1] if coming and coming[0][0] <= number else b"\x80\x80"
        for number in range(round(seconds * FPS))
    ]
    assert not coming
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=FPS)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.max_b_frames = 2
        frames = [
            av.VideoFrame.from_ndarray(np.full((64, 64, 3), at % 256, np.uint8), format="rgb24")
            for at in range(len(carried))
        ]
        for frame in [*frames, None]:
            for packet in stream.encode(frame):
                assert packet.pts is not None
                number = round(float(packet.pts * packet.time_base) * FPS)
                output.mux(_with(packet, carried[number], codec))


def _with(packet: Any, pair: bytes, codec: str) -> Any:
    data = b"GA94\x03\x42\xff\xfc" + pair + b"\xfd\x80\x80\xff"  # the second field says nothing
    content = bytes(packet)
    if codec == "mpeg2video":
        slices = content.index(b"\0\0\1\1")
        content = content[:slices] + b"\0\0\1\xb2" + data + content[slices:]
    else:
        data = b"\xb5\0\x31" + data
        content = b"\0\0\0\1\x06\x04" + bytes([len(data)]) + data + b"\x80" + content
    made = av.Packet(content)
    made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
    made.stream, made.is_keyframe = packet.stream, packet.is_keyframe
    return made


def _command(code: int) -> list[bytes]:
    """Of the first channel; commands come twice."""
    return [_pair(0x14, code)] * 2


def _letters(text: str) -> list[bytes]:
    codes = (text + " " * (len(text) % 2)).encode("ascii")
    return [_pair(*codes[at : at + 2]) for at in range(0, len(codes), 2)]


def _pair(first: int, second: int) -> bytes:
    return bytes(code | 0x80 * (code.bit_count() % 2 == 0) for code in (first, second))

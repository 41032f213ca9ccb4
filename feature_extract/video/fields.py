"""Whether pictures hold two fields, of which the second is shown later, or are one: interlaced.

Runs inside the child process of `decoder.py`. A decoder flags each such picture, but only once it
is decoded; what a stream's header allows is known before, unless the stream changes on its way.
"""

from collections.abc import Iterator
from typing import Any, Final

APART: Final = "hevc"
"""Its pictures are frames or single fields. libav flags the fields, which are not woven."""
FIELD_SHAPE: Final = 2.42
"""Pixels in a line for each line, from which on a picture that is marked as a field is one. Fields
of 704 x 576 have 2.44. Encoders that were told "interlaced" and given whole pictures mark those,
too, and hardly any is wider than a film in scope, with 2.4."""
WOVEN: Final = frozenset((2, 3, 4, 5))
"""AVFieldOrder in libavcodec/defs.h, of which 0 is unknown and 1 progressive."""
_DETAILED: Final = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
"""Profiles of H.264 whose header tells of chroma, bit depths and scaling (ITU-R H.264, 7.3.2.1)"""


def may_be_woven(stream: Any, frame: Any) -> bool:
    """Whether pictures of a stream may hold two fields, by its first picture and its header."""
    decoder = stream.codec_context
    if decoder.name == APART:
        return is_field(decoder.name, frame)
    if frame.interlaced_frame:
        return True
    if decoder.name == "h264" and (allowed := h264_may_be_woven(decoder.extradata)) is not None:
        return allowed
    return decoder.field_order in WOVEN


def is_field(codec: str, frame: Any) -> bool:
    """Whether a decoded picture is every other line of one, which the next picture completes."""
    wide = frame.width >= FIELD_SHAPE * frame.height
    return codec == APART and wide and bool(frame.interlaced_frame)


def h264_may_be_woven(header: bytes | None) -> bool | None:
    """Whether the header of an H.264 stream in mp4 or Matroska (avcC) allows fields; None of one
    that does not say."""
    if not header or header[0] != 1 or len(header) < 9 or not header[5] & 31:
        return None
    size = int.from_bytes(header[6:8], "big")
    try:
        return not _frames_only(_Bits(header[9 : 8 + size].replace(b"\0\0\3", b"\0\0")))
    except IndexError:
        return None


class Parameters:
    """Whether the packets of a stream in mp4 or Matroska are all of what its header says: of other
    streams, put together to one file, some may be interlaced, or larger."""

    def __init__(self, codec: str, header: bytes | None) -> None:
        """The header is an avcC or hvcC (ISO 14496-15); with others nothing is seen to change."""
        self._hevc = codec == "hevc"
        start = 23 if self._hevc else 7  # of the first piece's length, or of its array's
        known = codec in ("h264", "hevc") and header and header[0] == 1 and len(header) >= start
        self._header = header if known and header else b""
        self._length = 1 + (self._header[21 if self._hevc else 4] & 3) if known else 0

    def change(self, packet: Any) -> bool:
        """Whether a packet comes with parameters that the header does not hold."""
        if not self._length:
            return False
        if packet.has_sidedata("new_extradata"):
            return True
        return any(piece not in self._header for piece in self._parameters(memoryview(packet)))

    def _parameters(self, content: memoryview) -> Iterator[bytes]:
        """The sequence parameter sets before the first piece of a picture."""
        place = 0
        while place + self._length < len(content):
            size = int.from_bytes(content[place : place + self._length], "big")
            place += self._length
            kind = content[place] >> 1 & 63 if self._hevc else content[place] & 31
            if kind < 32 if self._hevc else 1 <= kind <= 5:
                return
            if kind == (33 if self._hevc else 7):
                yield bytes(content[place : place + size])
            place += size


class _Bits:
    """The bits of a header, one after the other; IndexError past its end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def bits(self, count: int) -> int:
        """The next `count` bits as a number."""
        value = 0
        for place in range(self._place, self._place + count):
            value = value << 1 | self._content[place >> 3] >> (7 - (place & 7)) & 1
        self._place += count
        return value

    def number(self) -> int:
        """A number of as many bits as it needs (Exp-Golomb, H.264 9.1)."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """The same, of numbers below zero as well."""
        value = self.number()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _frames_only(header: _Bits) -> bool:
    """`frame_mbs_only_flag` of a sequence parameter set (H.264, 7.3.2.1.1), without its first byte
    and the bytes that prevent start codes."""
    profile = header.bits(8)
    header.bits(16)  # constraints, level
    header.number()  # of this set
    if profile in _DETAILED:
        _pass_details(header)
    header.number()  # length of picture numbers
    order = header.number()
    if order == 0:
        header.number()
    elif order == 1:
        header.bits(1)
        header.signed()
        header.signed()
        for _ in range(header.number()):
            header.signed()
    header.number()  # pictures kept for reference
    header.bits(1)  # gaps
    header.number()  # width
    header.number()  # height
    return bool(header.bits(1))


def _pass_details(header: _Bits) -> None:
    chroma = header.number()
    if chroma == 3:
        header.bits(1)
    header.number()  # bit depths
    header.number()
    header.bits(1)
    if header.bits(1):
        for which in range(12 if chroma == 3 else 8):
            if header.bits(1):
                _pass_scaling(header, 16 if which < 6 else 64)


def _pass_scaling(header: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + header.signed()) % 256
        last = following or last

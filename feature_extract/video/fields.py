"""Whether pictures may be woven of two fields, of which the second is shown later: interlaced.

Runs inside the child process of `decoder.py`. A decoder flags each such picture, but only once it
is decoded; what a stream's header allows is known before.
"""

from typing import Any, Final

APART: Final = "hevc"
"""Its pictures are frames or single fields. libav flags the fields, which are not woven."""
WOVEN: Final = frozenset((2, 3, 4, 5))
"""AVFieldOrder in libavcodec/defs.h, of which 0 is unknown and 1 progressive."""
_DETAILED: Final = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
"""Profiles of H.264 whose header tells of chroma, bit depths and scaling (ITU-R H.264, 7.3.2.1)"""


def may_be_woven(stream: Any, frame: Any) -> bool:
    """Whether pictures of a stream may hold two fields, by its first picture and its header."""
    decoder = stream.codec_context
    if decoder.name == APART:
        return False
    if frame.interlaced_frame:
        return True
    if decoder.name == "h264" and (allowed := h264_may_be_woven(decoder.extradata)) is not None:
        return allowed
    return decoder.field_order in WOVEN


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

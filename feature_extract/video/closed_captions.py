"""Closed captions that lie inside the pictures of a broadcast: CEA-608, in what ATSC A/53 adds to
each coded picture of MPEG-2, H.264 and HEVC.

Runs inside the child process of `decoder.py`. No picture is decoded: the two bytes that each one
carries are put together to a Scenarist file, which libav reads as it reads a track of its own.

    scenarist("/a.ts", origin=1.44)     # "Scenarist_SCC V1.0 ..."; empty where there are none
"""

from itertools import islice
from typing import Any, Final

from feature_extract.video.source import MAX_SECONDS, open_video, packets

CODECS: Final = frozenset(("mpeg2video", "h264", "hevc"))
LOOK: Final = 300
"""Packets at the head in which captions have to be seen: who sends any has some in every picture,
and others need not be read to their end."""
LONGEST: Final = 1 << 20
"""Pairs of bytes: nine hours without a pause."""
MARK: Final = b"GA94\x03"
_BEFORE: Final = (b"\xb5\x00\x31", b"\x00\x00\x01\xb2")
"""What stands before the mark: the code of ATSC in H.264 and HEVC, user data in MPEG-2."""
_MOST_BYTES: Final = 2 + 3 * 31
_RATE: Final = 30
"""Pictures a second that a Scenarist file counts in."""
_FILLER: Final = b"\0\0"


def scenarist(path: str, origin: float) -> str:
    """The captions of the first channel as a Scenarist file, by seconds from `origin`."""
    container, stream = open_video(path)
    with container:
        if stream.codec_context.name not in CODECS:
            return ""
        coming = packets(container, stream)
        head = [packet for packet in islice(coming, LOOK) if packet is not None]
        found = [_timed(packet, origin) for packet in head if MARK in bytes(packet)]
        if not found:
            return ""
        for packet in coming:
            if packet is None or len(found) > LONGEST:
                break
            found.append(_timed(packet, origin))
    lines = [
        f"{_label(seconds)}\t{' '.join(pairs)}"
        for seconds, pairs in sorted(found)  # coded in another order than shown
        if pairs and 0 <= seconds < MAX_SECONDS
    ]
    return "\n\n".join(["Scenarist_SCC V1.0", *lines, ""]) if lines else ""


def _timed(packet: Any, origin: float) -> tuple[float, list[str]]:
    if packet.pts is None:
        return -1.0, []
    return float(packet.pts * packet.time_base) - origin, _pairs(bytes(packet))


def _pairs(content: bytes) -> list[str]:
    """The pairs of bytes, in hexadecimal, that a coded picture has for the first field."""
    pairs, place = [], content.find(MARK)
    while place >= 0:
        start = place + len(MARK)
        if content[:place].endswith(_BEFORE):
            piece = content[start : start + 2 * _MOST_BYTES].replace(b"\0\0\3", b"\0\0")
            pairs += _of_first_field(piece)
        place = content.find(MARK, start)
    return pairs


def _of_first_field(piece: bytes) -> list[str]:
    if len(piece) < 2 or not piece[0] & 0x40:
        return []
    triplets = (piece[at : at + 3] for at in range(2, 2 + 3 * (piece[0] & 31), 3))
    return [
        triplet[1:].hex()
        for triplet in triplets
        if len(triplet) == 3
        and triplet[0] & 7 == 4  # valid, and of the first field
        and bytes(byte & 0x7F for byte in triplet[1:]) != _FILLER
    ]


def _label(seconds: float) -> str:
    whole = int(seconds)
    frame = int((seconds - whole) * _RATE)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}:{frame:02}"

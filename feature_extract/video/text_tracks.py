"""The text tracks of a file: subtitles that lie in it, as libav reads them, and closed captions.

Runs inside the child process of `decoder.py`; `sound.py` gives them to everybody else.

    text_tracks("/a.mkv", origin=0.0)[0]["events"]      # [[1.0, 2.5, "{\\\\i1}Hello"], ...]
"""

import io
import math
from typing import Any, Final

import av

from feature_extract.video.closed_captions import scenarist
from feature_extract.video.source import MAX_SECONDS, open_video, packets

SHOWN_SECONDS: Final = 5.0
"""How long a text stays that says neither how long nor is followed by another."""
LONGEST: Final = 1 << 22
"""Characters of all tracks: more is no subtitles."""
UNKNOWN_MILLISECONDS: Final = (1 << 32) - 1
INSIDE: Final = "closed captions"
"""Of those that lie inside the pictures."""
CAPTIONS: Final = "cc_dec"
"""libav's decoder of CEA-608. It tells of a text once that is gone, with its times."""


def text_tracks(path: str, origin: float) -> list[dict[str, Any]]:
    """The fields of `sound.TextTrack` of every track with some text, as JSON values."""
    container, _ = open_video(path)
    with container:
        tracks = _tracks(container, origin)
    if tracks or not (captions := scenarist(path, origin)):
        return tracks
    with av.open(io.BytesIO(captions.encode()), format="scc") as container:
        return [track | {"codec": INSIDE} for track in _tracks(container, 0.0)]


def _tracks(container: Any, origin: float) -> list[dict[str, Any]]:
    streams = [s for s in container.streams.subtitles if s.codec_context is not None]
    events: dict[int, list[list[Any]]] = {stream.index: [] for stream in streams}
    size = 0
    for packet in packets(container, *streams) if streams else ():
        if packet is None or size > LONGEST:
            break
        for event in _events(packet, origin):
            events[packet.stream.index].append(event)
            size += len(event[2])
    return [
        {
            "index": stream.index,
            "codec": stream.codec_context.name,
            "language": stream.metadata.get("language", ""),
            "forced": bool(stream.disposition & av.stream.Disposition.forced),
            "default": bool(stream.disposition & av.stream.Disposition.default),
            "events": _with_ends(events[stream.index]),
        }
        for stream in streams
        if events[stream.index]
    ]


def _events(packet: Any, origin: float) -> list[list[Any]]:
    """[start, end or None, text in the markup of ASS] of a packet; pictures of text are none."""
    try:
        found = packet.stream.decode2(packet)
    except (av.FFmpegError, NotImplementedError):
        return []
    if found is None:
        return []
    start = _start(packet, found) - origin
    if not 0 <= start < MAX_SECONDS:
        return []
    return [
        [start, _end(start, packet, found), text]
        for rect in found.rects
        if rect.type != b"bitmap"
        for text in [_text(rect)]
        if text
    ]


def _text(rect: Any) -> str:
    """The markup without the fields before it."""
    whole: bytes = rect.ass or rect.text or b""
    text = whole.split(b",", 8)[-1] if rect.ass else whole
    return text.decode("utf-8", "replace")


def _start(packet: Any, found: Any) -> float:
    if packet.stream.codec_context.name == CAPTIONS:
        return math.inf if found.pts is None else found.pts / av.time_base
    return math.inf if packet.pts is None else float(packet.pts * packet.time_base)


def _end(start: float, packet: Any, found: Any) -> float | None:
    if packet.duration and packet.stream.codec_context.name != CAPTIONS:
        return start + float(packet.duration * packet.time_base)
    if 0 < found.end_display_time < UNKNOWN_MILLISECONDS:
        return start + float(found.end_display_time) / 1000
    return None


def _with_ends(events: list[list[Any]]) -> list[list[Any]]:
    """The same by start, each with an end: a text that does not say stays until the next."""
    events.sort(key=lambda event: event[0])
    following = [*(event[0] for event in events[1:]), math.inf]
    for event, after in zip(events, following, strict=True):
        if event[1] is None:
            event[1] = min(after, event[0] + SHOWN_SECONDS)
    return [event for event in events if event[0] < event[1]]

"""What a file says of itself beyond its pictures: clock, recording, sound streams.

Runs inside the child process of `decoder.py`; `spans.py` gives it to everybody else.
"""

import re
from typing import Any, Final

import av

from feature_extract.video.source import open_video

KEPT: Final = re.compile(
    r"creation_time|date|date_recorded|location(-\w+)?|make|model|"
    r"com\.apple\.quicktime\.(creationdate|location\.\w+(\.\w+)*|make|model|software)|"
    r"com\.android\.(manufacturer|model|capture\.fps)",
    re.IGNORECASE,
)
"""Tags that say when, where and with what a film was recorded."""
LONGEST_TAG: Final = 1000


def facts(path: str) -> dict[str, Any]:
    """The fields of `spans.Facts`, as JSON values."""
    container, stream = open_video(path)
    with container:
        rate = stream.average_rate or stream.guessed_rate or 0
        return {
            "video_stream": stream.index,
            "rate": [rate.numerator, rate.denominator] if rate else [0, 1],
            "timecode": _timecode(container, stream),
            "tags": _tags(container, stream),
            "sounds": [
                [s.index, s.codec_context.name if s.codec_context else ""]
                for s in sound_streams(container)
            ],
        }


def sound_streams(container: Any) -> list[Any]:
    """The sound streams of an open file, the one that players choose first."""
    best, default = container.streams.best("audio"), av.stream.Disposition.default
    return sorted(
        container.streams.audio, key=lambda s: (s is not best, not s.disposition & default)
    )


def _timecode(container: Any, stream: Any) -> str:
    """Of the first picture, as in 10:00:00:00, with a semicolon where frames are dropped."""
    places = [stream, *container.streams.data, container]
    return next((p.metadata["timecode"] for p in places if "timecode" in p.metadata), "")


def _tags(container: Any, stream: Any) -> dict[str, str]:
    tags = {**stream.metadata, **container.metadata}
    return {
        name: text[:LONGEST_TAG]
        for name, text in tags.items()
        if KEPT.fullmatch(name) and text.strip()
    }

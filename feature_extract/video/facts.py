"""What a file says of itself beyond its pictures: clock, recording, sound streams.

Runs inside the child process of `decoder.py`; `spans.py` gives it to everybody else.
"""

from typing import Any

import av

from feature_extract.video.source import Source, open_video
from feature_extract.video.tags import tags_of


def facts(path: str, source: Source) -> dict[str, Any]:
    """The fields of `spans.Facts`, as JSON values."""
    container, stream = open_video(path)
    with container:
        return {
            "video_stream": stream.index,
            "rate": [source.rate.numerator, source.rate.denominator],
            "timecode": _timecode(container, stream),
            # Films of this family count from their beginning, pictures there or not.
            "counted_from": 0.0 if "mov" in container.format.name.split(",") else source.first,
            "tags": tags_of(container, stream),
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
    for place in (stream, *container.streams.data, container):
        for name, text in place.metadata.items():
            if name.lower() == "timecode":  # in capital letters in Matroska
                return str(text)
    return ""

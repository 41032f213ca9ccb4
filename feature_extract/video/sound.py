"""What a file holds of words to read and hear: its text tracks, and its sound from end to end.

Beside `spans.py`, and by the same rules: a child process decodes, which can be killed.

    with read_words(Path("a.mkv"), 0.0, info.duration) as words:
        words.tracks[0].events                    # ((1.0, 2.5, "{\\\\i1}Hello"), ...)
        for samples in words: ...                 # (N,) float32, -1 to 1, 16,000 a second
    words.reason                                  # why there was nothing to hear, if so
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.video.spans import SpanChild

RATE: Final = 16_000
"""Samples a second."""


@dataclass(frozen=True)
class TextTrack:
    """Subtitles inside a file."""

    index: int
    "number of the stream"
    codec: str
    language: str
    "as the file says it, most often three letters; empty where it does not"
    forced: bool
    "whether it only says what is in another language than the rest"
    default: bool
    events: tuple[tuple[float, float, str], ...]
    "(start, end) in seconds and the text in the markup of ASS, by start"


class WordsReader(SpanChild):
    """The text tracks of a file, known at once, and its sound; iterate once."""

    def __init__(self, path: Path, start: float, end: float) -> None:
        super().__init__(path, "words", (start, end), (0, 0))
        try:
            _, fields, _ = self._next()
        except BaseException:
            self.close()
            raise
        self.tracks = tuple(
            TextTrack(**track | {"events": tuple((a, b, text) for a, b, text in track["events"])})
            for track in fields["tracks"]
        )
        self.reason = ""
        """Why there was nothing to hear, in a line; known once read through."""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for kind, fields, content in self._messages():
            if kind == "sound":
                yield content.view("<i2").astype(np.float32) / np.float32(32768)
            elif not fields["usable"]:
                codecs = " and ".join(dict.fromkeys(fields["left_out"]))
                self.reason = f"its sound ({codecs}) cannot be decoded" if codecs else "no sound"


def read_words(path: Path, start: float, end: float) -> WordsReader:
    """The text tracks of a file, and the sound of [start, end) seconds of it: one channel, silence
    where there is a gap, and no more once the sound ends.

    Raises:
        VideoError: the file cannot be read as video; or, while iterating, no further.
    """
    return WordsReader(path, start, end)

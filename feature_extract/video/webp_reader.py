"""Animated WebP, which libav cannot read, through Pillow.

Runs inside the child process of `decoder.py`, beside its other two readers.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image, ImageSequence

from feature_extract.video.source import MAX_PIXELS, Info, Picture, RefusedError
from feature_extract.video.span_reader import held_in
from feature_extract.video.timing import slot

EVERY: Final = 1000.0
"""Sample times a second at which every picture is seen: their lengths are whole milliseconds."""
DEFAULT_MILLISECONDS: Final = 100
"""How long browsers show a picture whose length is not stated."""


class WebpReader:
    """The pictures of one animation, once through."""

    def __init__(self, path: str, size: tuple[int, int]) -> None:
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            self._image = Image.open(path, formats=["WEBP"])
            milliseconds = [_milliseconds(frame) for frame in ImageSequence.Iterator(self._image)]
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise RefusedError(f"a damaged WebP animation ({error})") from error
        self._size = size
        self._starts = np.cumsum([0, *milliseconds]) / 1000
        self.end = float(self._starts[-1])
        self.unreadable: list[tuple[float, float]] = []

    @property
    def info(self) -> Info:
        """What the file holds."""
        return Info(
            duration=self.end,
            width=self._image.width,
            height=self._image.height,
            fps=(len(self._starts) - 1) / self.end,
            codec="webp",
            rotation=0,
            has_audio=False,
            origin=0.0,
        )

    def pictures(self, rate: float) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of those shown at a sample time."""
        shown = np.diff(slot(self._starts, rate)) > 0
        shown[0] = True
        for index in np.flatnonzero(shown).tolist():
            self._image.seek(index)
            picture = self._image.convert("RGB").resize(self._size, Image.Resampling.BICUBIC)
            yield float(self._starts[index]), np.asarray(picture)


class WebpSpan:
    """The pictures of [start, end) seconds of an animation, as `SpanReader` gives films."""

    def __init__(self, reader: WebpReader, span: tuple[float, float]) -> None:
        self._reader, self._span = reader, span
        self.end = reader.end
        self.unreadable: list[tuple[float, float]] = []
        self.key: float | None = 0.0

    def pictures(self) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of each."""
        self.end = yield from held_in(
            self._reader.pictures(EVERY),
            self._span,
            unreadable=self.unreadable,
            content_end=lambda: self._reader.end,
            from_head=lambda: True,
        )


def _milliseconds(frame: Image.Image) -> int:
    frame.load()  # only then is the length known
    return int(frame.info.get("duration", 0)) or DEFAULT_MILLISECONDS

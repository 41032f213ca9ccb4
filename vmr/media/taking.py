"""Moments out of files: clips, films, small previews and stills, from what the index reads.

Above `feature_extract.video.spans`, which gives the pictures and the sound, and `encode.py`, which
writes them. `export.py` says what is made where; `preview.py` keeps small ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.video.frames import Frames, NotNowError, VideoError, shown_name
from feature_extract.video.spans import (
    Facts,
    SpanSound,
    picture_at,
    read_facts,
    read_sound,
    read_span,
)
from feature_extract.video.timing import HELD
from vmr.library.catalogue import readable
from vmr.media.encode import SOUND_RATE, Film
from vmr.media.ffmpeg import FfmpegError

Span = tuple[Path, float, float]
"""A file, and seconds of it: [start, end)."""

UNKNOWN_RATE: Final = Fraction(25)
SLOWEST_FILM: Final = Fraction(10)
"""Pictures a second of a film: slides of seconds each are shown to a tenth."""
FASTEST_FILM: Final = Fraction(240)
NO_SAMPLES: Final = np.zeros((0, 2), np.int16)
MARGIN: Final = 1.0
"""Seconds of sound read beyond the end: the last picture may reach there."""


def take_clip(
    span: Span,
    target: Path,
    *,
    box: tuple[int, int] = (0, 0),
    quality: tuple[str, str] = ("fast", "18"),
    sound_bits: int = 160_000,
    keep_tags: bool = True,
) -> str:
    """Write a span as a file of its own, pictures at the times that they have in the source.

    Returns:
        What has to be said of the sound; empty when there is nothing to say.

    Raises:
        FfmpegError: the file cannot be read there.
    """
    path, start, end = span
    with named(path), read_span(path, start, end, box=box) as pictures:
        batches = iter(pictures)
        first = next(batches)
        begin = _begin(start, float(first.times[0]))
        height, width = first.pixels.shape[1:3]
        with (
            Sound(pictures.facts, path, begin, end + MARGIN) as sound,
            Film(
                target,
                size=(width, height),
                rate=pictures.facts.rate or UNKNOWN_RATE,
                sound=sound.usable,
                quality=quality,
                sound_bits=sound_bits,
                tags=pictures.facts.tags if keep_tags else {},
            ) as film,
        ):
            for seconds, pixels in _each(first, batches):
                at = max(0.0, seconds - begin) if film.begun else 0.0
                film.sound(sound.until(at))
                film.picture(pixels, at)
            film.sound(sound.until(pictures.end - begin))
            film.finish(pictures.end - begin)
            return sound.told


def take_film(spans: Sequence[Span], target: Path) -> str:
    """Join spans to one film: as large as the first, as fast as the fastest, silent where one is.

    Returns, raises: as `take_clip`.
    """
    told: dict[str, None] = {}
    rate = _film_rate([path for path, _, _ in spans])
    with named(spans[0][0]):
        height, width = picture_at(spans[0][0], spans[0][1]).shape[:2]
        size = width, height
    with Film(target, size=size, rate=rate, sound=True) as film:
        shown = 0
        for path, start, end in spans:
            with named(path):
                count, word = _part(film, (path, start, end), size, rate, shown)
            shown += count
            told[word] = None
        film.finish(float(shown / rate))
    return "; ".join(filter(None, told))


def take_still(path: Path, seconds: float, target: Path, *, box: tuple[int, int] = (0, 0)) -> None:
    """Write the picture on the screen at `seconds` as JPEG or PNG, by the target's ending.

    Raises:
        FfmpegError: there is none.
    """
    with named(path):
        picture = Image.fromarray(picture_at(path, seconds, box=box))
    if target.suffix.lower() == ".png":
        picture.save(target, "PNG")  # written in place: our callers give drafts
    else:
        picture.save(target, "JPEG", quality=92, subsampling=0)  # written in place: likewise


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of reading a file, told without its folder."""
    try:
        yield
    except VideoError as error:
        why = str(error).removeprefix(f"{shown_name(path)}: ")
        if isinstance(error, NotNowError):
            why = f"could not be read now ({why}); try again"
        raise FfmpegError(f"{readable(path.name)}: {why}") from error


class Sound:
    """The sound of a span, taken up to one time after the other."""

    def __init__(self, facts: Facts, path: Path, start: float, end: float) -> None:
        self._unknown = [codec or "of a kind unknown here" for _, codec in facts.sounds]
        self._reader: SpanSound | None = None
        if any(codec for _, codec in facts.sounds):
            self._reader = read_sound(path, start, end)
        self._pieces = iter(self._reader or ())
        self._left = next(self._pieces, NO_SAMPLES)
        self._given = 0
        self.usable = bool(len(self._left))
        """Whether there is any."""

    def __enter__(self) -> "Sound":
        return self

    def __exit__(self, *error: object) -> None:
        if self._reader:
            self._reader.close()

    @property
    def told(self) -> str:
        """What has to be said of it."""
        if self.usable or not self._unknown:
            return ""
        return f"its sound ({' and '.join(self._unknown)}) cannot be decoded and is left out"

    def until(self, seconds: float, *, silence: bool = False) -> NDArray[np.int16]:
        """The (N, 2) samples that follow, up to `seconds` from the start; `silence` makes up for
        what there is not."""
        count = max(0, round(seconds * SOUND_RATE) - self._given)
        pieces = [self._left]
        while sum(map(len, pieces)) < count:
            more = next(self._pieces, None)
            if more is None:
                break
            pieces.append(more)
        samples = np.concatenate(pieces)
        if silence and len(samples) < count:
            samples = np.pad(samples, ((0, count - len(samples)), (0, 0)))
        self._left = samples[count:]
        self._given += len(samples[:count])
        return samples[:count]


def _part(
    film: Film, span: Span, size: tuple[int, int], rate: Fraction, shown: int
) -> tuple[int, str]:
    """Add a span to a film in steps of its rate; how many pictures, and a word about the sound."""
    path, start, end = span
    step, count = 1 / rate, 0
    with read_span(path, start, end, box=size, grow=True) as pictures:
        batches = iter(pictures)
        first = next(batches)
        begin = _begin(start, float(first.times[0]))
        with Sound(pictures.facts, path, begin, end + MARGIN) as sound:

            def show(pixels: NDArray[np.uint8], until: float) -> None:
                """In the steps whose middle comes before: rounded times move none."""
                nonlocal count
                while (count + 0.5) * step < until - begin:
                    film.sound(sound.until(float((count + 1) * step), silence=True))
                    film.picture(_framed(pixels, size), float((shown + count) * step))
                    count += 1

            before: NDArray[np.uint8] | None = None
            for seconds, pixels in _each(first, batches):
                if before is not None:
                    show(before, seconds)
                before = pixels
            assert before is not None
            show(before, max(pictures.end, begin + float(step)))
            return count, sound.told


def _framed(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """In the middle of a black picture of this size."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    framed = np.zeros((size[1], size[0], 3), np.uint8)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    framed[top : top + height, left : left + width] = pixels
    return framed


def _each(first: Frames, rest: Iterator[Frames]) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    for batch in chain([first], rest):
        yield from zip(batch.times.tolist(), batch.pixels, strict=True)


def _begin(start: float, first: float) -> float:
    """Where a clip begins: with its first picture, or earlier where that comes late in the file."""
    return first if first - start < HELD else start


def _film_rate(paths: Iterable[Path]) -> Fraction:
    """The highest of the files."""
    rates = []
    for path in dict.fromkeys(paths):
        with named(path):
            rates.append(read_facts(path).rate or UNKNOWN_RATE)
    return min(FASTEST_FILM, max(SLOWEST_FILM, *rates))

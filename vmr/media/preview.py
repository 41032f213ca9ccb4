"""Stills, sprites and small copies of a moment, made when asked for and kept within a limit.

A card needs a sharp picture of its best frame, and a browser that cannot play a file (HEVC, MPEG-4
part 2, avi, mkv) needs a short copy that it can. A sprite is the pictures of a moment in one file,
side by side, so that a card can run through them with one request. None of it is part of the
library: the folder can be deleted at any time.

    previews = Previews(Path("LIBRARY/previews"), limit_bytes=1 << 30)
    jpeg = previews.still(Path("a.mkv"), 12.5)
    mp4 = previews.moment(Path("a.mkv"), 12.0, 19.5)
    jpeg = previews.sprite(library.thumbnails(3, range(12, 20)))
"""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from feature_extract.files import replacing, sweep
from vmr.library.catalogue import readable
from vmr.library.content import ContentError, FileStamp
from vmr.media.cut import ExportError, source_file
from vmr.media.ffmpeg import FfmpegError
from vmr.media.taking import take_clip, take_still

STILL_WIDTH: Final = 640  # pixels: a card on a screen of double density
PREVIEW_HEIGHT: Final = 540
LONGEST_PREVIEW: Final = 150.0  # seconds
RULES: Final = 2
"""Goes up when previews of the same moment change."""
CELL: Final = (160, 90)
"""Pixels of one picture of a sprite: a thumbnail, cut to the shape of a card."""


class Previews:
    """A folder of stills and previews; the least recently used go when it is over its limit."""

    def __init__(self, folder: Path, *, limit_bytes: int, workers: int = 2) -> None:
        if limit_bytes <= 0:
            raise ValueError(f"limit_bytes must be positive, not {limit_bytes}")
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._workers = threading.Semaphore(workers)
        self._locks: dict[Path, threading.Lock] = {}
        self._guard = threading.Lock()
        sweep(folder)

    def still(self, source: Path, seconds: float) -> Path:
        """A JPEG of the frame shown at `seconds`.

        Raises:
            FfmpegError: there is none, or the file cannot be read there.
        """
        wanted = f"still at {seconds:.3f}"
        return self._cut(
            source,
            wanted,
            ".jpg",
            lambda file, target: take_still(file, seconds, target, box=(STILL_WIDTH, 0)),
        )

    def moment(self, source: Path, start: float, end: float) -> Path:
        """An MP4 of [start, end) seconds, small, H.264 and AAC, whose own time begins at 0.

        Raises:
            FfmpegError: nothing can be read there.
            ValueError: the span is empty or too long.
        """
        if not 0 <= start < end <= start + LONGEST_PREVIEW:
            raise ValueError(
                f"{start:.1f} to {end:.1f} s: a preview needs 0 <= start < end, at most "
                f"{LONGEST_PREVIEW:.0f} s apart"
            )
        return self._cut(
            source,
            f"moment from {start:.3f} to {end:.3f}",
            ".mp4",
            lambda file, target: take_clip(
                (file, start, end),
                target,
                box=(0, PREVIEW_HEIGHT),
                quality=("veryfast", "25"),
                sound_bits=96_000,
                keep_tags=False,
            ),
        )

    def sprite(self, pictures: Sequence[bytes]) -> Path:
        """A JPEG of these pictures side by side, a cell each; what is no picture stays black."""
        name = hashlib.sha256(b"".join(hashlib.sha256(picture).digest() for picture in pictures))

        def write(target: Path) -> None:
            with replacing(target, sync=False) as draft:
                _side_by_side(pictures).save(draft, quality=80)

        return self._made(f"{name.hexdigest()[:32]}.jpg", write)

    def _cut(
        self, source: Path, wanted: str, suffix: str, take: Callable[[Path, Path], object]
    ) -> Path:
        def write(target: Path) -> None:
            with self._workers, _fetched(source) as file, replacing(target, sync=False) as draft:
                take(file, draft)

        return self._made(_name(source, wanted) + suffix, write)

    def _made(self, name: str, write: Callable[[Path], None]) -> Path:
        target = self.folder / name
        with self._lock(target):
            if target.is_file():
                os.utime(target)  # used now: the last to go
                return target
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                write(target)
            except FfmpegError:
                with self._guard:  # as many may be asked for in vain as a visitor likes
                    self._locks.pop(target, None)
                raise
        self._trim(target)
        return target

    def _lock(self, target: Path) -> threading.Lock:
        """One lock a file, so that two visitors who want the same wait for one ffmpeg."""
        with self._guard:
            return self._locks.setdefault(target, threading.Lock())

    def _trim(self, newest: Path) -> None:
        with self._guard:
            kept = [(file, file.stat()) for file in self.folder.iterdir() if file.is_file()]
            total = sum(stat.st_size for _, stat in kept)
            for file, stat in sorted(kept, key=lambda entry: entry[1].st_mtime):
                if total <= self._limit_bytes or file == newest:
                    return
                file.unlink(missing_ok=True)
                self._locks.pop(file, None)
                total -= stat.st_size


def _side_by_side(pictures: Sequence[bytes]) -> Image.Image:
    width, height = CELL
    sprite = Image.new("RGB", (width * len(pictures), height))
    for place, picture in enumerate(pictures):
        with suppress(OSError, ValueError, Image.DecompressionBombError):
            cell = ImageOps.fit(Image.open(io.BytesIO(picture)).convert("RGB"), CELL)
            sprite.paste(cell, (place * width, 0))
    return sprite


@contextmanager
def _fetched(source: Path) -> Iterator[Path]:
    with ExitStack() as held:
        try:
            file = held.enter_context(source_file(source))
        except ExportError as error:
            raise FfmpegError(str(error)) from error
        yield file


def _name(source: Path, wanted: str) -> str:
    """A name that changes with the file's content and with what is wanted of it."""
    try:
        stamp = FileStamp.of(source)
    except ContentError as error:
        raise FfmpegError(f"{readable(source.name)}: the file is no longer there") from error
    facts = (str(source), stamp, wanted, RULES)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]

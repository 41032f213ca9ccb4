"""One line of the table of `make bench`: what was measured, against what, and what was asked.

Machines differ and are shared, so every line that compares takes both sides in turn, several times,
and gives the median and the spread of the ratios.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

HEAD = "| work | compared with | median (least to most) | asked | |\n|---|---|---|---|---|"
LONGEST_CODED = 60  # seconds of a film that are encoded
PATIENCE = 7200  # seconds for the longest program


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    repeats: int
    film_seconds: int
    "of the H.264 film"
    other_seconds: int
    "of the films in other codecs"
    short_seconds: int
    "of each of several short films"
    known: int
    "videos of the library that is indexed again"
    searched: int
    "videos of the library of cold searches"
    hours: float
    "of the library behind the page"
    largest_hours: float
    "of the library that does not fit into memory"
    questions: int
    steps: int
    "of training, each way"
    minutes: tuple[float, ...]
    "lengths of videos, for growth"
    videos: tuple[int, ...]
    "sizes of libraries, for growth"
    visitors: int
    "of one page at once"
    visited_seconds: float
    many_videos: tuple[int, ...]
    "sizes of libraries of very short videos, for what a question costs"


FULL = Size(
    *(3, 600, 60, 15, 1000, 200, 200.0, 5000.0, 100, 3, (1, 12, 180), (10, 100, 1000, 10_000)),
    *(50, 120.0, (1000, 10_000, 100_000, 1_000_000)),
)
QUICK = Size(
    *(2, 10, 2, 2, 100, 30, 1.0, 10.0, 10, 1, (0.1, 0.2, 0.4), (10, 30, 100)),
    *(10, 10.0, (100, 1000)),
)
TINY = Size(1, 2, 1, 1, 5, 3, 0.02, 0.1, 3, 1, (0.05, 0.1), (2, 4), 2, 1.0, (5, 10))
"""For the tests: everything runs, no figure means anything."""


@dataclass(frozen=True)
class Row:
    """One line; `values` are of one kind, and the median is what counts."""

    work: str
    against: str
    values: Sequence[float]
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        """In Markdown."""
        least, most = min(self.values), max(self.values)
        spread = f" ({_short(least)} to {_short(most)})" if len(self.values) > 1 else ""
        figures = f"{_short(self.middle)} {self.unit}{spread}"
        return f"| {self.work} | {self.against} | {figures} | {self.asked} | {self.verdict} |"

    @property
    def middle(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def asked(self) -> str:
        """In words; a dash where nothing was."""
        if self.at_most is not None:
            return f"<= {self.at_most:g} {self.unit}"
        return f">= {self.at_least:g} {self.unit}" if self.at_least is not None else "-"

    @property
    def verdict(self) -> str:
        """Whether it was reached; empty where nothing was asked."""
        if self.at_most is not None:
            return "yes" if self.middle <= self.at_most else "no"
        return ("yes" if self.middle >= self.at_least else "no") if self.at_least else ""


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(work: Callable[[], object]) -> float:
    """By the clock."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_turn(repeats: int, *works: Callable[[], object]) -> list[tuple[float, ...]]:
    """Seconds of each work, one after the other, so many times."""
    return [tuple(seconds(work) for work in works) for _ in range(repeats)]


def ratios(repeats: int, ours: Callable[[], object], theirs: Callable[[], object]) -> list[float]:
    """Our time by theirs, of one run after the other."""
    return [a / b for a, b in in_turn(repeats, ours, theirs)]


def gains(repeats: int, ours: Callable[[], object], theirs: Callable[[], object]) -> list[float]:
    """How many times as fast we are."""
    return [1 / ratio for ratio in ratios(repeats, ours, theirs)]


def python(*arguments: str) -> None:
    """Run this Python, from its start to its end."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=PATIENCE)


def vmr(*arguments: str) -> None:
    """Run a command of ours as a user does."""
    python("-m", "vmr", *arguments)


def ffmpeg(*arguments: str) -> None:
    """Run the bundled ffmpeg; what it writes is overwritten."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def drawn_film(target: Path, seconds: float) -> Path:
    """A film of 720p that ffmpeg draws, full of detail that moves."""
    source = ("-f", "lavfi", "-i", "mandelbrot=s=1280x720:r=25", "-t", f"{seconds:g}")
    ffmpeg(*source, "-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", str(target))
    return target


def looped(source: Path, target: Path, *coding: str, seconds: float) -> Path:
    """A film repeated to a length and encoded; of a long one a part, which is then repeated as
    it is."""
    part = target if seconds <= LONGEST_CODED else target.with_stem(f"{target.stem}-part")
    loop = ("-stream_loop", "-1", "-i")
    length = ("-t", f"{min(seconds, LONGEST_CODED):g}")
    ffmpeg(*loop, str(source), *length, "-r", "30", *coding, str(part))
    if part != target:
        ffmpeg(*loop, str(part), "-t", f"{seconds:g}", "-c", "copy", str(target))
        part.unlink()
    return target

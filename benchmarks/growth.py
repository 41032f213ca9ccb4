"""How time and memory grow with the length of a video and the size of a library: `make bench`.

    python -m benchmarks.growth PLOT.png             # minutes; --full: up to 3 hours, 10,000 videos

Every point is a program of its own, from its start to its end. The exponent is the slope through
all points in logarithms: 1 is linear growth; below it, what every run costs shows, too.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.made_up import library_of
from benchmarks.memory import watched
from benchmarks.table import FULL, HEAD, QUICK, Row, Size, looped, vmr
from feature_extract.extract import extractor_fingerprint
from vmr.cli.samples import build_samples

H264 = ("-vf", "scale=640:360", "-c:v", "libx264", "-preset", "fast")
ROWS = 10  # of each video of a library


@dataclass(frozen=True)
class Curve:
    """One figure at several sizes."""

    name: str
    unit: str
    sizes: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, size: float, value: float) -> None:
        """One more point."""
        self.sizes.append(size)
        self.values.append(value)

    @property
    def exponent(self) -> float:
        """Of the power law that fits best."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.values), 1)[0])


def rows(size: Size, films: list[Path], work: Path, plot: Path) -> Iterator[Row]:
    """The exponents and the last point of each; the plot has all."""
    curves = [*over_length(size, films, work), *over_videos(size, work)]
    for curve in curves:
        first, last = curve.sizes[0], curve.sizes[-1]
        name = f"{curve.name}, {first:g} to {last:g}"
        yield Row(f"{name}: exponent", "1: linear", [curve.exponent], "", at_most=1.1)
        yield Row(f"{curve.name}, {last:g}", "-", curve.values[-1:], curve.unit)
    draw(curves, plot)


def over_length(size: Size, films: list[Path], work: Path) -> list[Curve]:
    """Indexing 360p H.264 of each length, with its decoder."""
    taken = Curve("index a video of MINUTES, time", "s")
    held = Curve("index a video of MINUTES, memory", "MB")
    for minutes in size.minutes:
        film, library = work / f"{minutes:g}.mp4", work / f"{minutes:g} min"
        looped(films[1], film, *H264, seconds=60 * minutes)
        figures = measured("index", str(film), "--library", str(library))
        for curve, figure in zip((taken, held), figures, strict=True):
            curve.add(minutes, figure)
        film.unlink()
    return [taken, held]


def over_videos(size: Size, work: Path) -> list[Curve]:
    """A cold search and an index of nothing new, in libraries of each size."""
    curves = {
        name: (Curve(f"{name} of VIDEOS, time", "s"), Curve(f"{name} of VIDEOS, memory", "MB"))
        for name in ("search a library", "index again a library")
    }
    for videos in map(int, size.videos):
        folder = work / f"{videos} videos"
        library_of(folder, videos, ROWS, extractor_fingerprint()).close()
        library = ("--library", str(folder / "library"))
        vmr("search", "a cat", *library)  # makes the index
        for name, command in (
            ("search a library", ("search", "a cat", *library)),
            ("index again a library", ("index", str(folder / "videos"), *library)),
        ):
            figures = measured(*command)
            for curve, figure in zip(curves[name], figures, strict=True):
                curve.add(videos, figure)
    return [curve for pair in curves.values() for curve in pair]


def measured(*arguments: str) -> tuple[float, float]:
    """Seconds and the most memory, in MB, of one command of ours and what it starts."""
    began = time.perf_counter()
    peak = watched(*arguments)
    return time.perf_counter() - began, peak.all_bytes / 1e6


def draw(curves: list[Curve], target: Path) -> None:
    """One picture of all curves; a dotted line from the first point is linear growth."""
    from matplotlib.figure import Figure  # slow to import, and only the plot needs it

    figure = Figure(figsize=(4 * len(curves) / 2, 7), layout="constrained")
    places = figure.subplots(2, (len(curves) + 1) // 2).T.flat
    for axes, curve in zip(places, curves, strict=False):
        axes.loglog(curve.sizes, curve.values, "o-")
        linear = [curve.values[0] * size / curve.sizes[0] for size in curve.sizes]
        axes.loglog(curve.sizes, linear, ":", color="grey")
        axes.set_title(f"{curve.name}\nexponent {curve.exponent:.2f}", fontsize=9)
        axes.set_ylabel(curve.unit)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("plot", type=Path, metavar="PLOT.png")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        films = build_samples(Path(folder, "samples"))
        size = FULL if options.full else QUICK
        for row in rows(size, films, Path(folder), options.plot):
            print(row, flush=True)


if __name__ == "__main__":
    main()

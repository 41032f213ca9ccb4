"""`make bench`: where the product stands, in ratios of one run on this machine.

    python -m benchmarks            # a few minutes
    python -m benchmarks --quick    # shorter media, fewer repetitions

Machines differ and are shared, so nothing here is a test: each line compares two things measured
one after the other, several times, and gives the median and the spread.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import decord
import imageio_ffmpeg

from feature_extract.extract import Extractor
from vmr.ranker import Ranker
from vmr.samples import build_samples
from vmr.search import Searcher
from vmr.store import Library
from vmr.text import Words

VIDEOS = 50
QUERIES = ("a cat", "a man rides a bicycle", "a tower", "people in the snow", "a cup of coffee")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    repeats = 2 if quick else 5
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n")
    print("| work | compared with | ratio or time, median (least to most) |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        films = build_samples(work / "samples")
        index_against_decoding(films, work, repeats, seconds=60 if quick else 600)
        searches(films, work, repeats)


def index_against_decoding(films: list[Path], work: Path, repeats: int, *, seconds: int) -> None:
    """Extraction of a 720p H.264 file against decord decoding the same frames and nothing else."""
    film = work / "720p.mp4"
    loop = ["-stream_loop", "-1", "-i", str(films[1]), "-t", str(seconds), "-r", "30"]
    _ffmpeg(*loop, "-vf", "scale=1280:720", "-c:v", "libx264", "-preset", "fast", str(film))
    extractor = Extractor()
    extractor.extract(films[0])  # warm

    def decode() -> None:
        reader = decord.VideoReader(str(film))
        for i in range(len(reader)):
            reader[i]

    ratios = []
    for _ in range(repeats):
        alone = _seconds(decode)
        ratios.append(_seconds(lambda: extractor.extract(film)) / alone)
    _row(f"index {seconds} s of 720p30 H.264", "decord alone, all frames", ratios, "x")


def searches(films: list[Path], work: Path, repeats: int) -> None:
    """A cold search from the command line, and a warm one as the page does it."""
    videos, library = work / "videos", work / "library"
    videos.mkdir()
    for i in range(VIDEOS):
        source, target = str(films[i % len(films)]), str(videos / f"{i}.mp4")
        look = f"scale=320:180,hue=h={7 * i}"  # different content, or they are stored once
        _ffmpeg("-ss", str(i % 30), "-i", source, "-t", "6", "-vf", look, target)
    _vmr("index", str(videos), "--library", str(library))
    starts = [_seconds(lambda: _vmr("--help")) for _ in range(repeats)]
    _row("python -m vmr --help", "-", starts, "s")
    torch = [_seconds(lambda: _python("-c", "import torch")) for _ in range(repeats)]
    cold = partial(_vmr, "search", "a cat", "--library", str(library))
    search = [_seconds(cold) for _ in range(repeats)]
    _row(f"cold search, {VIDEOS} videos", "-", search, "s")
    ratio = [a / b for a, b in zip(search, torch, strict=True)]
    _row(f"cold search, {VIDEOS} videos", "python that imports torch", ratio, "x")
    searcher = Searcher(Library(library), Ranker.load(), Words.load())
    searcher.search(QUERIES[0])  # warm
    asked = [f"{query} {i}" for i in range(repeats) for query in QUERIES]  # none is remembered
    warm = [_seconds(partial(searcher.search, query)) for query in asked]
    _row(f"search in the running page, {VIDEOS} videos", "-", [1000 * s for s in warm], "ms")


def _row(work: str, against: str, values: list[float], unit: str) -> None:
    middle, least, most = statistics.median(values), min(values), max(values)
    print(f"| {work} | {against} | {middle:.2f} {unit} ({least:.2f} to {most:.2f}) |", flush=True)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=600)


def _vmr(*arguments: str) -> None:
    _python("-m", "vmr", *arguments)


def _ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *arguments]
    subprocess.run(command, check=True, timeout=600)


if __name__ == "__main__":
    main()

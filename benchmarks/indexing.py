"""What indexing costs, against decoding alone: lines of `make bench`.

Films are the sample library's, scaled and repeated; all frames are decoded by decord as its own
documentation does it, and by ffmpeg into nothing.
"""

import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import decord

from benchmarks.made_up import library_of
from benchmarks.table import Row, Size, ffmpeg, in_turn, looped, seconds, vmr
from feature_extract.extract import Extractor, extractor_fingerprint

H264 = ("-vf", "scale=1280:720", "-c:v", "libx264", "-preset", "fast")
OTHERS = {
    "HEVC 1080p": ("scale=1920:1080", "-c:v", "libx265", "-preset", "ultrafast", ".mp4"),
    "VP9 720p": ("scale=1280:720", "-c:v", "libvpx-vp9", "-deadline", "realtime", ".webm"),
    "AV1 720p": ("scale=1280:720", "-c:v", "libsvtav1", "-preset", "10", ".mp4"),
}
QUIET = {"libx265": ("-x265-params", "log-level=none"), "libsvtav1": ("-svtav1-params", "lp=2")}
SHORT = 4  # files at once
DECORD = "decord alone, all frames"


def rows(size: Size, films: list[Path], work: Path) -> Iterator[Row]:
    """Of one film of each codec, of short files, and of a library that is known already."""
    plain, moving = Extractor(motion=False), Extractor()
    plain.extract(films[0])  # warm
    moving.extract(films[0])
    film = looped(films[1], work / "720p.mp4", *H264, seconds=size.film_seconds)
    yield from one_film(size, film, plain, moving)
    film.unlink()
    for codec, (scale, *coding, ending) in OTHERS.items():
        coding += QUIET.get(coding[1], ())
        options = ("-vf", scale, "-pix_fmt", "yuv420p", *coding)
        film = looped(films[1], work / f"other{ending}", *options, seconds=size.other_seconds)
        name = f"index {size.other_seconds} s of {codec}30"
        works = [partial(extractor.extract, film) for extractor in (moving, plain)]
        taken = in_turn(size.repeats, *works, partial(decode, film))
        yield Row(name, DECORD, [ours / alone for ours, _, alone in taken], "x", at_most=1.3)
        shares = [ours / alone for _, ours, alone in taken]
        yield Row(f"{name}, no motion", DECORD, shares, "x", at_most=1.3)
        film.unlink()
    yield from short_files(size, films, work, moving)
    yield known_library(size, work)


def one_film(size: Size, film: Path, plain: Extractor, moving: Extractor) -> Iterator[Row]:
    """A long film in H.264, against decoding it with decord and with ffmpeg."""
    null = partial(ffmpeg, "-i", str(film), "-f", "null", "-")
    works = partial(moving.extract, film), partial(plain.extract, film), partial(decode, film), null
    runs = [[used_by(work) for work in works] for _ in range(size.repeats)]
    name = f"index {size.film_seconds} s of 720p30 H.264"
    for ours, what in ((0, name), (1, f"{name}, no motion")):
        shares = [run[ours].seconds / run[2].seconds for run in runs]
        yield Row(what, DECORD, shares, "x", at_most=1.5)
        shares = [run[ours].processor_seconds / run[2].processor_seconds for run in runs]
        yield Row(f"{what}: processor time", DECORD, shares, "x")
        shares = [run[ours].seconds / run[3].seconds for run in runs]
        yield Row(what, "ffmpeg to null, all frames", shares, "x")
    yield Row(f"{name}: busy", "both cores", [run[0].busy for run in runs], "%", at_least=90)
    yield Row("decord alone: busy", "both cores", [run[2].busy for run in runs], "%")


def decode(film: Path) -> None:
    """All frames with decord and nothing else."""
    second_stage = decord.VideoReader(str(film))
    for number in range(len(second_stage)):
        second_stage[number]


def short_files(size: Size, films: list[Path], work: Path, extractor: Extractor) -> Iterator[Row]:
    """How busy two cores are with one file after the other, which is what `index` does, and what
    threads that each read a file of their own would gain."""
    length = size.short_seconds
    names = [work / f"{number}.mp4" for number in range(SHORT)]
    for name, source in zip(names, cycle(films), strict=False):
        looped(source, name, *H264, seconds=length)

    def one_by_one() -> None:
        for name in names:
            extractor.extract(name)

    def at_once() -> None:
        with ThreadPoolExecutor(SHORT) as threads:
            list(threads.map(extractor.extract, names))

    used = [(used_by(at_once), used_by(one_by_one)) for _ in range(size.repeats)]
    gained = [theirs.seconds / ours.seconds for ours, theirs in used]
    what = f"{SHORT} files of {length} s"
    yield Row(f"{what}, {SHORT} threads", "one after the other", gained, "x", at_least=1.6)
    for way, place in ((f"{what}, {SHORT} threads", 0), (f"{what}, one after the other", 1)):
        shares = [run[place].busy for run in used]
        yield Row(f"{way}: busy", "both cores", shares, "%", at_least=90)


@dataclass(frozen=True)
class Used:
    """What a piece of work took, of its own."""

    seconds: float
    processor_seconds: float

    @property
    def busy(self) -> float:
        """Percent of two cores."""
        return 50 * self.processor_seconds / self.seconds


def used_by(run: Callable[[], object]) -> Used:
    """Run, and say what it took."""
    before, begun = _processor_seconds(), time.perf_counter()
    run()
    return Used(time.perf_counter() - begun, _processor_seconds() - before)


def _processor_seconds() -> float:
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    uses = [resource.getrusage(kind) for kind in kinds]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def known_library(size: Size, work: Path) -> Row:
    """`index` of a folder of videos that are all in the library, unchanged."""
    folder = work / "known"
    library_of(folder, size.known, 5, extractor_fingerprint()).close()
    again = partial(vmr, "index", str(folder / "videos"), "--library", str(folder / "library"))
    taken = [seconds(again) for _ in range(size.repeats)]
    return Row(f"index again, {size.known} unchanged videos", "-", taken, "s", at_most=2)

"""What indexing costs, against decoding alone: lines of `make bench`.

Films are the sample library's, scaled and repeated; all frames are decoded by decord as its own
documentation does it, and by ffmpeg into nothing.
"""

import resource
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import decord

from benchmarks.made_up import library_of
from benchmarks.table import Row, Size, ffmpeg, looped, ratios, seconds, vmr
from feature_extract.extract import Extractor, extractor_fingerprint
from vmr.ingest import Ingest
from vmr.store import Library

H264 = ("-vf", "scale=1280:720", "-c:v", "libx264", "-preset", "fast")
OTHERS = {
    "HEVC 1080p": ("scale=1920:1080", "-c:v", "libx265", "-preset", "ultrafast", ".mp4"),
    "VP9 720p": ("scale=1280:720", "-c:v", "libvpx-vp9", "-deadline", "realtime", ".webm"),
    "AV1 720p": ("scale=1280:720", "-c:v", "libsvtav1", "-preset", "10", ".mp4"),
}
QUIET = {"libx265": ("-x265-params", "log-level=none"), "libsvtav1": ("-svtav1-params", "lp=2")}
SHORT = 4  # files at once


def rows(size: Size, films: list[Path], work: Path) -> Iterator[Row]:
    """Of one film of each codec, of short files, and of a library that is known already."""
    plain, moving = Extractor(), Extractor(motion=True)
    plain.extract(films[0])  # warm
    moving.extract(films[0])
    film = looped(films[1], work / "720p.mp4", *H264, seconds=size.film_seconds)
    name = f"index {size.film_seconds} s of 720p30 H.264"
    alone = partial(decode, film)
    index = ratios(size.repeats, partial(plain.extract, film), alone)
    yield Row(name, "decord alone, all frames", index, "x", at_most=1.5)
    null = partial(ffmpeg, "-i", str(film), "-f", "null", "-")
    index = ratios(size.repeats, partial(plain.extract, film), null)
    yield Row(name, "ffmpeg to null, all frames", index, "x")
    index = ratios(size.repeats, partial(moving.extract, film), alone)
    yield Row(f"{name}, rows of motion too", "decord alone", index, "x", at_most=2)
    film.unlink()
    for codec, (scale, *coding, ending) in OTHERS.items():
        coding += QUIET.get(coding[1], ())
        options = ("-vf", scale, "-pix_fmt", "yuv420p", *coding)
        film = looped(films[1], work / f"other{ending}", *options, seconds=size.other_seconds)
        index = ratios(size.repeats, partial(plain.extract, film), partial(decode, film))
        name = f"index {size.other_seconds} s of {codec}30"
        yield Row(name, "decord alone, all frames", index, "x", at_most=1.3)
        film.unlink()
    yield from short_files(size, films, work)
    yield known_library(size, work)


def decode(film: Path) -> None:
    """All frames with decord and nothing else."""
    reader = decord.VideoReader(str(film))
    for number in range(len(reader)):
        reader[number]


def short_files(size: Size, films: list[Path], work: Path) -> Iterator[Row]:
    """How busy both cores are while short files and while one long file are indexed, and how much
    faster a file is among short ones than alone."""
    folder = work / "short"
    folder.mkdir()
    length = size.other_seconds
    shorts = [
        looped(films[i % len(films)], folder / f"{i}.mp4", *H264, seconds=length + i / 30)
        for i in range(SHORT)
    ]
    long = looped(films[1], folder / "long.mp4", *H264, seconds=SHORT * length)
    busy: dict[str, list[float]] = {"at once": [], "long": []}
    gained = []
    extractor = Extractor()
    for number in range(size.repeats):
        spent = 0.0
        for place, short in enumerate(shorts):
            spent += used([short], work / f"alone{number}.{place}", extractor)[0]
        together, share = used(shorts, work / f"together{number}", extractor)
        gained.append(spent / together)
        busy["at once"].append(share)
        busy["long"].append(used([long], work / f"long{number}", extractor)[1])
    shutil.rmtree(folder)
    what = f"{SHORT} files of {length} s in one queue"
    yield Row(what, "one after the other", gained, "x", at_least=1.6)
    yield Row(f"processor busy: {what}", "both cores", busy["at once"], "%", at_least=90)
    name = f"processor busy: one file of {SHORT * length} s"
    yield Row(name, "both cores", busy["long"], "%", at_least=90)


def used(files: list[Path], folder: Path, extractor: Extractor) -> tuple[float, float]:
    """Seconds for indexing files into a new library, and the percentage of two cores used."""
    library = Library(folder)
    before, begun = _processor_seconds(), time.perf_counter()
    with Ingest(library, lambda: extractor) as ingest:
        ingest.add(files)
        ingest.wait()
    spent = time.perf_counter() - begun
    library.close()
    shutil.rmtree(folder)
    return spent, 50 * (_processor_seconds() - before) / spent


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

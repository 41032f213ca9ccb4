"""What a question costs in libraries of more and more videos: `python -m benchmarks.many_videos`.

    python -m benchmarks.many_videos --videos 1000 100000 --rows 3

Videos are made up, of a few rows each: the database and the index hold what they would hold of real
ones, features and thumbnails are empty files, which no question reads. A question goes over HTTP to
the running page, as a program of its own; a cold search is a command from its start to its end.
Sizes take turns, so that what else the machine does falls on all of them alike.
"""

import argparse
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path

import httpx
import numpy as np

from benchmarks.large import statistics as spread_of
from benchmarks.searching import WHAT, WHO
from benchmarks.table import HEAD, Row, Size, vmr
from feature_extract.extract import extractor_fingerprint
from vmr.library.content import FileStamp
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.search.index import ClipIndex
from vmr.search.parts import short
from vmr.search.vectors import Vectors, digest_of

BATCH = 10_000  # videos written at once
DISTINCT = 1 << 14  # rows that all others are scaled from
START_SECONDS = 300.0
_PATH = (
    "INSERT INTO paths (path, video, size_bytes, modified_ns, inode, changed_ns) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
NOWHERE = FileStamp(size_bytes=1000, modified_ns=1)
ROWS = 3  # of each video


@dataclass
class Figures:
    """Of one library."""

    questions: list[float] = field(default_factory=list)
    "milliseconds over HTTP"
    processor: list[float] = field(default_factory=list)
    "milliseconds of processor time of the page, a question"
    searches: list[float] = field(default_factory=list)
    "seconds of a cold search"
    megabytes: float = 0.0
    "that the page holds of its own after the questions"


def lines(size: Size, work: Path) -> Iterator[Row]:
    """Of `make bench`."""
    yield from rows(measure(made(size.many_videos, ROWS, work), size.questions, size.repeats))


def made(sizes: Sequence[int], count: int, work: Path) -> dict[int, Path]:
    """Libraries of so many videos of so many rows."""
    model, folders = RetrievalModel.load(), {}
    for videos in sizes:
        folders[videos] = work / str(videos)
        library_of(folders[videos], videos, count, model)
    return folders


def library_of(
    folder: Path, videos: int, rows: int, model: RetrievalModel, films: Sequence[Path] = ()
) -> None:
    """A library in `folder` that has been read, and its index.

    Args:
        films: what the first videos are called; there is nothing behind the names of the others.
    """
    library = Library(folder)
    library.adopt(extractor_fingerprint())
    library.close()
    with sqlite3.connect(folder / "library.db") as db:
        triggers = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE name LIKE 'changed%'"
        ).fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")  # each row alone would take a minute a million
        for first in range(0, videos, BATCH):
            numbers = range(first + 1, min(first + BATCH, videos) + 1)
            db.executemany(
                "INSERT INTO videos (id, state, quick, full, added, fingerprint, rows, duration, "
                "width, height, fps, codec) "
                "VALUES (?1, 'ready', ?2, ?2, ?1, ?3, ?4, ?4, 1280, 720, 25, 'h264')",
                [(n, f"{n:032x}", extractor_fingerprint(), rows) for n in numbers],
            )
            named = (*films, *(Path(f"/films/{n % 1000:03}/{n:07}.mp4") for n in numbers))
            names = named if first == 0 else named[len(films) :]
            paths = [
                (os.fsencode(path), n, *astuple(FileStamp.of(path) if n <= len(films) else NOWHERE))
                for path, n in zip(names, numbers, strict=False)
            ]
            db.executemany(_PATH, paths)
            db.executemany("INSERT INTO changes VALUES (?1, ?1)", [(n,) for n in numbers])
        for _, sql in triggers:
            db.execute(sql)
    for number in range(1, videos + 1):
        (folder / "features" / f"{number}.safetensors").touch()
        (folder / "thumbnails" / f"{number}.zip").touch()
    library = Library(folder)
    _write_index(library, videos, rows, model)
    ClipIndex.open(library, model)
    library.close()


def _write_index(library: Library, videos: int, rows: int, model: RetrievalModel) -> None:
    """The files of the index as `Vectors.add` would have written them, in large pieces."""
    mean, root = (tensor.numpy() for tensor in spread_of(model.background))
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((DISTINCT, len(mean)), dtype=np.float32)
    distinct = noise @ root + mean  # (DISTINCT, E)
    starts = np.arange(rows, dtype=np.float64)
    times = np.stack([starts, starts + 1], axis=1)  # (T, 2)
    none, fingerprint = np.zeros(0, np.float64), extractor_fingerprint()
    vectors = Vectors(library.folder, model.width)
    clips_file, times_file = (library.folder / f"index.{name}" for name in ("clips", "times"))
    (library.folder / "index.cuts").touch()
    with clips_file.open("wb") as clips_out, times_file.open("wb") as times_out:
        batch = max(1, BATCH * ROWS // rows)
        for first in range(0, videos, batch):
            count = min(batch, videos - first)
            chosen = distinct[generator.integers(DISTINCT, size=count * rows)]
            scale = generator.uniform(0.9, 1.1, (count * rows, 1)).astype(np.float32)
            clips = (chosen * scale).astype(np.float16)  # (N, E)
            clips_out.write(clips.data)
            times_out.write(np.tile(times, (count, 1)).data)
            for place in range(count):
                one = clips[place * rows : (place + 1) * rows]
                vectors.parts.add(
                    first + place + 1,
                    short(f"{fingerprint} {first + place + 1:032x}"),
                    count=rows,
                    cuts=0,
                    digest=digest_of({"clips": one, "times": times, "cuts": none}),
                )
    vectors.change = library.changes(at_most=videos + 1).number
    vectors.write(model.fingerprint)


@contextmanager
def page_over(folder: Path, *, change: bool = False) -> Iterator[tuple[int, httpx.Client]]:
    """A page in a process of its own: the number of that, and who asks it.

    Args:
        change: whether visitors may change the library.
    """
    command = [sys.executable, "-m", "benchmarks.many_videos", "--serve", str(folder)]
    command += ["--change"] if change else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(
            found[0] for line in process.stdout if (found := re.search(r"http\S+", line))
        )
        with httpx.Client(base_url=address, timeout=START_SECONDS) as client:
            yield process.pid, client
    finally:
        process.kill()
        process.wait()


def serve(folder: Path, *, change: bool) -> None:
    """The page over a library, until standard input ends."""
    from feature_extract.extract import Extractor
    from tests.support.planted_page import served
    from vmr.library.ingest import Ingest
    from vmr.media.preview import Previews
    from vmr.page.access import Access
    from vmr.page.page import Page

    library = Library(folder)
    previews = Previews(folder / "previews", limit_bytes=1 << 26)
    ingest = Ingest(library, Extractor)
    page = Page(library, RetrievalModel.load(), ingest, previews, Access(change=change))
    with served(page):
        sys.stdin.read()


def measure(folders: dict[int, Path], questions: int, searches: int) -> dict[int, Figures]:
    """Ask every library the same, in turn; each question is timed the second time it is put."""
    asked = [f"{who} {what}" for who in WHO for what in WHAT][:questions]
    figures = {videos: Figures() for videos in folders}
    for _ in range(searches):
        for videos, folder in folders.items():
            began = time.perf_counter()
            vmr("search", "a cat", "--library", str(folder))
            figures[videos].searches.append(time.perf_counter() - began)
    with ExitStack() as stack:
        pages = {v: stack.enter_context(page_over(folder)) for v, folder in folders.items()}
        for round_ in range(2):
            for query in asked:
                for videos, (process, client) in pages.items():
                    began, used = time.perf_counter(), processor_seconds(process)
                    request = {"data": [query, 24, None]}
                    client.post("gradio_api/run/search", json=request).raise_for_status()
                    if round_:
                        taken = time.perf_counter() - began
                        figures[videos].questions.append(1000 * taken)
                        used = processor_seconds(process) - used
                        figures[videos].processor.append(1000 * used)
        for videos, (process, _) in pages.items():
            figures[videos].megabytes = own_megabytes(process)
    return figures


def processor_seconds(process: int) -> float:
    """That a process has used. Linux only."""
    used = Path(f"/proc/{process}/stat").read_text("ascii").rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def own_megabytes(process: int) -> float:
    """That a process holds of its own: pages of files, which the system takes back, left out."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    (own,) = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(own) / 1e3


def rows(figures: dict[int, Figures]) -> Iterator[Row]:
    """Every size against the smallest."""
    least = min(figures)
    for videos, found in figures.items():
        name = f"{videos:,} videos"
        yield Row(f"a question to the page, {name}", "-", found.questions, "ms")
        share = [statistics.mean(found.processor)]
        yield Row(f"its processor time, {name}", "-", share, "ms")
        yield Row(f"a cold search, {name}", "-", found.searches, "s")
        yield Row(f"memory of the page, {name}", "-", [found.megabytes], "MB")
        if videos == least:
            continue
        against = f"{least:,} videos"
        grown = statistics.median(found.questions) / statistics.median(figures[least].questions)
        yield Row(f"a question to the page, {name}", against, [grown], "times", at_most=2)
        grown = statistics.median(found.searches) / statistics.median(figures[least].searches)
        yield Row(f"a cold search, {name}", against, [grown], "times", at_most=2)


def main() -> None:
    """Make the libraries, ask, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_videos", description=__doc__)
    sizes = [1000, 10_000, 100_000]
    parser.add_argument("--videos", type=int, nargs="+", default=sizes, metavar="N")
    parser.add_argument("--rows", type=int, default=ROWS, help="seconds of each video")
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--searches", type=int, default=3, help="cold ones, of each library")
    parser.add_argument("--serve", type=Path, metavar="LIBRARY", help=argparse.SUPPRESS)
    parser.add_argument("--change", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, change=options.change)
    with tempfile.TemporaryDirectory() as folder:
        folders = made(options.videos, options.rows, Path(folder))
        figures = measure(folders, options.questions, options.searches)
    print(f"load {os.getloadavg()[0]:.1f}\n\n{HEAD}")
    for row in rows(figures):
        print(row)
    return None


if __name__ == "__main__":
    main()

"""Many visitors of one page at once: `python -m benchmarks.visitors`; part of `make bench`.

    python -m benchmarks.visitors --visitors 50 --seconds 120
    python -m benchmarks.visitors --only-ask --visitors 1 4 16 --videos 2000 --rows 3600

A page in a process of its own over a made-up library, whose first videos are a real film. Every
visitor asks a question, looks at pictures of the answer, plays from the middle of a film, and at
times takes a clip out; beside them one sends a file slowly, and one exports a long film. There is
no pause between two actions, so the answers a second are the most that this machine gives.

With `--only-ask` visitors do nothing but ask, nobody sends or exports, and several numbers of
visitors take turns at one page: how far one machine goes. Rows take 1.2 kB of disk each, 2,000
videos of an hour 9 GB.
"""

import argparse
import itertools
import json
import math
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.many_videos import library_of, own_megabytes, page_over, processor_seconds
from benchmarks.searching import QUESTIONS, WARM, WHAT, WHO
from benchmarks.table import HEAD, Row, Size, drawn_film
from vmr.model.retrieval import RetrievalModel

FILMS = 8  # videos that have a real film
FILM_SECONDS = 20
ROWS = 20  # of each video
CLIPS = 0.02  # of the actions after an answer
PATIENCE = 120.0  # seconds for one answer
SLOW_BYTES = 1 << 12  # what the slow sender sends at once, each half a second


@dataclass(frozen=True)
class Shape:
    """Of a made-up library."""

    videos: int
    rows: int
    "of each video, one a second"


@dataclass
class Seen:
    """What all visitors saw."""

    answers: list[float] = field(default_factory=list)
    "milliseconds"
    others: list[float] = field(default_factory=list)
    "milliseconds of pictures, films and clips"
    errors: list[str] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    "of the page, every second"
    seconds: float = 0.0
    processor: float = 0.0
    "seconds that the page has used, clips and films in programs of their own left out"


def rows(size: Size, work: Path) -> Iterator[Row]:
    """The lines of `make bench`."""
    yield from lines(measure(size.visitors, size.visited_seconds, work), size.visitors)


def measure(visitors: int, seconds: float, work: Path, videos: int = 500) -> Seen:
    """Let so many visitors in for so long."""
    films = [drawn_film(work / "film.mp4", FILM_SECONDS)]
    for number in range(1, FILMS):
        films.append(work / f"film {number}.mp4")
        films[-1].hardlink_to(films[0])
    library_of(work / "library", videos, ROWS, RetrievalModel.load(), films)
    with page_over(work / "library", change=True) as (process, client):
        _warm(client, 2)
        return _let_in(visitors, seconds, process, str(client.base_url), only_ask=False)


def asked(crowds: Sequence[int], seconds: float, work: Path, shape: Shape) -> dict[int, Seen]:
    """What each number of visitors sees who do nothing but ask, one number after another."""
    library_of(work / "library", shape.videos, shape.rows, RetrievalModel.load())
    with page_over(work / "library") as (process, client):
        _warm(client, WARM)
        address = str(client.base_url)
        return {n: _let_in(n, seconds, process, address, only_ask=True) for n in crowds}


def _warm(client: httpx.Client, questions: int) -> None:
    """Ask what no visitor asks."""
    for query in QUESTIONS[-questions:]:
        client.post("gradio_api/run/search", json={"data": [query, 24, None]}).raise_for_status()


def _let_in(visitors: int, seconds: float, process: int, address: str, *, only_ask: bool) -> Seen:
    seen, stop = Seen(), threading.Event()
    crowd = [
        threading.Thread(target=_visit, args=(address, number, seen, stop, only_ask))
        for number in range(visitors)
    ]
    if not only_ask:
        crowd.append(threading.Thread(target=_export_slowly, args=(address, seen, stop)))
        crowd.append(threading.Thread(target=_send_slowly, args=(address, stop)))
    began, used = time.monotonic(), processor_seconds(process)
    for visitor in crowd:
        visitor.start()
    while time.monotonic() - began < seconds:
        time.sleep(1.0)
        seen.megabytes.append(own_megabytes(process))
    stop.set()
    seen.seconds = time.monotonic() - began
    seen.processor = processor_seconds(process) - used
    for visitor in crowd:
        visitor.join()
    return seen


def asked_lines(seen: Seen, visitors: int, shape: Shape) -> Iterator[Row]:
    """Of visitors who do nothing but ask."""
    hours = shape.videos * shape.rows / 3600
    name = f"{hours:,.0f} hours, {visitors} asking at once"
    yield Row(f"{name}, errors", "-", [float(len(seen.errors))], "")
    yield Row(f"{name}, answers", "-", [len(seen.answers) / seen.seconds], "a second")
    yield Row(f"{name}, an answer", "-", seen.answers, "ms")
    yield Row(f"{name}, an answer, 99 in 100", "-", [_late(seen.answers)], "ms")
    each = 1000 * seen.processor / len(seen.answers)
    yield Row(f"{name}, processor time of an answer", "-", [each], "ms")
    yield Row(f"{name}, memory", "-", [max(seen.megabytes)], "MB")


def _late(taken: Sequence[float]) -> float:
    """Within which 99 in 100 are."""
    return sorted(taken)[math.ceil(0.99 * len(taken)) - 1]


def lines(seen: Seen, visitors: int) -> Iterator[Row]:
    """What was asked of the page, and what was found."""
    name = f"{visitors} visitors at once"
    ordered = sorted(seen.answers)
    late = _late(ordered)
    third = max(1, len(seen.megabytes) // 3)
    grown = statistics.mean(seen.megabytes[-third:]) / statistics.mean(seen.megabytes[:third])
    yield Row(f"{name}, errors", "-", [float(len(seen.errors))], "", at_most=0)
    yield Row(f"{name}, answers", "-", [len(ordered) / seen.seconds], "a second", at_least=50)
    yield Row(f"{name}, an answer", "-", ordered, "ms")
    each = 1000 * seen.processor / len(ordered)
    yield Row(f"{name}, processor time for all of an answer", "-", [each], "ms")
    yield Row(f"{name}, an answer, 99 in 100", "-", [late], "ms", at_most=1500)
    yield Row(f"{name}, a picture, film or clip", "-", seen.others, "ms")
    yield Row(f"{name}, memory", "the first third", [grown], "times", at_most=1.1)


def _visit(address: str, number: int, seen: Seen, stop: threading.Event, only_ask: bool) -> None:
    """One visitor; what is begun when it is time to stop is waited for and not counted."""
    chance = random.Random(number)
    queries = chance.sample([f"{who} {what}" for who in WHO for what in WHAT], 50)
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        for query in itertools.cycle(queries):
            if stop.is_set():
                return
            began = time.perf_counter()
            reply = client.post("gradio_api/run/search", json={"data": [query, 24, None]})
            taken = 1000 * (time.perf_counter() - began)
            if not _is_right(reply, seen):
                continue
            if not stop.is_set():
                seen.answers.append(taken)
            for path, headers in () if only_ask else _looks(chance):
                began = time.perf_counter()
                if _is_right(client.get(path, headers=headers), seen) and not stop.is_set():
                    seen.others.append(1000 * (time.perf_counter() - began))


def _looks(chance: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    """What a visitor does with an answer."""
    film = chance.randint(1, FILMS)
    yield "ui/page.js", {}
    first = 1000 * chance.randint(0, 50)
    yield f"media/{film}", {"Range": f"bytes={first}-{first + 200_000}"}
    if chance.random() < CLIPS:
        moment = [{"video": film, "start": 2.0, "end": 4.0}]
        yield f"export/film.mp4?moments={json.dumps(moment)}", {}


def _is_right(reply: httpx.Response, seen: Seen) -> bool:
    if reply.status_code not in (200, 206):
        seen.errors.append(f"{reply.request.url}: {reply.status_code} {reply.text[:200]}")
        return False
    return True


def _export_slowly(address: str, seen: Seen, stop: threading.Event) -> None:
    """All films in one, again and again."""
    moments = [{"video": n, "start": 0.0, "end": float(FILM_SECONDS)} for n in range(1, FILMS + 1)]
    with httpx.Client(base_url=address, timeout=10 * PATIENCE) as client:
        while not stop.is_set():
            _is_right(client.get("export/film.mp4", params={"moments": json.dumps(moments)}), seen)


def _send_slowly(address: str, stop: threading.Event) -> None:
    """A file that takes as long as the whole visit, and is no video in the end."""

    def pieces() -> Iterator[bytes]:
        while not stop.wait(0.5):
            yield bytes(SLOW_BYTES)

    with suppress(httpx.HTTPError):
        httpx.put(f"{address}upload?name=slow.mp4", content=pieces(), timeout=PATIENCE)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.visitors", description=__doc__)
    parser.add_argument("--visitors", type=int, nargs="+", default=[50], metavar="N")
    parser.add_argument("--seconds", type=float, default=120.0, help="for each number of visitors")
    parser.add_argument("--only-ask", action="store_true", help="no films, no clips, no uploads")
    parser.add_argument("--videos", type=int, default=500)
    parser.add_argument("--rows", type=int, default=ROWS, help="of each video; with --only-ask")
    options = parser.parse_args()
    shape = Shape(options.videos, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        if options.only_ask:
            found = asked(options.visitors, options.seconds, Path(folder), shape)
            table = [row for n, seen in found.items() for row in asked_lines(seen, n, shape)]
        else:
            (visitors,) = options.visitors
            found = {visitors: measure(visitors, options.seconds, Path(folder), shape.videos)}
            table = list(lines(found[visitors], visitors))
    print(f"load {os.getloadavg()[0]:.1f}\n\n{HEAD}")
    for row in table:
        print(row)
    for error in [error for seen in found.values() for error in seen.errors][:5]:
        print(error)


if __name__ == "__main__":
    main()

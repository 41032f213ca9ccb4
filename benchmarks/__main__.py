"""`make bench`: where the product stands, in ratios of one run on this machine.

    python -m benchmarks            # three quarters of an hour, 30 GB of disk
    python -m benchmarks --quick    # a few minutes: shorter media, smaller libraries

Machines differ and are shared, so nothing here is a test: each line compares things measured one
after the other, several times, and gives the median and the spread.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import direct, growth, indexing, large, networks, searching
from benchmarks.table import FULL, HEAD, QUICK, Row, Size
from vmr.samples import build_samples

Rows = Callable[[Size, list[Path], Path], Iterator[Row]]
"""Lines of a part of the table, from the size of it, the sample films and an empty folder."""


def parts(plot: Path) -> dict[str, Rows]:
    """What there is to measure, by name."""
    return {
        "indexing": indexing.rows,
        "networks": lambda size, _, work: networks.rows(size, work),
        "searching": lambda size, _, work: searching.rows(size, work),
        "large": lambda size, _, work: large.rows(size, work),
        "direct": lambda size, _, work: direct.rows(size, work),
        "growth": partial(growth.rows, plot=plot),
    }


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", metavar="PART", help="repeatable")
    parser.add_argument("--plot", type=Path, default=Path(".bench/growth.png"), metavar="FILE")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another size, as table.py names them: film_seconds=120",
    )
    options = parser.parse_args()
    began, size = time.monotonic(), resized(QUICK if options.quick else FULL, options.set)
    print(f"{processor()}, {os.cpu_count()} cores\n\n{HEAD}")
    for name, rows in parts(options.plot).items():
        if not options.only or name in options.only:
            for row in lines(rows, size):
                print(row, flush=True)
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes; how it grows: {options.plot}")


def resized(size: Size, changes: list[str]) -> Size:
    """The size with some figures changed: `repeats=3`, `minutes=1,4`."""
    for change in changes:
        name, _, text = change.partition("=")
        before = getattr(size, name)
        value: object = tuple(map(float, text.split(",")))
        if not isinstance(before, tuple):
            value = type(before)(text)
        size = replace(size, **{name: value})
    return size


def lines(rows: Rows, size: Size) -> Iterator[Row]:
    """Of one part, in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        yield from rows(size, build_samples(work / "samples"), work)


def processor() -> str:
    """Its name, as well as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

"""`make bench`: where the product stands, in ratios of one run on this machine.

    python -m benchmarks            # three quarters of an hour, 30 GB of disk
    python -m benchmarks --quick    # a few minutes: shorter media, smaller libraries
    python -m benchmarks --device cuda    # what a GPU does: minutes; 25 GB of memory, 45 GB of its

Machines differ and are shared, so nothing here is a test: each line compares things measured one
after the other, several times, and gives the median and the spread.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import (
    direct,
    gpu,
    growth,
    indexing,
    large,
    many_videos,
    networks,
    searching,
    visitors,
)
from benchmarks.table import FULL, HEAD, QUICK, Row, Size
from feature_extract.networks.device import chosen_device
from vmr.cli.samples import build_samples

Rows = Callable[[Size, Path], Iterator[Row]]
"""Lines of a part of the table, from the size of it and an empty folder."""
GPU = "gpu"
"""The part that needs one."""


def parts(plot: Path) -> dict[str, Rows]:
    """What there is to measure, by name."""
    return {
        "indexing": lambda size, work: indexing.rows(size, samples(work), work),
        "networks": networks.rows,
        "searching": searching.rows,
        "large": large.rows,
        "direct": direct.rows,
        "many videos": many_videos.lines,
        "visitors": visitors.rows,
        "growth": lambda size, work: growth.rows(size, samples(work), work, plot),
        GPU: gpu.rows,
    }


def samples(work: Path) -> list[Path]:
    """The films of `make demo`."""
    return build_samples(work / "samples")


def chosen(only: list[str] | None, names: Collection[str], device: str) -> list[str]:
    """The parts to run: those that were named, or all that the device is for.

    Raises:
        ValueError: no such part, or one that needs a GPU without `--device cuda`.
    """
    if only is None:
        return [name for name in names if (name == GPU) == (device == "cuda")]
    for name in only:
        if name not in names:
            raise ValueError(f"--only {name}: must be one of {', '.join(names)}")
        if name == GPU and device != "cuda":
            raise ValueError(f"--only {name}: needs --device cuda")
    return only


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
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    known = parts(options.plot)
    try:
        names = chosen(options.only, known, chosen_device(options.device))
    except ValueError as error:
        parser.error(str(error))
    began, size = time.monotonic(), resized(QUICK if options.quick else FULL, options.set)
    print(f"{machine(options.device)}\n\n{HEAD}", flush=True)
    for name in names:
        for row in lines(known[name], size):
            print(row, flush=True)
    grows = f"; how it grows: {options.plot}" if "growth" in names else ""
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes{grows}")


def resized(size: Size, changes: list[str]) -> Size:
    """The size with some figures changed: `repeats=3`, `minutes=1,4`."""
    for change in changes:
        name, _, text = change.partition("=")
        before = getattr(size, name)
        value: Any = tuple(map(float, text.split(",")))
        if not isinstance(before, tuple):
            value = type(before)(text)
        size = replace(size, **{name: value})
    return size


def lines(rows: Rows, size: Size) -> Iterator[Row]:
    """Of one part, in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        yield from rows(size, Path(folder))


def machine(device: str) -> str:
    """Its processor, and its GPU where that is measured."""
    name = f"{processor()}, {os.cpu_count()} cores"
    return f"{name}, {torch.cuda.get_device_name()}" if device == "cuda" else name


def processor() -> str:
    """Its name, as well as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

"""What searching costs: lines of `make bench`.

A cold search from the command line, the start of the page, and questions to the running page, all
in processes of their own, over made-up libraries. Nothing is asked twice.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import httpx
import numpy as np

from benchmarks.made_up import library_of
from benchmarks.table import Row, Size, in_turn, python, seconds, vmr
from feature_extract.extract import extractor_fingerprint

APP = Path(__file__).parents[1] / "app.py"
WHO = ("a dog", "a man", "two women", "a child", "a car", "a horse", "people", "a bird", "a boat")
WHAT = ("runs on the beach", "in the snow", "near a house", "at night", "jumps", "and a red ball")
WHERE = ("", " in a city", " beside a tree")
QUESTIONS = [f"{who} {what}{where}" for where, what, who in product(WHERE, WHAT, WHO)]
WARM = 10  # questions before the clock runs
LENGTH = 600  # rows of each video behind the page
START_SECONDS = 600


def rows(size: Size, work: Path) -> Iterator[Row]:
    """Of the command line and of the page."""
    yield from command_line(size, work / "searched")
    yield from page(size, work / "page")


def command_line(size: Size, folder: Path) -> Iterator[Row]:
    """A cold search, and the start of the page to its first answer."""
    library_of(folder, size.searched, 20, extractor_fingerprint()).close()
    library = str(folder / "library")
    cold = partial(vmr, "search", "a cat", "--library", library)
    cold()  # makes the index, and reads everything from the disk once
    torch = partial(python, "-c", "import torch")
    taken = in_turn(size.repeats, cold, torch)
    name = f"cold search, {size.searched} videos"
    yield Row(name, "-", [ours for ours, _ in taken], "s")
    shares = [ours / theirs for ours, theirs in taken]
    yield Row(name, "python that imports torch", shares, "x", at_most=1.3)
    help_ = [seconds(partial(vmr, "--help")) for _ in range(size.repeats)]
    yield Row("python -m vmr --help", "-", help_, "s")
    starts = [seconds(partial(start_and_ask, folder / "library")) for _ in range(size.repeats)]
    yield Row("start of the page to its first answer", "-", starts, "s", at_most=6)


def page(size: Size, folder: Path) -> Iterator[Row]:
    """Questions to the running page, as its scripts send them, and what it holds."""
    videos = max(1, round(size.hours * 3600 / LENGTH))
    library_of(folder, videos, LENGTH, extractor_fingerprint()).close()
    vmr("search", "a cat", "--library", str(folder / "library"))  # makes the index
    with served(folder / "library") as (client, process):
        for question in QUESTIONS[:WARM]:
            ask(client, question)
        asked = QUESTIONS[WARM : WARM + size.questions]
        taken = [1000 * seconds(partial(ask, client, question)) for question in asked]
        gigabytes = resident(process.pid)
    name = f"question to the running page, {size.hours:g} hours"
    yield Row(name, "-", taken, "ms", at_most=100)
    late = [float(np.quantile(taken, 0.99))]
    yield Row(f"{name}, 99 in 100 within", "-", late, "ms", at_most=250)
    name = f"memory of the page, {size.hours:g} hours"
    yield Row(name, "-", [gigabytes], "GB", at_most=2.5)


def start_and_ask(library: Path) -> None:
    """Start the page, and stop it once it has answered."""
    with served(library):
        pass


@contextmanager
def served(library: Path) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """The page over a library, in a process of its own, from its first answer on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(APP), "--library", str(library), "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=os.environ) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/", timeout=60) as client:
                wait_for_answer(client, process)
                yield client, process
        finally:
            process.kill()


def wait_for_answer(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    """Ask until there is an answer."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            ask(client, "a cat")
        except (httpx.TransportError, httpx.HTTPStatusError):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the page did not start")


def ask(client: httpx.Client, question: str) -> None:
    """One question."""
    reply = client.post("gradio_api/run/search", json={"data": [question, 24, None]})
    reply.raise_for_status()


def resident(process: int) -> float:
    """GB in memory, pages of mapped files included. Linux only."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(held) / 1e6

"""FAISS on large libraries against brute force in numpy: `python -m benchmarks.large --hours 200`.

Rows are made up with the mean and the covariance of the clips of unrelated footage that come with
the weights, and kept as the product keeps them, float16 on the disk; questions are the sentences
of the weights. What is timed is what `ClipIndex.nearest` does: sketches, then the candidates. With
5,000 hours the rows take 21 GB of disk.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.table import HEAD, Row, Size
from vmr.model.retrieval import RetrievalModel
from vmr.search.index import LEAST, WIDER
from vmr.search.quantised import QuantisedIndex, exact
from vmr.search.recall import COUNT
from vmr.search.searcher import CANDIDATES

_BATCH = 1 << 15
IN_MEMORY = 1_000_000
"""Up to so many rows, numpy is timed too: it is given its best case, all of them as float32."""


@dataclass(frozen=True)
class Compared:
    """One figure a question."""

    shares: list[float]
    "of the exactly best COUNT rows, those found"
    ours: list[float]
    "milliseconds"
    theirs: list[float]
    "milliseconds of numpy; empty where the rows do not fit"
    gigabytes: float
    "that the process holds of its own; pages of the file, which the system takes back, left out"


def rows(size: Size, work: Path) -> Iterator[Row]:
    """Of the library behind the page, and of one that does not fit into memory."""
    for hours in (size.hours, size.largest_hours):
        found = measure(hours, size.questions, work)
        name = f"FAISS, {hours:g} hours"
        if found.theirs:
            ratios = [b / a for a, b in zip(found.ours, found.theirs, strict=True)]
            yield Row(name, "numpy, all rows", ratios, "x as fast", at_least=5)
        large = hours == size.largest_hours
        limit = 400 if large else None
        yield Row(f"{name}, a question", "-", found.ours, "ms", at_most=limit)
        least = 0.95 if large else 0.99
        mean = [float(np.mean(found.shares))]
        yield Row(f"{name}, recall@{COUNT}", "exact", mean, "", at_least=least)
        if large:
            yield Row(f"{name}, memory", "-", [found.gigabytes], "GB", at_most=8)


def measure(hours: float, questions: int, work: Path) -> Compared:
    """Make up so many hours, and ask."""
    model, clips = RetrievalModel.load(), work / "clips"
    made = made_up(clips, round(hours * 3600), model.background)
    sketch = QuantisedIndex(model.space, model.background)
    sketch.add(made)
    found = compare(made, sketch, model.sentences(questions))
    clips.unlink()
    return found


def made_up(path: Path, count: int, background: NDArray[np.float32]) -> NDArray[np.float16]:
    """(count, E) in a memory-mapped file."""
    mean, root = statistics(background)
    width = len(mean)
    generator = torch.Generator().manual_seed(0)  # numpy's takes four times as long
    with path.open("wb") as out:
        for first in range(0, count, _BATCH):
            noise = torch.randn(min(_BATCH, count - first), width, generator=generator)
            out.write(torch.addmm(mean, noise, root).half().numpy().data)
    return np.asarray(np.memmap(path, np.float16, "r", shape=(count, width)))


def statistics(background: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (E,) and root (E, E) of the covariance: noise @ root + mean is as the background is."""
    covariance = np.cov(background.T.astype(np.float64)) + 1e-9 * np.eye(background.shape[1])
    root = torch.from_numpy(np.linalg.cholesky(covariance).T.astype(np.float32))
    return torch.from_numpy(background.mean(0)), root


def compare(
    clips: NDArray[np.float16], sketch: QuantisedIndex, questions: NDArray[np.float32]
) -> Compared:
    """Ask the sketch, then all rows."""
    ours, found = [], []
    for question in questions:
        began = time.perf_counter()
        places = np.sort(sketch.nearest(question, max(LEAST, WIDER * CANDIDATES)))
        best, _ = exact(question, clips[places].astype(np.float32), CANDIDATES)
        ours.append(1000 * (time.perf_counter() - began))
        found.append(set(places[best[:COUNT]].tolist()))
    gigabytes = held()
    expected = exactly(clips, questions)
    shares = [len(f & set(e.tolist())) / COUNT for f, e in zip(found, expected, strict=True)]
    theirs = numpy_milliseconds(clips, questions) if len(clips) <= IN_MEMORY else []
    return Compared(shares, ours, theirs, gigabytes)


def exactly(clips: NDArray[np.float16], questions: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """The best COUNT rows of each question, all compared, for all questions in one pass."""
    scores = np.zeros((len(questions), 0), np.float32)
    places = np.zeros((len(questions), 0), np.int64)
    for first in range(0, len(clips), _BATCH):
        part = questions @ clips[first : first + _BATCH].astype(np.float32).T
        scores = np.concatenate([scores, part], axis=1)
        here = np.broadcast_to(np.arange(first, first + part.shape[1]), part.shape)
        places = np.concatenate([places, here], axis=1)
        if scores.shape[1] > COUNT:
            best = np.argpartition(-scores, COUNT - 1, axis=1)[:, :COUNT]
            scores = np.take_along_axis(scores, best, axis=1)
            places = np.take_along_axis(places, best, axis=1)
    return list(places)


def numpy_milliseconds(clips: NDArray[np.float16], questions: NDArray[np.float32]) -> list[float]:
    """Of brute force, one question at a time."""
    wide, taken = np.asarray(clips, dtype=np.float32), []
    for question in questions:
        began = time.perf_counter()
        np.argpartition(-(wide @ question), min(COUNT, len(wide) - 1))[:COUNT]
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def held() -> float:
    """GB that this process holds of its own, now. Linux only."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (own,) = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(own) / 1e6


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--hours", type=float, default=200.0)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.hours, options.queries, Path(folder))
    name = f"{options.hours:g} hours, {options.queries} questions"
    late = float(np.quantile(found.ours, 0.99))
    print(HEAD)
    print(Row(name, "-", found.ours, "ms"))
    print(Row(f"{name}, 99 in 100", "-", [late], "ms"))
    if found.theirs:
        ratios = [b / a for a, b in zip(found.ours, found.theirs, strict=True)]
        print(Row(name, "numpy, all rows", ratios, "x as fast"))
    mean = float(np.mean(found.shares))
    print(Row(f"{name}, recall@{COUNT}", "exact", [mean], f"(worst {min(found.shares):.2f})"))
    print(Row(f"{name}, memory", "-", [found.gigabytes], "GB"))


if __name__ == "__main__":
    main()

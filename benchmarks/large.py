"""FAISS on large libraries against brute force in numpy: `python -m benchmarks.large --hours 200`.

Rows are made up with the mean and the covariance of the clips of unrelated footage that come with
the weights, and kept as the product keeps them, float16 on the disk; questions are the sentences
of the weights. What is timed is what `ClipIndex.nearest` does: sketches, then the candidates. With
5,000 hours the rows take 21 GB of disk.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vmr.index import LEAST, WIDER
from vmr.ranker import Ranker
from vmr.recall import COUNT
from vmr.search import CANDIDATES
from vmr.sketch import Sketch, exact

_BATCH = 1 << 15
IN_MEMORY = 1_000_000
"""Up to so many rows, numpy is timed too: it is given its best case, all of them as float32."""


def made_up(path: Path, rows: int, background: NDArray[np.float32]) -> NDArray[np.float16]:
    """(rows, E) in a memory-mapped file."""
    width = background.shape[1]
    covariance = np.cov(background.T.astype(np.float64)) + 1e-9 * np.eye(width)
    root = np.linalg.cholesky(covariance).astype(np.float32)
    generator = np.random.default_rng(0)
    with path.open("wb") as out:
        for first in range(0, rows, _BATCH):
            noise = generator.standard_normal((min(_BATCH, rows - first), width), dtype=np.float32)
            out.write((noise @ root.T + background.mean(0)).astype(np.float16).data)
    return np.asarray(np.memmap(path, np.float16, "r", shape=(rows, width)))


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--hours", type=float, default=200.0)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    ranker, rows = Ranker.load(), round(options.hours * 3600)
    with tempfile.TemporaryDirectory() as folder:
        clips = made_up(Path(folder, "clips"), rows, ranker.background)
        sketch = Sketch(ranker.background)
        began = time.perf_counter()
        sketch.add(clips)
        print(f"{rows} rows, sketched in {time.perf_counter() - began:.0f} s", flush=True)
        compare(clips, sketch, ranker.sentences(options.queries))


def compare(
    clips: NDArray[np.float16], sketch: Sketch, questions: NDArray[np.float32]
) -> tuple[float, float]:
    """Print recall, times and ratio; returns mean recall and median ratio, NaN without numpy."""
    ours, found = [], []
    for question in questions:
        began = time.perf_counter()
        places = np.sort(sketch.nearest(question, max(LEAST, WIDER * CANDIDATES)))
        best, _ = exact(question, clips[places].astype(np.float32), CANDIDATES)
        ours.append(1000 * (time.perf_counter() - began))
        found.append(set(places[best[:COUNT]].tolist()))
    used = memory()
    expected = exactly(clips, questions)
    shares = [len(f & set(e.tolist())) / COUNT for f, e in zip(found, expected, strict=True)]
    print("| | median | 99 in 100 |\n|---|---:|---:|")
    print(f"| FAISS, ms | {statistics.median(ours):.1f} | {np.quantile(ours, 0.99):.1f} |")
    ratio = float("nan")
    if len(clips) <= IN_MEMORY:
        theirs = numpy_milliseconds(clips, questions)
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        ratio = statistics.median(ratios)
        print(f"| numpy, ms | {statistics.median(theirs):.1f} | {np.quantile(theirs, 0.99):.1f} |")
        print(f"| numpy / FAISS | {ratio:.1f} ({min(ratios):.1f} to {max(ratios):.1f}) | |")
    print(f"| recall@{COUNT} | {statistics.mean(shares):.4f} (worst {min(shares):.2f}) | |")
    for name, megabytes in used.items():
        print(f"| {name}, MB | {megabytes:.0f} | |")
    return statistics.mean(shares), ratio


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
        np.argpartition(-(wide @ question), COUNT)[:COUNT]
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def memory() -> dict[str, float]:
    """MB of this process, now: its own, and pages of files, which the system takes back at need."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    held = {
        name: int(rest.split()[0]) / 1024
        for name, rest in (line.split(":") for line in lines if line.startswith("Rss"))
    }
    return {"memory of its own": held["RssAnon"], "pages of the file": held["RssFile"]}


if __name__ == "__main__":
    main()

"""FAISS on large libraries against brute force in numpy: `python -m benchmarks.large --hours 200`.

Rows are made up with the mean and the covariance of the clips of unrelated footage that come with
the weights, and kept as the product keeps them, float16 on the disk; questions are the sentences
of the weights. What is timed is what `ClipIndex.nearest` does: sketches, then the candidates.
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


def made_up(path: Path, rows: int, background: NDArray[np.float32]) -> NDArray[np.float16]:
    """(rows, E) in a memory-mapped file."""
    width = background.shape[1]
    clips = np.memmap(path, np.float16, "w+", shape=(rows, width))
    covariance = np.cov(background.T.astype(np.float64)) + 1e-9 * np.eye(width)
    root = np.linalg.cholesky(covariance).astype(np.float32)
    generator = np.random.default_rng(0)
    for first in range(0, rows, _BATCH):
        part = clips[first : first + _BATCH]
        noise = generator.standard_normal(part.shape, dtype=np.float32)
        part[:] = noise @ root.T + background.mean(0)
    return clips


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
    """Print recall, times and ratio; returns mean recall and median ratio."""
    ours, theirs, shares = [], [], []
    wide = np.asarray(clips, dtype=np.float32)  # numpy is given its best case
    for question in questions:
        began = time.perf_counter()
        scores = wide @ question
        expected = np.argpartition(-scores, COUNT)[:COUNT]
        between = time.perf_counter()
        places = np.sort(sketch.nearest(question, max(LEAST, WIDER * CANDIDATES)))
        found, _ = exact(question, clips[places].astype(np.float32), CANDIDATES)
        ours.append(1000 * (time.perf_counter() - between))
        theirs.append(1000 * (between - began))
        shares.append(len(set(expected.tolist()) & set(places[found[:COUNT]].tolist())) / COUNT)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    recall, ratio = statistics.mean(shares), statistics.median(ratios)
    print("| | median | 99 in 100 |\n|---|---:|---:|")
    for name, taken in (("FAISS, ms", ours), ("numpy, ms", theirs)):
        print(f"| {name} | {statistics.median(taken):.1f} | {np.quantile(taken, 0.99):.1f} |")
    print(f"| numpy / FAISS | {ratio:.1f} ({min(ratios):.1f} to {max(ratios):.1f}) | |")
    print(f"| recall@{COUNT} | {recall:.4f} (worst {min(shares):.2f}) | |")
    return recall, ratio


if __name__ == "__main__":
    main()

"""FAISS on a GPU against the processor, at a library that does not fit into memory: gpu.py's lines.

Rows are made up as large.py makes them, on the device and in parts, and kept as float16: in the
GPU's memory, where all are compared, and on the host for the product's way, sketches and then the
candidates. What is exact is found in float32 while the parts are made.
"""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.large import statistics
from benchmarks.table import Row, Size
from vmr.model.retrieval import RetrievalModel
from vmr.search.index import LEAST, WIDER
from vmr.search.quantised import QuantisedIndex, exact
from vmr.search.recall import COUNT
from vmr.search.searcher import CANDIDATES

PART = 1 << 18  # rows made at once
ASKED = 30  # questions at most
ALIGNED = 8  # matrix units read rows of a multiple of so many numbers
SCRATCH = 1 << 30  # bytes of the GPU's memory that faiss works in


class AllRows:
    """Every row (N, E) of a library, compared with each question on the device."""

    def __init__(self, width: int, device: str) -> None:
        self._more = -width % ALIGNED
        if device == "cpu":
            self._index: Any = faiss.IndexFlatIP(width + self._more)
            return
        self._resources = faiss.StandardGpuResources()  # must live as long as the index
        self._resources.setTempMemory(SCRATCH)
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        self._index = faiss.GpuIndexFlatIP(self._resources, width + self._more, config)

    def add(self, part: NDArray[np.float32]) -> None:
        """Append rows (N, E)."""
        self._index.add(self._filled(part))

    def nearest(self, question: NDArray[np.float32]) -> NDArray[np.int64]:
        """The best COUNT rows for a question (E,)."""
        _, places = self._index.search(self._filled(question[None]), COUNT)
        return np.asarray(places[0], np.int64)

    def _filled(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.pad(part, ((0, 0), (0, self._more)))


@dataclass(frozen=True)
class Ways:
    """A library, ready to be asked in each way, and the true answers."""

    on_device: AllRows
    sketch: QuantisedIndex
    clips: NDArray[np.float16]
    "(N, E) on the host"
    best: NDArray[np.int64]
    "(Q, COUNT) of every question, exactly"

    def by_sketch(self, question: NDArray[np.float32]) -> NDArray[np.int64]:
        """As `ClipIndex.nearest` does."""
        places = np.sort(self.sketch.nearest(question, max(LEAST, WIDER * CANDIDATES)))
        best, _ = exact(question, self.clips[places].astype(np.float32), CANDIDATES)
        return places[best[:COUNT]]

    def all_on_host(self, question: NDArray[np.float32]) -> Tensor:
        """All rows, by all cores."""
        asked, clips = torch.from_numpy(question), torch.from_numpy(self.clips)
        scores = torch.cat([part.float() @ asked for part in torch.split(clips, PART)])
        return scores.topk(COUNT).indices


def rows(size: Size, device: str) -> Iterator[Row]:
    """Of the largest library."""
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()  # what the networks held
    questions = RetrievalModel.load().sentences(min(size.questions, ASKED))
    ways = made(round(size.largest_hours * 3600), questions, device)
    ways.on_device.nearest(questions[0])  # warm
    ours, found = asked(ways.on_device.nearest, questions)
    sketched, _ = asked(ways.by_sketch, questions)
    whole, _ = asked(ways.all_on_host, questions[: size.repeats])
    name = f"FAISS, {size.largest_hours:g} hours, all rows on the device"
    yield Row(f"{name}, a question", "-", ours, "ms")
    ratios = [b / a for a, b in zip(ours, sketched, strict=True)]
    yield Row(name, "sketches on the processor", ratios, "x as fast")
    yield Row("the same, sketches on the processor", "-", sketched, "ms")
    ratios = [b / a for a, b in zip(ours, whole, strict=False)]
    yield Row(name, "all rows on the processor", ratios, "x as fast")
    shares = [np.isin(f, b).mean() for f, b in zip(found, ways.best, strict=True)]
    yield Row(f"{name}, recall@{COUNT}", "exact", [float(np.mean(shares))], "", at_least=0.99)


def made(count: int, questions: NDArray[np.float32], device: str) -> Ways:
    """Make up so many rows."""
    model = RetrievalModel.load()
    background = model.background
    mean, root = (part.to(device) for part in statistics(background))
    width = len(mean)
    generator = torch.Generator(device).manual_seed(0)
    asked_for = torch.from_numpy(questions).to(device)
    clips = np.empty((count, width), np.float16)
    on_device, sketch = AllRows(width, device), QuantisedIndex(model.space, background)
    none = torch.zeros(len(questions), 0, device=device)
    best = none, none.long()  # scores and places
    for first in range(0, count, PART):
        number = min(PART, count - first)
        noise = torch.randn(number, width, generator=generator, device=device)
        part = torch.addmm(mean, noise, root).half()  # (N, E)
        best = merged(*best, asked_for @ part.float().T, first)
        host = part.float().cpu()
        torch.from_numpy(clips[first : first + number]).copy_(host)
        on_device.add(host.numpy())
        sketch.add(host.numpy())
    return Ways(on_device, sketch, clips, best[1].cpu().numpy())


def merged(scores: Tensor, places: Tensor, more: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """The best COUNT scores and places (Q, K) so far, and of further rows that begin at `first`."""
    here = torch.arange(first, first + more.shape[1], device=more.device).expand(more.shape)
    scores, places = torch.cat([scores, more], 1), torch.cat([places, here], 1)
    scores, chosen = scores.topk(min(COUNT, scores.shape[1]), dim=1)
    return scores, places.gather(1, chosen)


def asked(
    way: Callable[[NDArray[np.float32]], Any], questions: NDArray[np.float32]
) -> tuple[list[float], list[Any]]:
    """Milliseconds of each question, one at a time, and the answers."""
    taken, answers = [], []
    for question in questions:
        began = time.perf_counter()
        answers.append(way(question))
        taken.append(1000 * (time.perf_counter() - began))
    return taken, answers

"""How much of an exact search the index in use finds, on the user's own library, and how fast.

    measured = measure(open_index(library, model), model, queries=100)
    measured.recall, measured.milliseconds        # 0.998, (12.1, ...)

The questions are sentences that come with the weights, spread over them; each is compared with
every clip of the library as it lies on the disk or in the store, and with what `Index.nearest`
answers.
"""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from vmr.model.retrieval import RetrievalModel
from vmr.search.clips import Index

COUNT: Final = 100
"""Of so many best clips of a question, which share is found."""


@dataclass(frozen=True)
class Measured:
    """What was found, and how long it took."""

    recall: float
    "mean share of the exactly best clips that the index finds, 0..1"
    least: float
    "of the worst question"
    milliseconds: tuple[float, ...]
    "of the index, one a question"
    exact_milliseconds: tuple[float, ...]
    "of comparing every clip in numpy"


def measure(index: Index, model: RetrievalModel, *, queries: int) -> Measured:
    """Ask both ways.

    Raises:
        ValueError: there is no clip in the index, or no question asked.
    """
    if not len(index) or queries < 1:
        raise ValueError("nothing to measure: the library has no searchable video, or no question")
    shares, taken, exact_taken = [], [], []
    for vector in model.sentences(queries):
        began = time.perf_counter()
        expected, _ = index.compare_all(vector, COUNT)
        between = time.perf_counter()
        ids, rows, _ = index.nearest(vector, COUNT)
        taken.append(1000 * (time.perf_counter() - between))
        exact_taken.append(1000 * (between - began))
        found = set(zip(ids.tolist(), rows.tolist(), strict=True))
        shares.append(len(found & set(expected)) / len(expected))
    return Measured(float(np.mean(shares)), min(shares), tuple(taken), tuple(exact_taken))

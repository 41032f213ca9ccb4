"""What an answer that looks at neither video nor words scores: the floor of every table.

    python -m experiments.chance TACoS/test.json --clips 128
    python -m experiments.chance ActivityNet/val.json --clips 32 --prior ActivityNet/train.json

`chance` is the exact expectation over a uniformly random candidate of the network's own 2-D map.
`prior` always gives the one candidate that would be right most often on the training split.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from vmr.model.network import candidates
from vmr.model.spans import iou
from vmr.research.annotations import AnnotatedQuery, read_annotations
from vmr.research.evaluation import THRESHOLDS


def hits(queries: tuple[AnnotatedQuery, ...], clips: int) -> NDArray[np.float64]:
    """How often each candidate would be right, per threshold, (thresholds, C), 0..1."""
    cells = candidates(clips).numpy() / clips  # (C, 2) shares of the video
    total = np.zeros((len(THRESHOLDS), len(cells)))
    for query in queries:
        overlap = iou(cells * query.duration, query.spans).max(1)  # (C,)
        total += overlap > np.array(THRESHOLDS)[:, None]
    return total / len(queries)


def main() -> None:
    """Print chance, and the prior of a training split where one is given."""
    parser = argparse.ArgumentParser(description="scores of answers that look at nothing")
    parser.add_argument("annotations")
    parser.add_argument("--clips", type=int, required=True, help="N of the network")
    parser.add_argument("--prior", help="training split that the prior is taken from")
    options = parser.parse_args()
    asked = hits(read_annotations(options.annotations).queries, options.clips)
    rows = {"chance": asked.mean(1)}
    if options.prior:
        learned = hits(read_annotations(options.prior).queries, options.clips)
        best = learned[THRESHOLDS.index(0.5)].argmax()
        rows["prior"] = asked[:, best]
    for name, rates in rows.items():
        figures = "  ".join(
            f"R@1 IoU>{m} {100 * rate:.2f}" for m, rate in zip(THRESHOLDS, rates, strict=True)
        )
        print(f"{name}: {figures}")


if __name__ == "__main__":
    main()

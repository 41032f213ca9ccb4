"""How long suppression and scoring take for the whole TACoS test split.

    python -m benchmarks.evaluation_speed            # 4,001 queries, 2,548 candidates each

MSAT's and the paper's code do this with Python lists over a map of 16,641 candidates, which is the
slow part of their evaluation. Bound: 60 s on two cores.
"""

import argparse
import time

import numpy as np

from vmr.model.network import candidates
from vmr.research.annotations import AnnotatedQuery
from vmr.research.evaluation import score
from vmr.research.predict import ranked

BOUND_SECONDS = 60.0


def measure(queries: int, *, seed: int = 0) -> dict[str, float]:
    """Seconds for candidates -> ranked moments, and for moments -> figures."""
    generator = np.random.default_rng(seed)
    cells = candidates(128).numpy().astype(np.float32)  # (C, 2)
    asked = [
        AnnotatedQuery(str(number), f"video {number % 25}", 367.0, "words", (_span(generator),))
        for number in range(queries)
    ]
    started = time.perf_counter()
    found = []
    for _ in asked:
        spans = cells + generator.normal(0, 0.3, cells.shape).astype(np.float32)
        valid = spans[:, 0] < spans[:, 1]
        scores = generator.random(len(cells), dtype=np.float32)
        best = ranked(spans[valid], scores[valid], 128.0, 0.37, 5)
        best[:, :2] *= 367.0 / 128
        found.append(best)
    ranked_at = time.perf_counter()
    score("tacos", asked, found)
    return {
        "queries": queries,
        "candidates": len(cells),
        "rank_seconds": ranked_at - started,
        "score_seconds": time.perf_counter() - ranked_at,
    }


def _span(generator: np.random.Generator) -> tuple[float, float]:
    start = generator.uniform(0, 340)
    return start, start + generator.uniform(2, 27)


def main() -> None:
    """Print the figures, and whether they are within the bound."""
    parser = argparse.ArgumentParser(description="time of suppression and scoring")
    parser.add_argument("--queries", type=int, default=4001)
    figures = measure(parser.parse_args().queries)
    total = figures["rank_seconds"] + figures["score_seconds"]
    verdict = "within" if total < BOUND_SECONDS else "ABOVE"
    print(" ".join(f"{name}={value:.4g}" for name, value in figures.items()))
    print(f"total {total:.1f} s, {verdict} the bound of {BOUND_SECONDS:.0f} s")


if __name__ == "__main__":
    main()

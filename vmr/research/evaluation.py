"""Scores of ranked moments against true ones, as the field's protocols have them.

    report = recall(predictions, truths)             # R@n at IoU m, mIoU
    report.rate(1, 0.5), report.miou                 # percent

A prediction is an (K, 2) array of seconds, best first; the truth of a query is (G, 2). Everything
is counted over all queries and divided once at the end, as MSAT's code does; the mean of batch
means, which the paper's code prints, over-weights a short last batch.

Protocols: TACoS, ActivityNet Captions and Charades-STA as in 2D-TAN and MSAT count a hit when
IoU > m; QVHighlights (Moment-DETR) when IoU >= m. With several true moments the best one counts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmr.model.spans import iou
from vmr.research.annotations import AnnotatedQuery, Annotations

Spans = NDArray[np.float64]
RANKS, THRESHOLDS = (1, 5), (0.1, 0.3, 0.5, 0.7)
PUBLISHED_RATES = tuple((n, m) for n in (1, 5) for m in (0.3, 0.5, 0.7))
STRICT = {"tacos", "activitynet", "charades"}  # datasets whose protocol wants IoU > m
AP_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
AP_PREDICTIONS = 10  # of each query, as QVHighlights allows
LENGTHS = {"short": (0.0, 10.0), "middle": (10.0, 30.0), "long": (30.0, 150.0)}  # seconds, (a, b]


class EvaluationError(ValueError):
    """Predictions that cannot be scored; the message names the line."""


@dataclass(frozen=True)
class Recall:
    """Counts of hits over a set of queries."""

    queries: int
    hits: dict[tuple[int, float], int]
    "(n, IoU) -> queries with a hit among their first n"
    overlap: float
    "sum over queries of the IoU of the first prediction"
    strict: bool

    def rate(self, n: int, threshold: float) -> float:
        """R@n, IoU = threshold, in percent."""
        return 100 * self.hits[n, threshold] / self.queries

    @property
    def miou(self) -> float:
        """Mean IoU of the first prediction, in percent: the field's mIoU, and the published one.

        The code of MSAT and of the paper sorts a row of overlaps that holds the first answer's
        alone, so that what reads like a mean of three of five is this.
        """
        return 100 * self.overlap / self.queries


def recall(
    predictions: Sequence[Spans],
    truths: Sequence[Spans],
    *,
    ranks: Sequence[int] = RANKS,
    thresholds: Sequence[float] = THRESHOLDS,
    strict: bool = True,
) -> Recall:
    """Count hits; a query without a prediction is a miss at every rank and threshold.

    Raises:
        ValueError: no queries, or a different number of predictions and truths.
    """
    best = best_overlaps(predictions, truths, max(5, *ranks))  # (Q, K)
    hits = {}
    for n in ranks:
        top = best[:, :n].max(1)
        for threshold in thresholds:
            hit = top > threshold if strict else top >= threshold
            hits[n, threshold] = int(hit.sum())
    return Recall(len(best), hits, float(best[:, 0].sum()), strict)


def best_overlaps(predictions: Sequence[Spans], truths: Sequence[Spans], count: int) -> Spans:
    """IoU of each of the first `count` predictions with its best true moment, (Q, count).

    Places without a prediction hold 0, a miss at every threshold above it.
    """
    if len(predictions) != len(truths) or not truths:
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} queries")
    best = np.zeros((len(truths), count))
    for place, (found, truth) in enumerate(zip(predictions, truths, strict=True)):
        if len(found):
            overlaps = iou(found[:count], truth).max(1)
            best[place, : len(overlaps)] = overlaps
    return best


@dataclass(frozen=True)
class Highlights:
    """QVHighlights' moment-retrieval figures, in percent."""

    queries: int
    r1: dict[float, float]
    "R1 at each IoU of AP_THRESHOLDS"
    ap: dict[float, float]
    "mAP at each IoU of AP_THRESHOLDS"
    lengths: dict[str, "Highlights"] = field(default_factory=dict)
    "the same over the true moments of one length only"

    @property
    def map(self) -> float:
        """mAP averaged over IoU .5:.05:.95."""
        return float(np.mean(list(self.ap.values())))


def highlights(
    predictions: Sequence[Spans], truths: Sequence[Spans], *, lengths: bool = True
) -> Highlights:
    """R1 (IoU >= m) and mAP of ranked predictions, at most ten a query.

    By length, only the true moments of that length are asked for, and only queries that have one.
    """
    pairs = list(zip(predictions, truths, strict=True))
    tops = best_overlaps(predictions, truths, 1)[:, 0]
    precisions = np.array(
        [average_precision(found[:AP_PREDICTIONS], truth) for found, truth in pairs]
    )
    parts = {}
    for name, (above, up_to) in LENGTHS.items() if lengths else ():
        kept = [(found, truth[_within(truth, above, up_to)]) for found, truth in pairs]
        kept = [(found, truth) for found, truth in kept if len(truth)]
        if kept:
            parts[name] = highlights(*zip(*kept, strict=True), lengths=False)
    return Highlights(
        queries=len(pairs),
        r1={m: 100 * float((tops >= m).mean()) for m in AP_THRESHOLDS},
        ap=dict(zip(AP_THRESHOLDS, (100 * precisions.mean(0)).tolist(), strict=True)),
        lengths=parts,
    )


def _within(spans: Spans, above: float, up_to: float) -> NDArray[np.bool_]:
    lengths = spans[:, 1] - spans[:, 0]
    inside: NDArray[np.bool_] = (lengths > above) & (lengths <= up_to)
    return inside


def average_precision(found: Spans, truth: Spans) -> Spans:
    """Interpolated average precision of one query at every IoU of AP_THRESHOLDS, (10,).

    In order of rank, a prediction takes the free true moment that it overlaps most, if by at least
    the threshold; otherwise it is a false one.
    """
    if not len(found):
        return np.zeros(len(AP_THRESHOLDS))
    overlaps = iou(found, truth)  # (K, G)
    return np.array([_precision(overlaps, threshold) for threshold in AP_THRESHOLDS])


def _precision(overlaps: Spans, threshold: float) -> float:
    free = np.ones(overlaps.shape[1], bool)
    right = np.zeros(len(overlaps))
    for rank, row in enumerate(overlaps):
        reachable = np.where(free & (row >= threshold), row, -1.0)
        if reachable.max() >= 0:
            right[rank] = 1
            free[reachable.argmax()] = False
    total = np.cumsum(right)
    precision = total / np.arange(1, len(right) + 1)
    # Precision at a recall is the best precision at that recall or beyond.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * right).sum() / overlaps.shape[1])


@dataclass(frozen=True)
class Published:
    """What the paper's authors report for a data set's test split, in percent."""

    name: str
    rates: dict[tuple[int, float], float]
    "(n, IoU) -> R@n"
    miou: float


PUBLISHED = {
    "tacos": (
        Published(
            "Panta et al., best of 49 evaluations on test",
            dict(zip(PUBLISHED_RATES, (48.96, 37.32, 22.59, 69.83, 58.83, 32.68), strict=True)),
            34.92,
        ),
        Published(
            "Panta et al., mean of these 49",
            dict(zip(PUBLISHED_RATES, (46.53, 35.23, 21.32, 66.55, 55.99, 31.14), strict=True)),
            33.07,
        ),
    ),
    "activitynet": (
        Published(
            "Panta et al., best of 26 evaluations on test",
            dict(zip(PUBLISHED_RATES, (62.33, 48.28, 32.02, 86.05, 77.40, 62.77), strict=True)),
            46.27,
        ),
        Published(
            "Panta et al., mean of these 26",
            dict(zip(PUBLISHED_RATES, (61.64, 47.12, 30.37, 85.37, 76.75, 61.87), strict=True)),
            45.48,
        ),
    ),
}
"""By data set: the released log's figures (arXiv 2312.07435). The test split chose the best."""


def table(report: Recall, *, dataset: str = "") -> str:
    """A Markdown table of a Recall, beside what is published for the test split of `dataset`."""
    sign = ">" if report.strict else ">="
    columns = list(report.hits)
    lines = [
        ["", *(f"R@{n} IoU{sign}{m}" for n, m in columns), "mIoU"],
        ["---", *["---:"] * (len(columns) + 1)],
        ["these", *(f"{report.rate(n, m):.2f}" for n, m in columns), f"{report.miou:.2f}"],
    ]
    for other in PUBLISHED.get(dataset, ()):
        rates = [f"{other.rates[c]:.2f}" if c in other.rates else "" for c in columns]
        lines.append([other.name, *rates, f"{other.miou:.2f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def highlights_table(report: Highlights) -> str:
    """A Markdown table of QVHighlights' figures."""
    heads = ["moments", "queries", "R1@0.5", "R1@0.7", "mAP@0.5", "mAP@0.75", "mAP"]
    rows: list[list[str]] = [heads, ["---"] + ["---:"] * 6]
    for name, part in {"all": report, **report.lengths}.items():
        figures = part.r1[0.5], part.r1[0.7], part.ap[0.5], part.ap[0.75], part.map
        rows.append([name, str(part.queries), *(f"{value:.2f}" for value in figures)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


@dataclass(frozen=True)
class Scores:
    """All figures that the protocol of a dataset asks for."""

    dataset: str
    recall: Recall
    highlights: Highlights | None
    "for QVHighlights"

    def table(self) -> str:
        """The figures as Markdown, with the published ones of the data set below them."""
        parts = [table(self.recall, dataset=self.dataset)]
        if self.highlights is not None:
            parts.append(highlights_table(self.highlights))
        return f"{self.recall.queries} queries\n\n" + "\n\n".join(parts)

    def record(self) -> dict[str, float]:
        """The figures by name, in percent."""
        figures = {f"R@{n},IoU={m}": self.recall.rate(n, m) for n, m in self.recall.hits}
        figures["mIoU"] = self.recall.miou
        if self.highlights is not None:
            for m in (0.5, 0.7):
                figures[f"QVHighlights R1@{m}"] = self.highlights.r1[m]
            for m in (0.5, 0.75):
                figures[f"QVHighlights mAP@{m}"] = self.highlights.ap[m]
            figures["QVHighlights mAP"] = self.highlights.map
        return figures


def score(
    dataset: str,
    queries: Sequence[AnnotatedQuery],
    predictions: Sequence[Spans],
    *,
    strict: bool | None = None,
) -> Scores:
    """Scores by the protocol of `dataset`; `strict` overrides whether a hit is IoU > m."""
    found = [moments[:, :2] for moments in predictions]
    truths = [np.array(query.spans) for query in queries]
    strict = dataset in STRICT if strict is None else strict
    return Scores(
        dataset,
        recall(found, truths, strict=strict),
        highlights(found, truths) if dataset == "qvhighlights" else None,
    )


def read_predictions(path: Path, annotations: Annotations) -> tuple[list[Spans], int]:
    """Anybody's predictions, one (K, 2) array per annotated query, and how many have none.

    One JSON object a line: which query, by `qid` or `id`, or by `video` and `query`; and `moments`
    (or `pred_relevant_windows`), each [start, end], [start, end, score] or an object with these
    names. With scores they are put in order; without, the order is theirs.

    Raises:
        EvaluationError: no such file, no such line, or a query not annotated.
    """
    if not path.is_file():
        raise EvaluationError(f"{path}: no such file of predictions")
    places: dict[object, list[int]] = {}
    for place, query in enumerate(annotations.queries):
        places.setdefault(query.id, []).append(place)
        # TACoS repeats sentences within a video: what is said of one is said of all.
        places.setdefault((query.video, query.sentence), []).append(place)
    found: dict[int, Spans] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            key, spans = _prediction(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvaluationError(
                f"{path}:{number}: expected a JSON object with qid (or video and query) and "
                f"moments [[start, end, score], ...] in seconds: {error!r}"
            ) from error
        if key not in places:
            raise EvaluationError(f"{path}:{number}: no annotated query {key!r}")
        found |= dict.fromkeys(places[key], spans)
    nothing = np.zeros((0, 2))
    count = len(annotations.queries)
    return [found.get(place, nothing) for place in range(count)], count - len(found)


def _prediction(entry: dict[str, Any]) -> tuple[object, Spans]:
    """Which query a line is about, and its moments (K, 2), best first."""
    identity = entry.get("qid", entry.get("id"))
    key = str(identity) if identity is not None else (entry["video"], entry["query"].strip())
    moments = entry["moments"] if "moments" in entry else entry["pred_relevant_windows"]
    rows = [
        [moment["start"], moment["end"], moment.get("score", 0.0)]
        if isinstance(moment, dict)
        else [*moment, 0.0][:3]
        for moment in moments
    ]
    values = np.array(rows, dtype=np.float64).reshape(-1, 3)  # (K, 3)
    if not np.isfinite(values).all() or (values[:, 0] > values[:, 1]).any():
        raise ValueError("a moment ends before it starts, or is no number")
    return key, values[np.argsort(-values[:, 2], kind="stable"), :2]

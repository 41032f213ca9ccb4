"""Spans of time: how much they overlap, and which to keep when many say the same.

A span is a half-open pair [start, end) in seconds; N spans are an (N, 2) array.

    overlap = iou(found, truth)                                   # (N, M)
    best = nms(found, scores, threshold=0.5, keep=10)        # indices, best first
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

PIECE = 64
"""Spans that are compared with each other at once."""


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Temporal intersection over union of every span of `a` with every span of `b`.

    Args:
        a: (N, 2) seconds.
        b: (M, 2) seconds.

    Returns:
        (N, M) in [0, 1]; 0 wherever the union is empty.

    Raises:
        ValueError: a span is not finite or ends before it starts.
    """
    return _share(*_shared(_spans(a)[:, None], _spans(b)[None]))  # (N, 1, 2), (1, M, 2) -> (N, M)


def nms(
    spans: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float,
    keep: int,
    nested: float = 1.0,
) -> NDArray[np.intp]:
    """Indices of the spans that greedy non-maximum suppression keeps, best first.

    A span goes when its overlap with a better one is above `threshold`; among equal scores the
    earlier in the list wins, so the result does not depend on the sort's mood.

    Args:
        spans: (N, 2) seconds.
        scores: (N,) finite.
        threshold: IoU in [0, 1].
        keep: at most so many indices come back.
        nested: a span also goes when it shares more than this part of the shorter of the two with
            a better one; 1: one may lie in another.
    """
    boxes = _spans(spans)
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(boxes),) or not np.isfinite(values).all():
        raise ValueError(f"scores must be {len(boxes)} finite numbers, got shape {values.shape}")
    order = np.argsort(-values, kind="stable")
    kept: list[int] = []
    while order.size and len(kept) < keep:
        # Some at once: all pairs in one go cost less than a call for each one that is kept.
        first, order = order[:PIECE], order[PIECE:]
        own = boxes[first]
        chosen = _best(_goes(own, own, threshold, nested), keep - len(kept))
        kept += first[chosen].tolist()
        if order.size and len(kept) < keep:
            goes = _goes(boxes[first[chosen]], boxes[order], threshold, nested)
            order = order[~goes.any(axis=0)]
    return np.asarray(kept, dtype=np.intp)


def nms_each(
    spans: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    threshold: float,
    keep: int,
    nested: float = 1.0,
) -> list[list[int]]:
    """As `nms` of each of W lists of some ten spans, all in one go.

    Args:
        spans: (W, N, 2) seconds.
        scores: (W, N); -inf where a list has fewer spans.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    boxes = np.take_along_axis(spans, order[:, :, None], axis=1)
    goes = _goes(boxes, boxes, threshold, nested)  # (W, N, N)
    left = np.isfinite(np.take_along_axis(scores, order, axis=1))  # (W, N)
    kept: list[list[int]] = [[] for _ in order]
    every = np.arange(len(order))
    for _ in range(min(keep, order.shape[1])):
        best = left.argmax(axis=1)
        found = left[every, best]
        if not found.any():
            break
        left &= ~goes[every, best]
        left[every, best] = False
        places = order[every, best][found].tolist()
        for own, place in zip(np.flatnonzero(found).tolist(), places, strict=True):
            kept[own].append(place)
    return kept


def _best(goes: NDArray[np.bool_], keep: int) -> list[int]:
    """The first `keep` of some spans, best first, that no better one makes go: (N, N)."""
    chosen: list[int] = []
    gone = 0  # a bit a span
    for place, row in enumerate(np.packbits(goes, axis=1, bitorder="little")):
        if len(chosen) == keep:
            break
        if not gone >> place & 1:
            chosen.append(place)
            gone |= int.from_bytes(row.tobytes(), "little")
    return chosen


def _goes(
    better: NDArray[np.float64], others: NDArray[np.float64], threshold: float, nested: float
) -> NDArray[np.bool_]:
    """(..., N, M) whether a better span (..., N, 2) makes another (..., M, 2) go."""
    pairs = better[..., :, None, :], others[..., None, :, :]
    shared, union = _shared(*pairs)
    goes: NDArray[np.bool_] = _share(shared, union) > threshold
    if nested < 1:
        lengths = better[..., 1] - better[..., 0], others[..., 1] - others[..., 0]
        shorter = np.minimum(lengths[0][..., :, None], lengths[1][..., None, :])
        goes |= _share(shared, shorter) > nested
    return goes


def _shared(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds that both have, and that either has, of spans (..., 2) that broadcast."""
    starts, ends, other_starts, other_ends = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    shared = np.minimum(ends, other_ends) - np.maximum(starts, other_starts)
    np.maximum(shared, 0.0, out=shared)
    return shared, (ends - starts) + (other_ends - other_starts) - shared


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole; 0 of nothing."""
    share: NDArray[np.float64] = part / np.where(whole > 0, whole, 1.0)
    return share


def _spans(values: ArrayLike) -> NDArray[np.float64]:
    spans = np.asarray(values, dtype=np.float64).reshape(-1, 2)  # (N, 2)
    if not np.isfinite(spans).all() or (spans[:, 1] < spans[:, 0]).any():
        raise ValueError("spans must be finite pairs (start, end) with start <= end")
    return spans

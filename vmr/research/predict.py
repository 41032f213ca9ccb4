"""Network output -> ranked moments in seconds.

moments = predict(model, data, suppression=0.37)     # one (K, 3) array per query of the data
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.model.network import MomentModel, Output
from vmr.model.spans import nms
from vmr.research.data import MomentData
from vmr.research.loss import Batch
from vmr.research.preset import Precision

Moments = NDArray[np.float64]  # (K, 3) start, end in seconds, score 0..1; best first
KEEP = 5  # the deepest rank that MSAT's protocol asks for


def predict(
    model: MomentModel,
    data: MomentData,
    *,
    suppression: float,
    keep: int = KEEP,
    batch: int = 32,
    device: torch.device | None = None,
    precision: Precision = "float32",
) -> list[Moments]:
    """The best moments of every query of `data`, in the order of `data.queries`."""
    device = device or torch.device("cpu")
    return list(predictions(model, data, suppression, keep, batch, device, precision))


def predictions(
    model: MomentModel,
    data: MomentData,
    suppression: float,
    keep: int,
    batch_size: int,
    device: torch.device,
    precision: Precision,
) -> Iterator[Moments]:
    """As `predict`, one query at a time."""
    training = model.training
    model.eval()
    try:
        proposed = proposals(model, data, batch_size, device, precision)
        for number, windows in groupby(proposed, key=lambda proposal: proposal[0]):
            spans, scores = (
                np.concatenate(parts)
                for parts in zip(*((spans, scores) for _, spans, scores in windows), strict=True)
            )
            clips = data.video(data.queries[number].video).extent
            best = ranked(spans, scores, clips, suppression, keep)
            best[:, :2] *= data.queries[number].duration / clips
            yield best
    finally:
        model.train(training)


def proposals(
    model: MomentModel,
    data: MomentData,
    batch_size: int,
    device: torch.device,
    precision: Precision,
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """For each query and window of its video: the query, spans (C, 2) in clips of the video, and
    their scores (C,)."""
    for batch in data.batches(batch_size):
        output = answer(model, batch.to(device), precision)
        spans = output.spans.cpu() + batch.starts[:, None, None]
        arrays = (part.cpu().numpy() for part in (spans, output.logits.sigmoid(), output.valid))
        for number, found, scores, valid in zip(batch.queries.tolist(), *arrays, strict=True):
            yield number, found[valid], scores[valid]


@torch.inference_mode()
def answer(model: MomentModel, batch: Batch, precision: Precision = "float32") -> Output:
    """The network's output for a batch, computed in `precision`."""
    with arithmetic(batch.rows.device, precision):
        output: Output = model(batch.rows, batch.words, batch.word_mask, clips=batch.clips)
    return output


def arithmetic(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which matrix products are done in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def ranked(
    spans: NDArray[np.float32],
    scores: NDArray[np.float32],
    extent: float,
    suppression: float,
    keep: int,
) -> Moments:
    """At most `keep` moments (K, 3) in clips, best first, overlapping ones suppressed.

    Refined edges can leave the video; they are cut to it, 0..extent, before they are compared.
    """
    cut = np.clip(spans.astype(np.float64), 0, extent)
    some = cut[:, 0] < cut[:, 1]
    cut, scores = cut[some], scores[some]
    kept = nms(cut, scores, threshold=suppression, keep=keep)
    return np.column_stack([cut[kept], scores[kept]])

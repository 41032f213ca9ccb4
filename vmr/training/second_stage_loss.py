"""What the second stage learns from: a window, a question and its answers; and the loss of a batch.

second_stage_loss(second_stage, [Example(rows, words, ((3.0, 9.0),), "thing"), ...],
LossConfig()).backward()
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmr.model.network import MomentModel, Output, boundary_mask
from vmr.model.second_stage import SecondStage
from vmr.model.windows import WINDOW
from vmr.research.loss import EDGE, LossConfig, focal_bce, overlaps, stage_labels
from vmr.training.questions import Kind

SPANS: Final = 3
"""At most so many answers of a question are taught; further ones are left out."""


@dataclass(frozen=True)
class Example:
    """A window of a timeline, a question about it, and where the answers are."""

    rows: NDArray[np.float32] | Tensor
    "(T, C): the input rows of the second stage (vmr/model/second_stage.py: window_rows)."
    words: NDArray[np.float32]
    "(L, W): the word vectors of the question."
    spans: tuple[tuple[float, float], ...]
    "Start and end of each answer, in rows of the window; empty where nothing answers."
    kind: Kind
    "What the question asks for."


def second_stage_loss(
    second_stage: SecondStage, batch: Sequence[Example], config: LossConfig
) -> Tensor:
    """The paper's stage, offset and overlap losses, for any number of answers, none included."""
    output, visible, spans, real = put_to(second_stage, batch)
    stage = torch.stack(
        [stage_labels(spans[:, k], visible, config) * real[:, k, None, None] for k in range(SPANS)]
    )  # (K, B, 3, N+1)
    labels = stage.amax(0)
    found = torch.stack([overlaps(output.spans.detach(), spans[:, k]) for k in range(SPANS)])
    target = (found * real.T[..., None]).amax(0)  # (B, C)
    target = torch.where(target < config.overlap_zero, 0.0, target)
    overlap = focal_bce(output.logits, target) * output.valid
    return torch.stack(
        [
            config.stage
            * (focal_bce(output.stage_logits, labels) * visible[:, None]).sum(2).mean(),
            config.overlap * (overlap.sum(1) / output.valid.sum(1).clamp(min=1)).mean(),
            config.offset * _offsets(second_stage.network, output, stage, spans),
        ]
    ).sum()


def _offsets(model: MomentModel, output: Output, stage: Tensor, spans: Tensor) -> Tensor:
    """The mean L1 distance, in rows, of predicted offsets from true ones, at pairs of a likely
    start and a likely end of one answer; a scalar."""
    likely = stage >= EDGE  # (K, B, 3, N+1)
    pairs = likely[:, :, 0, :, None] & likely[:, :, 1, None, :]
    k, video, i, j = pairs.nonzero(as_tuple=True)  # (M,)
    if not len(k):
        return output.logits.sum() * 0
    offsets = model.head.cells(output.projected, i, j, video)[:, :2]
    wanted = spans[video, k] - torch.stack([i, j], 1)
    distance = (offsets - wanted).abs().mean(1)
    cells = torch.bincount(video, minlength=len(spans))
    return (distance / cells[video]).sum() / len(spans)


def put_to(
    second_stage: SecondStage, batch: Sequence[Example]
) -> tuple[Output, Tensor, Tensor, Tensor]:
    """Run the second stage on a batch.

    Returns:
        its output; which boundaries exist, (B, N+1); the answers in rows, (B, K, 2); and which of
        those are answers and not padding, (B, K).
    """
    longest = max(len(example.words) for example in batch)
    rows = torch.zeros(len(batch), WINDOW, batch[0].rows.shape[1])
    words = torch.zeros(len(batch), longest, batch[0].words.shape[1])
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    spans = torch.zeros(len(batch), SPANS, 2)
    spans[..., 1] = 1
    real = torch.zeros(len(batch), SPANS)
    for i, example in enumerate(batch):
        rows[i, : len(example.rows)] = torch.as_tensor(example.rows)
        words[i, : len(example.words)] = torch.from_numpy(example.words)
        mask[i, : len(example.words)] = True
        for k, span in enumerate(example.spans[:SPANS]):
            spans[i, k], real[i, k] = torch.tensor(span), 1
    clips = torch.tensor([len(example.rows) for example in batch])
    output = second_stage(rows, words, mask, clips)
    return output, boundary_mask(rows, clips, 1), spans, real

"""What a step of training reads, and the five losses it sums (MSAT's four and the contrast).

    objective = Objective(model, LossConfig(), ContrastConfig())
    losses = objective(batch)            # {"total": ..., "stage": ..., "offset": ..., ...}

Letters: B batch, T rows, N clips, L words. Spans are in clips.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from vmr.model.network import MomentModel, Output, boundary_mask
from vmr.research.contrast import ContrastConfig, MomentumContrast

EDGE = 0.4  # a boundary whose start (end) label reaches this teaches offsets
EDGE_SIGMA, MIDDLE_SIGMA = 0.25, 0.21233  # of the label bells, in lengths of the moment


@dataclass(frozen=True)
class LossConfig:
    """Weights of the sum and thresholds of the labels; the defaults are the paper's for TACoS."""

    stage: float = 0.5
    offset: float = 0.5
    overlap: float = 100.0
    words: float = 0.5
    contrast: float = 0.5
    edge_one: float = 0.7
    """Start and end labels from here on count as 1."""
    edge_zero: float = 0.1353
    """Start and end labels below count as 0."""
    middle_one: float = 0.78
    middle_zero: float = 0.0625
    overlap_zero: float = 0.5
    """A candidate that overlaps the truth less counts as no match at all."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"loss.{field.name} must not be negative")


@dataclass(frozen=True)
class Batch:
    """B (video, query) pairs with the truth."""

    rows: Tensor
    "(B, T, feature_width), zero beyond a video's end"
    clips: Tensor
    "(B,) real clips of each video"
    words: Tensor
    "(B, L, word_width)"
    word_mask: Tensor
    "(B, L) True where there is a word"
    hidden_words: Tensor
    "(B, L) True where the word is to be guessed"
    word_ids: Tensor
    "(B, L) place in the vocabulary"
    spans: Tensor
    "(B, 2) the true moment, in clips; outside of 0..clips where these rows do not show it"
    queries: Tensor
    "(B,) which query of the data this is"
    moments: Tensor
    "(B,) equal for queries about the same moment of the same video"
    starts: Tensor
    "(B,) clips of the video before its rows; spans and rows count from there"

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return Batch(
            **{
                field.name: getattr(self, field.name).to(device, non_blocking=True)
                for field in fields(self)
            }
        )


class Objective(nn.Module):
    """Model and losses as one module, so that data parallelism wraps a single forward."""

    def __init__(
        self, model: MomentModel, config: LossConfig, contrast: ContrastConfig | None = None
    ) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.contrast: MomentumContrast | None = None
        if model.contrast is not None:
            chosen = contrast or ContrastConfig()
            self.contrast = MomentumContrast(model.contrast, chosen, model.config.spread)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Every loss, unweighted, and their weighted sum as "total"."""
        output = self.model(
            batch.rows,
            batch.words,
            batch.word_mask,
            clips=batch.clips,
            hidden_words=batch.hidden_words,
        )
        losses = self.grounding(output, batch)
        if output.word_logits is not None:
            losses["words"] = word_loss(output.word_logits, batch.word_ids, batch.hidden_words)
        if self.contrast is not None:
            losses["contrast"] = self._contrast_loss(self.contrast, output, batch)
        return {"total": self.weighted(losses), **losses}

    def grounding(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """The three losses of where the moment is, unweighted."""
        visible = boundary_mask(batch.rows, batch.clips, self.model.config.pool)
        labels = stage_labels(batch.spans, visible, self.config)
        return {
            "stage": stage_loss(output.stage_logits, labels, visible),
            "offset": self._offset_loss(output, labels, batch.spans),
            "overlap": overlap_loss(output, batch.spans, self.config.overlap_zero),
        }

    def weighted(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum of losses by their weights."""
        return torch.stack(
            [getattr(self.config, name) * loss for name, loss in losses.items()]
        ).sum()

    def _contrast_loss(self, contrast: MomentumContrast, output: Output, batch: Batch) -> Tensor:
        """The contrast of the pairs whose moment is among their rows."""
        shown = shows(batch.spans, batch.clips)
        if not shown.any():
            return output.embedded_video.new_zeros(())
        same = batch.queries if contrast.config.positives == "query" else batch.moments
        pairs = output.embedded_video, output.embedded_text, batch.word_mask, batch.spans, same
        loss: Tensor = contrast(self.model.contrast, *(part[shown] for part in pairs))
        return loss

    def _offset_loss(self, output: Output, labels: Tensor, spans: Tensor) -> Tensor:
        """L1 of the offsets at every pair of a likely start and a likely end."""
        starts, ends = labels[:, 0] >= EDGE, labels[:, 1] >= EDGE  # (B, N+1)
        video, i, j = (starts[:, :, None] & ends[:, None, :]).nonzero(as_tuple=True)  # (M,)
        offsets = self.model.head.cells(output.projected, i, j, video)[:, :2].float()
        wanted = spans[video] - torch.stack([i, j], 1)  # (M, 2)
        distance = (offsets - wanted).abs().mean(1)
        # Every video counts once, however many cells it has.
        cells = torch.bincount(video, minlength=len(spans))
        return (distance / cells[video]).sum() / len(spans)


def shows(spans: Tensor, clips: Tensor) -> Tensor:
    """Which spans (B, 2) touch 0..clips, (B,): false where a window lies away from its moment."""
    return (spans[:, 1] >= 0) & (spans[:, 0] <= clips)


def stage_labels(spans: Tensor, visible: Tensor, config: LossConfig) -> Tensor:
    """How much each boundary is the start, the end, the middle of the moment, (B, 3, N+1).

    Bells around the true places, flattened to 1 near the top and to 0 far away; there is always
    at least one boundary per row that says 1 (or, at an edge, more than 0.4), unless the moment
    is away from these boundaries altogether: then all are 0.

    In float64: the middle bell at the last boundary of a short moment there is .0624993, whatever
    the moment's length, and float32 rounds it over its threshold of .0625.
    """
    spans = spans.double()
    positions = torch.arange(visible.shape[1], device=spans.device)
    centres = torch.stack([spans[:, 0], spans[:, 1], spans.mean(1)], 1)  # (B, 3)
    sigmas = spans.new_tensor([EDGE_SIGMA, EDGE_SIGMA, MIDDLE_SIGMA])
    widths = (spans[:, 1] - spans[:, 0]).clamp(min=1e-6)[:, None] * sigmas  # (B, 3)
    distance = (positions - centres[..., None]).abs()  # (B, 3, N+1)
    labels = torch.exp(-0.5 * (distance / widths[..., None]) ** 2)
    one = spans.new_tensor([config.edge_one, config.edge_one, config.middle_one])[:, None]
    zero = spans.new_tensor([config.edge_zero, config.edge_zero, config.middle_zero])[:, None]
    labels = torch.where(labels >= one, 1.0, torch.where(labels < zero, 0.0, labels))
    visible = visible & shows(spans, visible.sum(1) - 1)[:, None]
    labels = labels * visible[:, None]
    enough = spans.new_tensor([EDGE, EDGE, 0.0])
    missing = labels.amax(2) <= enough  # (B, 3)
    nearest = distance.masked_fill(~visible[:, None], torch.inf).argmin(2, keepdim=True)
    ones = torch.zeros_like(labels).scatter(2, nearest, 1.0)
    ones = ones * visible[:, None]
    return torch.where(missing[..., None] & (ones > 0), ones, labels).float()


def focal_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy weighted by the squared error, so that easy places fade out."""
    error = (logits.sigmoid() - targets) ** 2
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * error


def stage_loss(logits: Tensor, labels: Tensor, visible: Tensor) -> Tensor:
    """Focal cross-entropy summed over time, mean over videos and the three stages."""
    return (focal_bce(logits, labels) * visible[:, None]).sum(2).mean()


def overlap_loss(output: Output, spans: Tensor, zero_below: float) -> Tensor:
    """Focal cross-entropy of the scores against each candidate's overlap with the truth."""
    targets = overlaps(output.spans.detach(), spans)  # (B, C)
    targets = torch.where(targets < zero_below, 0.0, targets)
    loss = focal_bce(output.logits, targets) * output.valid
    return (loss.sum(1) / output.valid.sum(1).clamp(min=1)).mean()


def overlaps(found: Tensor, truth: Tensor) -> Tensor:
    """IoU of found spans (B, C, 2) with each video's true one (B, 2): (B, C)."""
    truth = truth[:, None]
    shared = torch.minimum(found[..., 1], truth[..., 1]) - torch.maximum(
        found[..., 0], truth[..., 0]
    )
    shared = shared.clamp(min=0)
    lengths = (found[..., 1] - found[..., 0]).clamp(min=0) + truth[..., 1] - truth[..., 0]
    return shared / (lengths - shared).clamp(min=1e-6)


def word_loss(logits: Tensor, ids: Tensor, hidden: Tensor) -> Tensor:
    """Cross-entropy summed over the M hidden words (M, vocabulary), per sentence that has one."""
    loss = F.cross_entropy(logits, ids[hidden], reduction="sum")
    sentences = hidden.any(1).sum().float()
    if dist.is_available() and dist.is_initialized():  # the mean over all processes
        dist.all_reduce(sentences)
        sentences /= dist.get_world_size()
    return loss / sentences.clamp(min=1e-6)

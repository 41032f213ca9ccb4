"""Video-text contrast (VTC): pulls a moment and its sentence together in one space.

Momentum contrast after ALBEF (NeurIPS 2021) as Panta et al. use it: a slowly following copy of the
contrast head fills two queues and softens the targets.

    contrast = MomentumContrast(model.contrast, ContrastConfig())
    loss = contrast(model.contrast, video, text, word_mask, spans, identities)

Queues, pointer, step count and copy are in the state dict, so a resumed run goes on exactly.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from vmr.model.initial import normal
from vmr.model.network import ContrastHead

NOBODY = -100  # identity of a queue place that was never filled


@dataclass(frozen=True)
class ContrastConfig:
    """Options of the contrastive loss; the defaults are those of the authors' code."""

    queue: int = 50_000
    """Momentum vectors kept as further negatives, per modality."""
    momentum: float = 0.995
    distillation: float = 0.3
    """Share of the momentum copy's opinion in the targets, 0..1."""
    ramp_steps: int = 0
    """The share grows linearly from 0 over so many steps (ALBEF: one epoch); 0: constant."""
    temperature: float = 0.1
    """Where the learned temperature starts."""
    clamp: bool = False
    """Keep the temperature within [0.001, 0.5], as ALBEF does."""
    pooling: Literal["sum", "mean"] = "sum"
    """Sum over the moment's tokens and all places of the batch's text, those beyond a sentence's
    end too, whose tokens are not zero (the authors' code); or the mean of real ones."""
    copy: Literal["fresh", "exact"] = "fresh"
    """The momentum copy starts from new random weights (the authors' code), or as a true copy."""
    positives: Literal["query", "moment"] = "query"
    """Also positive in batch and queue: the same query; or every sentence of the same moment."""

    def __post_init__(self) -> None:
        if self.queue < 1:
            raise ValueError(f"contrast.queue must be at least 1, not {self.queue}")
        if not 0 <= self.momentum <= 1 or not 0 <= self.distillation <= 1:
            raise ValueError("contrast.momentum and contrast.distillation must be within 0..1")
        if self.temperature <= 0:
            raise ValueError(f"contrast.temperature must be positive, not {self.temperature}")
        for name, allowed in (
            ("pooling", ("sum", "mean")),
            ("copy", ("fresh", "exact")),
            ("positives", ("query", "moment")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"contrast.{name}: {getattr(self, name)!r} is none of {allowed}")


class MomentumContrast(nn.Module):
    """The loss with its memory: momentum copy, queues, temperature."""

    video_queue: Tensor
    text_queue: Tensor
    queue_identities: Tensor
    steps: Tensor

    def __init__(self, head: ContrastHead, config: ContrastConfig, spread: float = 0.02) -> None:
        """A memory for `head`; `spread` is that of the initial weights of a fresh copy."""
        super().__init__()
        self.config = config
        self.temperature = nn.Parameter(torch.tensor(config.temperature))
        self.teacher = deepcopy(head).requires_grad_(False)
        if config.copy == "fresh":
            self.teacher.apply(partial(normal, spread=spread))
        width = head.video_projection.out_features
        for name in ("video_queue", "text_queue"):
            rows = F.normalize(torch.randn(config.queue, width), dim=1)
            self.register_buffer(name, rows)  # (Q, D), unit length
        self.register_buffer("queue_identities", torch.full((config.queue,), NOBODY))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(
        self,
        head: ContrastHead,
        video: Tensor,
        text: Tensor,
        word_mask: Tensor,
        spans: Tensor,
        identities: Tensor,
    ) -> Tensor:
        """The loss of B (moment, sentence) pairs.

        Args:
            video: (B, N+1, D) tokens before the head.
            text: (B, L, D) tokens before the head.
            word_mask: (B, L).
            spans: (B, 2) true moments, in clips.
            identities: (B,) equal where two pairs count as the same.
        """
        if self.config.clamp:
            with torch.no_grad():
                self.temperature.clamp_(0.001, 0.5)
        inside = moment_tokens(spans, video.shape[1], at_least_one=self.config.pooling == "mean")
        seen, read = self._vectors(head, video, text, inside, word_mask)  # (B, D) each
        with torch.no_grad():
            follow(self.teacher, head, self.config.momentum)
            own_seen, own_read = self._vectors(self.teacher, video, text, inside, word_mask)
            # All processes' pairs are negatives, so that several GPUs equal one larger batch.
            all_seen, all_read, all_identities = map(gather, (own_seen, own_read, identities))
            keys_seen = torch.cat([all_seen, self.video_queue])  # (B' + Q, D)
            keys_read = torch.cat([all_read, self.text_queue])
            known = torch.cat([all_identities, self.queue_identities])  # (B' + Q,)
            same = (identities[:, None] == known[None]).float()  # (B, B' + Q)
            same /= same.sum(1, keepdim=True)
            share = self._share()
            to_text = self._targets(own_seen, keys_read, same, share)
            to_video = self._targets(own_read, keys_seen, same, share)
            self._enqueue(all_seen, all_read, all_identities)
        text_loss = _cross_entropy(self._similarity(seen, keys_read), to_text)
        video_loss = _cross_entropy(self._similarity(read, keys_seen), to_video)
        return (text_loss + video_loss) / 2

    def _vectors(
        self, head: ContrastHead, video: Tensor, text: Tensor, inside: Tensor, word_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Unit vectors (B, D) of the moments and of the sentences, in float32."""
        seen = self._pool(head.video_map(video), inside)
        read = self.pool_words(head.text_map(text), word_mask)
        return (
            F.normalize(head.video_projection(seen).float(), dim=1),
            F.normalize(head.text_projection(read).float(), dim=1),
        )

    def pool_words(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One vector a sentence, (B, D), of mapped tokens (B, L, D); a sum heeds no mask."""
        everywhere = torch.ones_like(mask)
        return self._pool(tokens, everywhere if self.config.pooling == "sum" else mask)

    def _pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        total = (tokens * mask[..., None]).sum(1)  # (B, D)
        return total if self.config.pooling == "sum" else total / mask.sum(1, keepdim=True)

    def _targets(self, own: Tensor, keys: Tensor, same: Tensor, share: float) -> Tensor:
        return share * self._similarity(own, keys).softmax(1) + (1 - share) * same

    def _similarity(self, own: Tensor, keys: Tensor) -> Tensor:
        """Logits (B, B' + Q); in full precision, for a hundred thousand of them share a softmax."""
        with torch.autocast(own.device.type, enabled=False):
            return own @ keys.T / self.temperature

    def _share(self) -> float:
        ramp = self.config.ramp_steps
        grown = min(1.0, self.steps.item() / ramp) if ramp else 1.0
        return self.config.distillation * grown

    def _enqueue(self, seen: Tensor, read: Tensor, identities: Tensor) -> None:
        """Overwrite the oldest places; a batch larger than the queue leaves its last part."""
        count, size = len(identities), self.config.queue
        kept = slice(max(0, count - size), count)
        first = int(self.steps.item()) * count
        places = (torch.arange(count, device=seen.device)[kept] + first) % size
        self.video_queue[places] = seen[kept]
        self.text_queue[places] = read[kept]
        self.queue_identities[places] = identities[kept]
        self.steps += 1


def moment_tokens(spans: Tensor, boundaries: int, *, at_least_one: bool) -> Tensor:
    """Boundaries ceil(start) .. ceil(end) - 1 of each span, (B, N+1).

    The range can be empty, as in the authors' code (0.9 % of TACoS, 3.1 % of ActivityNet);
    `at_least_one` then takes the boundary nearest to the middle.
    """
    positions = torch.arange(boundaries, device=spans.device)[None]
    inside = (positions >= spans[:, :1].ceil()) & (positions < spans[:, 1:].ceil())
    if at_least_one:
        nearest = spans.mean(1, keepdim=True).round().clamp(0, boundaries - 1)
        inside |= ~inside.any(1, keepdim=True) & (positions == nearest)
    return inside


def gather(tensor: Tensor) -> Tensor:
    """The tensors of all processes, concatenated; `tensor` itself when there is one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(logits.log_softmax(1) * targets).sum(1).mean()


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, decay: float) -> None:
    """Move the weights of `slow` towards those of `fast`: an exponential average over steps."""
    for kept, new in zip(slow.parameters(), fast.parameters(), strict=True):
        kept.lerp_(new.to(kept), 1 - decay)

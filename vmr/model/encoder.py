"""Encoders that let text and video tokens see each other: the paper's, and its rivals.

    blocks = encoder("asymmetric", BlockSizes(512, 16, 0.1, 0), layers=6, connect_every=2)
    for block in blocks:
        video, text = block(video, text, video_mask, text_mask, maps)

`asymmetric`: text looks at video, video is updated only where both are read together; the block of
mPLUG (EMNLP 2022) as used by Panta et al. `two-stream`: both look at both with weights of their own
(MSAT, CVPR 2021). `joint`: plain self-attention over both.

Letters: B batch, Q, K tokens, L words, D width, H heads. N + 1 video tokens. Masks are True where
there is something. `maps` collects attention probabilities (B, H, L, N+1), one a block in which
words look at video; None, the usual case, takes the fused kernel instead.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EncoderKind = Literal["asymmetric", "two-stream", "joint"]
EPSILON = 1e-12  # of every LayerNorm, as published


@dataclass(frozen=True)
class BlockSizes:
    """What every block of an encoder is made from."""

    width: int
    "D"
    heads: int
    dropout: float
    feed_forward: int
    "hidden width of the feed-forward part; 0 leaves it out"

    def feed_forward_part(self) -> nn.Module:
        """A new feed-forward part, or nothing."""
        if not self.feed_forward:
            return nn.Identity()
        return FeedForward(self.width, self.feed_forward, self.dropout)


class Attention(nn.Module):
    """Multi-head attention with output projection, dropout, residual and LayerNorm (post-norm)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(
        self, states: Tensor, context: Tensor, mask: Tensor, maps: list[Tensor] | None = None
    ) -> Tensor:
        """Update `states` (B, Q, D) by what they find in `context` (B, K, D), mask (B, K).

        With `maps`, the attention probabilities (B, H, Q, K) are appended to it.
        """
        split = partial(split_heads, heads=self.heads)
        query, key = split(self.query(states)), split(self.key(context))
        value, visible = split(self.value(context)), mask[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        if maps is None:
            found = F.scaled_dot_product_attention(query, key, value, visible, dropout)
        else:  # the fused kernel keeps its probabilities to itself
            scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])  # (B, H, Q, K)
            weights = scores.masked_fill(~visible, -torch.inf).softmax(3)
            maps.append(weights)
            found = F.dropout(weights, dropout) @ value
        update = F.dropout(self.output(merge_heads(found)), dropout)
        return self.norm(states + update)  # type: ignore[no-any-return]


class TwoStreamAttention(nn.Module):
    """MSAT's attention of one modality: own and other tokens compete in one softmax.

    Six projections, all of this modality's: queries, keys and values towards its own tokens, and
    a second set for the other modality's.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.own, self.other = (
            nn.ModuleList(nn.Linear(width, width) for _ in range(3)) for _ in range(2)
        )
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(
        self,
        own: Tensor,
        other: Tensor,
        own_mask: Tensor,
        other_mask: Tensor,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """Update `own` (B, Q, D) by itself and by `other` (B, K, D)."""
        split = partial(split_heads, heads=self.heads)
        scores, values = [], []
        for (query, key, value), context in ((self.own, own), (self.other, other)):
            scores.append(split(query(own)) @ split(key(context)).transpose(2, 3))
            values.append(split(value(context)))
        visible = torch.cat([own_mask, other_mask], 1)[:, None, None, :]  # (B, 1, 1, Q + K)
        logits = torch.cat(scores, 3) / math.sqrt(own.shape[2] / self.heads)
        weights = logits.masked_fill(~visible, -torch.inf).softmax(3)
        if maps is not None:
            maps.append(weights[..., own.shape[1] :])
        dropout = self.dropout if self.training else 0.0
        found = F.dropout(weights, dropout) @ torch.cat(values, 2)
        update = F.dropout(self.output(merge_heads(found)), dropout)
        return self.norm(own + update)  # type: ignore[no-any-return]


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, H, T, D / H)."""
    batch, count, _ = tokens.shape
    return tokens.view(batch, count, heads, -1).transpose(1, 2)  # (B, H, T, D / H)


def merge_heads(tokens: Tensor) -> Tensor:
    """(B, H, T, D / H) -> (B, T, D)."""
    return tokens.transpose(1, 2).flatten(2)  # (B, T, D)


class FeedForward(nn.Module):
    """Two linears with GELU, dropout, residual and LayerNorm."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        update = self.dropout(self.outer(F.gelu(self.inner(tokens))))
        return self.norm(tokens + update)  # type: ignore[no-any-return]


class AsymmetricBlock(nn.Module):
    """Text attends to itself, then to the video; the video passes unchanged (mPLUG's block)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.itself = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.across = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.feed_forward = sizes.feed_forward_part()

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        video_mask: Tensor,
        text_mask: Tensor,
        maps: list[Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """(B, N+1, D) video and (B, L, D) text in and out; maps gain (B, H, L, N+1)."""
        text = self.itself(text, text, text_mask)
        text = self.across(text, video, video_mask, maps)
        return video, self.feed_forward(text)


class ConnectedBlock(nn.Module):
    """One self-attention over video and text together, with shared weights."""

    def __init__(self, sizes: BlockSizes, *, mapped: bool) -> None:
        super().__init__()
        self.together = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.feed_forward = sizes.feed_forward_part()
        self.mapped = mapped  # only where no asymmetric block supplies the maps

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        video_mask: Tensor,
        text_mask: Tensor,
        maps: list[Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """As AsymmetricBlock.forward, and the video is updated too."""
        both, mask = torch.cat([video, text], 1), torch.cat([video_mask, text_mask], 1)
        full: list[Tensor] | None = [] if self.mapped and maps is not None else None
        both = self.feed_forward(self.together(both, both, mask, full))
        boundaries = video.shape[1]
        if full and maps is not None:
            maps.append(full[0][:, :, boundaries:, :boundaries])  # (B, H, L, N+1)
        return both[:, :boundaries], both[:, boundaries:]


class TwoStreamBlock(nn.Module):
    """MSAT's layer: both modalities updated side by side, each with weights of its own."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        attention = sizes.width, sizes.heads, sizes.dropout
        self.video, self.text = TwoStreamAttention(*attention), TwoStreamAttention(*attention)
        self.video_forward, self.text_forward = sizes.feed_forward_part(), sizes.feed_forward_part()

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        video_mask: Tensor,
        text_mask: Tensor,
        maps: list[Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """As AsymmetricBlock.forward, and the video is updated too."""
        seen = self.video(video, text, video_mask, text_mask)
        read = self.text(text, video, text_mask, video_mask, maps)
        return self.video_forward(seen), self.text_forward(read)


def encoder(
    kind: EncoderKind, sizes: BlockSizes, *, layers: int, connect_every: int
) -> nn.ModuleList:
    """`layers` blocks, in order; asymmetric: one connected block after every `connect_every`."""
    if kind == "two-stream":
        return nn.ModuleList(TwoStreamBlock(sizes) for _ in range(layers))
    if kind == "joint":
        return nn.ModuleList(ConnectedBlock(sizes, mapped=True) for _ in range(layers))
    blocks = nn.ModuleList()
    for layer in range(1, layers + 1):
        blocks.append(AsymmetricBlock(sizes))
        if layer % connect_every == 0:
            blocks.append(ConnectedBlock(sizes, mapped=False))
    return blocks

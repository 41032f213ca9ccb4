"""The shared space: clip rows and sentences as unit vectors that can be compared.

    towers = Towers(TowersConfig(blocks={"appearance": 1280}))
    clips = towers.encode_video(rows)           # (B, T, D) -> (B, T, E)
    texts = towers.encode_text(words, mask)     # (B, L, W) -> (B, E)
    clips @ texts[0]                            # cosine of every second with a sentence

Stage one of a search: every second of the library is encoded once and kept in the index, a query is
one vector. Trained contrastively (base_training.py), as the paper's VTC term does inside its model.
Letters: B batch, T rows, D row width, L words, W word width, E width of the shared space.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class TowersConfig:
    """Sizes of the two encoders."""

    blocks: dict[str, int]
    "columns of a row by network, in order; each block is brought to unit length by itself"
    word_width: int = 50
    width: int = 512
    hidden: int = 1024
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if not self.blocks or min(self.blocks.values()) < 1:
            raise ValueError(f"blocks={self.blocks}: at least one block of at least one column")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: at least 0 and below 1")


class VideoTower(nn.Module):
    """Rows -> shared space: a linear map plus a two-layer correction, row by row."""

    mean: Tensor

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.widths = list(config.blocks.values())
        columns = sum(self.widths)
        # Network features share a large common direction; only what differs from it is content.
        self.register_buffer("mean", torch.zeros(columns))
        self.linear = nn.Linear(columns, config.width)
        self.correction = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(columns, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.width),
        )

    def prepare(self, rows: Tensor) -> Tensor:
        """(..., D) raw rows -> (..., D): unit length per block, common mean taken off."""
        unit = [F.normalize(block, dim=-1) for block in torch.split(rows, self.widths, dim=-1)]
        scale = sum(self.widths) ** 0.5  # about unit variance per column
        prepared: Tensor = (torch.cat(unit, dim=-1) - self.mean) * scale  # (..., D)
        return prepared

    def forward(self, rows: Tensor) -> Tensor:
        """(..., D) -> (..., E), unit length."""
        prepared = self.prepare(rows)
        vectors: Tensor = F.normalize(self.linear(prepared) + self.correction(prepared), dim=-1)
        return vectors


class TextTower(nn.Module):
    """Words -> shared space: order through a GRU, content through a bag of words."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.project = nn.Sequential(
            nn.Linear(config.word_width, half), nn.GELU(), nn.Dropout(config.dropout / 2)
        )
        self.order = nn.GRU(half, half, batch_first=True, bidirectional=True)
        self.content = nn.Linear(config.word_width, config.width)
        self.importance = nn.Linear(config.word_width, 1)
        self.drop = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """words (B, L, W) float, mask (B, L) bool, True for a word -> (B, E), unit length."""
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.project(words), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.order(packed)[0], batch_first=True, padding_value=-1e4, total_length=words.shape[1]
        )
        ordered = states.amax(1)  # (B, E)
        weight = self.importance(words).squeeze(-1).masked_fill(~mask, -1e4).softmax(1)  # (B, L)
        content = self.content(torch.einsum("bl,blw->bw", weight, words))
        vectors: Tensor = F.normalize(content + self.out(self.drop(ordered)), dim=-1)
        return vectors


class Towers(nn.Module):
    """Both encoders and the temperature of their contrast."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.config = config
        self.video = VideoTower(config)
        self.text = TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def encode_video(self, rows: Tensor) -> Tensor:
        """(..., D) raw rows -> (..., E), unit length."""
        vectors: Tensor = self.video(rows)
        return vectors

    def encode_text(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, L, W), (B, L) -> (B, E), unit length."""
        vectors: Tensor = self.text(words, mask)
        return vectors

"""The shared space: clip rows and sentences as unit vectors that can be compared.

    towers = Towers(TowersConfig(blocks={"appearance": 1280}))
    clips = towers.encode_video(rows)           # (B, T, D) -> (B, T, E)
    texts = towers.encode_text(words, mask, own) # (B, L, W) -> (B, E)
    clips @ texts[0]                            # cosine of every second with a sentence

Two kinds of knowledge beside the maps that are learned from captions: what the appearance network's
own classifier sees in a row (a linear function of the row, so nothing more is stored of a video),
and a vector of its own for each word that captions use often, beside its frozen one.

Stage one of a search: every second of the library is encoded once and kept in the index, a query is
one vector. Trained contrastively (base.py), as the paper's VTC term does inside its model.
Letters: B batch, T rows, D row width, L words, W word width, E width of the shared space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSIFIED: Final = "appearance"
"""The block that the classifier reads."""
_SURE: Final = 0.9  # the chance of a class that is all there is to see
_CLASS_SCALE: Final = 3.0  # chances are small beside columns of unit variance
_WITHOUT_OWN: Final = 0.3  # share of words read without their own vectors while training


@dataclass(frozen=True)
class TowersConfig:
    """Sizes of the two encoders."""

    blocks: dict[str, int]
    "columns of a row by network, in order; each block is brought to unit length by itself"
    word_width: int = 50
    width: int = 512
    hidden: int = 1024
    dropout: float = 0.3
    classes: int = 0
    "of the appearance network's classifier; 0: its judgement is not used"
    learned: str = ""
    "words that have a vector of their own, separated by spaces"
    sentence_width: int = 0
    "of the sentence encoder (sentence.py); 0: words are all that is read"

    def __post_init__(self) -> None:
        if not self.blocks or min(self.blocks.values()) < 1:
            raise ValueError(f"blocks={self.blocks}: at least one block of at least one column")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: at least 0 and below 1")
        if self.classes and CLASSIFIED not in self.blocks:
            raise ValueError(f"classes={self.classes}: needs a block {CLASSIFIED!r}")


class ClassifierHead(nn.Module):
    """What the appearance network's classifier makes of rows, in the shared space."""

    weight: Tensor
    bias: Tensor
    prior: Tensor

    def __init__(self, classes: int, columns: slice, width: int) -> None:
        super().__init__()
        self._columns = columns
        self.register_buffer("weight", torch.zeros(classes, columns.stop - columns.start))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("prior", torch.full((classes,), 1 / classes))
        self.place = nn.Linear(classes, width, bias=False)
        nn.init.normal_(self.place.weight, std=width**-0.5)

    def probs(self, rows: Tensor) -> Tensor:
        """(..., D) raw rows -> (..., classes), adding up to 1."""
        return (rows[..., self._columns] @ self.weight.T + self.bias).softmax(-1)

    def move(self, by: Tensor) -> None:
        """Move the place of each class by (classes, E)."""
        self.place.weight += by.T / _CLASS_SCALE

    def forward(self, probs: Tensor) -> Tensor:
        """(..., classes) -> (..., E): where what is seen lies, from what is seen usually."""
        placed: Tensor = _CLASS_SCALE * self.place(probs - self.prior)
        return placed


class VideoTower(nn.Module):
    """Rows -> shared space: a linear map, a two-layer correction and the classifier's judgement,
    row by row."""

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
        self.classifier: ClassifierHead | None = None
        if config.classes:
            first = sum(self.widths[: list(config.blocks).index(CLASSIFIED)])
            judged = slice(first, first + config.blocks[CLASSIFIED])
            self.classifier = ClassifierHead(config.classes, judged, config.width)

    def prepare(self, rows: Tensor) -> Tensor:
        """(..., D) raw rows -> (..., D): unit length per block, common mean taken off."""
        unit = [F.normalize(block, dim=-1) for block in torch.split(rows, self.widths, dim=-1)]
        scale = sum(self.widths) ** 0.5  # about unit variance per column
        prepared: Tensor = (torch.cat(unit, dim=-1) - self.mean) * scale  # (..., D)
        return prepared

    def forward(self, rows: Tensor, probs: Tensor | None = None) -> Tensor:
        """(..., D) -> (..., E), unit length; `chances` of the judgement, where they are known."""
        prepared = self.prepare(rows)
        vectors: Tensor = self.linear(prepared) + self.correction(prepared)
        if self.classifier is not None:
            known = self.classifier.probs(rows) if probs is None else probs
            vectors = vectors + self.classifier(known)
        return F.normalize(vectors, dim=-1)

    def of_classes(self, classes: Tensor) -> Tensor:
        """(N,) indices of classes -> (N, E): what nothing but the classifier tells of a picture."""
        assert self.classifier is not None
        probs = _SURE * F.one_hot(classes, len(self.classifier.prior)).float()
        nothing = torch.zeros(len(classes), sum(self.widths))
        vectors = self.linear(nothing) + self.correction(nothing) + self.classifier(probs)
        return F.normalize(vectors, dim=-1)


class TextTower(nn.Module):
    """Words -> shared space: order through a GRU, content through a bag of words; and what the
    sentence means as a whole, through a linear map and a two-layer correction."""

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
        # Words' own vectors, beside the maps of their frozen ones; 0 is for words without.
        count = 1 + len(config.learned.split())
        self.own_order = nn.Embedding(count, half, padding_idx=0)
        self.own_content = nn.Embedding(count, config.width, padding_idx=0)
        for table in (self.own_order, self.own_content):
            nn.init.zeros_(table.weight)
        self.sentence: SentenceMap | None = None
        if config.sentence_width:
            self.sentence = SentenceMap(config)

    def forward(
        self, words: Tensor, mask: Tensor, own: Tensor, sentences: Tensor | None = None
    ) -> Tensor:
        """words (B, L, W) float, mask (B, L) bool, True for a word, own (B, L) places of the words'
        own vectors, sentences (B, S), zero where there is no vector -> (B, E), unit length."""
        if self.training:  # words that have none are to be understood, too
            own = own * (torch.rand(own.shape) >= _WITHOUT_OWN)
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.project(words) + self.own_order(own),
            lengths,
            batch_first=True,
            enforce_sorted=False,
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.order(packed)[0], batch_first=True, padding_value=-1e4, total_length=words.shape[1]
        )
        ordered = states.amax(1)  # (B, E)
        weight = self.importance(words).squeeze(-1).masked_fill(~mask, -1e4).softmax(1)  # (B, L)
        content = self.content(torch.einsum("bl,blw->bw", weight, words))
        content = content + torch.einsum("bl,ble->be", weight, self.own_content(own))
        read = content + self.out(self.drop(ordered))
        if self.sentence is not None and sentences is not None:
            read = read + self.sentence(sentences)
        vectors: Tensor = F.normalize(read, dim=-1)
        return vectors


class SentenceMap(nn.Module):
    """Sentence vectors -> shared space, to be added to what words say; nothing of a zero vector."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.sentence_width, config.width, bias=False)
        self.correction = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.sentence_width, config.hidden, bias=False),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.width, bias=False),
        )
        self._scale = config.sentence_width**0.5  # about unit variance per column

    def forward(self, sentences: Tensor) -> Tensor:
        """(..., S) unit vectors, or zero -> (..., E)."""
        scaled = self._scale * sentences
        mapped: Tensor = self.linear(scaled) + self.correction(scaled)
        return mapped


class Towers(nn.Module):
    """Both encoders and the temperature of their contrast."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.config = config
        self.video = VideoTower(config)
        self.text = TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self._own = {word: 1 + place for place, word in enumerate(config.learned.split())}

    def encode_video(self, rows: Tensor) -> Tensor:
        """(..., D) raw rows -> (..., E), unit length."""
        vectors: Tensor = self.video(rows)
        return vectors

    def encode_text(
        self, words: Tensor, mask: Tensor, own: Tensor, sentences: Tensor | None = None
    ) -> Tensor:
        """(B, L, W), (B, L), (B, L) of `own`, (B, S) of sentence.py -> (B, E), unit length."""
        vectors: Tensor = self.text(words, mask, own, sentences)
        return vectors

    def own(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """(B, L): which vector of its own each word of some sentences has; 0 for none."""
        places = torch.zeros(len(sentences), max(map(len, sentences)), dtype=torch.long)
        for i, sentence in enumerate(sentences):
            for j, word in enumerate(sentence):
                places[i, j] = self._own.get(word, 0)
        return places

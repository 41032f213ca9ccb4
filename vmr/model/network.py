"""The moment-retrieval network: video rows and words in, proposals (start, end, score) out.

Asymmetric co-attention after Panta et al., "Cross-Modal Contrastive Learning With Asymmetric
Co-Attention Network for Video Moment Retrieval" (WACV 2024 workshops, arXiv 2312.07435), with the
two-stream encoder of its baseline MSAT (CVPR 2021) as an alternative. Arithmetic only.

    model = MomentModel(ModelConfig(feature_width=4096, vocabulary=1514))
    output = model(rows, words, word_mask)          # Output; spans are in clips, 0..N
    video = model.encode_video(rows)                # can be stored; encode_text likewise

Letters: B batch, T rows, N clips, L words, D width, H heads, C candidates. A video of N clips has
N + 1 boundaries, and tokens stand on boundaries: token i lies between clip i - 1 and clip i.
Masks are True where there is something.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vmr.model.encoder import EPSILON, BlockSizes, EncoderKind, encoder
from vmr.model.initial import normal, xavier


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a network; the defaults are the paper's for TACoS."""

    feature_width: int
    """Columns of a video row."""
    word_width: int = 300
    """Columns of a word vector."""
    vocabulary: int = 0
    """Words the masked-word head can name, padding and unknown included; 0 leaves it out."""
    clips: int = 128
    """N: clips of a full-length video."""
    pool: int = 2
    """Rows of one clip."""
    width: int = 512
    """D, of every token."""
    heads: int = 16
    encoder: EncoderKind = "asymmetric"
    """Who attends to whom: text to video; both to both (MSAT); plain self-attention over both."""
    layers: int = 6
    """Blocks in which text can look at video (connected blocks not counted)."""
    connect_every: int = 2
    """Asymmetric encoder: a connected block follows after so many asymmetric ones."""
    feed_forward: int = 0
    """Hidden width of the feed-forward part of a block; 0 leaves it out, as the authors' code."""
    dropout: float = 0.1
    positions: int = 194
    """Rows of the position table: N + 1 boundaries, then words."""
    contrast: bool = True
    """The maps and projections of the video-text contrastive loss (VTC)."""
    spread: float = 0.02
    """Standard deviation of the initial weights; a narrow network starts faster with more."""
    head_init: Literal["published", "normal"] = "published"
    """How the heads start. Published: Xavier uniform, the stage scorers as torch makes linears;
    only what stands before the heads is drawn from N(0, spread). Normal: N(0, spread) too."""

    def __post_init__(self) -> None:
        for name in ("feature_width", "word_width", "clips", "pool", "width", "heads", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} must be at least 1, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"model.width {self.width} does not divide by {self.heads} heads")
        if self.positions <= self.clips + 1:
            raise ValueError(
                f"model.positions must exceed clips + 1 = {self.clips + 1}, not {self.positions}"
            )
        if self.encoder not in get_args(EncoderKind):
            raise ValueError(f"model.encoder: {self.encoder!r} is none of {get_args(EncoderKind)}")
        if self.head_init not in ("published", "normal"):
            raise ValueError(f"model.head_init: {self.head_init!r} is not published or normal")
        if not (self.spread > 0 and 0 <= self.dropout < 1):
            raise ValueError("model.spread must be positive and model.dropout within 0..1")
        if self.pool > 1 and self.pool % 2:
            raise ValueError(f"model.pool must be 1 or even, not {self.pool}")
        if self.encoder == "asymmetric" and self.layers % self.connect_every:
            raise ValueError("model.layers must be a multiple of model.connect_every")

    @property
    def longest_text(self) -> int:
        """Words that the position table has room for."""
        return self.positions - self.clips - 1


def position_table(positions: int, width: int) -> Tensor:
    """Sinusoids over positions scaled to one turn, (positions, width): the authors' variant."""
    turn = 2 * math.pi * torch.arange(positions, dtype=torch.float64)[:, None] / positions
    even = 2 * (torch.arange(width) // 2)
    angle = turn / 10000 ** (even / width)  # (positions, width)
    table = torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos())
    return table.float()


def candidates(clips: int) -> Tensor:
    """The (start, end) boundaries that are scored, (C, 2): dense if short, sparse if long.

    Lengths 1..16 from every start; then eight more lengths on every second, fourth, eighth start,
    and so on (2D-TAN's sampling): 2,548 cells for 128 clips, 428 for 32.
    """
    cells = [(i, i + n) for n in range(1, min(16, clips) + 1) for i in range(clips + 1 - n)]
    length, step = 16, 2
    while length < clips:
        for n in range(length + step, min(length + 8 * step, clips) + 1, step):
            cells += [(i, i + n) for i in range(0, clips + 1 - n, step)]
        length, step = length + 8 * step, 2 * step
    return torch.tensor(cells)


class ContrastHead(nn.Module):
    """VTC's maps, which everything after them reads, and its projections into the shared space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.video_map, self.text_map = nn.Linear(width, width), nn.Linear(width, width)
        self.video_projection = nn.Linear(width, width)
        self.text_projection = nn.Linear(width, width)


class ProposalHead(nn.Module):
    """Scores boundaries as start, end and middle, and aggregates the three into proposals."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.stages = nn.Linear(width, 3 * width)
        self.stage_scores = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
            )
            for _ in range(3)
        )
        self.first, self.last = nn.Linear(3 * width, width), nn.Linear(width, 3)
        self.dropout = nn.Dropout(dropout)

    def stage_tokens(self, video: Tensor) -> Tensor:
        """(B, N+1, D) -> (B, 3, N+1, D): each boundary as a start, an end, a middle."""
        tokens = self.dropout(F.relu(self.stages(self.dropout(video))))
        return torch.stack(tokens.chunk(3, dim=2), 1)  # (B, 3, N+1, D)

    def stage_logits(self, tokens: Tensor) -> Tensor:
        """(B, 3, N+1, D) -> (B, 3, N+1): is this boundary the start, the end, the middle?"""
        return torch.cat(
            [score(tokens[:, stage]) for stage, score in enumerate(self.stage_scores)], 2
        ).transpose(1, 2)  # (B, 3, N+1)

    def project(self, tokens: Tensor) -> Tensor:
        """The first linear, once per boundary instead of once per candidate, (B, 3, N+1, D).

        A linear of a concatenation [start, middle, end] is the sum of three linears, so the
        products are shared by all candidates with that boundary; `cells` only adds them.
        """
        start, middle, end = self.first.weight.chunk(3, 1)
        parts = (tokens[:, 0], start, self.first.bias), (tokens[:, 1], end), (tokens[:, 2], middle)
        return torch.stack([F.linear(*part) for part in parts], 1)

    def hidden(
        self, projected: Tensor, starts: Tensor, ends: Tensor, videos: Tensor | None = None
    ) -> Tensor:
        """The first linear's output at the cells (starts, ends), each (C,): (B, C, D).

        With `videos` (C,), cell c is asked of one video of the batch only: (C, D).
        """
        start, end, middle = projected.unbind(1)  # each (B, N+1, D)
        of = slice(None) if videos is None else videos
        return start[of, starts] + middle[of, (starts + ends) // 2] + end[of, ends]

    def cells(
        self, projected: Tensor, starts: Tensor, ends: Tensor, videos: Tensor | None = None
    ) -> Tensor:
        """(start offset, end offset, logit) of cells, given as to `hidden`: (B, C, 3) or (C, 3)."""
        hidden = self.hidden(projected, starts, ends, videos)
        return self.last(self.dropout(F.relu(hidden)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Output:
    """What the network says of B (video, query) pairs; spans are in clips."""

    spans: Tensor
    "(B, C, 2) refined (start, end) of every candidate"
    logits: Tensor
    "(B, C) how well each matches"
    valid: Tensor
    "(B, C) candidates that end after they start, inside the video"
    stage_logits: Tensor
    "(B, 3, N+1) start, end, middle"
    word_logits: Tensor | None
    "(M, vocabulary) what each of the M hidden words is, in order of the batch; else None"
    embedded_video: Tensor
    "(B, N+1, D) before the contrast maps"
    embedded_text: Tensor
    "(B, L, D) before the contrast maps"
    projected: Tensor
    "(B, 3, N+1, D) of ProposalHead.project, for the offsets of cells that are no candidates"


class MomentModel(nn.Module):
    """The whole network."""

    candidates: Tensor
    positions: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, dropout = config.width, config.dropout
        self.config = config
        self.video_in = nn.Linear(config.feature_width, width)
        self.text_in = nn.Linear(config.word_width, width)
        self.masked_word = nn.Parameter(torch.empty(width))
        self.video_norm, self.text_norm = (nn.LayerNorm(width, eps=EPSILON) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.contrast = ContrastHead(width) if config.contrast else None
        sizes = BlockSizes(width, config.heads, dropout, config.feed_forward)
        self.blocks = encoder(
            config.encoder, sizes, layers=config.layers, connect_every=config.connect_every
        )
        self.head = ProposalHead(width, dropout)
        self.word_head = word_head(config) if config.vocabulary else None
        self.register_buffer("candidates", candidates(config.clips), persistent=False)
        table = position_table(config.positions, width)
        self.register_buffer("positions", table, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Draw the initial weights as `spread` and `head_init` say."""
        spread, published = self.config.spread, self.config.head_init == "published"
        for name, part in self.named_children():
            if published and name == "head":
                for linear in (self.head.stages, self.head.first, self.head.last):
                    xavier(linear)  # `stage_scores` stay as torch makes linears
            elif published and name == "word_head":
                part.apply(xavier)
            else:
                part.apply(partial(normal, spread=spread))
        nn.init.normal_(self.masked_word, std=spread)

    def encode_video(self, rows: Tensor) -> Tensor:
        """Boundary tokens (B, N+1, D) of rows (B, T, feature_width), T = N * pool; rows beyond the
        end of a shorter video must be zero.

        Raises:
            ValueError: the rows have another width, or are too many.
        """
        if rows.shape[2] != self.config.feature_width:
            raise ValueError(
                f"video rows have {rows.shape[2]} columns; "
                f"this model was made for {self.config.feature_width}"
            )
        pooled = boundary_rows(rows, self.config.pool)  # (B, N+1, feature_width)
        boundaries = pooled.shape[1]
        if boundaries > self.config.clips + 1:
            raise ValueError(f"{boundaries - 1} clips; this model reads {self.config.clips}")
        tokens = self.video_in(pooled) + self.positions[:boundaries]
        return self.dropout(self.video_norm(tokens))  # type: ignore[no-any-return]

    def encode_text(self, words: Tensor, hidden_words: Tensor | None = None) -> Tensor:
        """Word tokens (B, L, D) of word vectors (B, L, word_width).

        Words where `hidden_words` (B, L) is True are replaced by one learned vector. Places beyond
        the end of a sentence give tokens too, as published: attention masks hide them, and only
        the contrastive sum reads them.

        Raises:
            ValueError: the vectors have another width, or the text is longer than the table.
        """
        if words.shape[2] != self.config.word_width:
            raise ValueError(
                f"word vectors have {words.shape[2]} columns; "
                f"this model was made for {self.config.word_width}"
            )
        if words.shape[1] > self.config.longest_text:
            raise ValueError(
                f"{words.shape[1]} words; this model reads at most {self.config.longest_text}"
            )
        tokens = self.text_in(words)
        if hidden_words is not None:
            tokens = torch.where(hidden_words[..., None], self.masked_word.to(tokens), tokens)
        first = self.config.clips + 1  # words stand after all boundaries of a full-length video
        tokens = tokens + self.positions[first : first + words.shape[1]]
        return self.dropout(self.text_norm(tokens))  # type: ignore[no-any-return]

    def fuse(
        self,
        video: Tensor,
        text: Tensor,
        video_mask: Tensor,
        text_mask: Tensor,
        maps: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Video (B, N+1, D) that knows the query, and text (B, L, D) that knows the video.

        With `maps`, one (B, H, L, N+1) is appended per block in which words look at the video.
        """
        if self.contrast is not None:  # no residual, no activation, at test time too
            video, text = self.contrast.video_map(video), self.contrast.text_map(text)
        for block in self.blocks:
            video, text = block(video, text, video_mask, text_mask, maps)
        return video, text

    def forward(
        self,
        rows: Tensor,
        words: Tensor,
        word_mask: Tensor,
        *,
        clips: Tensor | None = None,
        hidden_words: Tensor | None = None,
    ) -> Output:
        """Proposals for B pairs: rows (B, T, feature_width), words (B, L, word_width).

        `clips` (B,) counts the real clips of videos that are shorter than T; all by default.
        """
        video = self.encode_video(rows)
        text = self.encode_text(words, hidden_words)
        video_mask = boundary_mask(rows, clips, self.config.pool)
        seen, read = self.fuse(video, text, video_mask, word_mask)
        guesses = None
        if self.word_head is not None and hidden_words is not None:
            guesses = self.word_head(read[hidden_words]).float()  # only where there is a question
        return self.propose(seen, video_mask, video, text, guesses)

    def propose(
        self,
        seen: Tensor,
        video_mask: Tensor,
        video: Tensor,
        text: Tensor,
        guesses: Tensor | None,
    ) -> Output:
        """The heads on the fused video `seen` (B, N+1, D), whose boundaries `video_mask` (B, N+1)
        tells. `video` (B, N+1, D) and `text` (B, L, D), the tokens before fusion, and `guesses`
        (K, V), logits of words that were hidden, are handed on."""
        tokens = self.head.stage_tokens(seen)
        projected = self.head.project(tokens)
        boundaries = seen.shape[1]
        cells = self.candidates
        if boundaries <= self.config.clips:  # a batch of short videos has fewer candidates
            cells = cells[cells[:, 1] < boundaries]
        starts, ends = cells.unbind(1)  # (C,)
        values = self.head.cells(projected, starts, ends).float()  # (B, C, 3)
        spans = torch.stack([starts, ends], 1) + values[..., :2]  # (B, C, 2)
        return Output(
            spans=spans,
            logits=values[..., 2],
            valid=video_mask[:, ends] & (spans[..., 0] < spans[..., 1]),
            stage_logits=self.head.stage_logits(tokens).float(),
            word_logits=guesses,
            embedded_video=video,
            embedded_text=text,
            projected=projected,
        )

    def attention_maps(
        self, rows: Tensor, words: Tensor, word_mask: Tensor, *, clips: Tensor | None = None
    ) -> Tensor:
        """How much each word looked at each boundary, (blocks, B, H, L, N+1), for a heat map."""
        maps: list[Tensor] = []
        video_mask = boundary_mask(rows, clips, self.config.pool)
        video, text = self.encode_video(rows), self.encode_text(words)
        self.fuse(video, text, video_mask, word_mask, maps)
        return torch.stack(maps)


def boundary_rows(rows: Tensor, pool: int) -> Tensor:
    """Mean of the rows half a clip (at least one row) either side of each boundary, (B, N+1, W).

    Zeros stand outside the video and count in the mean, as published.
    """
    kernel = max(2, pool)
    means = F.avg_pool1d(rows.transpose(1, 2), kernel, stride=pool, padding=kernel // 2)
    return means.transpose(1, 2)  # (B, N+1, W)


def boundary_mask(rows: Tensor, clips: Tensor | None, pool: int) -> Tensor:
    """Which boundaries belong to the video, (B, N+1)."""
    boundaries = torch.arange(rows.shape[1] // pool + 1, device=rows.device)
    if clips is None:
        return torch.ones(rows.shape[0], len(boundaries), dtype=torch.bool, device=rows.device)
    return boundaries <= clips[:, None]


def word_head(config: ModelConfig) -> nn.Module:
    """Names hidden words from their tokens: (M, D) -> (M, vocabulary)."""
    return nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(config.width, config.width),
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.width, config.vocabulary),
    )

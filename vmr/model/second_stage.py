"""The second stage: co-attention over a window of clips and the words of a query -> moments.

    second_stage = SecondStage(MomentModel(second_stage_config(space)), space)
    second_stage.propose(windows, matches, query.vectors)         # Proposals; their score is a
    logit

The paper's network (network.py) in a small size. A row of its video is a clip's vector in the
shared space, how well it matches the query as a whole (the similarity curve of the first stage) and
its two parts ("a dog runs, then jumps"), and whether a shot ends in it; its words are GloVe
vectors. So the contrastive space does the coarse matching, and the network sees which words are
where, how the moment goes on, and where it ends. A candidate starts with how much better it matches
than what is around it (of two parts: one after the other, split where both match best); the network
says how far to depart from that.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vmr.model.localise import Proposal, smooth, snap
from vmr.model.network import ModelConfig, MomentModel, Output
from vmr.model.space import Space
from vmr.model.spans import nms
from vmr.model.windows import WINDOW, Window

Matches = NDArray[np.float32]
"(3, T): how well rows match a query as a whole, its first part and its second"

EXTRA_COLUMNS: Final = 5
"""Beside the clip's vector: its matches, whether a shot ends in the row, and where in it."""
CLIP_SCALE: Final = 16.0
"""Columns of a unit vector are small; brought to about the size of the other columns."""
MOVEMENT_SCALE: Final = 2.0
MATCH_SCALE: Final = 0.5
"""The same for columns of movements and of matches. Sizes of columns, not tuned."""
OUTSIDE: Final = 2
"""Rows right outside a candidate that it is compared with, on each side."""
OUTSIDE_SHARE: Final = 0.3
"""How much of their match counts against it: the line "no network: less .3" of
docs/EXPERIMENTS.md, "movements, and a second stage for questions in two parts"."""
_BATCH: Final = 24  # windows read at once
_READ: Final = 300  # candidates that suppression looks at
_SAME: Final = 0.6  # IoU above which two proposals are the same moment
_LONGEST: Final = 64  # words


def second_stage_config(space: Space, *, word_width: int = 50, width: int = 96) -> ModelConfig:
    """The `base` preset of the paper's network, for clips (E,) of a space."""
    return ModelConfig(
        feature_width=space.width - 1 + EXTRA_COLUMNS,
        word_width=word_width,
        clips=WINDOW,
        pool=1,
        width=width,
        heads=6,
        layers=6,
        feed_forward=2 * width,
        dropout=0.0,  # the noise of second_stage.py keeps it from learning by heart
        positions=WINDOW + 1 + _LONGEST,
        contrast=False,  # its inputs are in the shared space already
        spread=0.06,
        head_init="normal",  # the matches do the scoring at first, and a quiet head leaves them
    )


class SecondStage(nn.Module):
    """The network and how windows and words are put to it."""

    def __init__(self, network: MomentModel, space: Space) -> None:
        super().__init__()
        self.network = network
        self.space = space
        self.prior_scale = nn.Parameter(torch.tensor(2.0))
        self.prior_bias = nn.Parameter(torch.tensor(2.0))

    def forward(self, rows: Tensor, words: Tensor, mask: Tensor, clips: Tensor) -> Output:
        """The network's output for rows (B, T, W) of `window_rows`, with the matches in its logits.

        Args:
            words: (B, L, V), with their mask (B, L).
            clips: (B,) rows that are real.
        """
        output: Output = self.network(rows, words, mask, clips=clips)
        matches = rows[..., -EXTRA_COLUMNS : -EXTRA_COLUMNS + 3].transpose(1, 2) / MATCH_SCALE
        cells = self.network.candidates
        start, end = cells[cells[:, 1] <= rows.shape[1]].T  # (C,)
        expected = [
            _expected(match[:, :count], start.clamp(max=count), end.clamp(max=count))
            for match, count in zip(matches, clips.tolist(), strict=True)
        ]
        believed = self.prior_scale * torch.stack(expected) - self.prior_bias  # (B, C)
        return replace(output, logits=output.logits + believed)

    @torch.inference_mode()
    def propose(
        self,
        windows: Sequence[Window],
        matches: Sequence[Matches],
        words: NDArray[np.float32],
        *,
        keep: int = 5,
    ) -> list[list[Proposal]]:
        """The moments of each window, best first; their score is the network's logit.

        Args:
            windows: of up to 128 rows, clips (T, E) as retrieval.py makes them.
            matches: (3, T) of each.
            words: (L, W) vectors of the query's words.
        """
        found: list[list[Proposal]] = []
        for first in range(0, len(windows), _BATCH):
            some = windows[first : first + _BATCH]
            output = self._read(some, matches[first : first + _BATCH], words)
            spans, scores = output.spans.double().numpy(), output.logits.double().numpy()
            for i, window in enumerate(some):
                real, level = output.valid[i].numpy(), smooth(matches[first + i][0])
                seen = _seconds(spans[i][real], window), scores[i][real]
                found.append(_proposals(window, level, *seen, keep))
        return found

    def _read(
        self,
        windows: Sequence[Window],
        matches: Sequence[Matches],
        words: NDArray[np.float32],
    ) -> Output:
        """The network's output for windows of one query, padded to the longest."""
        lengths = torch.tensor([len(window.clips) for window in windows])
        rows = torch.zeros(len(windows), int(lengths.max()), self.network.config.feature_width)
        for i, (window, match) in enumerate(zip(windows, matches, strict=True)):
            rows[i, : len(window.clips)] = torch.from_numpy(window_rows(self.space, window, match))
        text = torch.from_numpy(words[:_LONGEST]).expand(len(windows), -1, -1)
        mask = torch.ones(text.shape[:2], dtype=torch.bool)
        output: Output = self(rows, text, mask, lengths)
        return output


def _expected(matches: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(C,) how well what lies between boundaries start and end (C,) matches, of matches (3, T).

    The mean inside, less a share of that right outside: a moment is better than what is around it.
    Where the query has two parts, inside is the first up to a boundary and the second from there
    on, at the boundary where both together are best.
    """
    count = matches.shape[1]
    sums = F.pad(matches.cumsum(1), (1, 0))  # (3, T + 1)

    def mean(part: int, since: Tensor, until: Tensor) -> Tensor:
        return (sums[part, until] - sums[part, since]) / (until - since).clamp(min=1)

    before = mean(1, (start - OUTSIDE).clamp(min=0), start)
    after = mean(2, end, (end + OUTSIDE).clamp(max=count))
    sides = (start > 0).float() + (end < count).float()
    outside = (before + after) / sides.clamp(min=1)
    if torch.equal(matches[1], matches[2]):
        return mean(0, start, end) - OUTSIDE_SHARE * outside
    edges = torch.arange(count + 1)
    length = edges[None] - edges[:, None]  # (T + 1, T + 1)
    means = (sums[1:, None] - sums[1:, :, None]) / length.clamp(min=1)  # (2, from, to)
    means = means.masked_fill(length < 1, -torch.inf)
    first, second = means[0, start], means[1, :, end].T  # (C, T + 1): up to each boundary, and from
    inside = ((first + second) / 2).amax(1).clamp(min=-9)  # a single row cannot be split
    return inside - OUTSIDE_SHARE * outside


def window_rows(space: Space, window: Window, matches: Matches) -> NDArray[np.float32]:
    """(T, E - 1 + EXTRA_COLUMNS): what the network reads of a window."""
    starts, ends = window.starts, window.ends
    cut = np.zeros((len(starts), 2), np.float32)
    inside = window.cuts[(window.cuts >= starts[0]) & (window.cuts < ends[-1])]
    row = np.searchsorted(starts, inside, side="right") - 1
    cut[row, 0] = 1
    cut[row, 1] = (inside - starts[row]) / np.maximum(ends[row] - starts[row], 1e-6)
    # Without the hub, which the matches have taken off already.
    seen = CLIP_SCALE * space.looks(window.clips)
    moves = MOVEMENT_SCALE * space.movements(window.clips)
    return np.concatenate([seen, moves, MATCH_SCALE * matches.T, cut], axis=1, dtype=np.float32)


def _seconds(spans: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Spans (P, 2) between places in rows -> seconds; offsets may point outside."""
    edges = np.append(window.starts, window.ends[-1])
    seconds: NDArray[np.float64] = np.interp(spans, np.arange(len(edges)), edges)
    return seconds


def _proposals(
    window: Window,
    level: NDArray[np.float32],
    spans: NDArray[np.float64],
    scores: NDArray[np.float64],
    keep: int,
) -> list[Proposal]:
    """The best and distinct ones of spans (P, 2) and their scores (P,)."""
    some = np.argsort(-scores, kind="stable")[:_READ]
    some = some[spans[some, 1] > spans[some, 0]]
    return [
        _proposal(spans[some[i]], float(scores[some[i]]), level, window)
        for i in nms(spans[some], scores[some], threshold=_SAME, keep=keep)
    ]


def _proposal(
    span: NDArray[np.float64], score: float, level: NDArray[np.float32], window: Window
) -> Proposal:
    start, end = snap(float(span[0]), float(span[1]), window.cuts)
    first = min(int(np.searchsorted(window.ends, start, side="right")), len(level) - 1)
    last = max(first, int(np.searchsorted(window.starts, end, side="left")) - 1)
    peak = first + int(level[first : last + 1].argmax())
    best = min(max(float(window.starts[peak] + window.ends[peak]) / 2, start), end)
    return Proposal(start, end, score, best)

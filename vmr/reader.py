"""The second stage: co-attention over a window of clips and the words of a query -> moments.

    reader = MomentReader(MomentModel(reader_config(clip_width=513)))
    reader.propose(windows, curves, query.vectors, others)  # Proposals; their score is a logit

The paper's network (model.py) in a small size. A row of its video is a clip's vector in the shared
space, how well it matches the query as a whole (the similarity curve of the first stage), and
whether a shot ends in it; its words are GloVe vectors. So the contrastive space does the coarse
matching, and the network sees which words are where, how the moment goes on, and where it ends.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vmr.localise import Proposal, smooth, snap
from vmr.model import ModelConfig, MomentModel, Output
from vmr.moments import iou, suppress
from vmr.windows import WINDOW, Window

EXTRA_COLUMNS: Final = 3
"""Beside the clip's vector: its match, whether a shot ends in the row, and where in it."""
CLIP_SCALE: Final = 16.0
"""Columns of a unit vector are small; brought to about the size of the other columns."""
MATCH_SCALE: Final = 0.5
_BATCH: Final = 24  # windows read at once
_READ: Final = 300  # candidates that suppression looks at
_SAME: Final = 0.6  # IoU above which two proposals are the same moment
_LONGEST: Final = 64  # words


def reader_config(clip_width: int, *, word_width: int = 50, width: int = 96) -> ModelConfig:
    """The `base` preset of the paper's network, for clips (E,) of the shared space."""
    return ModelConfig(
        feature_width=clip_width - 1 + EXTRA_COLUMNS,
        word_width=word_width,
        clips=WINDOW,
        pool=1,
        width=width,
        heads=6,
        layers=6,
        feed_forward=2 * width,
        dropout=0.0,  # the noise of reader_training.py keeps it from learning by heart
        positions=WINDOW + 1 + _LONGEST,
        contrast=False,  # its inputs are in the shared space already
        spread=0.06,
    )


class MomentReader(nn.Module):
    """The network and how windows and words are put to it."""

    def __init__(self, model: MomentModel) -> None:
        super().__init__()
        self.model = model

    @torch.inference_mode()
    def propose(
        self,
        windows: Sequence[Window],
        curves: Sequence[NDArray[np.float32]],
        words: NDArray[np.float32],
        others: Sequence[Sequence[Proposal]],
        *,
        keep: int = 5,
    ) -> list[list[Proposal]]:
        """Moments of each window: its own, best first, then `others`; score is the network's logit.

        Args:
            windows: of up to 128 rows, clips (T, E) as ranker.py makes them.
            curves: (T,) of each: how well its rows match the query.
            words: (L, W) vectors of the query's words.
            others: moments of each window that the network is to judge, too.
        """
        found: list[list[Proposal]] = []
        for first in range(0, len(windows), _BATCH):
            some = windows[first : first + _BATCH]
            output = self._read(some, curves[first : first + _BATCH], words)
            scores = output.logits.masked_fill(~output.valid, -torch.inf).double().numpy()  # (B, C)
            spans = output.spans.double().numpy()  # (B, C, 2)
            for i, window in enumerate(some):
                level = smooth(curves[first + i])
                real = np.isfinite(scores[i])
                seen = _seconds(spans[i][real], window), scores[i][real]
                own = _proposals(window, level, *seen, keep)
                found.append([*own, *_judged(others[first + i], *seen)])
        return found

    def _read(
        self,
        windows: Sequence[Window],
        curves: Sequence[NDArray[np.float32]],
        words: NDArray[np.float32],
    ) -> Output:
        """The network's output for windows of one query, padded to the longest."""
        lengths = torch.tensor([len(window.clips) for window in windows])
        rows = torch.zeros(len(windows), int(lengths.max()), self.model.config.feature_width)
        for i, (window, curve) in enumerate(zip(windows, curves, strict=True)):
            rows[i, : len(window.clips)] = torch.from_numpy(window_rows(window, curve))
        text = torch.from_numpy(words[:_LONGEST]).expand(len(windows), -1, -1)
        mask = torch.ones(text.shape[:2], dtype=torch.bool)
        output: Output = self.model(rows, text, mask, clips=lengths)
        return output


def window_rows(window: Window, curve: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, E - 1 + EXTRA_COLUMNS): what the network reads of a window."""
    starts, ends = window.starts, window.ends
    cut = np.zeros((len(starts), 2), np.float32)
    inside = window.cuts[(window.cuts >= starts[0]) & (window.cuts < ends[-1])]
    row = np.searchsorted(starts, inside, side="right") - 1
    cut[row, 0] = 1
    cut[row, 1] = (inside - starts[row]) / np.maximum(ends[row] - starts[row], 1e-6)
    unit = CLIP_SCALE * window.clips[:, :-1]  # the last column is the hub's, which the curve has
    return np.concatenate([unit, MATCH_SCALE * curve[:, None], cut], axis=1, dtype=np.float32)


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
        for i in suppress(spans[some], scores[some], threshold=_SAME, keep=keep)
    ]


def _judged(
    others: Sequence[Proposal], spans: NDArray[np.float64], scores: NDArray[np.float64]
) -> list[Proposal]:
    """The same moments with the score of the candidate that fits each best."""
    if not others:
        return []
    overlap = iou([(moment.start, moment.end) for moment in others], spans)  # (M, P)
    fitting = overlap.argmax(axis=1)
    return [
        replace(moment, score=float(scores[i])) for moment, i in zip(others, fitting, strict=True)
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

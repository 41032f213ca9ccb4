"""Where each word of a query looked while the second stage read a window: for "why this moment".

    looked = attention(model, window, query)       # (L, T); a row of it sums to 1
    looked[0].argmax()                              # the row at which the first word looked most

A word's attention is a mean over all heads and over all blocks in which words look at the video. It
shows where the network looked, which is not the same as what decided.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import window_rows
from vmr.model.text import Query
from vmr.model.windows import Window


@torch.inference_mode()
def attention(model: RetrievalModel, window: Window, query: Query) -> NDArray[np.float64]:
    """(L, T): the share of each word's attention that fell on each row of the window.

    Words beyond what the network reads have no line.

    Raises:
        ValueError: these weights have no second stage.
    """
    if model.second_stage is None:
        raise ValueError("these weights have no second stage: no word looks anywhere")
    network = model.second_stage.network
    matches = model.matches(window.clips, query)
    rows = torch.from_numpy(window_rows(window, matches))[None]  # (1, T, W)
    words = torch.from_numpy(query.vectors[: network.config.longest_text])[None]  # (1, L, V)
    mask = torch.ones(words.shape[:2], dtype=torch.bool)
    maps = network.attention_maps(rows, words, mask)  # (blocks, 1, H, L, T + 1)
    return between(maps.mean(dim=(0, 2))[0].double().numpy())


def between(boundaries: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L, T + 1) of boundaries -> (L, T) of the rows between them, each line summing to 1.

    A row has the mean of the boundaries on its two sides, so that attention without a preference
    stays without one: adding up shares would favour the first and the last row.
    """
    rows = boundaries[:, :-1] + boundaries[:, 1:]
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))

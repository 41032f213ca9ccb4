"""Captions as queries of the text encoder: looked up once each, and padded to batches.

captions = Captions(words)
encoded(towers, [captions["a dog"], captions["two men on a bench"]])    # (2, E)
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmr.model.text import Query, QueryError, Words
from vmr.model.towers import Towers


class Captions:
    """Captions as queries, looked up once each: a training run reads them many times."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._known: dict[str, Query] = {}

    def __getitem__(self, text: str) -> Query:
        if text not in self._known:
            try:
                self._known[text] = self._words.query(text)
            except QueryError:  # three captions have no known word; they read as one zero vector
                nothing = np.zeros((1, self._words.width), dtype=np.float32)
                self._known[text] = Query(text, ("",), nothing)
        return self._known[text]

    def counts(self, texts: Iterable[str]) -> Counter[str]:
        """The number of captions, of those given, that each word is in."""
        return Counter(word for text in texts for word in set(self[text].words))


def pad(queries: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Queries of (l, W) word vectors each as one batch (B, L, W), and its mask (B, L): True where
    there is a word."""
    longest = max(len(query) for query in queries)
    words = torch.zeros(len(queries), longest, queries[0].shape[1])
    mask = torch.zeros(len(queries), longest, dtype=torch.bool)
    for i, query in enumerate(queries):
        words[i, : len(query)] = torch.from_numpy(query)
        mask[i, : len(query)] = True
    return words, mask


def encoded(towers: Towers, queries: Sequence[Query]) -> Tensor:
    """The vectors (B, E) of queries in the shared space, of unit length."""
    own = towers.own([query.words for query in queries])
    return towers.encode_text(*pad([query.vectors for query in queries]), own)

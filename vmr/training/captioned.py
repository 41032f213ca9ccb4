"""Captions as queries of the text encoder: looked up once each, and padded to batches.

captions = Captions(words, Meanings(SentenceEncoder.load(), Path("cache")))
captions.encoded(towers, [captions["a dog"], captions["two men on a bench"]])    # (2, E)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from feature_extract.files import replacing
from vmr.model.sentence import WIDTH, SentenceEncoder
from vmr.model.text import Query, QueryError, Words
from vmr.model.towers import Towers
from vmr.research.processes import ALONE, Processes


class Meanings:
    """Sentence vectors, encoded once each and kept in a cache for the next run."""

    def __init__(self, encoder: SentenceEncoder, cache: Path) -> None:
        self.encoder = encoder
        self._file = cache / f"sentences-{encoder.fingerprint}.npz"
        self._places: dict[str, int] = {}
        self._vectors = np.zeros((0, WIDTH), np.float16)
        if self._file.is_file():
            with np.load(self._file, allow_pickle=False) as kept:
                self._places = {text: place for place, text in enumerate(kept["texts"].tolist())}
                self._vectors = kept["vectors"]

    def learn(self, texts: Iterable[str]) -> None:
        """Encode those that are new, and keep them."""
        new = [text for text in dict.fromkeys(texts) if text not in self._places]
        if new:
            self._add(new)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._file, sync=False) as draft, draft.open("wb") as file:
                np.savez(file, texts=np.array(list(self._places)), vectors=self._vectors)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, S) of N sentences."""
        new = [text for text in dict.fromkeys(texts) if text not in self._places]
        if new:
            self._add(new)
        return self._vectors[[self._places[text] for text in texts]].astype(np.float32)

    def _add(self, new: Sequence[str]) -> None:
        self._places |= {text: len(self._places) + place for place, text in enumerate(new)}
        self._vectors = np.concatenate([self._vectors, self.encoder(new).astype(np.float16)])


class Captions:
    """Captions as queries, looked up once each: a training run reads them many times."""

    def __init__(self, words: Words, meanings: Meanings | None = None) -> None:
        """`meanings` of the captions as wholes; None: towers read words alone."""
        self.words = words
        self.meanings = meanings
        self._known: dict[str, Query] = {}

    def __getitem__(self, text: str) -> Query:
        if text not in self._known:
            try:
                self._known[text] = self.words.query(text)
            except QueryError:  # three captions have no known word; they read as one zero vector
                nothing = np.zeros((1, self.words.width), dtype=np.float32)
                self._known[text] = Query(text, ("",), nothing)
        return self._known[text]

    def counts(self, texts: Iterable[str]) -> Counter[str]:
        """The number of captions, of those given, that each word is in."""
        return Counter(word for text in texts for word in set(self[text].words))

    def encoded(
        self,
        towers: Towers,
        queries: Sequence[Query],
        unread: float = 0.0,
        place: Processes = ALONE,
    ) -> Tensor:
        """The vectors (B, E) of queries in the shared space, of unit length.

        Args:
            unread: the share of them that is read word by word, drawn at random.
            place: whose processes share them; each gets all vectors.
        """
        count, queries = len(queries), queries[place.part]
        own = towers.own([query.words for query in queries])
        sentences = None
        if self.meanings is not None:
            read = self.meanings([query.text for query in queries])
            sentences = torch.from_numpy(read) * (torch.rand(len(read), 1) >= unread)
        words, mask = pad([query.vectors for query in queries])
        return place.gathered(towers.encode_text(words, mask, own, sentences), count)


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

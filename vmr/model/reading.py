"""A question -> its query vector: the one place where words become a vector of the space.

    reader = QuestionReader(words, towers, space, names=names, movements=movements, encoder=encoder)
    query = reader.query("a dog on a beach")        # its words
    reader.vector(query)                            # (E,)

A question is its words, in order, and, where the sentence encoder is installed, what it means as a
whole. A long one (a pasted paragraph) is read sentence by sentence: its vector is their mean, to
which a sentence gives less the more it repeats what was said before, and less if it hardly says
anything.
"""

import logging
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.model.movements import Movements, names_nothing_else
from vmr.model.names import Names
from vmr.model.sentence import SentenceEncoder, SentenceError
from vmr.model.space import Space, Vector
from vmr.model.text import Query, Words
from vmr.model.towers import Towers
from vmr.model.weights import ModelError

logger = logging.getLogger(__name__)

# Query vectors: a page asks the same words for results, strips and windows.
_REMEMBERED: Final = 256
_TELLING: Final = 4  # words that show something, from which on a sentence has its whole weight
_LEAST: Final = 0.05  # weight of a sentence that repeats all or says nothing


class QuestionReader:
    """Reads questions; remembers the vectors of the last few. Thread-safe."""

    def __init__(
        self,
        words: Words,
        towers: Towers,
        space: Space,
        *,
        names: Names | None = None,
        movements: Movements | None = None,
        encoder: SentenceEncoder | None = None,
    ) -> None:
        """`encoder`: None reads questions word by word."""
        self.words, self.encoder = words, encoder
        self._towers, self._space = towers, space
        self._names, self._movements = names, movements
        self._remembered: dict[tuple[str, tuple[str, ...]], Vector] = {}
        named = () if names is None else names.words
        self.taught = frozenset(
            word for text in (towers.config.learned, *named) for word in text.split()
        )
        """Words that captions have often, or that are in a name of what is seen."""

    def query(self, text: str) -> Query:
        """The words of a question, with their vectors.

        Raises:
            QueryError: no word of it is known, or none shows anything; or it is no question.
        """
        return self.words.query(text)

    def vector(self, query: Query) -> Vector:
        """(E,): a unit vector, the names and movements in it, and 1; of a movement alone only that.

        Raises:
            ModelError: the word vectors are not of the width that the model was trained on.
        """
        trained = self._towers.config.word_width
        if query.vectors.shape[1] != trained:
            raise ModelError(
                f"word vectors of width {query.vectors.shape[1]}, but the weights were trained "
                f"with width {trained}: drop --words, or train weights for them"
            )
        key = query.text, query.words
        vector = self._remembered.get(key)
        if vector is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            vector = self._of_many(query.sentences) if query.sentences else self._of_one(query)
            self._remembered[key] = vector
        return vector

    @torch.inference_mode()
    def _of_one(self, query: Query) -> Vector:
        words = torch.from_numpy(query.vectors)[None]  # (1, L, W)
        mask = torch.ones(words.shape[:2], dtype=torch.bool)  # (1, L)
        own = self._towers.own([query.words])  # (1, L)
        sentence = None  # (1, S)
        if self.encoder is not None:
            sentence = torch.from_numpy(self.encoder([query.text]))
        unit = self._towers.encode_text(words, mask, own, sentence)[0].numpy()
        named = moved = np.zeros(0, np.float32)
        if self._names:
            named = self._names.query_columns(query.words)
        if self._movements:
            moved = self._movements.query_columns(query.words)
            if names_nothing_else(query.words):  # "zooms out": whatever is seen
                return self._space.join(0 * unit, 0 * named, moved, 0.0)
        return self._space.join(unit, named, moved, 1.0)

    def _of_many(self, sentences: tuple[Query, ...]) -> Vector:
        vectors = np.stack([self.vector(sentence) for sentence in sentences])  # (N, E)
        mean = sentence_weights(self._space.shared(vectors), sentences) @ vectors
        shared = self._space.shared(mean)
        shared /= max(float(np.linalg.norm(shared)), 1e-6)
        self._space.hub(mean)[...] = 1
        return np.asarray(mean, np.float32)


def sentence_weights(
    shared: NDArray[np.float32], sentences: tuple[Query, ...]
) -> NDArray[np.float32]:
    """(N, E) unit vectors of sentences -> (N,), adding up to 1: what each counts for."""
    alike = np.tril(shared @ shared.T, -1)  # with those before it
    new = 1 - np.clip(alike.max(1), 0, 1)
    says = [min(1.0, sentence.telling / _TELLING) for sentence in sentences]
    weight = np.maximum(new * np.array(says), _LEAST)
    return np.asarray(weight / weight.sum(), np.float32)


def encoder_of(fingerprint: str | None) -> tuple[SentenceEncoder | None, str]:
    """The encoder that weights were trained with, by its fingerprint, or why there is none: the
    weights read words alone, too."""
    if fingerprint is None:
        return None, ""
    if fingerprint != SentenceEncoder.fingerprint:
        raise ModelError(f"made for the sentence encoder {fingerprint}, which is not to be had")
    try:
        return SentenceEncoder.load(), ""
    except SentenceError as error:
        logger.info("questions are read word by word: %s", error)
        return None, str(error)

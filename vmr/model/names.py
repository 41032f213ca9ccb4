"""The names of what the classifier knows, in columns of their own beside the shared space.

    names = class_codes(times)                  # concepts.py; a trained model has them already
    clips[:, E:] = names.clip_columns(chances)          # (T, C)
    query[E:] = names.query_columns(("a", "lion"))       # (C,)

Captions teach the shared space what their words look like, and nothing about a word they seldom
use, although the classifier may be sure of what it names. So a query that names a class has a share
of its score from the classifier alone: the more, the fewer captions use the word. Classes have
random codes of a few columns (nearly orthogonal), so that one inner product stays the whole score.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LONGEST: Final = 3
"""Words of a name."""


class Names:
    """Codes of the classes and of the words that name them."""

    def __init__(
        self, codes: NDArray[np.float32], words: Sequence[str], table: NDArray[np.float32]
    ) -> None:
        self.codes = codes
        "(classes, C)"
        self.words = tuple(words)
        "K names, of up to three words each"
        self.table = table
        "(K, C): what each adds to a query"
        self._place = {name: place for place, name in enumerate(self.words)}

    @property
    def width(self) -> int:
        """C."""
        return int(self.codes.shape[1])

    def clip_columns(self, probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, classes) that add up to 1 -> (T, C)."""
        return np.asarray(np.sqrt(probs) @ self.codes)

    def query_columns(self, words: Sequence[str]) -> NDArray[np.float32]:
        """(C,) of a query's words: every name that is in it, "golf ball" as well as "ball"."""
        total = np.zeros(self.width, np.float32)
        for length in range(1, LONGEST + 1):
            for first in range(len(words) - length + 1):
                place = self._named(words[first : first + length])
                if place is not None:
                    total += self.table[place]
        return total

    def _named(self, words: Sequence[str]) -> int | None:
        name = " ".join(words)
        return self._place.get(name, self._place.get(name.removesuffix("s")))

"""Feature rows with a planted answer, for real annotation files whose features are not at hand.

    python -m benchmarks.planted TACoS/train.json TACoS/val.json --out planted.hdf5

Each sentence becomes one unit vector: the mean of its words' GloVe vectors (weighted by rarity, so
that "the" says little), minus the mean sentence, turned by a fixed random rotation into the row
space. Every row of the sentence's true span gets that vector added; then every row of the video
gets Gaussian noise whose length is `noise` on average. A row under several sentences carries their
sum, and a sentence that is true of two spans is planted in both, so the task keeps the ambiguities
of the real annotations. Nothing of a picture is in it: it proves that a network can learn to find
spans by words, not how well it would do on video.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from vmr.annotations import AnnotatedQuery, read_annotations
from vmr.data import tokens
from vmr.text import Words

Rows = NDArray[np.float32]


class Planter:
    """Turns sentences into rows; the same sentence always gives the same vector."""

    def __init__(
        self, queries: Sequence[AnnotatedQuery], words: Words, *, width: int, seed: int = 0
    ) -> None:
        if width < words.width:
            raise ValueError(f"rows of {width} columns cannot hold {words.width}-d word vectors")
        self._words = words
        sentences = {query.sentence for query in queries}
        self._counts = Counter(word for text in sentences for word in set(tokens(text)))
        self._sentences = len(sentences)
        self._mean = np.zeros(words.width, np.float32)
        self._mean = np.mean([self._content(text) for text in sorted(sentences)], axis=0)
        noise = np.random.default_rng(seed).standard_normal((width, width))
        self._turn = np.linalg.qr(noise)[0][: words.width].astype(np.float32)  # (W, width)

    def sentence(self, text: str) -> Rows:
        """The unit vector of a sentence, (width,)."""
        vector: Rows = self._content(text) @ self._turn
        vector /= max(float(np.linalg.norm(vector)), 1e-6)
        return vector

    def video(
        self, queries: Sequence[AnnotatedQuery], *, rate: float, noise: float, seed: int
    ) -> Rows:
        """Rows of one video, `rate` a second, from all queries about it: (T, width)."""
        count = max(1, round(queries[0].duration * rate))
        width = self._turn.shape[1]
        generator = np.random.default_rng(seed)
        rows: Rows = generator.standard_normal((count, width)).astype(np.float32)
        rows *= noise / width**0.5
        middles = (np.arange(count) + 0.5) / rate
        for query in queries:
            for start, end in query.spans:
                rows[(middles >= start) & (middles < end)] += self.sentence(query.sentence)
        return rows

    def _content(self, text: str) -> Rows:
        names = tokens(text)
        rarity = np.log([self._sentences / max(1, self._counts[name]) for name in names])
        vectors = self._words.lookup(names) * rarity[:, None]
        return (vectors.sum(0) / max(rarity.sum(), 1e-6) - self._mean).astype(np.float32)


def plant(
    files: Sequence[str], out: Path, *, width: int, rate: float, noise: float, words: Words
) -> int:
    """Write one HDF5 file in TACoS' key style for all videos of the files; returns their number."""
    queries = [query for file in files for query in read_annotations(file).queries]
    planter = Planter(queries, words, width=width)
    videos: dict[str, list[AnnotatedQuery]] = {}
    for query in queries:
        videos.setdefault(query.video, []).append(query)
    with h5py.File(out, "w") as file:
        for seed, (video, about) in enumerate(videos.items()):
            file[video] = planter.video(about, rate=rate, noise=noise, seed=seed)
    return len(videos)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="feature rows with planted answers")
    parser.add_argument("annotations", nargs="+", help="annotation files to share one feature file")
    parser.add_argument("--out", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--width", type=int, default=64, help="columns (default: 64)")
    parser.add_argument("--rate", type=float, default=1.0, help="rows a second (default: 1)")
    parser.add_argument("--noise", type=float, default=1.0, help="noise length, sentence = 1")
    arguments = parser.parse_args()
    count = plant(
        arguments.annotations,
        arguments.out,
        width=arguments.width,
        rate=arguments.rate,
        noise=arguments.noise,
        words=Words.load(),
    )
    print(f"{arguments.out}: {count} videos")


if __name__ == "__main__":
    main()

"""Feature rows with a planted answer, for real annotation files whose features are not at hand.

    python -m experiments.planted ActivityNet/train.json ActivityNet/val.json --out planted
    python -m experiments.planted TACoS/train.json TACoS/val.json --out planted --split-passes

Each sentence becomes one unit vector: the mean of its words' GloVe vectors (weighted by rarity, so
that "the" says little), whitened over all sentences, turned by a fixed random rotation into the row
space. Every row of the sentence's true span gets that vector added; then every row of the video
gets Gaussian noise whose length is `noise` on average. A row under several sentences carries their
sum, and a sentence that is true of two spans is planted in both, so the task keeps the ambiguities
of the real annotations. Nothing of a picture is in it: it proves that a network can learn to find
spans by words, not how well it would do on video.

TACoS has some twenty annotators a video, whose 130 sentences would lie on top of each other: with
all of them in one video, even a matched filter that knows the planted vectors puts only 9 % of its
first answers at IoU > .5. `--split-passes` gives each annotator's pass (times that start again from
the front) a video of its own, and writes annotation files that say so.

With `--filter 128`, a matched filter that knows every planted vector also answers, on the rows as a
network of 128 clips gets them: it takes the run of clips whose similarity to the sentence exceeds a
level by most. That is what the planted rows give away to whoever knows the sentence's vector but
nothing of the other sentences; not a bound, since a network can learn which sentences look alike.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from vmr.model.network import ModelConfig
from vmr.model.spans import iou
from vmr.model.text import Words
from vmr.research.annotations import AnnotatedQuery, read_annotations
from vmr.research.data import DataConfig, prepare_rows, tokens
from vmr.research.rows import open_rows

Rows = NDArray[np.float32]
SAMPLED = 256  # rows that both presets bring a video to before they pool them to clips
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)  # of the matched filter; rows have unit length


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
        contents = np.stack([self._content(text) for text in sorted(sentences)])
        self._mean = contents.mean(0)
        # Mean word vectors differ little between sentences; whitening makes them tell apart.
        values, axes = np.linalg.eigh(np.cov((contents - self._mean).T))
        whiten = axes / np.sqrt(np.maximum(values, 0) + 1e-3 * values.max())
        noise = np.random.default_rng(seed).standard_normal((width, width))
        self._turn = (whiten @ np.linalg.qr(noise)[0][: words.width]).astype(np.float32)

    def sentence(self, text: str) -> Rows:
        """The unit vector of a sentence, (width,)."""
        vector: Rows = (self._content(text) - self._mean) @ self._turn
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
        mean: Rows = (vectors.sum(0) / max(rarity.sum(), 1e-6)).astype(np.float32)
        return mean


def plant(
    queries: Sequence[AnnotatedQuery],
    out: Path,
    *,
    width: int,
    rate: float,
    noise: float,
    words: Words,
) -> int:
    """Write rows of every query's video, in TACoS' HDF5 style; returns the number of videos."""
    planter = Planter(queries, words, width=width)
    videos: dict[str, list[AnnotatedQuery]] = {}
    for query in queries:
        videos.setdefault(query.video, []).append(query)
    with h5py.File(out, "w") as file:
        for seed, (video, about) in enumerate(videos.items()):
            file[video] = planter.video(about, rate=rate, noise=noise, seed=seed)
    return len(videos)


def best_run(similar: Rows, level: float) -> tuple[int, int]:
    """The run [first, last) that exceeds `level` by most in total, of similarities (N,)."""
    sums = np.concatenate([[0.0], np.cumsum(similar - level)])  # (N + 1,)
    lowest = np.minimum.accumulate(sums)[:-1]
    last = int((sums[1:] - lowest).argmax()) + 1
    return int(sums[:last].argmin()), last


def matched_filter(
    queries: Sequence[AnnotatedQuery], features: Path, planter: Planter, clips: int
) -> dict[float, float]:
    """Share of the queries that the matched filter answers at IoU > .5, by its level."""
    source = open_rows(features)
    right = dict.fromkeys(LEVELS, 0)
    for query in queries:
        rows = source.rows(query.video)
        model = ModelConfig(feature_width=rows.shape[1], clips=clips, pool=SAMPLED // clips)
        prepared = prepare_rows(rows, model, DataConfig()).rows
        pooled = prepared.reshape(clips, model.pool, -1).mean(1)  # (N, W)
        similar = pooled @ planter.sentence(query.sentence)
        for level in LEVELS:
            found = np.array([best_run(similar, level)]) / clips * query.duration
            right[level] += bool(iou(found, np.array(query.spans)).max() > 0.5)
    return {level: right[level] / len(queries) for level in LEVELS}


def split_passes(queries: Sequence[AnnotatedQuery]) -> list[AnnotatedQuery]:
    """Queries whose video name counts how often the times of that video started again."""
    passes: Counter[str] = Counter()
    latest: dict[str, float] = {}
    found = []
    for query in queries:
        start = query.spans[0][0]
        passes[query.video] += start < latest.get(query.video, 0.0)
        latest[query.video] = start
        found.append(replace(query, video=f"{query.video} pass {passes[query.video]}"))
    return found


def as_json_line(query: AnnotatedQuery) -> str:
    """A line that `read_annotations` takes."""
    return json.dumps(
        {
            "id": query.id,
            "video": query.video,
            "query": query.sentence,
            "duration": query.duration,
            "moments": query.spans,
        }
    )


def main() -> None:
    """Write OUT/features.hdf5 and, for each annotation file, OUT/NAME.jsonl."""
    parser = argparse.ArgumentParser(description="feature rows with planted answers")
    parser.add_argument("annotations", nargs="+", help="annotation files to share one feature file")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--width", type=int, default=64, help="columns (default: 64)")
    parser.add_argument("--rate", type=float, default=1.0, help="rows a second (default: 1)")
    parser.add_argument("--noise", type=float, default=1.0, help="noise length, sentence = 1")
    parser.add_argument("--split-passes", action="store_true", help="one video per annotator")
    parser.add_argument("--filter", type=int, help="also score a matched filter on so many clips")
    parser.add_argument("--videos", type=int, help="only so many videos of each file")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files: dict[Path, list[AnnotatedQuery]] = {}
    for name in options.annotations:
        annotations = read_annotations(name)
        queries = list(annotations.queries)
        if options.split_passes:
            queries = split_passes(queries)
        kept = set(list(dict.fromkeys(query.video for query in queries))[: options.videos])
        queries = [query for query in queries if query.video in kept]
        file = options.out / f"{Path(name).stem}.jsonl"
        file.write_text("".join(as_json_line(query) + "\n" for query in queries))
        print(f"{file}: {len(queries)} queries, {len(kept)} videos")
        files[file] = queries
    planted = [query for queries in files.values() for query in queries]
    features = options.out / "features.hdf5"
    sizes = {"width": options.width, "rate": options.rate, "noise": options.noise}
    print(f"{features}: {plant(planted, features, words=Words.load(), **sizes)} videos")
    if options.filter:
        planter = Planter(planted, Words.load(), width=options.width)
        for file, queries in files.items():
            shares = matched_filter(queries, features, planter, options.filter)
            level, share = max(shares.items(), key=lambda item: item[1])
            print(f"{file}: matched filter R@1 IoU>0.5 {100 * share:.2f} (its best level {level})")


if __name__ == "__main__":
    main()

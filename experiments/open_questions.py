"""Planted sets for what the paper leaves open: lengths, unseen words, and very short moments.

    python -m experiments.open_questions lengths ActivityNet/train.json --out lengths
    python -m experiments.open_questions short ActivityNet/train.json --out short
    python -m experiments.open_questions growth --set model.width=64 --set model.heads=4
    python -m vmr ablate --suite vtc,equal --annotations lengths/train.jsonl ...

Sentences are those of an annotation file; videos, times and rows are made up (planted.py says how a
sentence gets into rows). Both write train, validation and test.jsonl, of different videos, and one
features.hdf5.

lengths: videos of 10 to 1,000 rows, queries of 3 to 60 words (sentences strung together, and cut),
both spread evenly over the logarithm. One word in ten, by a hash, is taken out of the training and
validation queries wherever it stands, so that the test queries that have one ask in words never
seen in training. A moment takes a tenth to two fifths of its video.

short: videos of 2,560 rows, ten times what a preset's network reads, and moments of a hundredth of
that.

growth: no data; arithmetic, time and kept activations of the encoders at equal parameters and equal
arithmetic, over lengths of video and query, as `ablate` prints them, of a preset with changes.
"""

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.planted import as_json_line, plant
from vmr.model.text import Words
from vmr.research.ablation import TYPICAL_WORDS, growth_table, scaling, variants
from vmr.research.annotations import AnnotatedQuery, read_annotations
from vmr.research.cost import sizes
from vmr.research.data import tokens
from vmr.research.preset import load_preset

VIDEO_ROWS, QUERY_WORDS = (10, 1000), (3, 60)
LONG_ROWS, SHORT_SHARE = 2560, 0.01
QUERIES = 4  # about a video
SPLITS = {"train": 0.7, "validation": 0.1, "test": 0.2}


def unseen(word: str) -> bool:
    """Whether a word is held out of training: one in ten."""
    return zlib.crc32(word.encode()) % 10 == 0


def evenly(generator: np.random.Generator, bounds: tuple[int, int]) -> int:
    """A whole number within bounds, spread evenly over the logarithm."""
    low, high = np.log(bounds)
    return round(float(np.exp(generator.uniform(low, high))))


def made(
    kind: str, split: str, videos: int, sentences: Iterator[list[str]], seed: int
) -> Iterator[AnnotatedQuery]:
    """Queries about made-up videos, one row a second."""
    generator = np.random.default_rng(seed)
    for video in range(videos):
        rows = LONG_ROWS if kind == "short" else evenly(generator, VIDEO_ROWS)
        for number in range(QUERIES):
            share = SHORT_SHARE if kind == "short" else generator.uniform(0.1, 0.4)
            length = max(1.0, share * rows)
            start = float(generator.uniform(0, rows - length))
            words = next(sentences)
            if kind == "lengths":
                wanted = evenly(generator, QUERY_WORDS)
                while len(words) < wanted:
                    words = words + next(sentences)
                words = words[:wanted]
                if split != "test":
                    words = [word for word in words if not unseen(word)] or ["something"]
            name = f"{split}-{video}"
            span = (start, start + length)
            yield AnnotatedQuery(f"{name}-{number}", name, float(rows), " ".join(words), (span,))


def main() -> None:
    """Make a planted set, or print how costs grow."""
    parser = argparse.ArgumentParser(description="planted sets for the open questions")
    kinds = parser.add_subparsers(dest="kind", required=True)
    growth = kinds.add_parser("growth")
    growth.add_argument("--preset", default="tacos")
    growth.add_argument("--set", action="append", default=[], dest="changes")
    for kind in ("lengths", "short"):
        _add_planted(kinds.add_parser(kind))
    options = parser.parse_args()
    if options.kind == "growth":
        compared = variants("equal", load_preset(options.preset, options.changes))
        for variant in compared:
            parameters, arithmetic = sizes(variant.preset.model, words=TYPICAL_WORDS)
            print(
                f"{variant.name}: width {variant.preset.model.width}, {parameters:,} parameters, "
                f"{arithmetic / 1e6:.1f} MFLOPs"
            )
        print(growth_table(scaling(compared)))
    else:
        write(options)


def _add_planted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("annotations", help="file whose sentences are used")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=3000, help="over all splits (default: 3000)")
    parser.add_argument("--width", type=int, default=64, help="columns (default: 64)")
    parser.add_argument("--noise", type=float, default=1.0, help="noise length, sentence = 1")


def write(options: argparse.Namespace) -> None:
    """Write the three splits and their rows."""
    options.out.mkdir(parents=True, exist_ok=True)
    texts = [tokens(query.sentence) for query in read_annotations(options.annotations).queries]
    order = np.random.default_rng(0).permutation(len(texts))
    sentences = (texts[place] for _ in iter(int, 1) for place in order)
    planted = []
    for seed, (split, share) in enumerate(SPLITS.items()):
        videos = round(options.videos * share)
        queries = list(made(options.kind, split, videos, sentences, seed))
        file = options.out / f"{split}.jsonl"
        file.write_text("".join(as_json_line(query) + "\n" for query in queries), encoding="utf-8")
        print(f"{file}: {len(queries)} queries, {videos} videos")
        planted += queries
    sizes = {"width": options.width, "rate": 1.0, "noise": options.noise}
    features = options.out / "features.hdf5"
    print(f"{features}: {plant(planted, features, words=Words.load(), **sizes)} videos")


if __name__ == "__main__":
    main()

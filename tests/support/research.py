"""A research set in miniature with a planted answer: annotations, features, a preset."""

import json
from pathlib import Path

from experiments.planted import plant
from tests.support.planted import packaged_words
from vmr.model.network import ModelConfig
from vmr.research.annotations import read_annotations
from vmr.research.data import MomentData, build_vocabulary
from vmr.research.preset import Preset, load_preset
from vmr.research.rows import open_rows
from vmr.research.run import fit_vocabulary

SMALL = ModelConfig(
    feature_width=12,
    word_width=6,
    vocabulary=9,
    clips=16,
    pool=1,
    width=16,
    heads=4,
    layers=2,
    positions=30,
    dropout=0.0,
)
"""Of the network, for tests that look at its numbers."""
SENTENCES = (
    *("a dog runs on the beach", "two children play football", "she cuts an onion"),
    *("a plane takes off", "he plays the guitar", "a cat sleeps on the sofa"),
    *("the train arrives", "fire burns in the forest"),
)
CHANGES = (
    *("dataset=jsonl", "model.feature_width=50", "model.word_width=50", "model.clips=16"),
    *("model.pool=2", "model.width=32", "model.heads=4", "model.layers=2", "model.positions=40"),
    *("contrast.queue=32", "train.batch=4", "train.rate=2e-3", "train.epochs=2"),
)


def write_set(folder: Path) -> None:
    """Four videos of 32 s with two moments each: set.jsonl and features.h5."""
    file, features = folder / "set.jsonl", folder / "features.h5"
    lines = [
        {
            "video": f"v{number // 2}",
            "query": sentence,
            "duration": 32.0,
            "moments": [[2 + 2 * (number % 3), 10] if number % 2 else [14, 22 + 2 * (number % 4)]],
        }
        for number, sentence in enumerate(SENTENCES)
    ]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    queries = read_annotations(file).queries
    plant(queries, features, width=50, rate=1.0, noise=0.3, words=packaged_words())


def open_set(folder: Path, *changes: str) -> tuple[Preset, MomentData, tuple[str, ...]]:
    """Preset, data and vocabulary of the set in `folder`, which is written at the first call."""
    file, features = folder / "set.jsonl", folder / "features.h5"
    if not file.exists():
        write_set(folder)
    annotations = read_annotations(file)
    vocabulary = build_vocabulary(annotations.queries)
    preset = fit_vocabulary(load_preset("tacos", [*CHANGES, *changes]), vocabulary)
    source, words = open_rows(features), packaged_words()
    data = MomentData(annotations, source, words, preset.model, preset.data, vocabulary)
    return preset, data, vocabulary

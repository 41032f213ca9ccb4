"""Captions find pictures by C3D rows alone: what the motion network knows of how things look.

    python -m experiments.c3d_captions --data DIR --cache DIR --split test [--films DIR]

Flickr8k's pictures stand still for two seconds before c3d-small; the shared space is trained on its
rows as `train base` trains it on those of the appearance network, with words' own vectors and no
other set. What the appearance row reaches is benchmarks/accuracy.py's. `--films` asks composed
films (benchmarks/composed.py) with this space and the shipped movements: C3D alone, moments read
off the curve, nothing calibrated.
"""

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from benchmarks.composed import search_with
from feature_extract.clips import ClipNetwork
from feature_extract.files import replacing
from feature_extract.motion import (
    BATCH,
    RATE,
    load_motion,
    motion_fingerprint,
    motion_frames,
    with_ones,
)
from vmr.model.retrieval import RetrievalModel
from vmr.model.strength import Calibration
from vmr.model.text import Words
from vmr.model.towers import Towers, TowersConfig
from vmr.training.assemble import MAIN, asked_for, training_captions
from vmr.training.base import BaseConfig, Run, train_epoch
from vmr.training.captioned import Captions
from vmr.training.matching import text_to_picture
from vmr.training.pictures import Pictures, load_pictures, squashed_pictures


def main() -> None:
    """Print recall after every epoch on the split."""
    parser = argparse.ArgumentParser(prog="python -m experiments.c3d_captions", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--split", choices=["dev", "test"], required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--films", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    words, pictures = Words.load(), seen_by_c3d(options.data, options.cache)
    towers = captioned_towers(words, pictures, options.epochs)
    print(text_to_picture(towers, Captions(words), pictures, options.split))
    if options.films:
        search_with(C3DAlone(towers, words, pictures), options.films)


class C3DAlone(RetrievalModel):
    """A model that reads of a library's rows what C3D saw, and nothing else."""

    def __init__(self, towers: Towers, words: Words, pictures: Pictures) -> None:
        self._shipped = RetrievalModel.load()
        unrelated = self._seen(towers, pictures.rows[pictures.of("train"), 0])
        super().__init__(
            words,
            towers,
            torch.from_numpy(unrelated),
            asked_for(towers, Captions(words), [pictures], ()),
            Calibration(1, 0, 0.25, 0.75),
            words.fingerprint,
            hashlib.sha256(unrelated.tobytes()).hexdigest()[:12],
            movements=self._shipped.movements,
        )

    @property
    def blocks(self) -> dict[str, int]:
        """As RetrievalModel's."""
        return self._shipped.blocks

    def encode_clips(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """As RetrievalModel's, of the C3D columns alone."""
        looks = sum(self._shipped.towers.config.blocks.values())
        return self._without_hubs(self._seen(self.towers, rows[:, looks:]))

    @torch.inference_mode()
    def _seen(self, towers: Towers, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        assert self._shipped.movements is not None
        unit = towers.encode_video(torch.from_numpy(np.asarray(rows, np.float32))).numpy()
        return np.concatenate([unit, self._shipped.movements.clip_columns(rows)], axis=1)


def captioned_towers(words: Words, pictures: Pictures, epochs: int) -> Towers:
    """The space of rows and captions; development recall is printed after every epoch."""
    captions = Captions(words)
    times = captions.counts(training_captions(pictures))
    blocks = {"motion": pictures.rows.shape[2]}
    config = BaseConfig(epochs=epochs, extra={}, classes=0, towers=TowersConfig(blocks=blocks))
    often = sorted(word for word, count in times.items() if word and count >= config.often)
    towers = Towers(replace(config.towers, learned=" ".join(often)))
    rows = torch.from_numpy(pictures.rows[pictures.of("train"), 0]).float()
    towers.video.mean.copy_(F.normalize(rows, dim=1).mean(0))
    run = Run(config, towers, [pictures])
    while run.epoch < epochs:
        train_epoch(run, captions, {})
        recall = text_to_picture(run.averaged, captions, pictures, "dev")
        print(f"epoch {run.epoch}: dev {recall}", flush=True)
    return run.averaged


def seen_by_c3d(data: Path, cache: Path) -> Pictures:
    """Flickr8k with rows (N, 1, M) of the motion network, which are cached."""
    pictures = load_pictures(data, cache, views=1)[MAIN]
    cached = cache / f"c3d-flickr8k-{motion_fingerprint()['weights'][:8]}.npy"
    if not cached.is_file():
        with replacing(cached, sync=False) as draft:
            np.save(draft, np.concatenate(list(_rows(data, pictures.names))))
    return replace(pictures, rows=np.load(cached)[:, None])


def _rows(data: Path, names: tuple[str, ...]) -> Iterator[NDArray[np.float16]]:
    network, batch = ClipNetwork(load_motion()), []
    for number, picture in enumerate(squashed_pictures(data / "flickr8k_images.tar", names), 1):
        still = with_ones(motion_frames(picture[None]))
        batch.append(np.repeat(still, RATE, axis=0))  # (8, 96, 96, 4)
        if len(batch) == BATCH or number == len(names):
            maps = network.maps(np.stack(batch))
            yield network.rows(torch.stack([maps, maps], dim=1)).astype(np.float16)
            batch.clear()
            print(f"\r{number}/{len(names)}", end="", flush=True)
    print()


if __name__ == "__main__":
    main()

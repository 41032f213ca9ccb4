"""Trains `base` and `c3d-small` in miniature, and keeps every loss: a program for `torchrun`.

    python -m tests.support.trained_toys OUT                 # OUT/losses.json
    python -m tests.support.trained_toys OUT DATA CACHE      # the whole commands: OUT/base and more

What is dropped at random differs between shares of a batch, so nothing is dropped; and networks run
in float32, as sums of shares in bfloat16 differ visibly from sums of the whole.
"""

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from feature_extract.networks.appearance import BLOCKS, WIDTH
from feature_extract.networks.c3d import SMALL
from tests.support.drawn import COLOURS
from vmr.model.text import Words
from vmr.model.towers import TowersConfig
from vmr.research.processes import Processes, processes
from vmr.training import base, c3d
from vmr.training.captioned import Captions
from vmr.training.pictures import Pictures
from vmr.training.second_stage import SecondStageTraining
from vmr.training.trainer import Trainer

BASE = base.BaseConfig(
    epochs=3,
    batch=12,
    classes=4,
    views=1,
    often=1000,
    sentence_dropout=0.0,
    moved={"train": 3, "dev": 2},
    average=0.5,
    timelines=2,
    second_stage=SecondStageTraining(steps=4, batch=4, validate_every=4, validation=8),
    towers=TowersConfig(blocks=dict(BLOCKS), width=32, hidden=32, dropout=0.0),
)
C3D = c3d.C3DTraining(pictures=32, clips=8, batch=8, clip_batch=2)
NARROW = replace(SMALL, width=4, features=16)
PICTURES = 48


class _Told(Trainer):
    """Keeps the losses."""

    losses: list[float] = []  # noqa: RUF012 - of the program

    def step(self, loss: Tensor) -> None:
        super().step(loss)
        self.losses.append(self.loss)


class _Teacher:
    """Targets that follow from what pictures look like from afar."""

    shared = 8

    def __init__(self, *_: object) -> None:
        self._maps = torch.randn(192, 1280 + 8, generator=torch.Generator().manual_seed(1))
        self.mean = torch.zeros(1280)

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        seen = (F.adaptive_avg_pool2d(pictures, 8).flatten(1) - 128) @ self._maps
        return F.normalize(seen[:, :1280], dim=1), F.normalize(seen[:, 1280:], dim=1)


def towers(place: Processes) -> None:
    """The first stage of base, on rows without meaning."""
    names = tuple(f"p{i}" for i in range(PICTURES))
    rows = np.random.default_rng(0).random((PICTURES, 2, WIDTH)).astype(np.float16)
    texts = tuple((f"a {colour} picture", "a dog") for colour in COLOURS)
    said = tuple(texts[i % len(texts)] for i in range(PICTURES))
    pictures = Pictures(names, rows, said, names, ("train",) * PICTURES)
    config = replace(BASE, extra={}, sentences=False)
    torch.manual_seed(place.rank)  # which weights they begin with must not matter
    run = base.Run(config, base.new_towers(config, Counter(), [pictures]), [pictures], place=place)
    captions = Captions(Words.load())
    for _ in range(config.epochs):
        base.train_epoch(run, captions, {})


def motion(place: Processes, out: Path) -> None:
    """Both stages of a narrower c3d-small, with a teacher that knows little."""
    changed: dict[str, Any] = {"SMALL": NARROW, "Teacher": _Teacher}
    for name, value in changed.items():
        setattr(c3d, name, value)
    draw = torch.Generator().manual_seed(0)
    shown = torch.randint(256, (PICTURES, 3, 192, 192), generator=draw, dtype=torch.uint8)
    kept = out / "state"
    c3d.train_on(shown, shown[:8], kept, out / "c3d-small", C3D, device="cpu", data={}, place=place)


def main() -> None:
    out, *folders = map(Path, sys.argv[1:])
    vars(c3d)["fast_dtype"] = lambda _: torch.float32
    for module in ("base", "second_stage", "c3d"):
        sys.modules[f"vmr.training.{module}"].Trainer = _Told  # type: ignore[attr-defined]
    with processes("cpu") as place:
        if folders:
            data, cache = folders
            base.train_base(data, cache, out / "base", BASE)
            c3d.train_c3d(data, cache, out / "c3d-small", C3D, device="cpu")
        else:
            towers(place)
            motion(place, out)
    if os.environ.get("RANK", "0") == "0":
        (out / "losses.json").write_text(json.dumps(_Told.losses))


if __name__ == "__main__":
    main()

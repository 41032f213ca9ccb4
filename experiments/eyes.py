"""What it brings to train the top of the appearance network for captions, not only to read it.

    OMP_NUM_THREADS=1 python -m experiments.eyes --data DIR --cache DIR --out DIR [--passes 4]

The maps that enter the last six blocks (120 x 17 x 17) are computed once for every captioned
training picture, in two views: as it is, and augmented. Then these blocks, the head and the towers
of the shipped weights are trained together: contrast between pictures and captions, and a pull
towards the rows of before, so that what else reads them (movements, names of classes) stays right.
Printed after every pass are Flickr8k's and COCO's development pictures as captions find them, and
how near the new rows are to the old ones. `--out` gets the weights of the best pass and is where a
stopped run goes on. `--top 0` trains the towers alone, on the same pictures for as many passes: the
arm that says what the blocks are worth.
"""

import argparse
import copy
import math
import random
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from feature_extract.files import replacing
from feature_extract.networks.appearance import (
    BLOCKS,
    GRID,
    LAYERS,
    MEAN,
    SCALE,
    fold_batch_norms,
    load_network,
    normalised,
    own_padding,
)
from feature_extract.networks.device import memory_kept
from vmr.model.retrieval import RetrievalModel
from vmr.training.assemble import CAPTIONED, MAIN, reader_of
from vmr.training.captioned import Captions
from vmr.training.matching import contrast, text_to_picture
from vmr.training.pictures import Pictures, load_pictures, squashed_pictures

TARS: Final = {"flickr8k": ("flickr8k",), "coco": ("coco", "coco_more"), "ade": ("ade",)}
VIEWS: Final = 2
FIRST: Final = LAYERS["textures"] + 1
"""The first block that is trained: 15 of 0..20."""
BATCH: Final = 128
RATES: Final = {"top": 2e-4, "towers": 3e-4}
PULL: Final = 2.0
"""Weight of 1 - cosine with the rows of before, block by block."""
AVERAGE: Final = 0.99
WORDS_ALONE: Final = 0.15
"""Share of captions that are read without their sentence vector, as in training the towers."""
MAPS: Final = (120, 17, 17)


class Top(nn.Module):
    """The last six blocks and the head: maps (N, 120, 17, 17) -> the three blocks of a row that
    they make, (N, 1280), (N, 352), (N, 208)."""

    def __init__(self) -> None:
        super().__init__()
        network = own_padding(fold_batch_norms(load_network()))
        self.blocks = nn.ModuleList(network._blocks[FIRST:])
        self.head = network._conv_head

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 120, 17, 17) -> means of the head, of "parts" and of "patterns"."""
        means = {}
        for number, block in enumerate(self.blocks, FIRST):
            maps = block(maps)
            means[number] = maps.mean(dim=(2, 3))
        last = F.relu6(self.head(maps)).mean(dim=(2, 3))
        return last, means[LAYERS["parts"]], means[LAYERS["patterns"]]

    def rows(self, maps: Tensor, colours: Tensor) -> Tensor:
        """Whole rows (N, D), as `Appearance` gives them."""
        last, parts, patterns = self(maps)
        return torch.cat([last, parts, patterns, maps.mean(dim=(2, 3)), colours], dim=1)


class Seen:
    """The maps and colours of the pictures of one tar, view by view, on the disk."""

    def __init__(self, tar: Path, cache: Path) -> None:
        with tarfile.open(tar) as file:
            endings = (".jpg", ".webp")
            self.names = tuple(sorted(m.name for m in file if m.name.lower().endswith(endings)))
        self.place = {name: i for i, name in enumerate(self.names)}
        self._maps, self.colours = [], []
        for view in range(VIEWS):
            maps, colours = cache / f"{tar.stem}-maps{view}.npy", cache / f"{tar.stem}-c{view}.npy"
            if not colours.is_file():
                _look(tar, self.names, view, maps, colours)
            self._maps.append(np.load(maps, mmap_mode="r"))
            self.colours.append(np.load(colours))

    def __call__(self, place: int, view: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """(120, 17, 17) and (48,) of one picture."""
        return self._maps[view][place], self.colours[view][place]


@torch.inference_mode()
def _look(tar: Path, names: tuple[str, ...], view: int, maps: Path, colours: Path) -> None:
    network = own_padding(fold_batch_norms(load_network())).to(memory_format=torch.channels_last)
    with replacing(maps, sync=False) as draft:
        out = np.lib.format.open_memmap(draft, "w+", np.float16, (len(names), *MAPS))
        found, pixels, done = [], [], 0
        for number, picture in enumerate(squashed_pictures(tar, names, view), 1):
            pixels.append(picture)
            if len(pixels) < 32 and number < len(names):
                continue
            pictures = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
            shown = normalised(pictures, torch.float32)
            grid = F.adaptive_avg_pool2d(shown * (SCALE / 255) + MEAN / 255, GRID)
            x = network._swish(network._bn0(network._conv_stem(shown)))
            for block in network._blocks[:FIRST]:
                x = block(x)
            out[done:number] = x.half().numpy()
            found.append(grid.flatten(1).numpy())
            pixels, done = [], number
        out.flush()
        del out
    with replacing(colours, sync=False) as draft, draft.open("wb") as file:
        np.save(file, np.concatenate(found))
    print(f"{tar.name}, view {view}: {len(names)} pictures looked at", flush=True)


class Material:
    """Captioned pictures of every set, with their maps."""

    def __init__(self, data: Path, cache: Path) -> None:
        loaded = load_pictures(data, cache, views=1)
        self.sets: dict[str, Pictures] = {
            name: loaded[name] for name in CAPTIONED if name in loaded
        }
        folder = cache / "eyes"
        folder.mkdir(exist_ok=True)
        self._seen = {
            name: [Seen(data / f"{tar}_images.tar", folder) for tar in TARS[name]]
            for name in self.sets
        }

    def maps(self, chosen: list[tuple[str, int]], rng: random.Random | None) -> tuple[Tensor, ...]:
        """Maps and colours of pictures by set and place; of a random view, or of view 0."""
        read = []
        for name, i in chosen:
            file = self.sets[name].names[i]
            seen = next(seen for seen in self._seen[name] if file in seen.place)
            read.append(seen(seen.place[file], rng.randrange(VIEWS) if rng else 0))
        maps = torch.from_numpy(np.stack([m for m, _ in read])).float()
        colours = torch.from_numpy(np.stack([c for _, c in read])).float()
        return maps.contiguous(memory_format=torch.channels_last), colours

    def training(self) -> list[tuple[str, int]]:
        """Every training picture that has captions."""
        return [
            (name, int(i))
            for name, pictures in self.sets.items()
            for i in pictures.of("train")
            if pictures.captions[i]
        ]

    def with_rows(self, top: Top, name: str, split: str) -> Pictures:
        """A set of which one split has the rows that `top` makes."""
        pictures = self.sets[name]
        rows = pictures.rows.copy()
        chosen = pictures.of(split)
        with torch.inference_mode():
            for first in range(0, len(chosen), BATCH):
                part = chosen[first : first + BATCH]
                made = top.rows(*self.maps([(name, int(i)) for i in part], None))
                rows[part, 0] = made.half().numpy()
        return replace(pictures, rows=rows)


def near(new: Tensor, old: Tensor) -> Tensor:
    """Cosines (N, 3) of the blocks that are trained."""
    widths = list(BLOCKS.values())
    pairs = list(zip(torch.split(new, widths, 1), torch.split(old, widths, 1), strict=True))[:3]
    return torch.stack([F.cosine_similarity(a, b) for a, b in pairs], dim=1)


def main() -> None:
    """Train, and print a line a pass."""
    parser = argparse.ArgumentParser(prog="python -m experiments.eyes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their maps: 2 GB")
    parser.add_argument("--out", type=Path, required=True, help="file of the weights and the state")
    parser.add_argument("--passes", type=int, default=4, help="times that each picture is seen")
    parser.add_argument("--top", type=int, default=1, choices=(0, 1), help="0: towers alone")
    options = parser.parse_args()
    torch.manual_seed(0)
    with memory_kept():
        _train(Material(options.data, options.cache), options)


def _batches(everything: list[tuple[str, int]], rng: random.Random) -> Iterator[Any]:
    order = rng.sample(everything, len(everything))
    for first in range(0, len(order) - BATCH + 1, BATCH):
        yield order[first : first + BATCH]


def _train(material: Material, options: argparse.Namespace) -> None:
    model = RetrievalModel.load(moving=False)
    captions = reader_of(options.cache, dict(material.sets))
    new: Any = Top()
    top, towers = new.to(memory_format=torch.channels_last), model.towers
    old = copy.deepcopy(top).eval()
    everything, rng = material.training(), random.Random(0)
    both = nn.ModuleDict({"top": top, "towers": towers})
    if not options.top:
        top.requires_grad_(False)
    groups = [
        {"params": [p for p in both[name].parameters() if p.requires_grad], "lr": rate}
        for name, rate in RATES.items()
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=0.02)
    steps = len(everything) // BATCH * options.passes
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / (0.05 * steps), 0.5 + 0.5 * math.cos(math.pi * s / steps)),
    )
    average = copy.deepcopy(both).eval()
    best, begun = -1.0, 0
    if options.out.is_file():
        state = torch.load(options.out, weights_only=False)
        both.load_state_dict(state["both"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        rng.setstate(state["rng"])
        begun, best = state["passes"], state["best"]
    _report(0, material, old, RetrievalModel.load(moving=False).towers, captions)
    step = len(everything) // BATCH * begun
    for number in range(begun + 1, options.passes + 1):
        before = time.monotonic()
        for chosen in _batches(everything, rng):
            loss, told, kept = _loss(both, old, material, captions, chosen, rng)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(both.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            decay = min(AVERAGE, (1 + step) / (10 + step))
            with torch.no_grad():
                for kept_weight, weight in zip(
                    average.parameters(), both.parameters(), strict=True
                ):
                    kept_weight.lerp_(weight, 1 - decay)
            if step % 10 == 0:
                speed = (time.monotonic() - before) / (step % (len(everything) // BATCH) or 1)
                print(f"{step}/{steps}: {told:.3f} {kept:.4f} {speed:.1f} s", flush=True)
        score = _report(number, material, average["top"], average["towers"], captions)
        state = {
            "both": both.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "rng": rng.getstate(),
            "passes": number,
            "best": max(best, score),
        }
        with replacing(options.out, sync=False) as draft:
            torch.save(state, draft)
        if score > best:
            best = score
            with replacing(options.out.with_suffix(".best"), sync=False) as draft:
                torch.save(average.state_dict(), draft)


def _loss(
    both: nn.ModuleDict,
    old: Top,
    material: Material,
    captions: Captions,
    chosen: list[tuple[str, int]],
    rng: random.Random,
) -> tuple[Tensor, float, float]:
    """The loss of a batch; its contrast, and how far rows are from those of before."""
    top: Any = both["top"]
    towers: Any = both["towers"].train()
    maps, colours = material.maps(chosen, rng)
    new = top.rows(maps, colours)
    with torch.no_grad():
        before = old.rows(maps, colours)
    said = [
        rng.choice(pictures.captions[i]) for name, i in chosen for pictures in [material.sets[name]]
    ]
    groups = [f"{name}/{material.sets[name].groups[i]}" for name, i in chosen]
    texts = captions.encoded(towers, [captions[text] for text in said], WORDS_ALONE)
    told = contrast(towers.encode_video(new), texts, groups, towers.log_scale.exp()).mean()
    away = (1 - near(new, before)).mean()
    return told + PULL * away, float(told.detach()), float(away.detach())


def _report(number: int, material: Material, top: Any, towers: Any, captions: Captions) -> float:
    total = 0.0
    for name in (MAIN, "coco"):
        pictures = material.with_rows(top, name, "dev")
        recall = text_to_picture(towers, captions, pictures, "dev")
        chosen = pictures.of("dev")
        rows = [
            torch.from_numpy(p.rows[chosen, 0]).float() for p in (pictures, material.sets[name])
        ]
        cosine = near(rows[0], rows[1]).mean(0).tolist()
        total += recall.at_1 + recall.at_5 + recall.at_10 if name == MAIN else 0
        print(
            f"pass {number}: {name} dev {recall}, cosines {[round(c, 3) for c in cosine]}",
            flush=True,
        )
    return total


if __name__ == "__main__":
    main()

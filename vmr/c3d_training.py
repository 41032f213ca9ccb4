"""`python -m vmr train c3d-small`: weights of our own for the motion network, from stills.

    train_c3d(data=Path("data"), cache=Path("cache"), out=Path("assets/weights/c3d-small"))

Feasible without a GPU, in two stages. First the network learns what pictures show, as if it had
two dimensions (the middle moments of its kernels): it reproduces the appearance network's pooled
features, and the vectors that the product's shared space gives them, view by view of its pictures
(stills.py), cropped and mirrored. Then it learns what moves, from stills that we move ourselves
(moving.py): which way, how fast, nearer or farther, turning. All else stays as it is, and the last
moment of each kernel is the negative of its first, so that a clip in which nothing moves gives what
its picture gives, whatever is learned: when all was trained, what things look like was lost in the
first hundred steps, and 22,000 clips are too few to bring it back. Both stages begin with small
pictures, which cost a third. Resumable: the run is saved every few minutes and goes on from there.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from feature_extract.appearance import BLOCKS
from feature_extract.c3d import C3D, LAYERS, POOLED_AFTER, SIDE, SMALL
from feature_extract.clips import MEAN
from feature_extract.device import fast_dtype
from feature_extract.motion import WHOLE, motion_frames, save_motion
from vmr.moving import CLASSES, draw_motions, render
from vmr.ranker import Ranker
from vmr.stills import Pictures, load_pictures, squashed_pictures

_SEEN: Final = BLOCKS["appearance"]


@dataclass(frozen=True)
class C3DTraining:
    """Settings of the run; stored with the weights."""

    pictures: int = 500_000
    "of the first stage, counted as often as they are seen"
    clips: int = 22_000
    "of the second stage"
    small: float = 0.3
    "share of the first stage that is trained on small pictures"
    clip_small: float = 0.64
    "share of the second"
    small_side: int = 64
    batch: int = 128
    clip_batch: int = 16
    rate: float = 2e-3
    clip_rate: float = 1e-3
    weight_decay: float = 0.02
    motion: float = 4.0
    "weight of the four losses of motion, beside that of what is shown while it moves"
    views: int = 4
    "of each picture, as load_pictures has them"
    save_seconds: float = 240
    seed: int = 0


class InFull(nn.Conv3d):
    """A convolution that stays in float32. oneDNN's gradients in bfloat16 are wrong for the small
    maps of the last four layers, to the point of not being numbers (torch 2.13)."""

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


class Heads(nn.Module):
    """What a row has to tell in training; thrown away afterwards."""

    def __init__(self, features: int, shared: int) -> None:
        super().__init__()
        self.seen = nn.Linear(features, _SEEN)
        self.shared = nn.Linear(features, shared)
        self.motion = nn.ModuleDict({name: nn.Linear(features, n) for name, n in CLASSES.items()})


@dataclass(frozen=True)
class Stills:
    """Pictures and what the teachers say of them."""

    pixels: Tensor
    "(N, 3, 128, 128) uint8 RGB"
    seen: Tensor
    "(N, 1280) unit vectors: the appearance network's last layer"
    shared: Tensor
    "(N, E) unit vectors of the shared space"

    def __getitem__(self, chosen: Tensor) -> "Stills":
        return Stills(self.pixels[chosen], self.seen[chosen], self.shared[chosen])


def train_c3d(data: Path, cache: Path, out: Path, config: C3DTraining = C3DTraining()) -> None:
    """Train both stages, or what is left of them, and write the weights into `out`.

    The state of the run is kept in `cache`/c3d-small: delete it to begin anew.
    """
    torch.manual_seed(config.seed)
    sets = load_pictures(data, cache, views=config.views, others=config.views)
    teacher = Ranker.load(moving=False)
    train = _stills(data, cache, sets, "train", config.views, teacher)
    dev = _stills(data, cache, {"flickr8k": sets["flickr8k"]}, "dev", 1, teacher)
    network = C3D(SMALL)
    for layer in LAYERS:
        getattr(network, f"conv{layer}").weight.data[:, :, [0, 2]] = 0
    heads = Heads(SMALL.features, train.shared.shape[1])
    kept = cache / "c3d-small"
    kept.mkdir(exist_ok=True)
    mean = train.seen.mean(0)
    _train_still(network, heads, train, dev, mean, kept / "still.pt", config)
    _train_moving(network, heads, train, mean, kept / "moving.pt", config)
    save_motion(network, out, training=asdict(config))


def _stills(
    data: Path, cache: Path, sets: dict[str, Pictures], split: str, views: int, teacher: Ranker
) -> Stills:
    """All views of the pictures of one split of all sets."""
    pixels, rows = [], []
    for name, pictures in sets.items():
        chosen = pictures.of(split)
        for view in range(views):
            stored = stored_pixels(data, cache, name, pictures, view)
            pixels.append(torch.from_numpy(stored[chosen]))
            rows.append(torch.from_numpy(pictures.rows[chosen, view]).float())
    every = torch.cat(rows)
    with torch.inference_mode():
        shared = torch.cat([teacher.towers.encode_video(part) for part in torch.split(every, 4096)])
    seen = F.normalize(every[:, :_SEEN], dim=1)
    return Stills(torch.cat(pixels), seen, shared.clone())


def stored_pixels(
    data: Path, cache: Path, name: str, pictures: Pictures, view: int = 0
) -> NDArray[np.uint8]:
    """(N, 3, 128, 128) RGB of a view of the pictures of a set, squashed whole; made once."""
    cached = cache / name / f"pixels{WHOLE}-{view}.npy"
    if not cached.is_file():
        stored = np.empty((len(pictures.names), 3, WHOLE, WHOLE), np.uint8)
        tar = data / f"{name}_images.tar"
        for i, pixels in enumerate(squashed_pictures(tar, pictures.names, view)):
            small = Image.fromarray(pixels).resize((WHOLE, WHOLE), Image.Resampling.BOX)
            stored[i] = np.asarray(small).transpose(2, 0, 1)
        draft = cached.with_suffix(".part.npy")
        np.save(draft, stored)
        draft.replace(cached)
    return np.asarray(np.load(cached, mmap_mode="r"))


def _train_still(
    network: C3D,
    heads: Heads,
    train: Stills,
    dev: Stills,
    mean: Tensor,
    kept: Path,
    config: C3DTraining,
) -> None:
    """The first stage."""
    steps = config.pictures // config.batch
    parts = [network, heads]
    run = _Run(parts, steps, config.rate, config.weight_decay, kept, config.save_seconds)
    for step in run:
        draw = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        side = config.small_side if step < config.small * steps else SIDE
        batch = train[torch.randint(len(train.pixels), (config.batch,), generator=draw)]
        with _fast():
            rows = still_rows(network.train(), augmented(batch.pixels, side, draw)).float()
        run.step(_shown_loss(heads, rows, batch, mean).mean())
        if (step + 1) % 250 == 0 or step + 1 == steps:
            print(f"step {step + 1}: dev {_agreement(network, heads, dev)}", flush=True)


def _train_moving(
    network: C3D, heads: Heads, train: Stills, mean: Tensor, kept: Path, config: C3DTraining
) -> None:
    """The second stage."""
    steps = config.clips // config.clip_batch
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    network.eval().requires_grad_(False)
    heads.requires_grad_(False).motion.requires_grad_(True)
    for layer in LAYERS:
        convolution = getattr(network, f"conv{layer}")
        convolution.weight.requires_grad_(True).register_hook(_odd)
        if layer in LAYERS[-4:]:
            convolution.__class__ = InFull
    run = _Run([network, heads], steps, config.clip_rate, 0.0, kept, config.save_seconds)
    right = {name: 0.0 for name in CLASSES}
    for step in run:
        draw = torch.Generator().manual_seed(config.seed * 2_000_003 + step)
        chosen = torch.randint(len(train.pixels), (2, config.clip_batch), generator=draw)
        motions = draw_motions(config.clip_batch, draw)
        side = config.small_side if step < config.clip_small * steps else SIDE
        batch = train[chosen[0]]
        clips = render(batch.pixels, train.pixels[chosen[1]], motions, side=side)
        with _fast():
            rows = network(prepared(clips)).float()
        told = {name: head(rows) for name, head in heads.motion.items()}
        truth = motions.labels()
        moving = sum(F.cross_entropy(told[name], truth[name]) for name in CLASSES)
        # Of an oval over another picture no teacher has said what it shows.
        shown = (_shown_loss(heads, rows, batch, mean) * ~motions.oval).mean()
        run.step(shown + config.motion * moving)
        for name in CLASSES:
            share = float((told[name].argmax(1) == truth[name]).float().mean())
            right[name] += 0.05 * (share - right[name])
        if (step + 1) % 25 == 0:
            shares = {name: round(value, 2) for name, value in right.items()}
            print(f"  shown {shown.item():.2f}, right: {shares}", flush=True)


def _odd(gradient: Tensor) -> Tensor:
    """Of kernels (K, C, 3, 3, 3): its part in which the last moment is the negative of the first
    and the middle has none."""
    side = (gradient[:, :, 2] - gradient[:, :, 0]) / 2
    return torch.stack([-side, torch.zeros_like(side), side], dim=2)


def still_rows(network: C3D, pictures: Tensor) -> Tensor:
    """Rows (B, D) of clips that show pictures (B, 3, S, S) and nothing else, by the middle moments
    of the kernels alone: the same, where the first and the last cancel out, for a twentieth of the
    multiplications.
    Of a network with norms, pooled, whose ends are lasting."""
    maps = pictures
    for layer in LAYERS:
        convolution, norm = getattr(network, f"conv{layer}"), getattr(network, f"norm{layer}")
        maps = F.conv2d(maps, convolution.weight[:, :, 1], convolution.bias, padding=1)
        # The norm's own call, for clips of one moment, would take most of a step's time.
        mean, variance = norm.running_mean, norm.running_var
        weight, bias, training = norm.weight, norm.bias, norm.training
        maps = F.batch_norm(maps, mean, variance, weight, bias, training, norm.momentum, norm.eps)
        if layer in POOLED_AFTER:  # before the rectifier: the same maximum, fewer values
            maps = F.max_pool2d(maps, 2)
        maps = torch.relu_(maps)
    return torch.relu(network.fc6(maps.mean(dim=(2, 3))))


def _fast() -> torch.autocast:
    """Convolutions in bfloat16, where processors compute it themselves."""
    return torch.autocast("cpu", torch.bfloat16, enabled=fast_dtype("cpu") == torch.bfloat16)


def augmented(pixels: Tensor, side: int, draw: torch.Generator) -> Tensor:
    """(B, 3, side, side) as the network takes them: cropped, mirrored, lighter or darker."""
    count = len(pixels)
    crop = int(torch.randint(SIDE, WHOLE + 1, (), generator=draw))
    top, left = torch.randint(WHOLE - crop + 1, (2, count), generator=draw).tolist()
    mirror = torch.rand(count, generator=draw) < 0.5
    cut = torch.stack(
        [p[:, t : t + crop, x : x + crop] for p, t, x in zip(pixels, top, left, strict=True)]
    )
    cut = torch.where(mirror[:, None, None, None], cut.flip(3), cut).float()
    sized = F.interpolate(cut, (side, side), mode="bilinear", antialias=crop > side)
    light, contrast = 0.5 * torch.rand(2, count, 1, 1, 1, generator=draw) + 0.75
    middle = sized.mean((1, 2, 3), keepdim=True)
    return prepared(((sized - middle) * contrast + middle * light).clamp_(0, 255))


def prepared(rgb: Tensor) -> Tensor:
    """(B, 3, ...) RGB 0..255 -> BGR minus the mean, channels last."""
    mean = torch.tensor(MEAN).view(1, 3, *[1] * (rgb.ndim - 2))
    lasting = torch.channels_last if rgb.ndim == 4 else torch.channels_last_3d
    return (rgb.flip(1) - mean).contiguous(memory_format=lasting)


def _shown_loss(heads: Heads, rows: Tensor, stills: Stills, mean: Tensor) -> Tensor:
    """(B,) how far from what the teachers say. Without its second term the network learns little
    but the mean, which all features share."""
    told = heads.seen(rows)
    return (
        3
        - F.cosine_similarity(told, stills.seen)
        - F.cosine_similarity(told - mean, stills.seen - mean)
        - F.cosine_similarity(heads.shared(rows), stills.shared)
    )


@torch.inference_mode()
def _agreement(network: C3D, heads: Heads, dev: Stills) -> str:
    """How often a dev picture's own teacher vector is the nearest of all."""
    network.eval()
    seen = motion_frames(dev.pixels.permute(0, 2, 3, 1).numpy())  # (N, 112, 112, 3)
    middle = torch.from_numpy(np.ascontiguousarray(seen)).permute(0, 3, 1, 2)
    rows = torch.cat(
        [still_rows(network, prepared(part.float())) for part in torch.split(middle, 125)]
    )
    found = {}
    for name, told, truth in (
        ("seen", heads.seen(rows), dev.seen),
        ("shared", heads.shared(rows), dev.shared),
    ):
        centre = truth.mean(0)
        similar = F.normalize(told - centre, dim=1) @ F.normalize(truth - centre, dim=1).T
        nearest = similar.argmax(1) == torch.arange(len(truth))
        found[name] = f"{100 * float(nearest.float().mean()):.1f} %"
    return str(found)


class _Run:
    """The steps of a stage: optimiser, schedule, progress, and the file it goes on from."""

    def __init__(
        self,
        parts: list[nn.Module],
        steps: int,
        rate: float,
        weight_decay: float,
        kept: Path,
        save_seconds: float,
    ) -> None:
        self._parts, self._steps, self._kept, self._save_seconds = parts, steps, kept, save_seconds
        self._parameters = [p for part in parts for p in part.parameters() if p.requires_grad]
        matrices = [p for p in self._parameters if p.ndim > 1]
        others = [p for p in self._parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, rate, total_steps=steps + 1, pct_start=0.05
        )
        self._done = 0
        if kept.is_file():
            self._take_up(torch.load(kept, weights_only=True))

    def __iter__(self) -> Iterator[int]:
        begun, first, saved = time.monotonic(), self._done, time.monotonic()
        while self._done < self._steps:
            yield self._done
            self._done += 1
            now = time.monotonic()
            if self._done % 25 == 0:
                left = (now - begun) / (self._done - first) * (self._steps - self._done)
                print(
                    f"{self._kept.stem} {self._done}/{self._steps}: loss {self._loss:.3f}, "
                    f"{left / 60:.0f} min left",
                    flush=True,
                )
            if now - saved > self._save_seconds or self._done == self._steps:
                self._save()
                saved = now

    def step(self, loss: Tensor) -> None:
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 5.0)
        self._optimizer.step()
        self._schedule.step()
        self._loss = loss.item()
        if not math.isfinite(self._loss):
            raise ArithmeticError(f"step {self._done}: the loss is {self._loss}")

    def _save(self) -> None:
        state = {
            "done": self._done,
            "parts": [part.state_dict() for part in self._parts],
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        draft = self._kept.with_suffix(".part")
        torch.save(state, draft)
        draft.replace(self._kept)

    def _take_up(self, state: dict[str, Any]) -> None:
        for part, values in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(values)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._done = int(state["done"])

"""`python -m vmr train c3d-small`: weights of our own for the motion network, from stills.

    train_c3d(data=Path("data"), cache=Path("cache"), out=Path("assets/weights/c3d-small"))

In two stages. First the network learns what pictures show, as if it had two dimensions (the middle
temporal taps of its kernels): it reproduces the appearance network's pooled features, and the vectors
that the product's shared space gives them. Both look at the same part of the same picture, another
one each time. Then it learns what moves, from stills that we move ourselves (moving.py): which way,
how fast, nearer or farther, turning; and goes on learning what is shown, of stills and of what
moves. The last temporal tap of each kernel stays the negative of its first, so that a clip in which
nothing moves gives what its picture gives.

Made for a GPU, where it takes minutes; on a processor fewer pictures and clips make a lesser
network. Resumable: the run is saved every few minutes and goes on from there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from feature_extract.clips import MEAN
from feature_extract.files import replacing
from feature_extract.motion import SIDE, save_motion
from feature_extract.networks.appearance import BLOCKS, SIZE, Appearance
from feature_extract.networks.c3d import C3D, LAYERS, POOLED_AFTER, SMALL
from feature_extract.networks.device import chosen_device, fast_dtype
from feature_extract.networks.squash import FILTER, squash, squash_batch
from vmr.model.movements import COLUMNS, FAST
from vmr.model.retrieval import RetrievalModel
from vmr.model.towers import Towers
from vmr.training.moving import CLASSES, FRAMES, Motions, draw_motions, render
from vmr.training.pictures import Pictures, load_pictures, squashed_pictures
from vmr.training.trainer import Optimisation, Trainer, run_record

STORED: Final = 192
"""Pixels across a picture as it is kept for training: what Flickr8k's pictures have."""
_SEEN: Final = BLOCKS["appearance"]
_NOISE: Final = 6.0
"""Standard deviation, of 255, of the noisiest clips."""
WARM_UP: Final = 0.05
"""Share of the steps of either stage over which the learning rate rises to its highest."""
_AT_ONCE: Final = 256  # pictures of the mean and of dev


@dataclass(frozen=True)
class C3DTraining:
    """Settings of the run; stored with the weights."""

    pictures: int = 950_000
    "of the first stage, counted as often as they are seen"
    clips: int = 290_000
    "of the second stage"
    batch: int = 512
    clip_batch: int = 256
    rate: float = 4e-3
    clip_rate: float = 1e-3
    weight_decay: float = 0.02
    motion: float = 1.0
    "weight of the losses of motion in the second stage, beside those of what is shown"
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
        self.rates = nn.Linear(features, len(COLUMNS))


class Teacher:
    """What the appearance network and the shared space say of pictures."""

    def __init__(self, towers: Towers, device: str) -> None:
        self._appearance, self._towers = Appearance(device=device), towers.to(device)
        self.shared = towers.config.width
        self.mean = torch.zeros(_SEEN, device=device)
        "which all pictures share"

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1280) the last layer's features and (N, E) the vectors of the shared space, of unit
        length, of pictures (N, 3, 224, 224), 0..255."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        rows = self._appearance.rows(pictures).clone()
        return F.normalize(rows[:, :_SEEN], dim=1), self._towers.encode_video(rows)


def train_c3d(
    data: Path,
    cache: Path,
    out: Path,
    config: C3DTraining = C3DTraining(),
    *,
    device: str = "auto",
) -> None:
    """Train both stages, or what is left of them, and write the weights into `out`.

    The state of the run is kept in `cache`/c3d-small: delete it to begin anew.
    """
    sets = load_pictures(data, cache, views=0, others=0)
    train, dev = (
        torch.from_numpy(
            np.concatenate(
                [
                    stored_pixels(data, cache, name, pictures)[pictures.of(split)]
                    for name, pictures in sets.items()
                    if split == "train" or name == "flickr8k"
                ]
            )
        )
        for split in ("train", "dev")
    )
    sizes = {name: pictures.counts for name, pictures in sets.items()}
    device = chosen_device(device)
    train_on(train, dev, cache / "c3d-small", out, config, device=device, data=sizes)


def train_on(
    train: Tensor,
    dev: Tensor,
    kept: Path,
    out: Path,
    config: C3DTraining,
    *,
    device: str,
    data: Mapping[str, Mapping[str, int]],
) -> None:
    """The same on pictures (N, 3, 192, 192) uint8 RGB.

    Args:
        kept: the folder that the state of the run is kept in.
        data: where the pictures are from: of each set, by name, how many there are of each split.
    """
    torch.manual_seed(config.seed)
    torch.backends.cudnn.benchmark = True  # all batches have the same shapes
    teacher = Teacher(RetrievalModel.load(moving=False).towers, device)
    network = C3D(SMALL)
    for layer in LAYERS:
        getattr(network, f"conv{layer}").weight.data[:, :, [0, 2]] = 0
    heads = Heads(SMALL.features, teacher.shared)
    network.to(device)
    heads.to(device)
    kept.mkdir(exist_ok=True, parents=True)
    train = train.to(device)
    some = torch.split(train[:: max(1, len(train) // 2048)], _AT_ONCE)
    teacher.mean = torch.cat([teacher(squash_batch(part.float(), SIZE))[0] for part in some]).mean(
        0
    )
    settings = asdict(config) | {"pictures at hand": len(train)}
    del settings["save_seconds"]  # another pace of saving is no other run
    _train_still(
        network, heads, teacher, train, dev.to(device), kept / "still.pt", config, settings
    )
    _train_moving(network, heads, teacher, train, kept / "moving.pt", config, settings)
    print(f"dev {_agreement(network, heads, teacher, dev.to(device))}", flush=True)
    save_motion(network, out, training=run_record("train c3d-small", asdict(config), data))


def stored_pixels(data: Path, cache: Path, name: str, pictures: Pictures) -> NDArray[np.uint8]:
    """(N, 3, 192, 192) RGB of the pictures of a set, squashed whole; made once."""
    cached = cache / name / f"pixels{STORED}-{FILTER.name.lower()}.npy"
    if not cached.is_file():
        stored = np.empty((len(pictures.names), 3, STORED, STORED), np.uint8)
        for i, pixels in enumerate(squashed_pictures(data / f"{name}_images.tar", pictures.names)):
            small = squash(Image.fromarray(pixels), STORED)
            stored[i] = np.asarray(small).transpose(2, 0, 1)
        with replacing(cached, sync=False) as draft:
            np.save(draft, stored)
    return np.asarray(np.load(cached, mmap_mode="r"))


def _train_still(
    network: C3D,
    heads: Heads,
    teacher: Teacher,
    train: Tensor,
    dev: Tensor,
    kept: Path,
    config: C3DTraining,
    settings: Mapping[str, Any],
) -> None:
    """The first stage."""
    steps = config.pictures // config.batch
    optimisation = Optimisation(steps, config.rate, config.weight_decay, warm_up=WARM_UP)
    trainer = Trainer(
        nn.ModuleDict({"network": network, "heads": heads}),
        optimisation,
        kept,
        settings=settings,
        save_seconds=config.save_seconds,
    )
    for step in trainer:
        rng = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        trainer.step(_still_loss(network.train(), heads, teacher, train, config.batch, rng))
        if (step + 1) % 250 == 0 or step + 1 == steps:
            print(f"step {step + 1}: dev {_agreement(network, heads, teacher, dev)}", flush=True)


def _train_moving(
    network: C3D,
    heads: Heads,
    teacher: Teacher,
    train: Tensor,
    kept: Path,
    config: C3DTraining,
    settings: Mapping[str, Any],
) -> None:
    """The second stage."""
    steps, device = config.clips // config.clip_batch, train.device.type
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    network.eval()  # norms stay as they are
    for layer in LAYERS:
        convolution = getattr(network, f"conv{layer}")
        convolution.weight.register_hook(_odd)
        if device == "cpu" and layer in LAYERS[-4:]:
            convolution.__class__ = InFull
    optimisation = Optimisation(steps, config.clip_rate, config.weight_decay, warm_up=WARM_UP)
    trainer = Trainer(
        nn.ModuleDict({"network": network, "heads": heads}),
        optimisation,
        kept,
        settings=settings,
        save_seconds=config.save_seconds,
    )
    right = {name: 0.0 for name in CLASSES}
    for step in trainer:
        rng = torch.Generator().manual_seed(config.seed * 2_000_003 + step)
        chosen = torch.randint(len(train), (2, config.clip_batch), generator=rng).to(device)
        motions = draw_motions(config.clip_batch, rng).to(device)
        clips = render(train[chosen[0]], train[chosen[1]], motions, side=STORED)
        taught = teacher(squash_batch(clips[:, :, FRAMES // 2], SIZE))
        with _fast(device):
            rows = network(prepared(_as_filmed(clips, rng))).float()
        shown = _shown_loss(heads, rows, taught, teacher.mean).mean()
        moving = _moving_loss(heads, rows, motions, right)
        still = _still_loss(network, heads, teacher, train, config.clip_batch, rng)
        trainer.step(shown + config.motion * moving + still)
        if (step + 1) % 25 == 0:
            shares = {name: round(value, 3) for name, value in right.items()}
            print(f"  shown {shown.item():.2f}, still {still.item():.2f}, right: {shares}")


def _moving_loss(heads: Heads, rows: Tensor, motions: Motions, right: dict[str, float]) -> Tensor:
    """Of labels and of rates; keeps count of the labels that are right."""
    told, truth = heads.rates(rows), motions.rates / torch.tensor(FAST, device=rows.device)
    loss = F.mse_loss(told, truth.clamp(-1, 1)) * len(COLUMNS)
    for name, label in motions.labels().items():
        found = heads.motion[name](rows)
        loss = loss + F.cross_entropy(found, label)
        share = float((found.argmax(1) == label).float().mean())
        right[name] += 0.05 * (share - right[name])
    return loss


def _odd(gradient: Tensor) -> Tensor:
    """Of kernels (K, C, 3, 3, 3): the part whose last temporal tap is the negative of its first."""
    side = (gradient[:, :, 2] - gradient[:, :, 0]) / 2
    return torch.stack([-side, gradient[:, :, 1], side], dim=2)


def still_rows(network: C3D, pictures: Tensor) -> Tensor:
    """Rows (B, D) of clips that show pictures (B, 3, S, S) and nothing else, by the middle taps
    of the kernels alone: the same, where the first and the last cancel out, for a twentieth of the
    multiplications.
    The network must have norms, be pooled, and replicate in time."""
    maps = pictures
    for layer in LAYERS:
        convolution, norm = getattr(network, f"conv{layer}"), getattr(network, f"norm{layer}")
        maps = F.conv2d(maps, convolution.weight[:, :, 1], convolution.bias, padding=1)
        # The norm's own call, for clips of one frame, would take most of a step's time.
        mean, variance = norm.running_mean, norm.running_var
        weight, bias, training = norm.weight, norm.bias, norm.training
        maps = F.batch_norm(maps, mean, variance, weight, bias, training, norm.momentum, norm.eps)
        if layer in POOLED_AFTER:  # before the rectifier: the same maximum, fewer values
            maps = F.max_pool2d(maps, 2)
        maps = torch.relu_(maps)
    return torch.relu(network.fc6(maps.mean(dim=(2, 3))))


def _still_loss(
    network: C3D,
    heads: Heads,
    teacher: Teacher,
    train: Tensor,
    count: int,
    rng: torch.Generator,
) -> Tensor:
    """How far from what the teachers say of pictures that stand still."""
    chosen = torch.randint(len(train), (count,), generator=rng).to(train.device)
    views = part_of_each(train[chosen], rng)
    with _fast(train.device.type):
        rows = still_rows(network, prepared(_as_filmed(views, rng))).float()
    return _shown_loss(heads, rows, teacher(views), teacher.mean).mean()


def _fast(device: str) -> torch.autocast:
    """Convolutions in bfloat16, where it is computed in hardware."""
    return torch.autocast(device, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)


def part_of_each(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 3, 224, 224) 0..255: half to all of each picture (B, 3, S, S), stretched and mirrored."""
    count, device = len(pictures), pictures.device
    area, stretch, mirror, *place = torch.rand(5, count, generator=rng)
    aspect = (0.6 * stretch - 0.3).exp()
    size = torch.stack([(0.5 + area / 2) * aspect, (0.5 + area / 2) / aspect]).sqrt().clamp(max=1)
    centre = (2 * torch.stack(place) - 1) * (1 - size)  # (2, B)
    theta = torch.diag_embed(size.T)  # (B, 2, 2)
    theta[:, 0, 0] *= torch.where(mirror < 0.5, -1.0, 1.0)
    theta = torch.cat([theta, centre.T[:, :, None]], dim=2).to(device)
    grid = F.affine_grid(theta, [count, 3, SIZE, SIZE], align_corners=False)
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)


def _as_filmed(shown: Tensor, rng: torch.Generator) -> Tensor:
    """What a camera makes of pictures (B, 3, S, S) or clips (B, 3, 16, S, S): lighter or darker,
    noisy, and as the network takes them, (B, 3, ..., 96, 96)."""
    count, device = len(shown), shown.device
    frames = shown.transpose(1, 2).flatten(0, 1) if shown.ndim == 5 else shown
    small = squash_batch(frames, SIDE).view(count, -1, 3, SIDE, SIDE).transpose(1, 2)
    light, contrast, noise = torch.rand(3, count, 1, 1, 1, 1, generator=rng).to(device)
    middle = small.mean((1, 2, 3, 4), keepdim=True)
    lit = (small - middle) * (0.75 + contrast / 2) + middle * (0.75 + light / 2)
    seed = int(torch.randint(2**31, (), generator=rng))
    grain = torch.empty_like(lit).normal_(generator=torch.Generator(device).manual_seed(seed))
    filmed: Tensor = (lit + _NOISE * noise**2 * grain).clamp_(0, 255)
    return filmed if shown.ndim == 5 else filmed[:, :, 0]


def prepared(rgb: Tensor) -> Tensor:
    """(B, 3, ...) RGB 0..255 -> BGR minus the mean, channels last."""
    mean = torch.tensor(MEAN, device=rgb.device).view(1, 3, *[1] * (rgb.ndim - 2))
    layout = torch.channels_last if rgb.ndim == 4 else torch.channels_last_3d
    return (rgb.flip(1) - mean).contiguous(memory_format=layout)


def _shown_loss(heads: Heads, rows: Tensor, taught: tuple[Tensor, Tensor], mean: Tensor) -> Tensor:
    """(B,) how far from what the teachers say. Without its second term the network learns little
    but the mean, which all features share."""
    told, (seen, shared) = heads.seen(rows), taught
    return (
        3
        - F.cosine_similarity(told, seen)
        - F.cosine_similarity(told - mean, seen - mean)
        - F.cosine_similarity(heads.shared(rows), shared)
    )


@torch.no_grad()
def _agreement(network: C3D, heads: Heads, teacher: Teacher, dev: Tensor) -> str:
    """How often a dev picture's own teacher vector is the nearest of all."""
    network.eval()
    found: dict[str, list[Tensor]] = {name: [] for name in ("seen", "shared")}
    truths: dict[str, list[Tensor]] = {name: [] for name in found}
    for part in torch.split(dev, _AT_ONCE):
        large = squash_batch(part.float(), SIZE)
        rows = still_rows(network, prepared(squash_batch(large, SIDE)))
        told = heads.seen(rows), heads.shared(rows)
        for name, mine, theirs in zip(found, told, teacher(large), strict=True):
            found[name].append(mine)
            truths[name].append(theirs)
    shares = {}
    for name in found:
        mine, theirs = torch.cat(found[name]), torch.cat(truths[name])
        centre = theirs.mean(0)
        similar = F.normalize(mine - centre, dim=1) @ F.normalize(theirs - centre, dim=1).T
        nearest = similar.argmax(1) == torch.arange(len(dev), device=dev.device)
        shares[name] = f"{100 * float(nearest.float().mean()):.1f} %"
    return str(shares)

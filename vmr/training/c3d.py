"""`python -m vmr train c3d-small`: weights of our own for the motion network, from stills.

    train_c3d(data=Path("data"), cache=Path("cache"), out=Path("assets/weights/c3d-small"))

In two stages. First the network learns what pictures show, as if it had two dimensions (the middle
temporal taps of its kernels): it reproduces the appearance network's pooled features, and the
vectors that the product's shared space gives them. Both look at the same part of the same picture,
another one each time. Then it learns what moves, from stills that we move ourselves (moving.py):
which way, how fast, nearer or farther, turning; and goes on learning what is shown, of stills and
of what moves. The last temporal tap of each kernel stays the negative of its first, so that a clip
in which nothing moves gives what its picture gives.

Made for a GPU, where it takes minutes; on a processor fewer pictures and clips make a lesser
network. Resumable: the run is saved every few minutes and goes on from there. Under
`torchrun` each process has a share of every batch, on a GPU of its own where there are several.
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

from feature_extract.files import replacing
from feature_extract.motion import SIDE, save_motion
from feature_extract.networks.appearance import BLOCKS, SIZE, Appearance
from feature_extract.networks.c3d import C3D, LAYERS, POOLED_AFTER, SMALL
from feature_extract.networks.device import chosen_device, fast_dtype
from feature_extract.networks.squash import FILTER, squash, squash_batch
from vmr.model.movements import COLUMNS, FAST
from vmr.model.retrieval import RetrievalModel
from vmr.model.towers import Towers
from vmr.research.processes import ALONE, Processes, processes
from vmr.training.c3d_views import as_filmed, part_of_each, prepared
from vmr.training.moving import CLASSES, FRAMES, Motions, draw_motions, render
from vmr.training.pictures import Pictures, load_pictures, squashed_pictures
from vmr.training.trainer import Optimisation, Trainer, run_record

STORED: Final = 192
"""Pixels across a picture as it is kept for training: what Flickr8k's pictures have."""
_SEEN: Final = BLOCKS["appearance"]  # columns of the appearance row that are reproduced
WARM_UP: Final = 0.05
"""Share of the steps of either stage over which the learning rate rises to its highest."""
_AT_ONCE: Final = 256  # pictures of the mean and of dev


@dataclass(frozen=True)
class C3DTraining:
    """Settings of the run. They are stored in the weights' config.json; docs/EXPERIMENTS.md
    ("c3d-small trained on a GPU") says how they were chosen."""

    pictures: int = 950_000
    "Parts of pictures shown to the network in the first stage; a picture counts each time."
    clips: int = 290_000
    "Moving clips of 16 frames shown in the second stage."
    batch: int = 512
    "Pictures in a batch of the first stage."
    clip_batch: int = 256
    "Clips, and as many pictures that stand still, in a batch of the second stage."
    rate: float = 4e-3
    "Highest learning rate of the first stage."
    clip_rate: float = 1e-3
    "Highest learning rate of the second stage."
    weight_decay: float = 0.02
    "AdamW's decay of weights with two or more dimensions, in both stages."
    motion: float = 1.0
    "Weight of the losses of motion in the second stage; those of what is shown have 1."
    save_seconds: float = 240
    "Seconds between two saves of the state of the run."
    seed: int = 0
    "Of the first weights, and of what is drawn in every step."


class InFull(nn.Conv3d):
    """A convolution that stays in float32. oneDNN's gradients in bfloat16 are wrong for the small
    maps of the last four layers, to the point of not being numbers (torch 2.13)."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same with the layer's own channels, float32."""
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


class Heads(nn.Module):
    """Linear maps from a C3D row (B, `features`) to what it is taught; not part of the weights.

    They give the appearance network's last layer (B, 1280), the vector of the shared space
    (B, `shared`), the logits of every label of moving.py, and the four rates of movement (B, 4).
    """

    def __init__(self, features: int, shared: int) -> None:
        super().__init__()
        self.seen = nn.Linear(features, _SEEN)
        self.shared = nn.Linear(features, shared)
        self.motion = nn.ModuleDict({name: nn.Linear(features, n) for name, n in CLASSES.items()})
        self.rates = nn.Linear(features, len(COLUMNS))


class Teacher:
    """The targets of pictures: features of the appearance network, vectors of the shared space."""

    def __init__(self, towers: Towers, device: str) -> None:
        self._appearance, self._towers = Appearance(device=device), towers.to(device)
        self.shared = towers.config.width
        self.mean = torch.zeros(_SEEN, device=device)
        "(1280,) the mean of the unit features of training pictures, which all of them share."

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The targets of pictures (N, 3, 260, 260), 0..255: features of the last layer (N, 1280),
        and vectors of the shared space (N, E); both have unit length."""
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

    Args:
        data: the folder of training sets (pictures.py).
        cache: where pictures are kept as pixels; the state of the run is in its folder c3d-small,
            which has to be deleted to begin anew.
        out: gets config.json and weights.safetensors.
        device: "cpu", "cuda", or "auto": the GPU where there is one.

    Raises:
        ImageSetError: a training set is missing or not as published.
        ResumeError: the state is damaged, or of a run of other settings.
        ArithmeticError: a loss was not finite.
        ValueError: a batch does not divide by the processes.
    """
    device = chosen_device(device)
    with processes(device) as place, place.told_once():
        with place.first():
            sets = load_pictures(data, cache, views=0, others=0)
            stored = {name: stored_pixels(data, cache, name, sets[name]) for name in sets}
        train = np.concatenate([stored[name][sets[name].of("train")] for name in sets])
        dev = stored["flickr8k"][sets["flickr8k"].of("dev")]
        shown = torch.from_numpy(train), torch.from_numpy(dev)
        sizes = {name: pictures.counts for name, pictures in sets.items()}
        kept = cache / "c3d-small"
        train_on(*shown, kept, out, config, device=device, data=sizes, place=place)


def train_on(
    train: Tensor,
    dev: Tensor,
    kept: Path,
    out: Path,
    config: C3DTraining,
    *,
    device: str,
    data: Mapping[str, Mapping[str, int]],
    place: Processes = ALONE,
) -> None:
    """Train on pictures (N, 3, 192, 192), uint8 RGB, that are at hand; else as `train_c3d`.

    Args:
        kept: the folder that the state of the run is kept in.
        data: where the pictures are from: of each set, by name, how many there are of each split.
    """
    place.divide(config.batch)
    place.divide(config.clip_batch)
    torch.manual_seed(config.seed)
    torch.backends.cudnn.benchmark = True  # all batches have the same shapes
    teacher = Teacher(RetrievalModel.load(moving=False).towers, device)
    network = C3D(SMALL)
    for layer in LAYERS:
        getattr(network, f"conv{layer}").weight.data[:, :, [0, 2]] = 0
    heads = Heads(SMALL.features, teacher.shared)
    network.to(device)
    heads.to(device)
    with place.first():
        kept.mkdir(exist_ok=True, parents=True)
    train = train.to(device)
    some = torch.split(train[:: max(1, len(train) // 2048)], _AT_ONCE)
    teacher.mean = torch.cat([teacher(squash_batch(part.float(), SIZE))[0] for part in some]).mean(
        0
    )
    settings = asdict(config) | {"pictures at hand": len(train)}
    del settings["save_seconds"]  # another pace of saving is no other run
    still, moving, dev = kept / "still.pt", kept / "moving.pt", dev.to(device)
    _train_still(network, heads, teacher, train, dev, still, config, settings, place=place)
    _train_moving(network, heads, teacher, train, moving, config, settings, place=place)
    if place.rank:
        return
    print(f"dev {_agreement(network, heads, teacher, dev)}", flush=True)
    save_motion(network, out, training=run_record("train c3d-small", asdict(config), data))


def stored_pixels(data: Path, cache: Path, name: str, pictures: Pictures) -> NDArray[np.uint8]:
    """The pictures of a set as (N, 3, 192, 192) uint8 RGB, squashed whole; cached on the disk."""
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
    *,
    place: Processes,
) -> None:
    """First stage: learn what still pictures show from the targets of the teacher."""
    steps = config.pictures // config.batch
    optimisation = Optimisation(steps, config.rate, config.weight_decay, warm_up=WARM_UP)
    trainer = Trainer(
        nn.ModuleDict({"network": network, "heads": heads}),
        optimisation,
        kept,
        settings=settings,
        save_seconds=config.save_seconds,
        place=place,
    )
    for step in trainer:
        rng = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        trainer.step(_still_loss(network.train(), heads, teacher, train, config.batch, rng, place))
        if not place.rank and ((step + 1) % 250 == 0 or step + 1 == steps):
            print(f"step {step + 1}: dev {_agreement(network, heads, teacher, dev)}", flush=True)


def _train_moving(
    network: C3D,
    heads: Heads,
    teacher: Teacher,
    train: Tensor,
    kept: Path,
    config: C3DTraining,
    settings: Mapping[str, Any],
    *,
    place: Processes,
) -> None:
    """Second stage: learn how synthetic clips move, and go on learning what is shown."""
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
        place=place,
    )
    right = {name: 0.0 for name in CLASSES}
    for step in trainer:
        rng = torch.Generator().manual_seed(config.seed * 2_000_003 + step)
        chosen = torch.randint(len(train), (2, config.clip_batch), generator=rng)
        chosen = chosen[:, place.part].to(device)
        motions = draw_motions(config.clip_batch, rng)[place.part].to(device)
        clips = render(train[chosen[0]], train[chosen[1]], motions, side=STORED)
        taught = teacher(squash_batch(clips[:, :, FRAMES // 2], SIZE))
        with _fast(device):
            rows = network(prepared(as_filmed(clips, rng, place))).float()
        shown = _shown_loss(heads, rows, taught, teacher.mean).mean()
        moving = _moving_loss(heads, rows, motions, right)
        still = _still_loss(network, heads, teacher, train, config.clip_batch, rng, place)
        trainer.step(shown + config.motion * moving + still)
        if (step + 1) % 25 == 0:
            shares = {name: round(value, 3) for name, value in right.items()}
            print(f"  shown {shown.item():.2f}, still {still.item():.2f}, right: {shares}")


def _moving_loss(heads: Heads, rows: Tensor, motions: Motions, right: dict[str, float]) -> Tensor:
    """The loss of the labels and rates of motion, a scalar.

    Args:
        rows: (B, D) of the clips.
        right: by label, the running share of rows whose label is right; brought up to date.
    """
    told, truth = heads.rates(rows), motions.rates / torch.tensor(FAST, device=rows.device)
    loss = F.mse_loss(told, truth.clamp(-1, 1)) * len(COLUMNS)
    for name, label in motions.labels().items():
        found = heads.motion[name](rows)
        loss = loss + F.cross_entropy(found, label)
        share = float((found.argmax(1) == label).float().mean())
        right[name] += 0.05 * (share - right[name])
    return loss


def _odd(gradient: Tensor) -> Tensor:
    """The gradient of kernels (K, C, 3, 3, 3) without what would change the sum of their first and
    last temporal tap: each last tap stays the negative of its first."""
    side = (gradient[:, :, 2] - gradient[:, :, 0]) / 2
    return torch.stack([-side, gradient[:, :, 1], side], dim=2)


def still_rows(network: C3D, pictures: Tensor, place: Processes = ALONE) -> Tensor:
    """Rows (B, D) of clips that show pictures (B, 3, S, S) and nothing else, by the middle taps
    of the kernels alone: the same, where the first and the last cancel out, for a twentieth of the
    multiplications.
    The network must have norms, be pooled, and replicate in time."""
    maps = pictures
    for layer in LAYERS:
        convolution, norm = getattr(network, f"conv{layer}"), getattr(network, f"norm{layer}")
        maps = F.conv2d(maps, convolution.weight[:, :, 1], convolution.bias, padding=1)
        maps = place.normalised(maps, norm)
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
    place: Processes,
) -> Tensor:
    """The loss of this process's share of `count` pictures, drawn by `rng`, that stand still; a
    scalar."""
    chosen = torch.randint(len(train), (count,), generator=rng)[place.part].to(train.device)
    views = part_of_each(train[chosen], rng, place)
    with _fast(train.device.type):
        rows = still_rows(network, prepared(as_filmed(views, rng, place)), place).float()
    return _shown_loss(heads, rows, teacher(views), teacher.mean).mean()


def _fast(device: str) -> torch.autocast:
    """A context in which convolutions run in bfloat16 on hardware that computes it."""
    return torch.autocast(device, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)


def _shown_loss(heads: Heads, rows: Tensor, taught: tuple[Tensor, Tensor], mean: Tensor) -> Tensor:
    """The distance (B,) of rows (B, D) from the teacher's targets, 0 to 6: one minus a cosine, for
    features, for features without their mean, and for vectors of the shared space. Without the
    second term the network learns little but the mean, which all features share."""
    told, (seen, shared) = heads.seen(rows), taught
    return (
        3
        - F.cosine_similarity(told, seen)
        - F.cosine_similarity(told - mean, seen - mean)
        - F.cosine_similarity(heads.shared(rows), shared)
    )


@torch.no_grad()
def _agreement(network: C3D, heads: Heads, teacher: Teacher, dev: Tensor) -> str:
    """How often a development picture's own target is the nearest of all, in %, as text."""
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

"""Moving clips made of stills, with what moves as labels: what C3D learns motion from.

    motions = draw_motions(16, torch.Generator().manual_seed(0))
    clips = render(pictures, motions, side=112)     # (B, 3, S, S) uint8 -> (B, 3, 16, 112, 112)
    motions.labels()["shift"]                       # (B,) 0: none, 1..8: the way the picture goes

A clip is 16 pictures at 8 a second, as the extractor looks at video. Either the whole picture moves
(a camera that pans, zooms or turns) or an oval cut out of another picture moves over it (a thing
that passes, comes nearer or goes away). All clips shake a little, so that "is it still" says
nothing. Ways are those of what is seen: to the right means that content goes to the right.
"""

import math
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

FRAMES: Final = 16
RATE: Final = 8
"""Pictures a second."""
WAYS: Final = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
"""Ways in steps of an eighth of a turn, clockwise on the screen."""
SPEEDS: Final = ((0.05, 0.09), (0.14, 0.22), (0.34, 0.5))
"""Slow, medium, fast: widths of the picture a second."""
GROWTH: Final = (0.15, 0.4)
"""Least and most of the logarithm of a size's change a second, for zooms and things that come."""
TURN: Final = (0.2, 0.6)
"""Radians a second."""
CLASSES: Final = {"shift": 9, "speed": 4, "growth": 3, "turn": 3}
"""Labels and how many values each has; 0 is none."""
_KINDS: Final = {"shift": 0.55, "growth": 0.2, "turn": 0.1, "still": 0.15}
_OVAL_SHARE: Final = 0.35
_SHAKE: Final = 0.004  # widths, standard deviation


@dataclass(frozen=True)
class Motions:
    """What happens in each of B clips."""

    way: Tensor
    "(B,) -1: none, or an index of WAYS"
    speed: Tensor
    "(B,) -1: none, or an index of SPEEDS"
    shift: Tensor
    "(B, 2) widths a second, to the right and down"
    growth: Tensor
    "(B,) logarithm of the size, a second; above 0: zooms in, comes nearer"
    turn: Tensor
    "(B,) radians a second, clockwise"
    oval: Tensor
    "(B,) bool: an oval of another picture moves, not the whole"
    seeds: Tensor
    "(B,) of the shake, the light and the oval's shape"

    def labels(self) -> dict[str, Tensor]:
        """(B,) for each of CLASSES."""
        return {
            "shift": self.way + 1,
            "speed": self.speed + 1,
            "growth": _signed(self.growth),
            "turn": _signed(self.turn),
        }

    def __getitem__(self, chosen: Tensor | slice) -> "Motions":
        return Motions(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def _signed(rate: Tensor) -> Tensor:
    """0: none, 1: above zero, 2: below."""
    return (rate > 0).long() + 2 * (rate < 0).long()


def draw_motions(count: int, generator: torch.Generator) -> Motions:
    """Motions at random, one kind a clip."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    shares = torch.tensor(list(_KINDS.values()))
    kind = torch.multinomial(shares, count, replacement=True, generator=generator)
    names = list(_KINDS)
    way = torch.randint(len(WAYS), (count,), generator=generator)
    level = torch.randint(len(SPEEDS), (count,), generator=generator)
    rates = torch.stack([uniform(*span) for span in SPEEDS])  # (3, B)
    rate = rates.gather(0, level[None])[0]
    shifts = kind == names.index("shift")
    angle = way * (math.tau / len(WAYS)) + uniform(-0.12, 0.12)
    shift = torch.stack([angle.cos(), angle.sin()], dim=1) * (rate * shifts)[:, None]
    sign = 2.0 * torch.randint(2, (count,), generator=generator) - 1
    grows, turns = kind == names.index("growth"), kind == names.index("turn")
    return Motions(
        way=torch.where(shifts, way, -1),
        speed=torch.where(shifts, level, -1),
        shift=shift,
        growth=grows * sign * uniform(*GROWTH),
        turn=turns * sign * uniform(*TURN),
        oval=(uniform(0, 1) < _OVAL_SHARE) & (shifts | grows),
        seeds=torch.randint(2**31 - 1, (count,), generator=generator),
    )


def render(pictures: Tensor, others: Tensor, motions: Motions, *, side: int) -> Tensor:
    """The clips (B, 3, 16, side, side), float RGB 0..255.

    Args:
        pictures: (B, 3, S, S) uint8 RGB: what is shown.
        others: (B, 3, S, S) uint8 RGB: what an oval is cut from.
    """
    clips = [
        _clip(picture, other, motions[i : i + 1], side)
        for i, (picture, other) in enumerate(zip(pictures, others, strict=True))
    ]
    return torch.stack(clips)


def _clip(picture: Tensor, other: Tensor, motion: Motions, side: int) -> Tensor:
    draw = torch.Generator().manual_seed(int(motion.seeds))

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=draw))

    seconds = (torch.arange(FRAMES) - (FRAMES - 1) / 2) / RATE  # (16,), 0 in the middle
    shake = _SHAKE * torch.randn(FRAMES, 2, generator=draw)
    still = shake, torch.ones(FRAMES), torch.zeros(FRAMES)
    travel = motion.shift * seconds[:, None]  # (16, 2)
    moved = travel + shake, (motion.growth * seconds).exp(), motion.turn * seconds
    moves_whole = not bool(motion.oval)
    mirror = uniform(0, 1) < 0.5
    view = uniform(0.72, 0.95)
    centre = torch.tensor([uniform(-0.1, 0.1), uniform(-0.1, 0.1)])
    clip = _seen(picture, *(moved if moves_whole else still), view, centre, mirror, side)
    if not moves_whole:
        # Seen through its own window: the oval and what it shows move together.
        size = uniform(0.2, 0.34), uniform(0.2, 0.34)
        inside = _seen(other, *moved, view, centre, mirror, side)
        clip = torch.lerp(clip, inside, _oval(*moved, size, side))
    light, contrast = uniform(0.75, 1.25), uniform(0.8, 1.2)
    middle = clip.mean()
    seen: Tensor = ((clip - middle) * contrast + middle * light).clamp_(0, 255)
    return seen


def _seen(
    picture: Tensor,
    travel: Tensor,
    size: Tensor,
    angle: Tensor,
    view: float,
    centre: Tensor,
    mirror: bool,
    side: int,
) -> Tensor:
    """(3, 16, side, side) of a picture (3, S, S) that is moved by `travel` (16, 2) widths,
    enlarged by `size` (16,) and turned by `angle` (16,) clockwise; reflected at its edges."""
    # A place on the screen -> the place in the picture: moved, turned and sized back.
    cosine, sine = angle.cos() / size, angle.sin() / size  # (16,)
    theta = torch.empty(FRAMES, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = cosine, sine
    theta[:, 1, 0], theta[:, 1, 1] = -sine, cosine
    back = (theta[:, :, :2] @ (-2 * travel)[:, :, None])[:, :, 0]  # (16, 2)
    theta = view * torch.cat([theta[:, :, :2], back[:, :, None]], dim=2)
    theta[:, :, 2] += centre
    if mirror:
        picture = picture.flip(2)
    grid = F.affine_grid(theta, [FRAMES, 3, side, side], align_corners=False)
    source = picture.float()[None].expand(FRAMES, -1, -1, -1)
    shown = F.grid_sample(source, grid, padding_mode="reflection", align_corners=False)
    return shown.transpose(0, 1)  # (3, 16, side, side)


def _oval(
    travel: Tensor, size: Tensor, angle: Tensor, radii: tuple[float, float], side: int
) -> Tensor:
    """(1, 16, side, side) of 0..1: inside the moving oval, with a soft edge."""
    del angle  # ovals do not turn
    line = (torch.arange(side) + 0.5) / side - 0.5  # widths from the middle
    x = line[None, None, :] - travel[:, 0, None, None]
    y = line[None, :, None] - travel[:, 1, None, None]
    size = size[:, None, None]
    away = ((x / (radii[0] * size)) ** 2 + (y / (radii[1] * size)) ** 2).sqrt()  # (16, side, side)
    return ((1 - away) * 12).clamp(0, 1)[None]

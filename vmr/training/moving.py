"""Synthetic motion: clips made of still pictures, labelled with what moves. C3D learns from them.

    motions = draw_motions(16, torch.Generator().manual_seed(0))
    clips = render(pictures, others, motions, side=192)     # (B, 3, 16, 192, 192), 0..255
    motions.labels()["shift"]                               # (B,) 0: none, 1..8: the way it goes

A clip is 16 pictures at 8 a second, as the extractor looks at video. Either the whole picture moves
(a camera that pans, zooms or turns) or an oval cut out of another picture moves over it (a thing
that passes, comes nearer or goes away). All clips shake, a few as a hand does, so that "is it
still" says nothing; and in some that go no way there is a cut. Ways are those of what is seen: to
the right means that content goes to the right.
"""

import math
from dataclasses import dataclass, fields, replace
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
_KINDS: Final = {"shift": 0.52, "growth": 0.2, "turn": 0.1, "still": 0.12, "cut": 0.06}
_OVAL_SHARE: Final = 0.35
_SHAKE: Final = 0.004  # widths, standard deviation
_HAND: Final = 0.02  # widths: the most that a hand shakes
_HAND_SHARE: Final = 0.3
_HAND_RATE: Final = (1.0, 3.0)  # times a second


@dataclass(frozen=True)
class Motions:
    """What happens in each of B clips; with the pictures, all there is to know of them."""

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
    cut: Tensor
    "(B,) number of the frame from which on another picture is shown; FRAMES: none"
    shake: Tensor
    "(B, FRAMES, 2) widths"
    view: Tensor
    "(B,) share of the picture's width that is seen"
    centre: Tensor
    "(B, 2) where, in halves of a width from the middle"
    mirrored: Tensor
    "(B,) bool"
    radii: Tensor
    "(B, 2) of the oval, widths"
    light: Tensor
    "(B,) 1: as it is"
    contrast: Tensor
    "(B,) 1: as it is"

    def labels(self) -> dict[str, Tensor]:
        """The label (B,) of each of CLASSES; 0 is none."""
        return {
            "shift": self.way + 1,
            "speed": self.speed + 1,
            "growth": _signed(self.growth),
            "turn": _signed(self.turn),
        }

    @property
    def rates(self) -> Tensor:
        """What is seen a second (B, 4): widths to the right and down, change of the size's
        logarithm, and radians clockwise."""
        return torch.cat([self.shift, self.growth[:, None], self.turn[:, None]], dim=1)

    def __getitem__(self, chosen: Tensor | slice) -> "Motions":
        return Motions(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def to(self, device: str) -> "Motions":
        """The same, there."""
        return Motions(
            **{field.name: getattr(self, field.name).to(device) for field in fields(self)}
        )

    def backwards(self) -> "Motions":
        """What is seen when the clips are played from their end; a cut then leads away from the
        other picture."""
        half = len(WAYS) // 2
        return replace(
            self,
            way=torch.where(self.way < 0, -1, (self.way + half) % len(WAYS)),
            shift=-self.shift,
            growth=-self.growth,
            turn=-self.turn,
            cut=torch.where(self.cut < FRAMES, FRAMES - self.cut, FRAMES),
            shake=self.shake.flip(1),
        )


def _signed(rate: Tensor) -> Tensor:
    """The class of a signed rate: 0 for none, 1 above zero, 2 below zero."""
    return (rate > 0).long() + 2 * (rate < 0).long()


def draw_motions(count: int, generator: torch.Generator) -> Motions:
    """Random motions for `count` clips, one kind a clip, by the shares of _KINDS."""

    def uniform(low: float, high: float, *more: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *more, generator=generator)

    shares = torch.tensor(list(_KINDS.values()))
    kind = torch.multinomial(shares, count, replacement=True, generator=generator)
    names = list(_KINDS)
    way = torch.randint(len(WAYS), (count,), generator=generator)
    level = torch.randint(len(SPEEDS), (count,), generator=generator)
    rates = torch.stack([uniform(*span) for span in SPEEDS])  # (3, B)
    rate = rates.gather(0, level[None])[0]
    shifts, grows, turns = (kind == names.index(name) for name in ("shift", "growth", "turn"))
    angle = way * (math.tau / len(WAYS)) + uniform(-0.12, 0.12)
    shift = torch.stack([angle.cos(), angle.sin()], dim=1) * (rate * shifts)[:, None]
    sign = 2.0 * torch.randint(2, (count,), generator=generator) - 1
    at = torch.randint(1, FRAMES, (count,), generator=generator)
    shake = _SHAKE * torch.randn(count, FRAMES, 2, generator=generator)
    hand = uniform(0, _HAND, 1, 2) * (uniform(0, 1, 1, 1) < _HAND_SHARE)
    phase = math.tau * (uniform(*_HAND_RATE, 1, 2) * _seconds()[:, None] + uniform(0, 1, 1, 2))
    return Motions(
        way=torch.where(shifts, way, -1),
        speed=torch.where(shifts, level, -1),
        shift=shift,
        growth=grows * sign * uniform(*GROWTH),
        turn=turns * sign * uniform(*TURN),
        oval=(uniform(0, 1) < _OVAL_SHARE) & (shifts | grows),
        cut=torch.where(kind == names.index("cut"), at, FRAMES),
        shake=shake + hand * phase.sin(),
        view=uniform(0.72, 1.0),
        centre=uniform(-0.1, 0.1, 2),
        mirrored=uniform(0, 1) < 0.5,
        radii=uniform(0.2, 0.34, 2),
        light=uniform(0.75, 1.25),
        contrast=uniform(0.8, 1.2),
    )


def _seconds() -> Tensor:
    """The seconds (FRAMES,) at which frames are shown; the middle of the clip is 0."""
    return (torch.arange(FRAMES) - (FRAMES - 1) / 2) / RATE


def render(pictures: Tensor, others: Tensor, motions: Motions, *, side: int) -> Tensor:
    """Clips (B, 3, 16, side, side), float RGB 0..255, on the device of the pictures.

    Args:
        pictures: (B, 3, S, S) uint8 RGB: what is shown.
        others: (B, 3, S, S) uint8 RGB: what an oval is cut from, and what a cut leads to.
    """
    seconds = _seconds().to(pictures.device)
    travel = motions.shift[:, None] * seconds[:, None]  # (B, 16, 2)
    size = (motions.growth[:, None] * seconds).exp()  # (B, 16)
    angle = motions.turn[:, None] * seconds
    # Seen through its own window: an oval and what it shows move together.
    inside = _seen(others, travel, size, angle, motions, side)
    whole = ~motions.oval
    travel_of_whole = travel * whole[:, None, None]
    sizes, angles = torch.where(whole[:, None], size, 1.0), angle * whole[:, None]
    clips = _seen(pictures, travel_of_whole, sizes, angles, motions, side)
    shows_other = _oval(travel + motions.shake, size, motions.radii, side)
    shows_other *= motions.oval[:, None, None, None]  # (B, 16, side, side)
    frame = torch.arange(FRAMES, device=pictures.device)
    shows_other += (frame >= motions.cut[:, None])[:, :, None, None]
    clips = torch.lerp(clips, inside, shows_other[:, None])
    middle = clips.mean((1, 2, 3, 4), keepdim=True)
    light, contrast = (value.view(-1, 1, 1, 1, 1) for value in (motions.light, motions.contrast))
    return ((clips - middle) * contrast + middle * light).clamp_(0, 255)


def _seen(
    pictures: Tensor, travel: Tensor, size: Tensor, angle: Tensor, motions: Motions, side: int
) -> Tensor:
    """(B, 3, 16, side, side) of pictures (B, 3, S, S) that are moved by `travel` (B, 16, 2) widths,
    enlarged by `size` (B, 16) and turned by `angle` (B, 16) clockwise; reflected at their edges."""
    # A place on the screen -> the place in the picture: moved, turned and sized back.
    cosine, sine = angle.cos() / size, angle.sin() / size  # (B, 16)
    back = torch.stack([cosine, sine, -sine, cosine], dim=2).view(*size.shape, 2, 2)
    place = (back @ (-2 * (travel + motions.shake))[..., None]) * motions.view.view(-1, 1, 1, 1)
    place += motions.centre[:, None, :, None]  # (B, 16, 2, 1)
    theta = torch.cat([back * motions.view.view(-1, 1, 1, 1), place], dim=3)
    theta[:, :, 0] *= torch.where(motions.mirrored, -1.0, 1.0)[:, None, None]
    count = len(pictures)
    grid = F.affine_grid(theta.flatten(0, 1), [count * FRAMES, 3, side, side], align_corners=False)
    # All frames of a clip one below the other: of one picture.
    grid = grid.view(count, FRAMES * side, side, 2)
    shown = F.grid_sample(pictures.float(), grid, padding_mode="reflection", align_corners=False)
    return shown.view(count, 3, FRAMES, side, side)


def _oval(travel: Tensor, size: Tensor, radii: Tensor, side: int) -> Tensor:
    """The mask (B, 16, side, side) of the moving oval: 1 inside, 0 outside, soft at its edge. Ovals
    do not turn."""
    line = (torch.arange(side, device=travel.device) + 0.5) / side - 0.5  # widths from the middle
    across = (line - travel[:, :, 0, None]) / (radii[:, None, :1] * size[:, :, None])
    down = (line - travel[:, :, 1, None]) / (radii[:, None, 1:] * size[:, :, None])  # (B, 16, side)
    away = (across[:, :, None, :] ** 2 + down[:, :, :, None] ** 2).sqrt()
    return ((1 - away) * 12).clamp(0, 1)

"""What C3D is shown of a picture or a clip in training: random parts of it, as a camera saw them.

    views = part_of_each(pictures, rng)             # (B, 3, 260, 260), 0..255
    network(prepared(as_filmed(clips, rng)))        # of clips (B, 3, 16, S, S)

All randomness comes from the generator, which lies on the processor.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from feature_extract.clips import MEAN
from feature_extract.motion import SIDE
from feature_extract.networks.appearance import SIZE
from feature_extract.networks.squash import squash_batch
from vmr.research.processes import ALONE, Processes

_NOISE: Final = 6.0
"""Standard deviation, of 255, of the noisiest clips."""


def part_of_each(pictures: Tensor, rng: torch.Generator, place: Processes = ALONE) -> Tensor:
    """Random views (B, 3, 260, 260), 0..255, of pictures (B, 3, S, S): half to all of each one's
    area, stretched by up to a third and mirrored half of the time.

    Args:
        place: this process, whose share of a batch the pictures are; the same is drawn in all.
    """
    count, device = len(pictures), pictures.device
    drawn = torch.rand(5, count * place.count, generator=rng)[:, place.part]
    area, stretch, mirror, *middle = drawn
    aspect = (0.6 * stretch - 0.3).exp()
    size = torch.stack([(0.5 + area / 2) * aspect, (0.5 + area / 2) / aspect]).sqrt().clamp(max=1)
    centre = (2 * torch.stack(middle) - 1) * (1 - size)  # (2, B)
    theta = torch.diag_embed(size.T)  # (B, 2, 2)
    theta[:, 0, 0] *= torch.where(mirror < 0.5, -1.0, 1.0)
    theta = torch.cat([theta, centre.T[:, :, None]], dim=2).to(device)
    grid = F.affine_grid(theta, [count, 3, SIZE, SIZE], align_corners=False)
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)


def as_filmed(shown: Tensor, rng: torch.Generator, place: Processes = ALONE) -> Tensor:
    """Pictures (B, 3, S, S) or clips (B, 3, 16, S, S) in the light, contrast and noise of a random
    camera, at the network's size: (B, 3, 96, 96) or (B, 3, 16, 96, 96), 0..255.

    Args:
        place: as of `part_of_each`.
    """
    count, device = len(shown), shown.device
    frames = shown.transpose(1, 2).flatten(0, 1) if shown.ndim == 5 else shown
    small = squash_batch(frames, SIDE).view(count, -1, 3, SIDE, SIDE).transpose(1, 2)
    whole = count * place.count
    drawn = torch.rand(3, whole, 1, 1, 1, 1, generator=rng)[:, place.part]
    light, contrast, noise = drawn.to(device)
    middle = small.mean((1, 2, 3, 4), keepdim=True)
    lit = (small - middle) * (0.75 + contrast / 2) + middle * (0.75 + light / 2)
    seed = int(torch.randint(2**31, (), generator=rng))
    grain = torch.empty(whole, *small.transpose(1, 2).shape[1:], device=device).transpose(1, 2)
    grain.normal_(generator=torch.Generator(device).manual_seed(seed))
    filmed: Tensor = (lit + _NOISE * noise**2 * grain[place.part]).clamp_(0, 255)
    return filmed if shown.ndim == 5 else filmed[:, :, 0]


def prepared(rgb: Tensor) -> Tensor:
    """Pictures or clips (B, 3, ...), RGB 0..255, as C3D takes them: BGR minus the mean of
    Sports-1M, channels last in memory."""
    mean = torch.tensor(MEAN, device=rgb.device).view(1, 3, *[1] * (rgb.ndim - 2))
    layout = torch.channels_last if rgb.ndim == 4 else torch.channels_last_3d
    return (rgb.flip(1) - mean).contiguous(memory_format=layout)

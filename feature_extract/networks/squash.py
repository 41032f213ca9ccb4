"""The whole of a picture, whatever its shape, as the square that a network looks at.

    squash(Image.open("dog.jpg").convert("RGB"))    # 260 x 260, for networks/appearance.py
    squash_batch(pictures, 96)                      # (N, 3, 96, 96), for networks/c3d.py

Everything that turns a picture into what a network sees comes here; nothing is cropped, and the
aspect is not kept. Video is the exception: the decoder resizes its pictures itself, with libav's
bicubic filter. `squash` takes Pillow's bicubic filter, because its rows are the nearest to those
that the same picture has in a video (`python -m experiments.squash`, docs/EXPERIMENTS.md).
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from feature_extract.networks.appearance import SIZE

FILTER: Final = Image.Resampling.BICUBIC
"""What `squash` resizes by. Rows that were cached under another filter are made anew, for the
names of cached files contain it (vmr/training/pictures.py)."""


def squash(picture: Image.Image, side: int = SIZE) -> Image.Image:
    """A picture of any size as side x side pixels, as a video frame of it would look.

    Args:
        picture: RGB, upright.
        side: the appearance network's input, where nothing else is said.
    """
    return picture.resize((side, side), FILTER)


def squash_batch(pictures: Tensor, side: int) -> Tensor:
    """Pictures (N, 3, H, W) as (N, 3, side, side) of the same dtype, on the device they are on.

    The filter is bilinear and covers all that a pixel of the result covers: as Pillow's bilinear
    one, to one level of 255. The shipped motion weights were trained with it and rows of indexed
    videos were made with it, from pictures that the decoder had made square before.
    """
    return squash_to(pictures, side, side)


def squash_to(pictures: Tensor, width: int, height: int) -> Tensor:
    """The same, for networks of 16 pictures that are given some of other shapes (clips.py)."""
    size = (height, width)
    return torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)


def squash_pixels(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Pictures (N, H, W, 3) as (N, side, side, 3), by the filter of `squash_batch`."""
    pictures = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    squashed: NDArray[np.uint8] = squash_batch(pictures, side).permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(squashed)

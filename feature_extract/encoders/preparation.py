"""Pictures as an encoder wants them: squashed to its square, scaled, less its mean.

    preparation = of_transformers(source, side)
    preparation(pixels)                     # (N, S, S, 3) uint8 -> (N, 3, side, side) float32
    preparation.squash(picture)             # a Pillow picture of any size -> side x side

What the libraries do themselves, without their image processors, which need torchvision. One thing
is done another way on purpose: a picture is squashed whole where they would cut off the sides of a
wide one, as everywhere in this project, so that what happens at an edge is found.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.source import OPEN_CLIP, PREPARATION, Source
from feature_extract.networks.squash import squash_batch

_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preparation:
    """How an encoder wants its pictures."""

    side: int
    "pixels across its square"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    "of red, green and blue, 0..1"
    resample: Image.Resampling = Image.Resampling.BICUBIC

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Pictures (N, S, S, 3), squashed before, as the network takes them: (N, 3, side, side)."""
        pictures = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        if pictures.shape[2:] != (self.side, self.side):
            pictures = squash_batch(pictures, self.side)
        mean, std = (255 * torch.tensor(c)[:, None, None] for c in (self.mean, self.std))
        return (pictures.float() - mean) / std

    def squash(self, picture: Image.Image) -> Image.Image:
        """A picture of any size, RGB, in the square."""
        return picture.resize((self.side, self.side), self.resample)


def of_transformers(source: Source, side: int) -> Preparation:
    """What preprocessor_config.json says; where it is silent, what CLIP does.

    Raises:
        EncoderError: it is missing, damaged, or asks for something else.
    """
    said = source.read_json(PREPARATION)
    factor = said.get("rescale_factor", 1 / 255)
    if not said.get("do_rescale", True) or abs(factor * 255 - 1) > 1e-3:
        raise EncoderError(f"{source.name}: scales pictures by {factor}, not by 1/255")
    resample = said.get("resample", int(Image.Resampling.BICUBIC))
    mean, std = _norms(source, said.get("image_mean"), said.get("image_std"))
    if not said.get("do_normalize", True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return Preparation(side, mean, std, Image.Resampling(resample))


def of_open_clip(source: Source, side: int) -> Preparation:
    """What preprocess_cfg of open_clip_config.json says. Raises as `of_transformers`."""
    said: dict[str, Any] = source.read_json(OPEN_CLIP).get("preprocess_cfg", {})
    mean, std = _norms(source, said.get("mean"), said.get("std"))
    return Preparation(side, mean, std, _FILTERS[said.get("interpolation", "bicubic")])


def _norms(source: Source, mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = tuple(mean or _CLIP_MEAN), tuple(std or _CLIP_STD)
    if len(mean) != 3 or len(std) != 3 or not all(std):
        raise EncoderError(f"{source.name}: mean {mean} and deviation {std} are not of 3 colours")
    return mean, std

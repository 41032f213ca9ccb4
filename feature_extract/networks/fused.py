"""C3D on a GPU in bfloat16: nearly twice as many clips a second, from the same convolutions.

    fast = Fused(network)               # C3D with norms and mean folded in, on the GPU; see c3d.py
    fast(blocks)                        # (B, T, S, S, C) bfloat16 -> (B, T / 8, S / 16, S / 16, C')

The first convolution has so few channels that a GPU's matrix units hardly help: it takes a third of
the network's time. Here it is one of pictures, with its three frames side by side as channels, and
some of zeros, for these units take 8 at a time. Maxima are taken before bias and ReLU, which is
the same, on a quarter or an eighth of the values; where there are none, all three are one kernel.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from feature_extract.networks.c3d import C3D, LAYERS, POOLED_AFTER

_CHANNELS: Final = 16
"""Channels that the first convolution sees: those of three frames, filled up with zeros."""


class Fused:
    """C3D's layers up to the fourth pooling, on a GPU. Maps have their channels last in memory."""

    def __init__(self, network: C3D) -> None:
        """Take the weights of a network without norms."""
        self._replicates = network.config.replicate_time
        first, *others = (getattr(network, f"conv{layer}") for layer in LAYERS[:-2])
        weight = first.weight.detach().transpose(1, 2).flatten(1, 2)  # (K, 3 C, 3, 3)
        weight = F.pad(weight, (0, 0, 0, 0, 0, _CHANNELS - weight.shape[1]))
        self._first = weight.contiguous(memory_format=torch.channels_last)
        self._first_bias = first.bias.detach()
        self._others: list[nn.Conv3d] = others

    def __call__(self, blocks: Tensor) -> Tensor:
        """What `C3D.up_to_4b` gives, (B, T / 8, S / 16, S / 16, 8 width), for blocks (B, T, S, S,
        C) of T pictures."""
        maps = self._of_pictures(blocks).permute(0, 4, 1, 2, 3)  # (B, width, T, S / 2, S / 2)
        for layer, convolution in zip(LAYERS[1:-2], self._others, strict=True):
            maps = self._convolved(maps, convolution, layer in POOLED_AFTER)
        return maps.permute(0, 2, 3, 4, 1)

    def _of_pictures(self, blocks: Tensor) -> Tensor:
        """The first convolution and its pooling: (B, T, S / 2, S / 2, width)."""
        count, frames = blocks.shape[:2]
        ends = (blocks[:, :1], blocks[:, -1:]) if self._replicates else (blocks[:, :1] * 0,) * 2
        longer = torch.cat([ends[0], blocks, ends[1]], dim=1)
        frames_of_taps = [longer[:, k : k + frames] for k in range(3)]
        missing = _CHANNELS - 3 * blocks.shape[-1]
        zeros = blocks.new_zeros(()).expand(*blocks.shape[:-1], missing)
        stacked = torch.cat([*frames_of_taps, zeros], dim=-1).flatten(0, 1)  # (B T, S, S, 16)
        maps = F.conv2d(stacked.permute(0, 3, 1, 2), self._first, padding=1)
        maps = F.max_pool2d(maps, 2).add_(self._first_bias.view(-1, 1, 1)).relu_()
        pooled: Tensor = maps.permute(0, 2, 3, 1)
        return pooled.view(count, frames, *pooled.shape[1:])

    def _convolved(self, maps: Tensor, convolution: nn.Conv3d, pooled: bool) -> Tensor:
        """Maps (B, C, T, H, W) after a convolution, its bias and ReLU, and, if `pooled`, the 2 x 2
        x 2 maxima."""
        weight, bias, one = convolution.weight, convolution.bias, (1, 1, 1)
        assert bias is not None
        if self._replicates:
            maps = torch.cat([maps[:, :, :1], maps, maps[:, :, -1:]], dim=2)
        padding = (0 if self._replicates else 1, 1, 1)
        if pooled:
            maps = F.conv3d(maps, weight, padding=padding)
            return F.max_pool3d(maps, 2).add_(bias.view(-1, 1, 1, 1)).relu_()
        if maps.is_cuda:
            return torch.cudnn_convolution_relu(maps, weight, bias, one, padding, one, 1)
        return F.conv3d(maps, weight, bias, padding=padding).relu_()

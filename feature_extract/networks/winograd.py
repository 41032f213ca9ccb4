"""C3D on a processor without bfloat16 units: the same maps from a third of the multiplications.

    fast = Winograd(network)             # C3D with norms and mean folded in, see c3d.py
    fast(blocks)                         # (B, T, S, S, C) float32 -> (B, T / 8, S / 16, S / 16, C')

A 3 x 3 x 3 convolution is computed in tiles of 2 x 4 x 4 outputs (Lavin and Gray, CVPR 2016): tiles
of the input and the kernels are transformed so that a tile takes 4 x 6 x 6 products for each pair
of channels instead of 27 x 32, one sixth; the products are matrix multiplications, the transforms
too or additions. In float32 the outputs differ from a direct convolution's by about 1e-5 of the
largest. Maxima are taken before bias and ReLU, which is the same, on a quarter or an eighth of the
values. The first convolution is one of pictures, its three in a row side by side as channels: with
so few channels that is several times as fast. The last two, on small maps, are not done here: their
transformed kernels would be larger than everything else.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from feature_extract.networks.c3d import C3D, POOLED_AFTER

TILED: Final = ("2a", "3a", "3b", "4a", "4b")
POSITIONS: Final = 224
"""Tiles computed at once: enough for a matrix multiplication, few enough to stay in the cache
(`python -m benchmarks --only networks` times it)."""
# F(4 x 4, 3 x 3) in the plane: input, kernel, output; points 0, 1, -1, 2, -2 and infinity.
_IN: Final = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL: Final = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUT: Final = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
# F(2, 3) in time; its input and output are the additions of `_in_time` and `_products`.
_KERNEL_TIME: Final = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))


class Winograd:
    """C3D's layers up to the fourth pooling, on a processor. Kernels are transformed once; maps
    have their channels last in memory."""

    def __init__(self, network: C3D) -> None:
        """Take the weights of a network without norms."""
        assert isinstance(network.conv1a, nn.Conv3d)
        self._first = _Stacked(network.conv1a)
        self._tiled = [
            _Tiled(getattr(network, f"conv{layer}"), pooled=layer in POOLED_AFTER)
            for layer in TILED
        ]

    def __call__(self, blocks: Tensor) -> Tensor:
        """What `C3D.up_to_4b` gives, (B, T / 8, S / 16, S / 16, 8 width), for blocks (B, T, S, S,
        C) of T pictures."""
        maps = self._first(blocks)
        scratch = _Scratch()
        for layer in self._tiled:
            maps = layer(maps, scratch)
        return maps


class _Stacked:
    """The first convolution and its pooling, as a convolution of pictures with 3 C channels."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        weight = convolution.weight.detach()  # (K, C, 3, 3, 3)
        weight = weight.transpose(1, 2).flatten(1, 2)  # (K, 3 C, 3, 3)
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = _bias(convolution)
        self._replicates = convolution.padding[0] == 0

    def __call__(self, clips: Tensor) -> Tensor:
        """Pooled maps (B, T, H/2, W/2, K) of clips (B, T, H, W, C)."""
        maps = [self._one(clip) for clip in clips]
        return torch.stack(maps)

    def _one(self, clip: Tensor) -> Tensor:
        longer = F.pad(clip, (0, 0, 0, 0, 0, 0, 1, 1))
        if self._replicates:
            longer[0], longer[-1] = clip[0], clip[-1]
        stacked = torch.cat([longer[:-2], longer[1:-1], longer[2:]], dim=-1)  # (T, H, W, 3 C)
        maps = F.conv2d(stacked.permute(0, 3, 1, 2), self._weight, padding=1)
        maps = maps.permute(0, 2, 3, 1)  # (T, H, W, K)
        maps = torch.maximum(maps[:, 0::2], maps[:, 1::2])
        maps = torch.maximum(maps[:, :, 0::2], maps[:, :, 1::2])
        return maps.add_(self._bias).relu_()


class _Scratch:
    """Named buffers that are used again and again: new memory would cost as much as the additions.
    What a name gave is overwritten when it is asked for again."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        size = torch.Size(shape).numel()
        if name not in self._kept or self._kept[name].numel() < size:
            self._kept[name] = torch.empty(size)
        return self._kept[name][:size].view(shape)


class _Tiled:
    """One convolution, its ReLU and, when `pooled`, the 2 x 2 x 2 maxima after it."""

    def __init__(self, convolution: nn.Conv3d, *, pooled: bool) -> None:
        weight = convolution.weight.detach().double()  # (K, C, 3, 3, 3)
        plane = torch.tensor(_KERNEL, dtype=torch.float64)
        time = torch.tensor(_KERNEL_TIME, dtype=torch.float64)
        kernels = torch.einsum("at,bh,cw,kithw->abcik", time, plane, plane, weight)
        self._kernels = kernels.flatten(0, 2).float().contiguous()  # (144, C, K)
        self._bias = _bias(convolution)
        self._pooled, self._replicates = pooled, convolution.padding[0] == 0
        self._in = _twice(_IN)  # (36, 36)
        self._out = _twice(_OUT)  # (16, 36)

    def __call__(self, maps: Tensor, scratch: _Scratch) -> Tensor:
        """The maps (B, T, H, W, K), pooled (B, T/2, H/2, W/2, K), of maps (B, T, H, W, C); T is
        even."""
        count, frames, height, width, channels = maps.shape
        down, across = -(-height // 4), -(-width // 4)
        padded = maps.new_zeros(count, frames + 2, 4 * down + 2, 4 * across + 2, channels)
        padded[:, 1:-1, 1 : height + 1, 1 : width + 1] = maps
        if self._replicates:
            padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
        by_tile = (2 if self._pooled else 4) * down, (2 if self._pooled else 4) * across
        times = frames // 2 if self._pooled else frames
        out = maps.new_empty(count, times, *by_tile, self._kernels.shape[2])
        for clips, rows in _chunks(count, frames // 2, down, across):
            self._chunk(padded[clips], out[clips], rows, scratch)
        if self._pooled:
            return out[:, :, : height // 2, : width // 2]
        return out[:, :, :height, :width]

    def _chunk(self, padded: Tensor, out: Tensor, rows: slice, scratch: _Scratch) -> None:
        """Compute some rows of tiles of padded maps (n, T + 2, H, W, C), and write them into `out`,
        (n, T or T/2, H', W', K)."""
        count, longer, _, wide, channels = padded.shape
        down, across, pairs = rows.stop - rows.start, (wide - 2) // 4, longer // 2 - 1
        clip, frame, line, column, _ = padded.stride()
        tiles = padded[:, :, 4 * rows.start :].as_strided(
            (6, 6, longer, count, down, across, channels),
            (line, column, frame, clip, 4 * line, 4 * column, 1),
        )
        flat = scratch("tiles", *tiles.shape).copy_(tiles).view(36, -1)
        flat = torch.mm(self._in, flat, out=scratch("in", *flat.shape))
        given = _in_time(flat.view(36, longer, -1), scratch)  # (4, 36, pairs, n down across C)
        given = given.view(144, -1, channels)  # (144, P, C)
        first, second = self._products(given, scratch)  # (16, P K) each: even and odd times
        kept = pairs, count, down, across, self._kernels.shape[2]
        if self._pooled:
            cells = torch.maximum(first, second, out=first).view(2, 2, 2, 2, *kept)
            cells = torch.maximum(cells[:, 0], cells[:, 1])  # (2, 2, 2, ...)
            cells = torch.maximum(cells[:, :, 0], cells[:, :, 1])  # (2, 2, ...)
            self._put(cells, out, rows, 2)
        else:
            self._put(first.view(4, 4, *kept), out[:, 0::2], rows, 4)
            self._put(second.view(4, 4, *kept), out[:, 1::2], rows, 4)

    def _products(self, given: Tensor, scratch: _Scratch) -> tuple[Tensor, Tensor]:
        """The outputs of transformed tiles (144, P, C) at even and at odd times, (16, P K) each."""
        shape = 144, given.shape[1], self._kernels.shape[2]
        products = torch.bmm(given, self._kernels, out=scratch("products", *shape))
        a, b, c, d = products.view(4, 36, -1)
        even, odd = a.add_(b).add_(c), b.sub_(c).sub_(d)
        size = 16, even.shape[1]
        return (
            torch.mm(self._out, even, out=scratch("even", *size)),
            torch.mm(self._out, odd, out=scratch("odd", *size)),
        )

    def _put(self, cells: Tensor, out: Tensor, rows: slice, side: int) -> None:
        """Add bias and ReLU to cells (side, side, T, n, down, across, K), and write them to their
        place in `out`."""
        cells = cells.add_(self._bias).relu_()
        count, times, _, _, width = out.shape
        _, _, _, _, down, across, _ = cells.shape
        place = out[:, :, side * rows.start : side * rows.stop]
        clip, frame, line, column, _ = place.stride()
        place.as_strided(
            (count, times, down, side, across, side, width),
            (clip, frame, side * line, line, side * column, column, 1),
        ).copy_(cells.permute(3, 2, 4, 0, 5, 1, 6))


def _in_time(flat: Tensor, scratch: _Scratch) -> Tensor:
    """The input transform of F(2, 3) in time: (36, T + 2, X) becomes (4, 36, T/2, X), four values
    for each pair of output times."""
    even, odd = flat[:, 0::2], flat[:, 1::2]  # (36, T/2 + 1, X)
    out = scratch("time", 4, 36, even.shape[1] - 1, flat.shape[2])
    torch.sub(even[:, :-1], even[:, 1:], out=out[0])
    torch.add(odd[:, :-1], even[:, 1:], out=out[1])
    torch.sub(even[:, 1:], odd[:, :-1], out=out[2])
    torch.sub(odd[:, :-1], odd[:, 1:], out=out[3])
    return out


def _chunks(count: int, pairs: int, down: int, across: int) -> Iterator[tuple[slice, slice]]:
    """All clips and rows of tiles, cut into pieces of about POSITIONS tiles: slices of both."""
    clips = min(count, max(1, POSITIONS // (pairs * down * across)))
    rows = min(down, max(1, POSITIONS // (pairs * across)))
    for clip, row in product(range(0, count, clips), range(0, down, rows)):
        yield slice(clip, min(clip + clips, count)), slice(row, min(row + rows, down))


def _twice(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    one = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(one, one).contiguous()


def _bias(convolution: nn.Conv3d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias.detach()

"""C3D in tiles against direct convolutions: every layer, odd sizes, and clips that do not mix."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from feature_extract.networks.c3d import C3D, SMALL, C3DConfig, fold_norms
from feature_extract.networks.winograd import (
    POSITIONS,
    Winograd,
    _chunks,
    _Scratch,
    _Stacked,
    _Tiled,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def convolution(channels: int, width: int) -> nn.Conv3d:
    torch.manual_seed(channels + width)
    return nn.Conv3d(channels, width, 3, padding=1)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 3e-5 * expected.abs().max()


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(
    "shape", [(1, 2, 4, 4), (2, 4, 14, 14), (3, 8, 28, 20), (1, 2, 6, 10), (5, 2, 7, 7)]
)
@torch.inference_mode()
def test_tiles_are_the_convolution(shape: tuple[int, ...], pooled: bool) -> None:
    """In double precision, padding and edges included; maxima before or after ReLU."""
    direct = convolution(6, 5)
    maps = torch.randn(*shape, 6)
    expected = F.relu(direct.double()(maps.double().permute(0, 4, 1, 2, 3)))
    if pooled:
        expected = F.max_pool3d(expected, 2)
    found = _Tiled(direct, pooled=pooled)(maps, _Scratch())
    close(found, expected.permute(0, 2, 3, 4, 1).float())


@pytest.mark.parametrize("channels", [3, 4])
@torch.inference_mode()
def test_first_layer(channels: int) -> None:
    direct = convolution(channels, 8)
    clips = torch.rand(2, 4, 12, 12, channels) * 255
    expected = F.max_pool3d(F.relu(direct(clips.permute(0, 4, 1, 2, 3))), (1, 2, 2))
    close(_Stacked(direct)(clips), expected.permute(0, 2, 3, 4, 1))


@pytest.mark.parametrize("config", [SMALL, C3DConfig(width=4, features=16)])
@torch.inference_mode()
def test_whole_network(config: C3DConfig) -> None:
    torch.manual_seed(1)
    network = fold_norms(C3D(config).eval())
    clips = torch.rand(2, 16, 112, 112, 3) * 255 - 100
    expected = network.up_to_4b(clips.permute(0, 4, 1, 2, 3))
    close(Winograd(network)(clips), expected.permute(0, 2, 3, 4, 1))


@torch.inference_mode()
def test_a_map_is_its_own_clip_only() -> None:
    """To the last bit apart from the order of sums: alone, or among others."""
    torch.manual_seed(2)
    fast = Winograd(fold_norms(C3D(C3DConfig(width=4, features=16)).eval()))
    clips = torch.rand(5, 16, 112, 112, 3)
    alone = torch.cat([fast(clip[None]) for clip in clips])
    close(fast(clips), alone)
    clips[1:] = float("nan")
    close(fast(clips)[:1], alone[:1])


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 8, 14, 14), (7, 4, 7, 7), (9, 2, 4, 4)])
def test_chunks_cover_all_once(shape: tuple[int, int, int, int]) -> None:
    count, pairs, down, across = shape
    seen = np.zeros((count, down), int)
    for clips, rows in _chunks(*shape):
        seen[clips, rows] += 1
        tiles = (clips.stop - clips.start) * (rows.stop - rows.start) * pairs * across
        assert tiles <= max(POSITIONS, pairs * across)
    assert (seen == 1).all()

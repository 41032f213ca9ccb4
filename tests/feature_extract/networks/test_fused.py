"""C3D as a GPU computes it, against the network itself: here in float32 on a processor."""

import pytest
import torch

from feature_extract.networks.c3d import C3D, SMALL, C3DConfig, fold_input, fold_norms
from feature_extract.networks.fused import Fused


@pytest.mark.parametrize("config", [SMALL, C3DConfig(width=4, features=16)])
@pytest.mark.parametrize("channels", [3, 4])
@torch.inference_mode()
def test_maps_are_those_of_the_network(config: C3DConfig, channels: int) -> None:
    torch.manual_seed(1)
    network = fold_norms(C3D(config).eval())
    if channels == 4:
        network = fold_input(network, (90.0, 97.0, 101.0))
    blocks = torch.rand(3, 8, 48, 48, channels) * 255
    expected = network.up_to_4b(blocks.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
    found = Fused(network)(blocks)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 3e-5 * expected.abs().max()
    alone = Fused(network)(blocks[1:2])
    assert (found[1:2] - alone).abs().max() < 3e-5 * expected.abs().max()

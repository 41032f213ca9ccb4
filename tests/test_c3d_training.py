"""`train c3d-small` end to end in miniature, and what its first stage relies on."""

from pathlib import Path

import pytest
import torch

from feature_extract.c3d import C3D, C3DConfig
from feature_extract.motion import load_motion
from tests.drawn import write_drawn_set
from vmr.c3d_training import C3DTraining, augmented, prepared, still_rows, train_c3d

TINY = C3DConfig(width=4, features=16, pooled=True, norms=True, block=8, lasting=True)


@torch.inference_mode()
def test_a_still_clip_gives_what_its_picture_gives() -> None:
    """Whatever the first moments of the kernels are, when the last are their negatives."""
    torch.manual_seed(0)
    network = C3D(TINY)
    for value in network.parameters():
        if value.ndim == 5:
            value[:, :, 2] = -value[:, :, 0]
    for _ in range(3):  # norms that are not those of the start
        still_rows(network.train(), torch.randn(8, 3, 112, 112) * 50)
    picture = torch.randn(2, 3, 112, 112) * 50
    clip = picture[:, :, None].expand(-1, -1, 16, -1, -1)
    expected = network.eval()(clip)
    torch.testing.assert_close(still_rows(network, picture), expected, rtol=1e-4, atol=1e-4)
    assert float(expected.amax()) > 0
    moving = clip + torch.arange(16).view(16, 1, 1) * 9
    assert not torch.allclose(network(moving), network(moving.flip(2)), rtol=1e-2)


def test_pictures_are_prepared_as_the_network_takes_them() -> None:
    rgb = torch.zeros(1, 3, 4, 4)
    rgb[:, 0] = 255  # red
    assert prepared(rgb)[0, :, 0, 0].tolist() == pytest.approx([-90.25, -97.66, 255 - 101.41])
    pixels = torch.randint(0, 255, (5, 3, 128, 128)).byte()
    first, second = [augmented(pixels, 64, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert first.shape == (5, 3, 64, 64)
    assert first.equal(second)


def test_it_trains_and_goes_on_from_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_drawn_set(tmp_path)
    tiny = C3DTraining(
        pictures=24, clips=4, batch=8, clip_batch=2, small_side=32, views=2, save_seconds=0
    )
    train_c3d(tmp_path, tmp_path / "cache", tmp_path / "out", tiny)
    network = load_motion(tmp_path / "out")
    assert network.config.features == 512
    # The kernels of the moments before and after have been learned: motion can be seen. What stands
    # still is seen as before.
    first, _, last = network.state_dict()["conv2a.weight"].unbind(2)
    assert first.abs().sum() > 0
    assert first.equal(-last)
    still = torch.load(tmp_path / "cache/c3d-small/still.pt", weights_only=True)["parts"][0]
    for name, before in still.items():
        after = network.state_dict()[name]
        if after.ndim == 5:
            before, after = before[:, :, 1], after[:, :, 1]
        assert after.equal(before.half().float() if before.is_floating_point() else before), name
    assert "dev" in capsys.readouterr().out
    train_c3d(tmp_path, tmp_path / "cache", tmp_path / "out", tiny)
    assert "dev" not in capsys.readouterr().out  # everything was done already
    again = load_motion(tmp_path / "out")
    name = "conv3a.weight"
    assert again.state_dict()[name].equal(network.state_dict()[name])

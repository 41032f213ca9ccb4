"""`train c3d-small` end to end in miniature, and what its first stage relies on."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from feature_extract.motion import load_motion
from feature_extract.networks.c3d import C3D, LAYERS, SMALL, C3DConfig
from tests.support.drawn import PER_SPLIT, write_drawn_set
from vmr.training.c3d import C3DTraining, still_rows, train_c3d
from vmr.training.c3d_views import part_of_each, prepared

TINY = C3DConfig(width=4, features=16, pooled=True, norms=True, block=8, replicate_time=True)


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


def test_parts_of_pictures_are_within_them() -> None:
    """A picture whose colours say where a pixel is."""
    line = torch.linspace(0, 255, 64)
    place = torch.stack([line.expand(64, 64), line[:, None].expand(64, 64), torch.zeros(64, 64)])
    views = part_of_each(place.expand(50, -1, -1, -1), torch.Generator().manual_seed(3))
    assert views.shape == (50, 3, 260, 260)
    assert views.equal(part_of_each(place.expand(50, -1, -1, -1), torch.Generator().manual_seed(3)))
    across, down = views[:, 0].diff(dim=2).mean((1, 2)), views[:, 1].diff(dim=1).mean((1, 2))
    shares = across.abs() * down * 260**2 / 255**2
    assert float(shares.min()) > 0.45
    assert float(shares.max()) < 1.05
    assert 10 < int((across < 0).sum()) < 40  # mirrored
    assert (down > 0).all()


def test_it_trains_and_goes_on_from_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_drawn_set(tmp_path)
    tiny = C3DTraining(pictures=24, clips=4, batch=8, clip_batch=2, save_seconds=0)
    train_c3d(tmp_path, tmp_path / "cache", tmp_path / "out", tiny, device="cpu")
    network = load_motion(tmp_path / "out")
    assert network.config == SMALL
    record = json.loads((tmp_path / "out" / "config.json").read_text())["training"]
    assert record["settings"] == asdict(tiny)
    assert record["data"]["flickr8k"]["train"] == PER_SPLIT["train"]
    # The kernels of the moments before and after have been learned: motion can be seen. What stands
    # still is a picture, as ever.
    for layer in LAYERS:
        first, _, last = network.state_dict()[f"conv{layer}.weight"].unbind(2)
        assert first.abs().sum() > 0, layer
        assert first.equal(-last), layer
    assert "step 3: dev" in capsys.readouterr().out
    train_c3d(tmp_path, tmp_path / "cache", tmp_path / "out", tiny, device="cpu")
    # Everything was done already: not one step more.
    told = [line.rpartition("/")[2].split(" {")[0] for line in capsys.readouterr().out.splitlines()]
    assert told == [
        "still.pt: goes on after step 3 of 3",
        "moving.pt: goes on after step 2 of 2",
        "dev",
    ]
    again = load_motion(tmp_path / "out")
    name = "conv3a.weight"
    assert again.state_dict()[name].equal(network.state_dict()[name])

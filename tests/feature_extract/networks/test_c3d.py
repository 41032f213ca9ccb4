import os
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from feature_extract.clips import MEAN, PROTOCOLS, ClipNetwork, Protocol, extract_clips, windows
from feature_extract.networks.c3d import (
    C3D,
    SMALL,
    SPORTS_1M,
    C3DConfig,
    WeightsError,
    fold_input,
    fold_norms,
    load_weights,
)
from feature_extract.networks.device import fast_dtype
from feature_extract.video.frames import Frames, VideoError
from tests.support.media import counter_video

NARROW = C3DConfig(width=2, features=8)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def narrow(seed: int = 0, config: C3DConfig = NARROW) -> C3D:
    torch.manual_seed(seed)
    network = C3D(config).eval()
    for name, tensor in network.state_dict().items():
        if "running_var" in name or ("norm" in name and name.endswith("weight")):
            tensor.uniform_(0.5, 2)
        elif "norm" in name and tensor.dtype.is_floating_point:
            tensor.uniform_(-1, 1)
    return network


def clips(count: int = 2, seed: int = 0) -> np.ndarray:
    """Windows (B, 16, 112, 112, 4) of random pictures and ones."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 16, 112, 112, 4), np.uint8)
    pixels[..., 3] = 1
    return pixels


def prepared(pixels: np.ndarray) -> torch.Tensor:
    """What the original network is given: BGR 0..255 minus the mean, (B, 3, 16, 112, 112)."""
    bgr = pixels[..., [2, 1, 0]].astype(np.float32) - np.array(MEAN, np.float32)
    return torch.from_numpy(bgr).permute(0, 4, 1, 2, 3).contiguous()


def test_parameters_are_those_of_the_original() -> None:
    """27.66 M in the convolutions, 61.21 M up to fc6."""
    with torch.device("meta"):
        network = C3D(SPORTS_1M)
    channels = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(27 * a * b + b for a, b in pairwise(channels))
    count = sum(p.numel() for p in network.parameters())
    assert convolutions == 27_655_936
    assert count == convolutions + 8192 * 4096 + 4096 == 61_214_464


def multiply_adds(network: C3D) -> int:
    """Of one clip, counted from the sizes of what each layer puts out."""
    total = 0

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv3d):
            total += out.numel() * module.in_channels * 27
        elif isinstance(module, nn.Linear):
            total += out.numel() * module.in_features

    for module in network.modules():
        module.register_forward_hook(count)
    network(torch.empty(1, 3, 16, 112, 112, device="meta"))
    return total


def test_multiply_adds_of_a_clip() -> None:
    with torch.device("meta"):
        assert multiply_adds(C3D(SPORTS_1M).eval()) == pytest.approx(38.53e9, rel=2e-4)
        assert multiply_adds(C3D(SMALL).eval()) < 38.53e9 / 3.7


def test_small_network() -> None:
    with torch.device("meta"):
        network = C3D(SMALL)
    channels = [3, 32, 64, 128, 128, 256, 256, 256, 256]
    convolutions = sum(27 * a * b + b for a, b in pairwise(channels))
    norms = 2 * sum(channels[1:])
    expected = convolutions + norms + 256 * 512 + 512
    assert sum(p.numel() for p in network.parameters()) == expected
    assert 2 * expected < 20e6  # bytes in half precision: small enough to ship
    torch.manual_seed(0)
    rows = C3D(C3DConfig(width=2, features=512, pooled=True, norms=True)).eval()(
        torch.rand(1, 3, 16, 112, 112)
    )
    assert rows.shape == (1, 512)


def test_last_pooling_is_caffes() -> None:
    """Windows start at 0 and the last one is cut off at the edge, none is padded: against a loop.
    Only the last pooling and fc6 are looked at, as an identity picks single values of it."""
    network = narrow()
    seen: dict[str, torch.Tensor] = {}
    assert isinstance(network.conv5b, torch.nn.Module)
    network.conv5b.register_forward_hook(lambda *a: seen.update(map=a[2].clone()))
    network.fc6.register_forward_hook(lambda *a: seen.update(pooled=a[1][0].clone()))
    with torch.inference_mode():
        network(prepared(clips(1)))
    last = torch.relu(seen["map"])[0].numpy()  # (16, 2, 7, 7)
    channels, frames, height, width = last.shape
    assert (frames, height, width) == (2, 7, 7)
    expected = np.empty((channels, 1, 4, 4), np.float32)
    for c in range(channels):
        for i in range(4):
            for j in range(4):
                cell = last[c, 0:2, 2 * i : min(2 * i + 2, 7), 2 * j : min(2 * j + 2, 7)]
                expected[c, 0, i, j] = cell.max()
    np.testing.assert_array_equal(seen["pooled"][0].numpy(), expected.reshape(-1))


@pytest.mark.parametrize(
    "config",
    [
        NARROW,
        C3DConfig(width=2, features=8, pooled=True, norms=True),
        C3DConfig(width=2, features=8, pooled=True, norms=True, block=8, replicate_time=True),
    ],
)
def test_fast_network_is_the_same_network(config: C3DConfig) -> None:
    """Mean, colour order and norms folded in, channels last: at the edges too."""
    pixels = clips(3)
    plain, fast = narrow(config=config), ClipNetwork(narrow(config=config))
    with torch.inference_mode():
        expected = plain(prepared(pixels)).numpy()
    assert np.abs(expected).max() > 0.01
    tolerance = 1e-4 if fast._dtype is torch.float32 else 0.05
    np.testing.assert_allclose(fast(pixels), expected, atol=tolerance * np.abs(expected).max())


def test_folded_mean_is_exact_at_the_edges() -> None:
    """In double precision: the padding around a picture has no mean subtracted."""
    plain, folded = narrow().double(), fold_input(fold_norms(narrow()), MEAN).double()
    pixels = clips(1)
    given = torch.from_numpy(pixels).double().permute(0, 4, 1, 2, 3)
    with torch.inference_mode():
        expected = plain.get_submodule("conv1a")(prepared(pixels).double())
        found = folded.get_submodule("conv1a")(given)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_mean_volume() -> None:
    """A volume that is the same everywhere is the mean; another place, another mean."""
    pixels = clips(1)
    volume = np.broadcast_to(np.array(MEAN, np.float32)[:, None, None, None], (3, 16, 128, 171))
    expected = ClipNetwork(narrow())(pixels)
    found = ClipNetwork(narrow(), mean=volume.copy())(pixels)
    # Where bfloat16 is computed in hardware the two subtractions round differently, by one digit.
    near = 1e-4 if fast_dtype("cpu") is torch.float32 else 2e-2
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=near * expected.max())
    other = volume.copy()
    other[:, :, 8:64] += 50
    assert not np.allclose(ClipNetwork(narrow(), mean=other)(pixels), expected, rtol=1e-2)


def layouts(network: C3D) -> dict[str, dict[str, torch.Tensor]]:
    """The same weights under the names of each port, with the classifiers that they carry."""
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("norm")}
    port, mmaction = {"fc8.bias": torch.zeros(487)}, {"cls_head.fc_cls.bias": torch.zeros(101)}
    for name, value in state.items():
        layer, kind = name.split(".")
        port[f"{ {'conv1a': 'conv1', 'conv2a': 'conv2'}.get(layer, layer) }.{kind}"] = value
        inner = f"{layer}.conv.{kind}" if layer.startswith("conv") else name
        mmaction[f"backbone.{inner}"] = value
    return {"c3d.pickle": port, "c3d_sports1m.pth": mmaction}


def test_both_layouts_give_the_same_features(tmp_path: Path) -> None:
    network = narrow(5)
    states = layouts(network)
    torch.save(states["c3d.pickle"], tmp_path / "c3d.pickle", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": states["c3d_sports1m.pth"], "meta": {}}, tmp_path / "c3d.pth")
    save_file(network.state_dict(), tmp_path / "c3d.safetensors")
    with torch.inference_mode():
        expected = network(prepared(clips(1)))
        for name in ("c3d.pickle", "c3d.pth", "c3d.safetensors"):
            loaded = narrow(6)
            load_weights(loaded, tmp_path / name)
            torch.testing.assert_close(loaded(prepared(clips(1))), expected, rtol=0, atol=0)


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)


def test_bad_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = narrow().state_dict()
    torch.save(state, "good.pth")
    content = Path("good.pth").read_bytes()
    Path("cut.pth").write_bytes(content[: len(content) // 2])
    Path("text.pth").write_text("weights, honestly")
    Path("empty.pth").touch()
    Path("code.pickle").write_bytes(pickle.dumps({"conv1.weight": Attack()}, protocol=2))
    torch.save({"layer1.0.conv1.weight": torch.zeros(3)}, "resnet.pth")
    torch.save(state | {"fc6.weight": torch.zeros(8, 9)}, "wide.pth")
    torch.save(state | {"conv3b.bias": state["conv3b.bias"] * float("nan")}, "nan.pth")
    torch.save([1, 2], "list.pth")
    for name, words in {
        "cut.pth": "cannot be read|not a weights file",
        "text.pth": "cannot be read|not a weights file",
        "empty.pth": "cannot be read",
        "missing.pth": "cannot be read",
        "code.pickle": "code in it",
        "resnet.pth": "no C3D weights",
        "wide.pth": r"fc6.weight is \(8, 9\), must be \(8, 256\)",
        "nan.pth": "NaN",
        "list.pth": "no table",
    }.items():
        with pytest.raises(WeightsError, match=words) as caught:
            load_weights(narrow(), Path(name))
        assert str(caught.value).startswith(name)
        assert "\n" not in str(caught.value)
    assert not Path("owned").exists()
    load_weights(narrow(), Path("good.pth"))


def numbered(count: int) -> np.ndarray:
    """Pictures (N, 128, 171, 3) of which each shows its number everywhere."""
    return np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 128, 171, 3)
    )


def seen(count: int, protocol: Protocol, batch: int) -> list[list[int]]:
    """Which pictures each row looks at, from the pixels."""
    pixels, times = numbered(count), np.arange(count) / 25
    batches = [Frames(pixels[i : i + batch], times[i : i + batch]) for i in range(0, count, batch)]
    rows = []
    for views, first, last in windows(batches, protocol):
        assert views.shape[1:] == (16, 112, 112, 4)
        assert (views[..., 3] == 1).all()
        rows += views[:, :, 5, 7, 1].tolist()
        for row, start, end in zip(rows[-len(views) :], first, last, strict=True):
            assert (row[0] / 25, row[-1] / 25) <= (start, end)
    return rows


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 140),
    batch=st.integers(1, 40),
    name=st.sampled_from(sorted(PROTOCOLS)),
)
def test_windows_against_slices(count: int, batch: int, name: str) -> None:
    protocol = PROTOCOLS[name]
    step = protocol.window // 16
    if count < protocol.window:  # the last frame is repeated
        expected = [[min(k * step, count - 1) for k in range(16)]]
    else:
        starts = range(0, count - protocol.window + 1, protocol.stride)
        expected = [[start + k * step for k in range(16)] for start in starts]
    assert seen(count, protocol, batch) == expected
    assert protocol.count(count) == len(expected)


def test_row_counts_of_the_research_sets() -> None:
    assert PROTOCOLS["tacos"].count(64) == 1
    assert PROTOCOLS["tacos"].count(8_000) == (8_000 - 64) // 12 + 1
    assert PROTOCOLS["activitynet"].count(3_001) == (3_001 - 16) // 8 + 1


def test_windows_share_their_pictures() -> None:
    """Overlapping windows are views: half of each is the same memory as its neighbour's."""
    batches = [Frames(numbered(64), np.arange(64) / 25)]
    views, _, _ = next(windows(batches, PROTOCOLS["activitynet"]))
    assert np.shares_memory(views[0, 8], views[1, 0])


def test_rows_of_a_video(tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", 4.0, 25)
    network = ClipNetwork(narrow())
    features = extract_clips(tmp_path / "a.mp4", network, PROTOCOLS["tacos"], "weights")
    assert features.rows.shape == ((100 - 64) // 12 + 1, 8)
    assert features.blocks == {"c3d": 8}
    np.testing.assert_allclose(features.starts, np.arange(4) * 12 / 25, atol=1e-3)
    np.testing.assert_allclose(features.ends - features.starts, 64 / 25, atol=2e-3)
    counter_video(tmp_path / "short.mp4", 0.2, 25)
    short = extract_clips(tmp_path / "short.mp4", network, PROTOCOLS["tacos"], "weights")
    assert short.rows.shape == (1, 8)
    assert (short.starts[0], round(short.ends[0], 3)) == (0, 0.2)
    (tmp_path / "text.mp4").write_text("no")
    with pytest.raises(VideoError):
        extract_clips(tmp_path / "text.mp4", network, PROTOCOLS["tacos"], "weights")


def test_other_shapes_are_refused() -> None:
    network = ClipNetwork(narrow())
    for shape in ((1, 16, 112, 112, 3), (1, 15, 112, 112, 4), (16, 112, 112, 4)):
        with pytest.raises(ValueError, match="must be"):
            network(np.zeros(shape, np.uint8))
    for impossible in ((8, 4), (16, 0), (40, 8), (16, 17)):
        with pytest.raises(ValueError, match="window"):
            Protocol(*impossible)
    with pytest.raises(ValueError, match="positive"):
        C3DConfig(width=0)
    with pytest.raises(ValueError, match="block"):
        C3DConfig(block=4)

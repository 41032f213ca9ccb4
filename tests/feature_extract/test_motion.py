"""Motion rows: prepared as stated, of the pictures stated, and beside appearance rows that stay."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import feature_extract.extract as extraction
import feature_extract.motion as motion_module
from feature_extract.clips import MEAN, ClipNetwork
from feature_extract.extract import Extractor, extractor_fingerprint
from feature_extract.motion import (
    MOTION,
    MotionRows,
    load_motion,
    motion_fingerprint,
    motion_frames,
    motion_width,
    save_motion,
)
from feature_extract.networks.c3d import C3D, SMALL, C3DConfig, WeightsError
from feature_extract.video.frames import Frames, read_frames
from tests.support.media import counter_video, ffmpeg, read_counter

NARROW = replace(SMALL, width=2, features=8)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def narrow(seed: int = 0) -> C3D:
    torch.manual_seed(seed)
    return C3D(NARROW).eval()


@pytest.mark.parametrize("size", [(224, 224), (96, 96), (130, 224), (256, 160)])
def test_frames_are_squashed_as_pillow_does(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    pixels[1] = 255
    found = motion_frames(pixels)
    assert found.shape == (2, 96, 96, 3)
    assert found.dtype == np.uint8
    bilinear = Image.Resampling.BILINEAR
    expected = [np.asarray(Image.fromarray(p).resize((96, 96), bilinear)) for p in pixels]
    assert np.abs(found.astype(int) - np.stack(expected)).max() <= 1
    assert (found[1] == 255).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 224, 224), np.uint8),  # grey, without channels
        np.zeros((1, 224, 224, 1), np.uint8),
        np.zeros((1, 224, 224, 4), np.uint8),
        np.zeros((224, 224, 3), np.uint8),
        np.full((1, 224, 224, 3), np.nan, np.float32),
        np.zeros((1, 224, 95, 3), np.uint8),
    ],
)
def test_other_pictures_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pictures must be"):
        motion_frames(pixels)


class Numbers:
    """In the network's place: a row of the numbers that a window's pictures show."""

    width = 16

    def __init__(self) -> None:
        self.blocks = self.windows = 0

    def maps(self, blocks: np.ndarray) -> torch.Tensor:
        assert blocks.shape[1:] == (8, 96, 96, 4)
        assert (blocks[..., 3] == 1).all()
        self.blocks += len(blocks)
        return torch.from_numpy(blocks[:, :, 50, 50, 1].copy())

    def rows(self, maps: torch.Tensor) -> np.ndarray:
        assert maps.shape[1:] == (2, 8)
        self.windows += len(maps)
        return maps.flatten(1).numpy().astype(np.float32)


def shown_at(times: list[float], seconds: float) -> int:
    """The last picture that has come by then; before the first, the first."""
    return max([0, *(i for i, t in enumerate(times) if t <= seconds + 1e-3)])


@settings(max_examples=60, deadline=None)
@given(
    start=st.sampled_from([0.0, 0.04, 0.9, 3.0]),
    steps=st.lists(st.sampled_from([1 / 60, 1 / 24, 0.125, 0.5, 1.0, 7.3]), max_size=60),
    batch=st.integers(1, 20),
    more=st.integers(0, 12),
)
def test_windows_by_hand(start: float, steps: list[float], batch: int, more: int) -> None:
    """Row i against the pictures shown at i - .5, ..., i + 1.375 s, looked up one by one."""
    times = np.add.accumulate([start, *steps])
    pixels = np.broadcast_to(
        np.arange(len(times), dtype=np.uint8)[:, None, None, None], (len(times), 128, 128, 3)
    )
    rows = MotionRows(Numbers())  # type: ignore[arg-type]
    for at in range(0, len(times), batch):
        rows.add(Frames(pixels[at : at + batch], times[at : at + batch]))
    count = int(times[-1]) + 1 + more
    found = rows.finish(count)
    assert found.shape == (count, 16)
    expected = [
        [shown_at(times.tolist(), i - 0.5 + k / 8) for k in range(16)] for i in range(count)
    ]
    np.testing.assert_array_equal(found, expected)


def test_what_stands_still_is_computed_once() -> None:
    network = Numbers()
    rows = MotionRows(network)  # type: ignore[arg-type]
    rows.add(Frames(np.zeros((2, 128, 128, 3), np.uint8), np.array([0.0, 5000.0])))
    assert len(rows.finish(10_000)) == 10_000
    assert network.blocks <= 4  # still, a second of change, still
    assert network.windows <= 6
    assert len(rows._kept) <= 2


def test_every_second_is_computed_once() -> None:
    """Though every picture is in the windows of two rows."""
    network = Numbers()
    rows = MotionRows(network)  # type: ignore[arg-type]
    times = np.arange(80) / 8
    pixels = np.arange(80, dtype=np.uint8)[:, None, None, None]
    rows.add(Frames(np.broadcast_to(pixels, (80, 128, 128, 3)), times))
    assert len(rows.finish(10)) == 10
    assert network.blocks == 11


def test_blocks_do_not_see_each_other() -> None:
    """The map of a block is the same beside any other, and a row sees both in their order."""
    network = ClipNetwork(narrow())
    windows = np.ones((2, 16, 96, 96, 4), np.uint8)
    windows[..., :3] = np.random.default_rng(2).integers(0, 256, (2, 16, 96, 96, 3), np.uint8)
    maps = network.maps(windows.reshape(4, 8, 96, 96, 4))
    torch.testing.assert_close(network.maps(windows[1:, :8]), maps[2:3])
    np.testing.assert_allclose(network.rows(torch.stack([maps[:2], maps[2:]])), network(windows))
    turned = network.rows(torch.stack([maps[:2], maps[2:]]).flip(1))
    assert not np.allclose(turned, network(windows), rtol=1e-3)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights of a narrow network in the place of the shipped ones."""
    folder = tmp_path / "weights"
    save_motion(narrow(), folder)
    for function in (load_motion, motion_fingerprint, motion_width):
        monkeypatch.setattr(function, "__defaults__", (folder,))
    return folder


def sources(folder: Path) -> dict[str, Path]:
    """Videos of many frame rates and shapes, one of them cut off."""
    counter_video(folder / "a.mp4", 9.3, 30)
    counter_video(folder / "slow.mp4", 5.0, 5)
    counter_video(folder / "quick.mkv", 4.1, 50)
    counter_video(folder / "odd.mp4", 0, times=[0.01, 0.03, 0.6, 0.7, 2.9, 3.02, 3.1])
    counter_video(folder / "one.mp4", 0, times=[0.0])
    counter_video(folder / "short.mp4", 0.4, 30)
    counter_video(folder / "fine.mp4", 8.0, options={"crf": "10"})
    ffmpeg("-i", folder / "fine.mp4", "-c", "copy", "-movflags", "+faststart", folder / "b.mp4")
    content = (folder / "b.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(content[: len(content) // 2])
    names = ("a.mp4", "slow.mp4", "quick.mkv", "odd.mp4", "one.mp4", "short.mp4", "cut.mp4")
    return {name: folder / name for name in names}


def test_appearance_cuts_and_thumbnails_stay(shipped: Path, tmp_path: Path) -> None:
    """To the last bit, of all kinds of files; and motion rows are there beside them."""
    still, moving = Extractor(device="cpu", motion=False), Extractor(device="cpu")
    assert moving.blocks == still.blocks | {"motion": 8}
    assert [*moving.blocks][-1] == "motion"
    for name, path in sources(tmp_path).items():
        before, after = still.extract(path), moving.extract(path)
        width = before.features.rows.shape[1]
        np.testing.assert_array_equal(
            after.features.rows[:, :width], before.features.rows, err_msg=name
        )
        assert after.thumbnails == before.thumbnails, name
        for field in ("starts", "ends", "cuts", "duration", "unreadable"):
            left, right = (getattr(e.features, field) for e in (after, before))
            np.testing.assert_array_equal(left, right, err_msg=f"{name} {field}")
        assert after.features.rows.shape == (len(before.features.rows), width + 8)


def test_rows_of_a_video_from_every_frame(shipped: Path, tmp_path: Path) -> None:
    """Recomputed with the plain network in float32, BGR minus mean, from every frame of a file."""
    counter_video(tmp_path / "a.mp4", 4.5, fps=24)
    batches = list(read_frames(tmp_path / "a.mp4", rate=1000, size=(260, 260)))
    times = np.concatenate([batch.times for batch in batches]).tolist()
    pixels = motion_frames(np.concatenate([batch.pixels for batch in batches]))
    assert [read_counter(p) for p in pixels] == list(range(108))
    found = Extractor(device="cpu").extract(tmp_path / "a.mp4").features.rows[:, -8:]
    network = load_motion(shipped)
    for row in range(5):
        # The last picture looked at, which then stands still, is the one at 35/8 s.
        window = [shown_at(times, min(row - 0.5 + k / 8, 35 / 8)) for k in range(16)]
        assert len(set(window)) == {0: 12, 3: 16, 4: 8}.get(row, 16)
        bgr = pixels[window][..., ::-1].astype(np.float32) - np.array(MEAN, np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(bgr).permute(3, 0, 1, 2)[None])[0].numpy()
        np.testing.assert_allclose(found[row], expected, rtol=5e-3, atol=5e-3 * expected.max())


def test_order_of_pictures_shows(shipped: Path) -> None:
    """The same pictures the other way round are another row."""
    network = ClipNetwork(load_motion(shipped))
    windows = np.ones((1, 16, 96, 96, 4), np.uint8)
    windows[..., :3] = np.random.default_rng(1).integers(0, 256, (1, 16, 96, 96, 3), np.uint8)
    assert not np.allclose(network(windows), network(windows[:, ::-1]), rtol=1e-3)


def test_fingerprints(shipped: Path) -> None:
    without, with_motion = extractor_fingerprint(motion=False), extractor_fingerprint()
    assert without != with_motion
    assert Extractor(device="cpu").fingerprint == with_motion
    assert Extractor(device="cpu", motion=False).fingerprint == without
    save_motion(narrow(1), shipped)
    assert extractor_fingerprint() not in (without, with_motion)
    assert extractor_fingerprint(motion=False) == without


def test_weights_come_back(tmp_path: Path) -> None:
    network = narrow(3)
    save_motion(network, tmp_path, log=["loss 1.0"])
    loaded = load_motion(tmp_path)
    assert loaded.config == network.config
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name].float(), value.half().float())
    assert json.loads((tmp_path / "config.json").read_text())["log"] == ["loss 1.0"]
    assert motion_width(tmp_path) == 8
    old = (tmp_path / "config.json").read_text().replace('"replicate_time"', '"lasting"')
    (tmp_path / "config.json").write_text(old)  # as it was called until 2026-11-30
    assert load_motion(tmp_path).config == network.config


def test_bad_weights(tmp_path: Path) -> None:
    good = tmp_path / "good"
    save_motion(narrow(), good)
    config, weights = (good / "config.json").read_text(), good / "weights.safetensors"
    content = weights.read_bytes()
    with pytest.raises(WeightsError, match="no motion weights"):
        load_motion(tmp_path / "none")
    for bad in ("", "{}", "[]", config.replace('"format": 2', '"format": 9'), "{"):
        (good / "config.json").write_text(bad)
        for function in (load_motion, motion_fingerprint, motion_width):
            with pytest.raises(WeightsError, match="good"):
                function(good)
    (good / "config.json").write_text(config)
    for bad_content in (content[:-1], content[: len(content) // 2], b"", bytes(len(content))):
        weights.write_bytes(bad_content)
        with pytest.raises(WeightsError, match="safetensors"):
            load_motion(good)
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # sound, but another file
    with pytest.raises(WeightsError, match="safetensors"):
        load_motion(good)
    save_motion(C3D(C3DConfig(width=2, features=8, pooled=True, norms=True)), tmp_path / "whole")
    with pytest.raises(WeightsError, match="16 pictures at once"):
        load_motion(tmp_path / "whole")
    save_motion(C3D(replace(NARROW, side=112)), tmp_path / "large")
    with pytest.raises(WeightsError, match="112 pixels"):
        load_motion(tmp_path / "large")
    broken = narrow()
    broken.fc6.weight.data[0, 0] = float("nan")
    with pytest.raises(WeightsError, match="not finite"):
        save_motion(broken, tmp_path / "nan")


def test_rates_fit() -> None:
    assert extraction.MOTION_RATE == motion_module.RATE
    assert MOTION.parent.name == "weights"
    assert all(b > a for a, b in pairwise([0, extraction.RATE, motion_module.RATE]))

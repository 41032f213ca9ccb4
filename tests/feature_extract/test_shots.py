import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.shots import ShotDetector

SIDE = 112


def scene(seed: int, count: int, *, drift: int = 0) -> np.ndarray:
    """`count` pictures (H, W, 3) of one random scene of smooth patches, moving `drift` pixels."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (4, 3))
    patches = palette[rng.integers(0, 4, (8, 8))]
    wide = np.kron(patches, np.ones((SIDE // 8, SIDE // 8, 1))).astype(np.uint8)
    noise = rng.integers(0, 12, (count, SIDE, SIDE, 3))
    moved = np.stack([np.roll(wide, drift * i, axis=1) for i in range(count)])
    pixels: NDArray[np.uint8] = np.clip(moved.astype(np.int64) + noise, 0, 255).astype(np.uint8)
    return pixels


def cuts(pictures: np.ndarray, *, rate: float = 4, fps: float = 30) -> list[float]:
    detector = ShotDetector(fps=fps)
    times = np.arange(len(pictures)) / rate
    for start in range(0, len(pictures), 16):  # batches must make no difference
        detector.add(pictures[start : start + 16], times[start : start + 16])
    return [float(cut) for cut in detector.cuts()]


def test_planted_cuts_are_found_to_half_a_sample() -> None:
    lengths = [20, 7, 31, 12, 40]
    pictures = np.concatenate([scene(i, n, drift=i) for i, n in enumerate(lengths)])
    truth = np.cumsum(lengths)[:-1] / 4
    found = cuts(pictures)
    assert len(found) == len(truth)
    np.testing.assert_allclose(found, truth, atol=0.125 + 1e-9)


def test_a_cut_between_consecutive_pictures_is_exact() -> None:
    pictures = np.concatenate([scene(1, 6), scene(2, 6)])
    assert cuts(pictures, rate=2, fps=2) == [3.0]


@pytest.mark.parametrize("drift", [0, 4, 12])
def test_motion_is_no_cut(drift: int) -> None:
    assert cuts(scene(3, 60, drift=drift)) == []


def test_flicker_and_fade_are_no_cut() -> None:
    pictures = scene(4, 40).astype(np.float64)
    flicker = pictures * (1 - 0.15 * (np.arange(40) % 2))[:, None, None, None]
    assert cuts(flicker.astype(np.uint8)) == []
    fade = pictures * np.linspace(1, 0, 40)[:, None, None, None]
    assert cuts(fade.astype(np.uint8)) == []


def test_few_pictures() -> None:
    assert cuts(scene(5, 1)) == []
    assert ShotDetector(fps=0).cuts().shape == (0,)
    assert cuts(np.concatenate([scene(1, 1), scene(2, 1)])) == [0.125]

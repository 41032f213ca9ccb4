"""Networks of 16 pictures by name: one call for rows of research, one beside a library's rows."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.__main__ import main
from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.source import look_at
from feature_extract.extract import encode
from feature_extract.features import Features
from feature_extract.row_networks import NAMES, AsClips, AsEyes, network_of
from tests.support.media import counter_video
from tests.support.tiny_encoders import tiny_clip, tiny_wordless


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    tiny_wordless(folder / "videomae", "videomae")
    counter_video(folder / "a.mp4", 3.0)
    return folder


def test_rows_of_research_from_a_folder(place: Path, tmp_path: Path) -> None:
    """As many as C3D has, each the network's own of 16 pictures of its window."""
    film, network = place / "a.mp4", place / "videomae"
    command = [str(film), "--out", str(tmp_path), "--clips", "tacos", "--backbone", str(network)]
    assert main(command) == 0
    features = Features.load(tmp_path / "a.mp4.safetensors")
    encoder = Encoder(look_at(network), texts=False)
    assert features.blocks == {encoder.block: encoder.width}
    assert features.fingerprint == f"{encoder.block}/64/12"
    assert features.rows.shape[1] == encoder.width
    assert np.allclose(np.linalg.norm(features.rows.astype(np.float32), axis=1), 1, atol=1e-2)
    windows = np.random.default_rng(0).integers(0, 255, (2, 16, 32, 32, 4), dtype=np.uint8)
    seen = AsClips(encoder)(windows)
    assert np.array_equal(seen, encoder.see(windows[..., :3]))


def test_what_is_no_such_network_is_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_clip(tmp_path / "clip")
    command = [str(place / "a.mp4"), "--out", str(tmp_path / "out"), "--clips", "tacos"]
    for more, said in (
        (["i3d"], f"i3d: no such network; {', '.join(NAMES)}, or a folder"),
        ([str(tmp_path / "clip")], "looks at 1 pictures for a row"),
        ([str(place / "videomae"), "--weights", "x.pth"], "has its weights in a folder"),
    ):
        capsys.readouterr()
        assert main([*command, "--backbone", *more]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert re.search(re.escape(said), lines[0])


class Mean:
    """A network whose row is the mean of each colour, and how many pixels it was shown."""

    width, block, size, side = 4, "mean", (40, 30), 20

    def __call__(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert windows.shape[1:] == (16, 20, 20, 4)
        assert (windows[..., 3] == 1).all()
        means: NDArray[np.float32] = windows.astype(np.float32).mean((1, 2, 3))
        return means


def test_a_network_of_clips_in_the_place_of_an_encoder(place: Path) -> None:
    """It sees the middle of pictures in its own shape, and its rows are of length 1."""
    eyes = AsEyes(Mean())
    pixels = np.zeros((2, 16, 80, 80, 3), np.uint8)
    pixels[0, :, :, :17] = pixels[0, :, :10] = 255  # beside and above its 20 columns and rows
    pixels[1] = (40, 20, 0)
    rows = eyes.see(pixels)
    assert np.allclose(rows[0], (0, 0, 0, 1))
    assert np.allclose(rows[1] * np.linalg.norm((40, 20, 0, 1)), (40, 20, 0, 1), atol=1e-4)
    assert encode(place / "a.mp4", eyes).shape == (3, 4)


def test_own_weights_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMR_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match="no C3D weights"):
        network_of("c3d")

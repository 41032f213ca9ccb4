"""Pictures are squashed as the decoder squashes those of video, and in one place only."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from feature_extract.networks.appearance import SIZE
from feature_extract.networks.squash import squash, squash_batch
from feature_extract.video.frames import read_frames
from tests.support.media import ffmpeg

ROOT = Path(__file__).resolve().parents[3]
# Other pictures than those that a network looks at: thumbnails, films and clips that we make, views
# made worse on purpose; and animated WebP, whose decoder Pillow is.
OTHERS = {
    "feature_extract/encoders/preparation.py",  # as each encoder was taught, by its own filter
    "feature_extract/extract.py",
    "feature_extract/networks/squash.py",
    "feature_extract/video/webp_reader.py",
    "vmr/training/film.py",
    "vmr/training/pictures.py",
}


@pytest.mark.parametrize("size", [(192, 192), (640, 426), (128, 192)])
def test_it_is_nearer_to_video_than_the_bilinear_filter(
    size: tuple[int, int], tmp_path: Path
) -> None:
    """By a quarter of the distance at least; what is left is the colour format of the film."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1] // 4, size[0] // 4), np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    picture.save(tmp_path / "picture.png")
    lossless = ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p", str(tmp_path / "film.mp4")]
    ffmpeg("-loop", "1", "-i", tmp_path / "picture.png", "-t", "0.5", "-r", "8", *lossless)
    with read_frames(tmp_path / "film.mp4", rate=4, size=(SIZE, SIZE)) as reader:
        shown = next(iter(reader)).pixels[0].astype(int)
    bilinear = picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    mine, theirs = (np.abs(np.asarray(p) - shown).mean() for p in (squash(picture), bilinear))
    assert mine < 0.75 * theirs
    assert mine < 2


def test_a_batch_is_averaged_over_all_that_a_pixel_covers() -> None:
    pictures = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    small = squash_batch(pictures, 4)
    assert small.shape == (1, 3, 4, 4)
    # Weights 1 3 3 1 over four pixels; at the edges what is outside is left out.
    assert small[0, 0, 0].tolist() == pytest.approx([5 / 7 + 0, 2.5, 4.5, 7 - 5 / 7], abs=0.01)


def test_nothing_else_makes_pictures_for_a_network() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("feature_extract", "vmr")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"Resampling\.|\.resize\(|interpolate\(", path.read_text("utf-8"))
    }
    assert found == OTHERS

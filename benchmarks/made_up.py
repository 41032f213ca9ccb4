"""Libraries of made-up videos: real statistics, no pictures to decode.

    library = library_of(folder, videos=1200, rows=600, fingerprint=extractor_fingerprint())

Behind every video lies a file of a few bytes; its rows are walks between the rows of the
photographs of scikit-image, so that they lie where rows of pictures lie.
"""

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from feature_extract.clips import BATCH, ClipNetwork
from feature_extract.extract import Extraction
from feature_extract.features import Features
from feature_extract.motion import load_motion, motion_frames, motion_width, with_ones
from feature_extract.networks.appearance import BLOCKS, SIZE, Appearance
from feature_extract.networks.c3d import FRAMES
from feature_extract.video.frames import VideoInfo
from vmr.library.content import full_digest
from vmr.library.store import Library

PICTURES = ("astronaut", "camera", "cat", "coffee", "rocket", "coins", "page", "retina", "moon")
HOLD = 7  # seconds from one picture to the next
NOISE = 0.3  # of each column's spread, from one second to the next


def library_of(folder: Path, videos: int, rows: int, fingerprint: str) -> Library:
    """A library in `folder`/library of the files in `folder`/videos."""
    (folder / "videos").mkdir(parents=True)
    library = Library(folder / "library")
    library.adopt(fingerprint)
    info = VideoInfo(float(rows), 640, 360, 25.0, "h264", 0, False, 1000)
    blocks = {**BLOCKS, "motion": motion_width()}
    thumbnail = io.BytesIO()
    Image.effect_mandelbrot((160, 90), (-2, -1, 1, 1), 60).save(thumbnail, "JPEG")
    for number, values in enumerate(walks(videos, rows)):
        path = folder / "videos" / f"{number:05}.mp4"
        path.write_bytes(str(number).encode() * 100)
        starts = np.arange(rows, dtype=np.float64)
        cuts = np.arange(float(HOLD), rows, HOLD)
        features = Features(values, starts, starts + 1, blocks, cuts, float(rows), (), fingerprint)
        video = library.register(path)
        extraction = Extraction(features, info, (thumbnail.getvalue(),) * rows)
        library.store(video.id, extraction, full=full_digest(path))
    return library


def walks(videos: int, rows: int) -> Iterator[NDArray[np.float16]]:
    """(rows, D) of each video."""
    real = real_rows()
    spread = NOISE * real.std(0)
    generator = np.random.default_rng(0)
    seconds = np.arange(rows)
    for _ in range(videos):
        stops = real[generator.integers(len(real), size=rows // HOLD + 2)]
        share = ((seconds % HOLD) / HOLD)[:, None].astype(np.float32)
        between = (1 - share) * stops[seconds // HOLD] + share * stops[seconds // HOLD + 1]
        noise = generator.standard_normal(between.shape, dtype=np.float32) * spread
        yield np.maximum(between + noise, 0).astype(np.float16)


@cache
def real_rows() -> NDArray[np.float32]:
    """(N, D) rows of parts of photographs, standing still."""
    parts = []
    for name in PICTURES:
        picture = Image.fromarray(getattr(data, name)()).convert("RGB")
        width, height = picture.size
        for left, top in ((0, 0), (width // 3, 0), (0, height // 3), (width // 3, height // 3)):
            box = (left, top, left + 2 * width // 3, top + 2 * height // 3)
            parts.append(np.asarray(picture.crop(box).resize((SIZE, SIZE))))
    pictures = np.stack(parts)
    still = np.repeat(with_ones(motion_frames(pictures))[:, None], FRAMES, axis=1)
    network = ClipNetwork(load_motion())
    moving = [network(still[i : i + BATCH]) for i in range(0, len(still), BATCH)]
    return np.concatenate([Appearance()(pictures), np.concatenate(moving)], axis=1)

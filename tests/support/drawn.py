"""A set of captioned pictures in miniature, drawn by us, in the layout of Flickr8k."""

import csv
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "yellow": (230, 220, 30),
    "black": (10, 10, 10),
    "white": (245, 245, 245),
    "purple": (150, 40, 170),
    "orange": (240, 140, 20),
}
PATTERNS = ("plain", "striped", "dotted")
PER_SPLIT = {"train": 72, "dev": 24, "test": 3}


def drawn(colour: str, pattern: str, draw: np.random.Generator) -> np.ndarray:
    """(64, 64, 3) pixels, with a little noise so that no two pictures are the same."""
    pixels = np.array(COLOURS[colour]) + draw.integers(-20, 20, (64, 64, 3))
    if pattern == "striped":
        pixels[::8] = pixels[1::8] = 128
    if pattern == "dotted":
        pixels[::16, ::16] = pixels[1::16, 1::16] = pixels[1::16, ::16] = 128
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_drawn_set(folder: Path, per_split: Mapping[str, int] = PER_SPLIT) -> None:
    """A colour and a pattern a picture, named by its caption."""
    draw = np.random.default_rng(0)
    lines = []
    with tarfile.open(folder / "flickr8k_images.tar", "w") as tar:
        for split, count in per_split.items():
            for i in range(count):
                colour, pattern = list(COLOURS)[i % 8], PATTERNS[i // 8 % 3]
                buffer = io.BytesIO()
                Image.fromarray(drawn(colour, pattern, draw)).save(buffer, "JPEG", quality=95)
                member = tarfile.TarInfo(f"{split}_{i:02d}.jpg")
                member.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(member, buffer)
                kind = "" if pattern == "plain" else f"{pattern} "
                lines.append((member.name, split, f"a {kind}{colour} picture ."))
    with (folder / "flickr8k_captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "split", "caption"), *lines])

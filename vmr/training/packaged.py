"""Photographs that every machine has, inside packages of requirements.txt, and what they show.

    for photograph in PHOTOGRAPHS:
        picture_of(photograph), photograph.captions

Few, but nobody has to fetch them: strength and verdict of an encoder are fitted on them
(own_calibration.py).
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Photograph:
    """A file of a package, and sentences that it answers."""

    package: str
    file: str
    captions: tuple[str, ...]


def _of(package: str, folder: str, files: dict[str, tuple[str, ...]]) -> list[Photograph]:
    return [Photograph(package, f"{folder}/{file}", said) for file, said in files.items()]


PHOTOGRAPHS: Final = (
    *_of(
        "skimage",
        "data",
        {
            "astronaut.png": ("an astronaut", "a smiling woman in an orange space suit"),
            "brick.png": ("a brick wall", "rows of bricks"),
            "camera.png": ("a man with a camera", "a photographer behind a tripod"),
            "chelsea.png": ("a cat", "the face of a tabby cat"),
            "chessboard_GRAY.png": ("a chessboard", "black and white squares"),
            "clock_motion.png": ("a clock", "the dial of a clock, blurred"),
            "coffee.png": ("a cup of coffee", "a spoon beside a coffee cup on a table"),
            "coins.png": ("coins", "old coins in rows"),
            "grass.png": ("grass", "blades of grass from near"),
            "gravel.png": ("gravel", "small stones on the ground"),
            "horse.png": ("a horse", "the black shape of a horse"),
            "hubble_deep_field.jpg": ("galaxies", "stars and galaxies in the night sky"),
            "ihc.png": ("tissue under a microscope", "stained cells"),
            "moon.png": ("the moon", "craters on the surface of the moon"),
            "motorcycle_left.png": ("a motorcycle", "a red motorcycle in a garage"),
            "page.png": ("a page of a book", "printed text on paper"),
            "retina.jpg": ("a retina", "the blood vessels inside an eye"),
            "rocket.jpg": ("a rocket", "a rocket on its launch pad"),
        },
    ),
    *_of(
        "sklearn",
        "datasets/images",
        {
            "china.jpg": ("a temple", "an old Chinese palace"),
            "flower.jpg": ("a flower", "a flower with red petals"),
        },
    ),
    *_of(
        "gradio",
        "media_assets/images",
        {
            "bus.png": ("a bus", "people and a bus in a street"),
            "cheetah.jpg": ("a cheetah", "a spotted big cat"),
            "lion.jpg": ("a lion", "the mane of a lion"),
            "tower.jpg": ("a tower", "a tall tower under the sky"),
        },
    ),
)
"""What `calibrate` asks for, and what it must not find where it was not put."""


def picture_of(photograph: Photograph) -> Path:
    """The file; FileNotFoundError where this version of the package has none."""
    spec = importlib.util.find_spec(photograph.package)
    place = Path(spec.origin).parent if spec and spec.origin else Path(photograph.package)
    path = place / photograph.file
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; pip install -r requirements.txt")
    return path

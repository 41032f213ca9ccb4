"""A picture as a query: the network that made the rows of videos, and nearly their squashing.

row = PictureReader().row(Path("dog.jpg"))     # (D,) float32
"""

from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from feature_extract.networks.appearance import Appearance
from feature_extract.networks.squash import squash

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Opened by Pillow alone; some others run outside programs, such as Ghostscript for EPS."""
MAX_PIXELS: Final = 100_000_000
"""More is no photograph, and would take gigabytes to open."""


class PictureError(ValueError):
    """A file that is no picture; one line that says so."""


class PictureReader:
    """The network, loaded once."""

    def __init__(self) -> None:
        self._network = Appearance()

    def row(self, picture: Path | BinaryIO) -> NDArray[np.float32]:
        """What a video row of this picture alone would be, (D,).

        Raises:
            PictureError: it cannot be read as a picture.
        """
        name = picture if isinstance(picture, Path) else "the picture"
        try:
            with Image.open(picture, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PictureError(f"{name}: more than {MAX_PIXELS // 1_000_000} megapixels")
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except FileNotFoundError as error:
            raise PictureError(f"{name}: no such file") from error
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise PictureError(f"{name}: not a picture that can be read") from error
        row: NDArray[np.float32] = self._network(np.array(squash(upright))[None])[0]  # (D,)
        return row

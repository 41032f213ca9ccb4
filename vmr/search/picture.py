"""A picture as a query: the network that made the rows of videos, and nearly their squashing.

row = PictureReader(model).row(Path("dog.jpg"))     # (D,) float32
"""

from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from feature_extract.networks.appearance import Appearance
from feature_extract.networks.squash import squash
from vmr.model.encoded import EncodedModel
from vmr.model.retrieval import RetrievalModel

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Opened by Pillow alone; some others run outside programs, such as Ghostscript for EPS."""
MAX_PIXELS: Final = 100_000_000
"""More is no photograph, and would take gigabytes to open."""


class PictureError(ValueError):
    """A file that is no picture; one line that says so."""


class PictureReader:
    """The network, loaded once."""

    def __init__(self, model: RetrievalModel | None = None) -> None:
        """Load it: that of a model with an encoder of its own, or what comes with the project."""
        self._model = model if isinstance(model, EncodedModel) else None
        self._network = None if self._model else Appearance()

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
        return self.row_of(upright)

    def row_of(self, picture: Image.Image) -> NDArray[np.float32]:
        """The same, (D,), of a picture that is open, upright and RGB."""
        if self._model is not None:
            return self._model.see_picture(np.array(picture))
        assert self._network is not None
        row: NDArray[np.float32] = self._network(np.array(squash(picture))[None])[0]  # (D,)
        return row

"""One encoder in use: pictures and sentences to unit vectors of the same space.

    encoder = Encoder(source, pictures=False)           # the text tower only, for questions
    encoder.read(["a dog on a beach"])                  # (1, W) float32, of length 1
    encoder.see(pixels)                                 # (N, S, S, 3) uint8 -> (N, W)
    video_encoder.see(clips)                            # (N, F, S, S, 3) where it looks at F

Loaded with torch, when an encoder was named and not before.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.open_clip_layout import load as load_open_clip
from feature_extract.encoders.preparation import Preparation
from feature_extract.encoders.source import Source
from feature_extract.encoders.transformers_layout import load as load_transformers
from feature_extract.encoders.weight_files import check_room
from feature_extract.networks.device import chosen_device, fast_dtype

BATCH: Final = 16
"""Pictures or sentences that go through a tower at once."""
_PROBE: Final = "a dog on a beach"


class Encoder:
    """The towers, loaded once; thread-safe after that."""

    def __init__(
        self,
        source: Source,
        *,
        device: str = "cpu",
        pictures: bool = True,
        texts: bool = True,
        prompt: str = "{}",
    ) -> None:
        """Load the towers, and let go of what is not asked for.

        Args:
            device: "cpu", "cuda", or "auto".
            prompt: what a sentence becomes before it is read, with {} in its place.

        Raises:
            EncoderError: the files do not make an encoder, or its numbers are not finite.
        """
        if texts and source.wordless:
            raise EncoderError(
                f"{source.name}: a video network without words, of which no question can be asked; "
                "`compare` measures its rows, and `python -m feature_extract --clips` writes them"
            )
        self.source = source
        self.prompt = prompt
        self._device = torch.device(chosen_device(device))
        self._dtype = fast_dtype(self._device.type)
        check_room(source.name, source.weights)
        load = load_open_clip if source.layout == "open_clip" else load_transformers
        self._towers = load(source)
        _check_finite(source, self._towers.model)
        self._towers.keep(pictures=pictures, texts=texts)
        self._towers.model.to(self._device)
        self.pictures, self.texts = pictures, texts
        if pictures:  # sentences stay in float32: one at a time, they gain nothing
            if self._dtype is not torch.float32 and not texts:
                self._towers.model.to(self._dtype)
            else:
                self._dtype = torch.float32
        try:
            found = [self.read([_PROBE])] if texts else []
            grey = np.full((8, 8, 3), 99, np.uint8)
            found += [self.see(self._still(grey))] if pictures else []
        except Exception as error:  # of whatever is wrong inside
            line = " ".join(str(error).split())[:160]
            raise EncoderError(f"{source.name}: cannot be used ({line})") from error
        _check_vectors(source, found)
        self.width: int = found[0].shape[1]

    @property
    def block(self) -> str:
        """What its columns are called in a features file."""
        return self.source.block

    @property
    def preparation(self) -> Preparation:
        """How pictures are made ready for it."""
        return self._towers.preparation

    @property
    def side(self) -> int:
        """Pixels across the square that it looks at."""
        return self._towers.preparation.side

    @property
    def frames(self) -> int:
        """Pictures that it looks at for one vector."""
        return self._towers.frames

    @torch.inference_mode()
    def see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (N, W) of pictures (N, S, S, 3) RGB that were squashed to a square; where it
        looks at several pictures, of clips (N, frames, S, S, 3)."""
        frames = () if self.frames == 1 else (self.frames,)
        is_clip = pixels.shape[1:-3] == frames and pixels.ndim == 4 + len(frames)
        if not is_clip or pixels.shape[-1] != 3 or pixels.dtype != np.uint8:
            wanted = ", ".join(map(str, ("N", *frames, "S", "S", 3)))
            raise ValueError(f"pictures must be ({wanted}) uint8, not {pixels.shape}")
        count = max(1, BATCH // self.frames)
        return np.concatenate(
            [self._see(pixels[first : first + count]) for first in range(0, len(pixels), count)]
        )

    def see_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The unit vector (W,) of one picture (H, W, 3) RGB of any size, squashed as a file is."""
        squashed = np.array(self.preparation.squash(Image.fromarray(picture)))
        return self.see(self._still(squashed))[0]  # type: ignore[no-any-return]

    def _still(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One picture as `see` takes it, shown for as long as the encoder looks."""
        alike: NDArray[np.uint8] = np.repeat(picture[None], self.frames, axis=0)
        return alike if self.frames == 1 else alike[None]

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, W) of sentences."""
        asked = [self.prompt.replace("{}", text) for text in texts]
        found = [
            _unit(self._towers.read(asked[first : first + BATCH]))
            for first in range(0, len(asked), BATCH)
        ]
        return np.concatenate(found)

    @torch.inference_mode()
    def _see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        flat = self.preparation(pixels.reshape(-1, *pixels.shape[-3:]))
        prepared = flat.to(self._device, self._dtype).reshape(*pixels.shape[:-3], *flat.shape[1:])
        return _unit(self._towers.see(prepared))


def _unit(vectors: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = F.normalize(vectors.float(), dim=-1).cpu().numpy()
    return found


def _check_vectors(source: Source, found: Sequence[NDArray[np.float32]]) -> None:
    """See that what the towers give can be compared."""
    if any(vectors.ndim != 2 for vectors in found):
        raise EncoderError(
            f"{source.name}: gives a vector for every part of a picture or sentence, not one for "
            "the whole; take one of CLIP's or SigLIP's kind"
        )
    if len({vectors.shape[1] for vectors in found}) > 1:
        words, pictures = (vectors.shape[1] for vectors in found)
        raise EncoderError(
            f"{source.name}: has vectors of {words} columns for words and of {pictures} for "
            "pictures, which cannot be compared"
        )
    if not all(np.isfinite(vectors).all() for vectors in found):
        raise EncoderError(f"{source.name}: damaged weights (it gives numbers that are not finite)")
    if any(np.linalg.norm(vectors) < 0.5 for vectors in found):
        raise EncoderError(f"{source.name}: damaged weights (it gives nothing but zeros)")


def _check_finite(source: Source, model: torch.nn.Module) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise EncoderError(f"{source.name}: damaged weights ({name} is not finite)")

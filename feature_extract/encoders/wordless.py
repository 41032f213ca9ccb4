"""Video networks without words, in transformers' layout: VideoMAE and V-JEPA 2.

    towers = ClipTower(source, model)
    towers.see(prepared)                    # (N, W) of clips (N, 16, 3, side, side)

A row is the mean of what the network gives for all parts of a clip: VideoMAE's own classifier
starts from that, while V-JEPA 2's starts from a pooling that is taught with it and comes without
it. Nobody can ask a question of a row: `compare` measures such a network, and `python -m
feature_extract --clips` writes its rows for training.
"""

from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor, nn

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.preparation import Preparation, check_side, of_transformers
from feature_extract.encoders.source import Source

FRAMES: Final = 16
"""Pictures of a clip, for a network that takes any number of them (V-JEPA 2)."""
NOT_NEEDED: Final = ("predictor.",)
"""How names of weights begin that no row depends on; those of V-JEPA 2 that guess hidden parts."""


def side_of(source: Source, settings: Any) -> int:
    """Pixels across the square that it looks at. EncoderError: it is none."""
    name = "image_size" if settings.model_type == "videomae" else "crop_size"
    return check_side(source, getattr(settings, name, None))


class ClipTower:
    """The one tower of such a network."""

    def __init__(self, source: Source, model: Any) -> None:
        self._name = source.name
        self.model = model.eval()
        self._is_videomae = model.config.model_type == "videomae"
        self.preparation: Preparation = of_transformers(source, side_of(source, model.config))
        self.frames = int(model.config.num_frames) if self._is_videomae else FRAMES
        if not self._is_videomae:
            self.model.predictor = nn.Identity()

    def keep(self, *, pictures: bool, texts: bool) -> None:
        """There is one tower, and nothing to let go of."""

    def see(self, pictures: Tensor) -> Tensor:
        """(N, W) of prepared clips (N, frames, 3, side, side)."""
        if self._is_videomae:
            parts: Tensor = self.model(pixel_values=pictures).last_hidden_state
        else:
            parts = self.model.get_vision_features(pictures)
        return parts.mean(1)  # (N, P, W) -> (N, W)

    def read(self, texts: Sequence[str]) -> Tensor:  # noqa: ARG002  # as other towers have it
        """No vectors. EncoderError: it reads no words."""
        raise EncoderError(f"{self._name}: a video network without words")

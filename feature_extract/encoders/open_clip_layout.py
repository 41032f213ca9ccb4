"""Encoders in OpenCLIP's layout: MobileCLIP 2, PE-Core, and all that its own format holds.

    towers = load(source)                   # EncoderError: one line that says why not
    towers.see(prepared), towers.read(["a dog"])        # (N, W) each, as the library gives them

open_clip is imported here and nowhere else, when an encoder of this layout is named.
"""

from collections.abc import Sequence
from typing import Any, Final

from safetensors.torch import load_file
from torch import Tensor, nn

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.preparation import Preparation, check_side, of_open_clip
from feature_extract.encoders.source import OPEN_CLIP, Source
from feature_extract.encoders.torchvision_import import make_importable

_SIDE: Final = 224
"""Pixels across, where the settings do not say."""


class OpenClipTowers:
    """Both towers of one encoder; either may be let go."""

    frames = 1

    def __init__(self, source: Source, model: Any, tokenizer: Any, side: int) -> None:
        self.model = model.eval()
        self._tokenizer = tokenizer
        self.preparation: Preparation = of_open_clip(source, side)

    def keep(self, *, pictures: bool, texts: bool) -> None:
        """Let go of the tower that is not wanted."""
        names = [] if pictures else ["visual"]
        names += [] if texts else ["text", "transformer", "token_embedding"]
        for name in names:
            if name in self.model._modules:
                self.model._modules[name] = nn.Identity()

    def see(self, pictures: Tensor) -> Tensor:
        """(N, W) of prepared pictures (N, 3, side, side)."""
        found: Tensor = self.model.encode_image(pictures)
        return found

    def read(self, texts: Sequence[str]) -> Tensor:
        """(N, W) of sentences; what is longer than the encoder reads is cut off."""
        there = next(self.model.parameters()).device
        found: Tensor = self.model.encode_text(self._tokenizer(list(texts)).to(there))
        return found


def load(source: Source) -> OpenClipTowers:
    """The towers, in float32.

    Raises:
        EncoderError: open_clip is not there, or the folder holds no encoder that it reads whole.
    """
    settings = source.read_json(OPEN_CLIP).get("model_cfg")
    seen = settings.get("vision_cfg") if isinstance(settings, dict) else None
    if not isinstance(seen, dict):
        raise EncoderError(f"{source.folder / OPEN_CLIP}: damaged (no picture tower in model_cfg)")
    side = check_side(source, seen.get("image_size", _SIDE))
    make_importable()
    try:
        import open_clip
    except ImportError as error:
        raise EncoderError(
            f"{source.name}: needs the package open_clip_torch; pip install 'vmr[encoders]'"
        ) from error
    place = f"local-dir:{source.folder}"
    try:
        model = open_clip.create_model(place, load_weights=False, pretrained_text=False)
        tokenizer = open_clip.get_tokenizer(place)
        state = {k: v for path in source.weights for k, v in load_file(path).items()}
        lacking, further = model.load_state_dict(state, strict=False)
    except Exception as error:  # of many kinds, by what is damaged
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]
        raise EncoderError(f"{source.name}: cannot be loaded ({line})") from error
    if lacking:
        words = {name for name in model.state_dict() if name.startswith(("text.", "transformer."))}
        has_eyes = not any(name.startswith("visual.") for name in lacking)
        if words and words.issubset(lacking) and has_eyes:
            raise EncoderError(
                f"{source.name}: has no text tower, so no question can be asked of it; take the "
                "whole encoder, not its picture half"
            )
        raise EncoderError(
            f"{source.name}: its weights do not fit its {OPEN_CLIP} ({lacking[0]} and "
            f"{len(lacking) + len(further) - 1} more are missing or of another size)"
        )
    return OpenClipTowers(source, model.float(), tokenizer, side)

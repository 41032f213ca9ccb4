"""Encoders in the layout of Hugging Face's transformers: CLIP, SigLIP, SigLIP 2 and their kin.

    towers = load(source)                   # EncoderError: one line that says why not
    towers.see(prepared), towers.read(["a dog"])        # (N, W) each, as the library gives them

transformers is imported here and nowhere else, when an encoder is named.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.preparation import Preparation, check_side, of_transformers
from feature_extract.encoders.source import TRANSFORMERS, Source
from feature_extract.encoders.torchvision_import import make_importable
from feature_extract.encoders.wordless import NOT_NEEDED, ClipTower, side_of

NOT_READ: Final = {
    "siglip2": "looks at pictures of every shape (NaFlex); take one of a fixed size, such as "
    "google/siglip2-base-patch16-224",
}
"""Kinds of model that are refused, and why."""
TOKENIZERS: Final = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
"""What words are taken apart by. Without one, the library makes up an empty one."""
_IMAGE_NAMES: Final = ("vision", "visual", "video", "image", "mit", "prompts_visual")
_TEXT_NAMES: Final = ("text",)
_TO_THE_END: Final = ("siglip",)
"""Kinds that were trained with small letters, and sentences filled up to the longest without a
mask."""


class TransformersTowers:
    """Both towers of one encoder; either may be let go."""

    def __init__(self, source: Source, model: Any, tokenizer: Any, kind: str) -> None:
        self.model = model.eval()
        self._tokenizer = tokenizer
        self.preparation: Preparation = of_transformers(source, _side(source, model.config))
        self._longest = _longest(model.config)
        is_video = not hasattr(model, "get_image_features")
        self.frames = int(_seen(model.config).num_frames) if is_video else 1
        """Pictures that it looks at for one vector."""
        self._to_the_end = kind in _TO_THE_END
        self._is_videoprism = kind == "videoprism"
        if self._is_videoprism:  # by the library's processor, whatever the file says
            self.preparation = replace(self.preparation, mean=(0.0,) * 3, std=(1.0,) * 3)

    def keep(self, *, pictures: bool, texts: bool) -> None:
        """Let go of the tower that is not wanted."""
        for name in list(self.model._modules):
            gone = name.startswith(_IMAGE_NAMES) and not pictures
            if gone or (name.startswith(_TEXT_NAMES) and not texts):
                self.model._modules[name] = nn.Identity()

    def see(self, pictures: Tensor) -> Tensor:
        """(N, W) of prepared pictures (N, 3, side, side), or clips (N, frames, 3, side, side)."""
        if self._is_videoprism:
            found = _vectors(self.model.get_video_features(pixel_values_videos=pictures))
            return found.flatten(1)  # (N, 1, W) -> (N, W)
        if self.frames > 1:
            return _vectors(self.model.get_video_features(pixel_values=pictures))
        return _vectors(self.model.get_image_features(pixel_values=pictures))

    def read(self, texts: Sequence[str]) -> Tensor:
        """(N, W) of sentences; what is longer than the encoder reads is cut off."""
        if self._to_the_end:
            texts = [text.lower() for text in texts]
        tokens = self._tokenizer(
            list(texts),
            padding="max_length" if self._to_the_end else True,
            truncation=True,
            max_length=self._longest,
            return_tensors="pt",
        )
        there = next(self.model.parameters()).device
        names = ["input_ids"] if self._to_the_end else ["input_ids", "attention_mask"]
        wanted = {name: tokens[name].to(there) for name in names}
        return _vectors(self.model.get_text_features(**wanted))


def load(source: Source) -> TransformersTowers | ClipTower:
    """The towers, in float32.

    Raises:
        EncoderError: transformers is not there, or the folder holds no encoder that it reads whole.
    """
    make_importable()
    try:
        import transformers
    except ImportError as error:
        raise EncoderError(
            f"{source.name}: needs the package transformers; pip install 'vmr[encoders]'"
        ) from error
    _check_kind(source, transformers)
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # what it warns of is refused below
    transformers.logging.disable_progress_bar()
    try:
        return _load(source, transformers)
    except EncoderError:
        raise
    except Exception as error:  # of many kinds, by what is damaged
        raise EncoderError(f"{source.name}: {_reason(error)}") from error
    finally:
        transformers.logging.set_verbosity(before)


def _load(source: Source, transformers: Any) -> TransformersTowers | ClipTower:
    here = {"local_files_only": True, "trust_remote_code": False}
    config = transformers.AutoConfig.from_pretrained(source.folder, **here)
    kind = str(config.model_type)
    if source.wordless:
        side_of(source, config)  # before a network is made for it
    elif _seen(config) is not None:
        _side(source, config)
    model, info = transformers.AutoModel.from_pretrained(
        source.folder,
        config=config,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        **here,
    )
    if source.wordless:
        _check_fit(source, info, NOT_NEEDED)
        return ClipTower(source, model)
    _check_whole(source, model, kind, info)
    if not any((source.folder / file).is_file() for file in TOKENIZERS):
        raise EncoderError(f"{source.name}: no tokenizer in it ({', '.join(TOKENIZERS)})")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source.folder, **here)
    except Exception as error:
        raise EncoderError(f"{source.name}: its tokenizer {_reason(error)}") from error
    _check_tokens(source, model.config, kind, tokenizer)
    return TransformersTowers(source, model, tokenizer, kind)


def _check_kind(source: Source, transformers: Any) -> None:
    """Refuse by config.json alone what would not be an encoder here."""
    said = source.read_json(TRANSFORMERS)
    kind, file = said.get("model_type"), f"{source.name}: its {TRANSFORMERS}"
    if not isinstance(kind, str):
        raise EncoderError(f"{file} does not say of which kind it is (model_type)")
    if kind in NOT_READ:
        raise EncoderError(f"{source.name}: {NOT_READ[kind]}")
    if kind not in transformers.CONFIG_MAPPING:
        if "auto_map" in said:
            raise EncoderError(
                f"{file} asks for code of its own (auto_map), which is not run; take an encoder of "
                "a kind that transformers knows, such as CLIP or SigLIP"
            )
        raise EncoderError(
            f"{file} says that it is of kind {kind}, which transformers {transformers.__version__} "
            "does not know; take one of CLIP's or SigLIP's kind"
        )
    if "quantization_config" in said:
        raise EncoderError(f"{source.name}: its weights are quantised; take the plain ones")


def _check_tokens(source: Source, config: Any, kind: str, tokenizer: Any) -> None:
    """See that words are taken apart into tokens that the encoder has vectors for."""
    text = getattr(config, "text_config", config)
    vectors, tokens = getattr(text, "vocab_size", None), int(tokenizer.vocab_size)
    if isinstance(vectors, int) and tokens > vectors:
        raise EncoderError(
            f"{source.name}: its tokenizer is that of another encoder ({tokens} tokens for "
            f"{vectors} vectors); fetch both from one place"
        )
    # CLIP reads a sentence off where its end token is; 2 stands for the highest, whatever that is.
    end = getattr(text, "eos_token_id", 2) if kind == "clip" else 2
    if end != 2 and end not in tokenizer("a dog")["input_ids"]:
        raise EncoderError(
            f"{source.name}: its tokenizer is that of another encoder (no sentence ends with token "
            f"{end}); fetch both from one place"
        )


def _check_whole(source: Source, model: Any, kind: str, info: dict[str, Any]) -> None:
    lacks = {str(name) for name in info.get("missing_keys", ())}
    reads = hasattr(model, "get_text_features")
    sees = any(hasattr(model, f"get_{what}_features") for what in ("image", "video"))
    towers = [str(name) for name in model.state_dict()]
    no_words, no_pictures = (
        lacks.issuperset(own) and bool(own)
        for own in (
            [name for name in towers if name.startswith(begins)]
            for begins in (_TEXT_NAMES, _IMAGE_NAMES)
        )
    )
    if no_words and no_pictures:  # it is of something else
        no_words = no_pictures = False
    if (sees and not reads) or no_words or ("vision" in kind and not reads):
        raise EncoderError(
            f"{source.name}: has no text tower, so no question can be asked of it; take the whole "
            "encoder, not its picture half"
        )
    if no_pictures:
        raise EncoderError(
            f"{source.name}: has no picture tower; take the whole encoder, not its text half"
        )
    if not (reads and sees):
        raise EncoderError(
            f"{source.name}: a model of kind {kind} does not bring pictures and words together; "
            "take one of CLIP's or SigLIP's kind"
        )
    _check_fit(source, info)


def _check_fit(source: Source, info: dict[str, Any], not_needed: tuple[str, ...] = ()) -> None:
    """See that every weight that is needed was there, and of the right size."""
    missing = map(str, info.get("missing_keys", ()))
    lacks = [name for name in missing if not name.startswith(not_needed)]
    wrong = [str(entry[0]) for entry in info.get("mismatched_keys", ())]
    if lacks or wrong:
        first = sorted([*lacks, *wrong])[0]
        raise EncoderError(
            f"{source.name}: its weights do not fit its {TRANSFORMERS} ({first} and "
            f"{len(lacks) + len(wrong) - 1} more are missing or of another size)"
        )


def _side(source: Source, config: Any) -> int:
    return check_side(source, getattr(_seen(config), "image_size", None))


def _seen(config: Any) -> Any:
    """Settings of the picture tower; None where there are none."""
    return getattr(config, "vision_config", None) or getattr(config, "image_config", None)


def _longest(config: Any) -> int:
    return int(getattr(config.text_config, "max_position_embeddings", 77))


def _vectors(found: Any) -> Tensor:
    """The projected vectors, which newer versions hand over inside a table; where there are none,
    those of all parts, which is refused by their shape."""
    if isinstance(found, Tensor):
        return found
    pooled, parts = getattr(found, "pooler_output", None), getattr(found, "last_hidden_state", None)
    whole: Tensor = next(v for v in (pooled, parts, found[0]) if v is not None)
    return whole


def _reason(error: Exception) -> str:
    """What a library complains of, which may be a page, in one line."""
    said = str(error)
    if "ignore_mismatched_sizes" in said:
        return f"its weights do not fit its {TRANSFORMERS} (they are of another size)"
    if isinstance(error, MemoryError) or "not enough memory" in said:
        return "does not fit into the memory; close other programs, or take a smaller one"
    line = " ".join(said.split()) or type(error).__name__
    return f"cannot be loaded ({line if len(line) <= 160 else f'{line[:157]}...'})"

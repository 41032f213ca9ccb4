"""Encoders of toy size with random weights, saved in the layouts that the hub has.

folder = tiny_clip(tmp_path / "clip")               # config, weights, tokenizer, preparation
folder = tiny_siglip(tmp_path / "siglip")
model = tiny_xclip(tmp_path / "xclip")              # of several pictures
model = tiny_videoprism(tmp_path / "prism")
model = tiny_wordless(tmp_path / "mae", "videomae")     # of 16 pictures, without words
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoPrismClipModel,
    VideoPrismConfig,
    VJEPA2Config,
    VJEPA2Model,
    XCLIPConfig,
    XCLIPModel,
)

SIDE: Final = 32
WIDTH: Final = 24
FRAMES: Final = 8
WORDS: Final = ("a", "dog", "cat", "on", "the", "beach")
_PICTURES: Final = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}
_TEXTS: Final = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_CLIP_PREPARATION: Final = {
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": {"shortest_edge": SIDE},
}
_SIGLIP_PREPARATION: Final = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": SIDE, "width": SIDE},
}


def tiny_clip(folder: Path, *, seed: int = 0, texts: dict[str, Any] | None = None) -> Path:
    """A CLIP as openai and laion have them on the hub, with its byte-pair tokenizer."""
    torch.manual_seed(seed)
    merges: Any = [("d", "o"), ("do", "g</w>")]
    tokenizer = CLIPTokenizer(vocab=_byte_pairs(), merges=merges)
    text = {
        **_TEXTS,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 77,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **(texts or {}),
    }
    config = CLIPConfig(text_config=text, vision_config=_PICTURES, projection_dim=WIDTH)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write(folder / "preprocessor_config.json", _CLIP_PREPARATION)
    return folder


def tiny_siglip(folder: Path, *, seed: int = 0, words: Sequence[str] = ("dog", "cat")) -> Path:
    """A SigLIP, as SigLIP 2 of fixed size is on the hub: sentences filled up to 64 tokens."""
    torch.manual_seed(seed)
    tokenizer = word_tokenizer(words)
    text = {
        **_TEXTS,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.eos_token_id,
        "projection_size": 32,
    }
    SiglipModel(SiglipConfig(text_config=text, vision_config=_PICTURES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write(folder / "preprocessor_config.json", _SIGLIP_PREPARATION)
    return folder


def tiny_xclip(folder: Path, *, words: Sequence[str] = WORDS) -> XCLIPModel:
    """An X-CLIP, which looks at FRAMES pictures for a vector."""
    tokenizer = word_tokenizer(words)
    text = {**_TEXTS, "vocab_size": len(tokenizer), "max_position_embeddings": 40}
    ends = {name: tokenizer.eos_token_id for name in ("bos_token_id", "eos_token_id")}
    over_time = {
        "mit_hidden_size": 32,
        "mit_intermediate_size": 48,
        "mit_num_hidden_layers": 1,
        "mit_num_attention_heads": 2,
        "num_frames": FRAMES,
    }
    config = XCLIPConfig(
        text_config=text | ends | {"pad_token_id": tokenizer.pad_token_id},
        vision_config=_PICTURES | over_time,
        projection_dim=32,
        prompt_layers=1,
        prompt_num_attention_heads=2,
    )
    model = XCLIPModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_preparation(folder, SIDE)
    return model


def tiny_videoprism(folder: Path, *, words: Sequence[str] = WORDS) -> VideoPrismClipModel:
    """A VideoPrism with words, which looks at FRAMES pictures for a vector."""
    tokenizer = word_tokenizer(words)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
    text = {"vocab_size": len(tokenizer), "num_hidden_layers": 1, "pad_token_id": 0}
    seen = {"image_size": SIDE, "tubelet_size": (1, 8, 8), "num_frames": FRAMES}
    layers = {"num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1}
    config = VideoPrismConfig(text_config=small | text, vision_config=small | seen | layers)
    model = VideoPrismClipModel(config)
    for parameter in model.parameters():  # some begin as zeros, and would hide what goes wrong
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write(folder / "video_preprocessor_config.json", _CLIP_PREPARATION)
    return model


def tiny_wordless(folder: Path, kind: str) -> Any:
    """A VideoMAE, as its first training leaves it, or a V-JEPA 2: 16 pictures and no words."""
    small: dict[str, Any] = {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 2}
    whole: Any
    more: dict[str, Any]
    if kind == "videomae":
        more = {"intermediate_size": 48, "use_mean_pooling": False, "decoder_num_hidden_layers": 1}
        more |= {"decoder_hidden_size": 32, "decoder_num_attention_heads": 2}
        whole = VideoMAEForPreTraining(
            VideoMAEConfig(**small, **more, image_size=SIDE, patch_size=8)
        )
        model, file = whole.videomae, "preprocessor_config.json"
    else:
        more = {"pred_hidden_size": 36, "pred_num_attention_heads": 2}
        config = VJEPA2Config(
            **small, **more, pred_num_hidden_layers=1, crop_size=SIDE, patch_size=8
        )
        whole = model = VJEPA2Model(config)
        file = "video_preprocessor_config.json"
    whole.save_pretrained(folder)
    means = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    _write(folder / file, _CLIP_PREPARATION | means)
    return model


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A token for each of some words, and one for all others."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def _byte_pairs() -> dict[str, int]:
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "do", "dog</w>"]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: place for place, token in enumerate(tokens)}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))


def write_preparation(folder: Path, side: int) -> None:
    """Have an encoder look at squares of so many pixels, prepared as SigLIP does."""
    size = {"height": side, "width": side}
    _write(folder / "preprocessor_config.json", {**_SIGLIP_PREPARATION, "size": size})

"""Encoders of other kinds than CLIP and SigLIP, at toy size: the library's own numbers for each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as t
from numpy.typing import NDArray

from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.source import look_at
from tests.support.tiny_encoders import (
    FRAMES,
    SIDE,
    tiny_videoprism,
    tiny_xclip,
    word_tokenizer,
    write_preparation,
)
from tests.support.tiny_encoders import WORDS as KNOWN

SENTENCES = ["a dog", "the cat on the beach"]
WORDS = word_tokenizer(KNOWN)
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
TEXT = SMALL | {
    "vocab_size": len(WORDS),
    "max_position_embeddings": 40,
    "eos_token_id": WORDS.eos_token_id,
    "pad_token_id": WORDS.pad_token_id,
    "bos_token_id": WORDS.eos_token_id,
}
SEEN = SMALL | {"image_size": SIDE, "patch_size": 8}
GROUPS = {"depths": [1, 1, 1], "num_group_tokens": [4, 2, 0], "num_output_groups": [4, 2, 2]}
BLOCKS = {"kernel_sizes": [3], "in_channels": [32], "out_channels": [24], "strides": [1]}
CONVOLUTIONS = BLOCKS | {
    "image_size": SIDE,
    "num_block_repeats": [1],
    "expand_ratios": [1],
    "depthwise_padding": [],
    "hidden_dim": 64,
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
}


def both(config: Any, text: dict[str, Any] = TEXT, seen: dict[str, Any] = SEEN, **more: Any) -> Any:
    """Settings of a kind, toy-sized."""
    return config(text_config=text, vision_config=seen, projection_dim=24, **more)


def dual() -> Any:
    towers = t.ViTConfig(**SEEN), t.BertConfig(**TEXT)
    config = t.VisionTextDualEncoderConfig.from_vision_text_configs(*towers, projection_dim=24)
    return t.VisionTextDualEncoderModel(config)


KINDS: dict[str, Callable[[], Any]] = {
    "aimv2": lambda: t.Aimv2Model(both(t.Aimv2Config)),
    "align": lambda: t.AlignModel(both(t.AlignConfig, seen=CONVOLUTIONS)),
    "altclip": lambda: t.AltCLIPModel(both(t.AltCLIPConfig, TEXT | {"project_dim": 32})),
    "blip": lambda: t.BlipModel(both(t.BlipConfig)),
    "chinese_clip": lambda: t.ChineseCLIPModel(both(t.ChineseCLIPConfig)),
    "groupvit": lambda: t.GroupViTModel(
        both(t.GroupViTConfig, seen=SEEN | GROUPS, projection_intermediate_dim=32)
    ),
    "metaclip_2": lambda: t.MetaClip2Model(both(t.MetaClip2Config)),
    "tipsv2": lambda: t.Tipsv2Model(both(t.Tipsv2Config)),
    "vision-text-dual-encoder": dual,
}


def saved(model: Any, folder: Path) -> Path:
    """As the hub has it: weights, settings, words and the preparation of pictures."""
    model.save_pretrained(folder)
    WORDS.save_pretrained(folder)
    write_preparation(folder, SIDE)
    return folder


def unit(vectors: torch.Tensor) -> NDArray[np.float32]:
    long: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=-1).numpy()
    return long


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_as_the_library(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = KINDS[kind]().eval()
    assert model.config.model_type == kind
    folder = saved(model, tmp_path / "encoder")
    encoder = Encoder(look_at(folder))
    pixels = np.random.default_rng(0).integers(0, 255, (2, SIDE, SIDE, 3), dtype=np.uint8)
    tokens = WORDS(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        own = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=encoder.preparation(pixels),
        )
    assert np.abs(encoder.read(SENTENCES) - unit(own.text_embeds)).max() < 1e-4
    assert np.abs(encoder.see(pixels) - unit(own.image_embeds)).max() < 1e-4
    ears, eyes = Encoder(look_at(folder), pictures=False), Encoder(look_at(folder), texts=False)
    assert np.allclose(ears.read(SENTENCES), encoder.read(SENTENCES), atol=1e-5)
    near = 0.02 if eyes._dtype == torch.bfloat16 else 1e-5
    assert np.allclose(eyes.see(pixels), encoder.see(pixels), atol=near)
    held, all_ = (sum(p.numel() for p in e._towers.model.parameters()) for e in (ears, encoder))
    assert held < all_


def test_an_encoder_of_several_pictures(tmp_path: Path) -> None:
    """X-CLIP: rows of clips, and a picture is a clip in which nothing moves."""
    torch.manual_seed(0)
    model = tiny_xclip(tmp_path / "xclip").eval()
    encoder = Encoder(look_at(tmp_path / "xclip"))
    assert encoder.frames == FRAMES
    shape = (3, FRAMES, SIDE, SIDE, 3)
    clips = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    prepared = torch.stack([encoder.preparation(clip) for clip in clips])
    tokens = WORDS(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        seen = model.get_video_features(pixel_values=prepared).pooler_output
        read = model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
    assert np.abs(encoder.see(clips) - unit(seen)).max() < 1e-4
    assert np.abs(encoder.read(SENTENCES) - unit(read)).max() < 1e-4
    still = np.repeat(clips[:1, :1], FRAMES, axis=1)
    assert np.allclose(encoder.see_picture(clips[0, 0]), encoder.see(still)[0], atol=1e-5)
    eyes = Encoder(look_at(tmp_path / "xclip"), texts=False)
    ears = Encoder(look_at(tmp_path / "xclip"), pictures=False)
    gone = [name for name, _ in ears._towers.model.named_parameters() if "text" not in name]
    assert not [name for name in gone if name.startswith(("mit", "vis"))]
    assert np.allclose(ears.read(SENTENCES), encoder.read(SENTENCES), atol=1e-5)
    near = 0.02 if eyes._dtype == torch.bfloat16 else 1e-5
    assert np.allclose(eyes.see(clips), encoder.see(clips), atol=near)
    with pytest.raises(ValueError, match=r"\(N, 8, S, S, 3\)"):
        encoder.see(clips[:, :3])


def test_videoprism_sees_pictures_that_nothing_is_taken_off(tmp_path: Path) -> None:
    """Whatever its file says of mean and deviation: the library's processor heeds neither."""
    torch.manual_seed(0)
    model = tiny_videoprism(tmp_path / "prism").eval()
    encoder = Encoder(look_at(tmp_path / "prism"))
    assert encoder.frames == FRAMES
    shape = (3, FRAMES, SIDE, SIDE, 3)
    clips = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    tokens = WORDS(SENTENCES, padding="max_length", max_length=64, return_tensors="pt")
    with torch.no_grad():
        own = model(
            pixel_values_videos=torch.from_numpy(clips).permute(0, 1, 4, 2, 3) / 255,
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
        )
    assert np.abs(encoder.see(clips) - unit(own.video_embeds)).max() < 1e-4
    assert np.abs(encoder.read(SENTENCES) - unit(own.text_embeds)).max() < 1e-4
    ears, eyes = (
        Encoder(look_at(tmp_path / "prism"), pictures=side, texts=not side)
        for side in (False, True)
    )
    assert np.allclose(ears.read(SENTENCES), encoder.read(SENTENCES), atol=1e-5)
    near = 0.02 if eyes._dtype == torch.bfloat16 else 1e-5
    assert np.allclose(eyes.see(clips), encoder.see(clips), atol=near)
    held, all_ = (sum(p.numel() for p in e._towers.model.parameters()) for e in (ears, encoder))
    assert held < all_ / 2


def flava() -> Any:
    joint: dict[str, Any] = {"text_config": TEXT, "image_config": SEEN, "multimodal_config": SMALL}
    return t.FlavaModel(t.FlavaConfig(**joint, projection_dim=24, hidden_size=32))


def blip_2() -> Any:
    asked = SMALL | {"encoder_hidden_size": 32, "vocab_size": 20}
    spoken = {"model_type": "opt", "hidden_size": 32, "num_hidden_layers": 1, "ffn_dim": 48}
    spoken |= {"num_attention_heads": 2, "vocab_size": 20, "word_embed_proj_dim": 32}
    return t.Blip2Model(t.Blip2Config(vision_config=SEEN, qformer_config=asked, text_config=spoken))


@pytest.mark.parametrize("make", [flava, blip_2])
def test_kinds_that_do_not_give_one_vector(make: Callable[[], Any], tmp_path: Path) -> None:
    folder = saved(make(), tmp_path / "encoder")
    with pytest.raises(EncoderError, match="not one for the whole") as error:
        Encoder(look_at(folder))
    assert "\n" not in str(error.value)


def test_pictures_that_are_shifted_are_refused(tmp_path: Path) -> None:
    folder = saved(KINDS["align"](), tmp_path / "encoder")
    said = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(said | {"rescale_offset": True}))
    with pytest.raises(EncoderError, match="scales pictures"):
        Encoder(look_at(folder))

"""OpenCLIP's layout: the library's own numbers, and a line for everything that is none.

Skipped where open_clip_torch is not installed: with it comes a torchvision that is built for CUDA.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.open import open_encoder
from feature_extract.encoders.source import look_at
from feature_extract.encoders.torchvision_import import make_importable

SIDE, WIDTH = 32, 24
SENTENCES = ["a dog", "A Cat on the beach, and what a sentence this is"]
TOWERS = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}
MOBILE = {
    "embed_dim": WIDTH,
    "vision_cfg": {
        "timm_model_name": "resnet10t",  # a convolutional tower of timm's, as MobileCLIP has one
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": SIDE,
    },
    "text_cfg": TOWERS["text_cfg"],
    "custom_text": True,
}
PERCEPTION = {  # PE-Core's parts, see open_clip's PE-Core-B-16
    "embed_dim": WIDTH,
    "vision_cfg": {
        "timm_model_name": "vit_pe_core_tiny_patch16_384",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": None,
        "image_size": 384,  # the smallest of timm's is made for no other
    },
    "text_cfg": TOWERS["text_cfg"],
    "custom_text": True,
}
PREPARATION: dict[str, Any] = {
    "size": [SIDE, SIDE],
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
is_here = importlib.util.find_spec("open_clip") is not None
needs_library = pytest.mark.skipif(not is_here, reason="open_clip_torch is not installed")


def write_settings(folder: Path, towers: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    settings = {"model_cfg": towers, "preprocess_cfg": PREPARATION}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))


def tiny_open_clip(folder: Path, towers: dict[str, Any]) -> Any:
    """A model with random weights, saved as the hub has them; the model as the library makes it."""
    make_importable()
    import open_clip

    write_settings(folder, towers)
    torch.manual_seed(0)
    place = f"local-dir:{folder}"
    model = open_clip.create_model(place, load_weights=False, pretrained_text=False).eval()
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return model


def unit(found: torch.Tensor) -> NDArray[np.float32]:
    long: NDArray[np.float32] = torch.nn.functional.normalize(found, dim=-1).numpy()
    return long


@needs_library
@pytest.mark.parametrize("towers", [TOWERS, MOBILE, PERCEPTION], ids=["vit", "mobile", "pe"])
def test_the_same_numbers_as_the_library(tmp_path: Path, towers: dict[str, Any]) -> None:
    model = tiny_open_clip(tmp_path / "clip", towers)
    import open_clip

    small = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    photo = Image.fromarray(small).resize((90, 50), Image.Resampling.BICUBIC)
    encoder = Encoder(look_at(tmp_path / "clip"))
    side = towers["vision_cfg"]["image_size"]
    prepare = open_clip.image_transform(
        side,
        is_train=False,
        mean=tuple(PREPARATION["mean"]),
        std=tuple(PREPARATION["std"]),
        resize_mode="squash",
        interpolation="bicubic",
    )
    pixels = prepare(photo)[None]
    own = encoder.preparation(np.array(encoder.preparation.squash(photo))[None])
    deviation = 255 * torch.tensor(encoder.preparation.std)[:, None, None]
    assert (deviation * (own - pixels)).abs().max() <= 1  # of 255 grey levels
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'clip'}")(SENTENCES)
    with torch.no_grad():
        seen, read = model.encode_image(pixels), model.encode_text(tokens)
    assert np.abs(encoder.see_picture(np.array(photo)) - unit(seen)[0]).max() < 1e-4
    assert np.abs(encoder.read(SENTENCES) - unit(read)).max() < 1e-4
    assert (encoder.width, encoder.side) == (WIDTH, side)
    ears = Encoder(look_at(tmp_path / "clip"), pictures=False)
    assert np.allclose(ears.read(SENTENCES), encoder.read(SENTENCES), atol=1e-5)
    eyes = Encoder(look_at(tmp_path / "clip"), texts=False)
    pictures = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
    near = 0.02 if eyes._dtype == torch.bfloat16 else 1e-5
    assert np.allclose(eyes.see(pictures), encoder.see(pictures), atol=near)


@needs_library
def test_one_line_for_what_is_wrong(tmp_path: Path) -> None:
    tiny_open_clip(tmp_path / "clip", TOWERS)
    weights = tmp_path / "clip" / "open_clip_model.safetensors"
    whole = load_file(weights)
    eyes = {name: value for name, value in whole.items() if name.startswith("visual.")}
    other = {name: value for name, value in whole.items() if name != "visual.conv1.weight"}
    wrong = whole | {"visual.proj": torch.full_like(whole["visual.proj"], torch.nan)}
    for state, said in (
        (eyes, "no text tower"),
        (other, "do not fit"),
        (wrong, "visual.proj is not finite"),
    ):
        save_file(state, weights)
        with pytest.raises(EncoderError, match=said) as error:
            open_encoder(str(tmp_path / "clip"))
        assert "\n" not in str(error.value)


def test_what_is_there_is_read_without_the_library(tmp_path: Path) -> None:
    """Layout, weights and preparation: what needs no model."""
    write_settings(tmp_path / "clip", TOWERS)
    with pytest.raises(EncoderError, match="no weights in it"):
        look_at(tmp_path / "clip")
    (tmp_path / "clip" / "open_clip_pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(EncoderError, match="pickled"):
        look_at(tmp_path / "clip")
    save_file({"a": torch.ones(3)}, tmp_path / "clip" / "open_clip_model.safetensors")
    source = look_at(tmp_path / "clip")
    assert source.layout == "open_clip"
    assert [file.name for file in source.weights] == ["open_clip_model.safetensors"]
    with pytest.raises(EncoderError, match=r"clip: (needs the package|its weights do not fit)"):
        open_encoder(str(tmp_path / "clip"))
    write_settings(tmp_path / "clip", TOWERS | {"vision_cfg": {"image_size": [32, 48]}})
    if is_here:
        with pytest.raises(EncoderError, match="not at a square"):
            open_encoder(str(tmp_path / "clip"))

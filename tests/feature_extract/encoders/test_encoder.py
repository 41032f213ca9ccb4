"""Encoders of toy size: the libraries' own numbers, and a line for everything that is none."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModel,
)

from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.known import KNOWN
from feature_extract.encoders.open import find, open_encoder
from feature_extract.encoders.source import look_at
from tests.support.tiny_encoders import SIDE, tiny_clip, tiny_siglip

SENTENCES = ["a dog", "A Cat on the beach, and what a sentence this is"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("encoders")
    return {"clip": tiny_clip(place / "clip"), "siglip": tiny_siglip(place / "siglip")}


def picture(width: int, height: int) -> Image.Image:
    """Coarse noise, so that every way of resizing differs."""
    small = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def unit(found: Any) -> NDArray[np.float32]:
    vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
    unit_long: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=-1).numpy()
    return unit_long


@pytest.mark.parametrize(("kind", "size"), [("clip", (90, 90)), ("siglip", (90, 50))])
def test_the_same_numbers_as_the_library(
    folders: dict[str, Path], kind: str, size: tuple[int, int]
) -> None:
    folder, photo = folders[kind], picture(*size)
    encoder, model = Encoder(look_at(folder)), AutoModel.from_pretrained(folder).eval()
    prepared = AutoImageProcessor.from_pretrained(folder)(images=photo, return_tensors="pt")
    pixels = prepared["pixel_values"]
    own = encoder.preparation(np.array(encoder.preparation.squash(photo))[None])
    deviation = 255 * torch.tensor(encoder.preparation.std)[:, None, None]
    assert (deviation * (own - pixels)).abs().max() <= 1  # of 255 grey levels
    options: dict[str, Any] = {"padding": True}
    if kind == "siglip":  # as its processor fills up and leaves the mask out
        options = {"padding": "max_length", "max_length": 64, "return_attention_mask": False}
    tokens = AutoTokenizer.from_pretrained(folder)(SENTENCES, return_tensors="pt", **options)
    tokens.pop("token_type_ids", None)
    with torch.no_grad():
        seen, read = model.get_image_features(pixels), model.get_text_features(**tokens)
    assert np.abs(encoder.see_picture(np.array(photo)) - unit(seen)[0]).max() < 1e-4
    assert np.abs(encoder.read(SENTENCES) - unit(read)).max() < 1e-4
    assert encoder.width == unit(read).shape[1]
    assert encoder.side == SIDE


def test_each_tower_alone(folders: dict[str, Path]) -> None:
    whole = Encoder(look_at(folders["clip"]))
    eyes = Encoder(look_at(folders["clip"]), texts=False)
    ears = Encoder(look_at(folders["clip"]), pictures=False)
    pixels = np.random.default_rng(1).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
    near = 0.02 if eyes._dtype == torch.bfloat16 else 1e-5
    assert np.allclose(eyes.see(pixels), whole.see(pixels), atol=near)
    assert np.allclose(ears.read(SENTENCES), whole.read(SENTENCES), atol=1e-5)
    assert eyes.width == ears.width == whole.width
    with pytest.raises(ValueError, match="pictures must be"):
        eyes.see(pixels[0])


def test_names() -> None:
    with pytest.raises(EncoderError, match="did you mean siglip2-base"):
        find("siglip2-bas")
    with pytest.raises(EncoderError, match="known are clip-b32"):
        find("qqq")
    with pytest.raises(EncoderError, match="no such folder"):
        find("./weights")
    assert {known.layout for known in KNOWN.values()} == {"transformers", "open_clip"}
    assert all("/" in known.repository and known.licence for known in KNOWN.values())


def spoil_files(folder: Path, spoil: str) -> None:
    """Do something to a file of an encoder as a whole."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    gone = {"none": [weights], "preparation": [folder / "preprocessor_config.json"]}
    gone["words"] = [folder / "tokenizer.json", folder / "tokenizer_config.json"]
    for file in gone.get(spoil, ()):
        file.unlink()
    if spoil == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif spoil == "cut":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif spoil == "json":
        config.write_text("{")
    elif spoil == "naflex":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "siglip2"}))


def spoil_numbers(folder: Path, spoil: str) -> None:
    """Do something to the weights of an encoder."""
    state = load_file(folder / "model.safetensors")
    if spoil == "nan":
        state["text_projection.weight"][0, 0] = torch.nan
    elif spoil == "image-only":
        state = {name: value for name, value in state.items() if not name.startswith("text")}
    else:
        tower = "text" if spoil == "one of text" else "vision"
        del state[f"{tower}_model.encoder.layers.0.mlp.fc1.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("pickle", r"pickled \(pytorch_model.bin\)"),
        ("none", "no weights in it"),
        ("cut", "half a download"),
        ("json", "config.json: damaged"),
        ("preparation", "preprocessor_config.json: no such file"),
        ("words", "no tokenizer in it"),
        ("naflex", "every shape"),
        ("nan", "text_projection.weight is not finite"),
        ("image-only", "no text tower"),
        ("one of text", "do not fit its config.json"),
        ("other", "do not fit its config.json"),
    ],
)
def test_one_line_for_what_is_wrong(
    folders: dict[str, Path], tmp_path: Path, spoil: str, said: str
) -> None:
    folder = shutil.copytree(folders["clip"], tmp_path / "bad")
    if spoil in ("nan", "image-only", "one of text", "other"):
        spoil_numbers(folder, spoil)
    else:
        spoil_files(folder, spoil)
    with pytest.raises(EncoderError, match=said) as error:
        open_encoder(str(folder))
    assert "\n" not in str(error.value)


def test_other_kinds_of_model(folders: dict[str, Path], tmp_path: Path) -> None:
    small: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 2}
    eyes = CLIPVisionConfig(**small, image_size=SIDE, patch_size=16)
    CLIPVisionModel(eyes).save_pretrained(tmp_path / "eyes")
    BertModel(BertConfig(**small, vocab_size=20)).save_pretrained(tmp_path / "words")
    with pytest.raises(EncoderError, match="no text tower"):
        open_encoder(str(tmp_path / "eyes"))
    with pytest.raises(EncoderError, match="does not bring pictures and words together"):
        open_encoder(str(tmp_path / "words"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match="no encoder"):
        open_encoder(str(tmp_path / "empty"))


def test_another_revision(folders: dict[str, Path], tmp_path: Path) -> None:
    """Same files, other numbers: the rows of one mean nothing to the other."""
    one, other = look_at(folders["clip"]), look_at(tiny_clip(tmp_path / "clip", seed=1))
    assert one.digest != other.digest
    assert look_at(folders["clip"]) == one
    with pytest.raises(EncoderError, match="another revision"):
        open_encoder(str(other.folder), digest=one.digest)

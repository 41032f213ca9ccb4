"""VideoMAE and V-JEPA 2 at toy size: the library's own numbers, and no question to be asked."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.open import open_encoder
from feature_extract.encoders.source import look_at
from tests.support.tiny_encoders import SIDE, tiny_wordless

CLIP = 16, SIDE, SIDE, 3


@pytest.mark.parametrize("kind", ["videomae", "vjepa2"])
def test_the_same_numbers_as_the_library(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = tiny_wordless(tmp_path / kind, kind).eval()
    eyes = Encoder(look_at(tmp_path / kind), texts=False)
    assert (eyes.frames, eyes.side, eyes.width) == (16, SIDE, model.config.hidden_size)
    clips = np.random.default_rng(0).integers(0, 255, (3, *CLIP), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    prepared = torch.from_numpy(((clips / 255 - mean) / std).astype(np.float32))
    with torch.no_grad():
        parts = model(prepared.permute(0, 1, 4, 2, 3)).last_hidden_state  # (N, P, W)
    own = torch.nn.functional.normalize(parts.mean(1), dim=-1).numpy()
    eyes._towers.model.float()  # whatever is fastest here: compared in the library's own precision
    eyes._dtype = torch.float32
    assert np.abs(eyes.see(clips) - own).max() < 1e-4


@pytest.mark.parametrize("kind", ["videomae", "vjepa2"])
def test_one_line_for_what_is_wrong(kind: str, tmp_path: Path) -> None:
    tiny_wordless(tmp_path / kind, kind)
    name, weights = str(tmp_path / kind), tmp_path / kind / "model.safetensors"
    with pytest.raises(EncoderError, match="a video network without words") as refused:
        open_encoder(name)
    assert "\n" not in str(refused.value)
    whole = load_file(weights)
    needed = next(key for key in sorted(whole) if "layer.1" in key and "predictor" not in key)
    save_file({key: value for key, value in whole.items() if key != needed}, weights)
    with pytest.raises(EncoderError, match="its weights do not fit"):
        open_encoder(name, texts=False)
    save_file(whole | {needed: torch.full_like(whole[needed], torch.nan)}, weights)
    with pytest.raises(EncoderError, match="is not finite"):
        open_encoder(name, texts=False)
    settings = tmp_path / kind / "config.json"
    side = {"image_size": [32, 48], "crop_size": -1}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | side))
    with pytest.raises(EncoderError, match="not at a square"):
        open_encoder(name, texts=False)


def test_what_guesses_hidden_parts_is_not_needed(tmp_path: Path) -> None:
    """Weights of a V-JEPA 2 that was made a classifier come without its predictor."""
    tiny_wordless(tmp_path / "jepa", "vjepa2")
    clip = np.random.default_rng(0).integers(0, 255, (1, *CLIP), dtype=np.uint8)
    with_it = open_encoder(str(tmp_path / "jepa"), texts=False).see(clip)
    weights = tmp_path / "jepa" / "model.safetensors"
    kept = {key: v for key, v in load_file(weights).items() if not key.startswith("predictor")}
    assert len(kept) < len(load_file(weights))
    save_file(kept, weights, {"format": "pt"})
    assert np.array_equal(open_encoder(str(tmp_path / "jepa"), texts=False).see(clip), with_it)

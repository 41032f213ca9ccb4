"""The files of a trained model: config.json says what it is, weights.safetensors has its numbers.

    stored = read_weights(folder)           # .config, .tensors by name, .digest
    write_weights(folder, config, tensors)

A model is known by the digest of its numbers, which config.json holds too, so that the two files
cannot come from different models.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors.torch import load_file, save_file
from torch import Tensor

from feature_extract.files import replacing

FORMAT: Final = 8
_NAMES_OF_6: Final = (
    ("reader.model.", "second_stage.network."),
    ("reader.trust", "second_stage.prior_scale"),
    ("reader.doubt", "second_stage.prior_bias"),
    ("video.judgement.usual", "video.classifier.prior"),
    ("video.judgement.", "video.classifier."),
    ("names.told", "names.query_columns"),
)
"""Beginnings of tensors' names in weights of format 6, and what they are called now."""


class ModelError(ValueError):
    """Weights that cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class Stored:
    """What the two files hold."""

    config: dict[str, Any]
    "config.json, in the words of the present format"
    tensors: dict[str, Tensor]
    "by name, float32"
    digest: str
    "SHA-256 of weights.safetensors, in hexadecimal"


def read_weights(folder: Path) -> Stored:
    """The files in `folder`, of this format or one of the two before it.

    Raises:
        ModelError: files are missing, damaged or of another format.
    """
    weights = folder / "weights.safetensors"
    try:
        config = json.loads((folder / "config.json").read_text())
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename}: no weights there; train them or restore") from error
    except Exception as error:  # a damaged header can raise anything
        raise ModelError(f"{folder}: damaged weights ({error})") from error
    if config.get("format") not in (6, 7, FORMAT):
        raise ModelError(f"{folder}: format {config.get('format')}, this version reads {FORMAT}")
    if digest != config["sha256"]:
        raise ModelError(f"{weights}: does not match the checksum in config.json; restore it")
    if config["format"] < FORMAT:
        config["sentences"] = None
    if config["format"] == 6:
        config["second_stage"] = config.pop("reader")
        tensors = {_name_of_6(name): tensor for name, tensor in tensors.items()}
    return Stored(config, tensors, digest)


def write_weights(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files, each whole or not at all; numbers are stored as float16.

    Both are whole before the first is replaced. Killed between the two, the folder holds numbers
    that its config.json does not name, which `read_weights` refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        replacing(folder / "config.json") as config_file,
        replacing(folder / "weights.safetensors") as weights,
    ):
        save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, weights)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        written = {"format": FORMAT, "sha256": digest, **config}
        config_file.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def _name_of_6(name: str) -> str:
    """What a tensor of weights of format 6 is called now."""
    for before, now in _NAMES_OF_6:
        if name.startswith(before):
            return now + name.removeprefix(before)
    return name

"""An encoder's folder, whose files are looked at before anything is loaded from them.

    source = look_at(Path("clip-vit-base-patch32"))     # EncoderError when it cannot be one
    source.layout, source.weights, source.digest

Two layouts are read: that of Hugging Face's transformers (config.json, model.safetensors,
preprocessor_config.json, a tokenizer) and that of OpenCLIP (open_clip_config.json,
open_clip_model.safetensors). Weights are safetensors only: a pickle can run code when it is read.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.weight_files import check_whole

Layout = Literal["transformers", "open_clip"]
OPEN_CLIP: Final = "open_clip_config.json"
TRANSFORMERS: Final = "config.json"
PREPARATION: Final = "preprocessor_config.json"
VIDEO_PREPARATION: Final = "video_preprocessor_config.json"
"""What networks of several pictures have in its place."""
PROCESSOR: Final = "processor_config.json"
"""Where newer versions of transformers keep the preparation of pictures, among other things."""
WORDLESS: Final = ("videomae", "vjepa2")
"""Kinds of video networks that transformers has and that read no words."""
_WEIGHTS: Final[dict[Layout, tuple[str, ...]]] = {
    "open_clip": ("open_clip_model.safetensors", "model.safetensors"),
    "transformers": ("model.safetensors",),
}
PICKLED: Final = (".bin", ".pt", ".pth", ".ckpt", ".pickle", ".pkl", ".msgpack", ".h5")
_UNFINISHED: Final = (".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2")
"""Endings of what programs have not fetched to the end."""
_OTHER_WEIGHTS: Final = (".safetensors", ".gguf", ".onnx", ".tflite", ".mlpackage")
_READ_AT_ONCE: Final = 1 << 16
_PLACES: Final = 256
"""Of a weights file, so many places are read for its digest: another revision differs everywhere,
and a gigabyte would take a second at every start."""


@dataclass(frozen=True)
class Source:
    """Files that make up an encoder."""

    name: str
    "as it was asked for: a short name, a repository, a folder"
    folder: Path
    layout: Layout
    weights: tuple[Path, ...]
    "safetensors files"
    digest: str
    "12 characters that tell it from every other encoder and revision"

    @property
    def block(self) -> str:
        """What its columns are called in a features file."""
        return f"encoder-{self.digest}"

    @property
    def wordless(self) -> bool:
        """Whether it is a video network without words, of which no question can be asked."""
        is_ours = self.layout == "transformers"
        return is_ours and self.read_json(TRANSFORMERS).get("model_type") in WORDLESS

    def read_json(self, file: str) -> dict[str, Any]:
        """One of its settings files.

        Raises:
            EncoderError: it is missing or damaged.
        """
        return _read_json(self.folder / file)


def look_at(folder: Path, name: str = "") -> Source:
    """What a folder holds.

    Raises:
        EncoderError: no such folder, neither of the layouts, no weights, or pickled ones.
    """
    if not folder.is_dir():
        what = "a file; name the folder that it is in" if folder.exists() else "no such folder"
        raise EncoderError(f"{folder}: {what}")
    layout = _layout(folder)
    weights = _weights(folder, layout)
    for path in weights:
        check_whole(path)
    return Source(name or str(folder), folder, layout, weights, _digest(folder, weights))


def _layout(folder: Path) -> Layout:
    """Repositories may hold both; then that whose weights are there counts."""
    ours, theirs = (folder / TRANSFORMERS).is_file(), (folder / OPEN_CLIP).is_file()
    if not ours and not theirs:
        raise EncoderError(
            f"{folder}: no encoder ({TRANSFORMERS} of transformers, or {OPEN_CLIP}, must be in it)"
        )
    is_ours = ours and "model_type" in _read_json(folder / TRANSFORMERS)
    if theirs and not (is_ours and any(folder.glob("model*.safetensors"))):
        return "open_clip"
    return "transformers"


def _weights(folder: Path, layout: Layout) -> tuple[Path, ...]:
    for file in _WEIGHTS[layout]:
        if (folder / file).is_file():
            return (folder / file,)
        if (folder / f"{file}.index.json").is_file():
            return _parts(folder / f"{file}.index.json")
    raise EncoderError(f"{folder}: {_instead(folder, layout)}")


def _parts(index: Path) -> tuple[Path, ...]:
    """The files that weights are spread over, as their index says."""
    places = _read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise EncoderError(f"{index}: damaged (it does not say where the weights are)")
    found = tuple(index.parent / Path(str(part)).name for part in dict.fromkeys(places.values()))
    lacking = [part.name for part in found if not part.is_file()]
    if lacking:
        more = f" and {len(lacking) - 1} more are" if len(lacking) > 1 else " is"
        raise EncoderError(
            f"{index.parent}: half a download ({lacking[0]}{more} missing); fetch it again"
        )
    return found


def _instead(folder: Path, layout: Layout) -> str:
    """Why a folder without the weights that are looked for has none, by what lies in it."""
    files = sorted(file.name for file in folder.iterdir() if file.is_file())
    half = [file for file in files if file.endswith(_UNFINISHED)]
    if half:
        return f"half a download ({half[0]}); fetch it again"
    pickled = [file for file in files if file.endswith(PICKLED)]
    if pickled:
        return (
            f"its weights are pickled ({pickled[0]}), which can run code when they are read; take "
            "the same ones as .safetensors"
        )
    other = [file for file in files if file.endswith(_OTHER_WEIGHTS)]
    found = f"; {other[0]} is not read" if other else ""
    return f"no weights in it ({' or '.join(_WEIGHTS[layout])}){found}"


def _digest(folder: Path, weights: tuple[Path, ...]) -> str:
    """Of all settings, of the headers of the weights, and of pieces all over them."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.json")):
        if not file.name.endswith(".index.json"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file_:
            for place in range(_PLACES):
                file_.seek(size * place // _PLACES)
                digest.update(file_.read(_READ_AT_ONCE if place == 0 else 4096))
    return digest.hexdigest()[:12]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EncoderError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise EncoderError(f"{path}: damaged ({error})") from error
    if not isinstance(found, dict):
        raise EncoderError(f"{path}: damaged (not a table of settings)")
    return found

"""A preset: every setting of a training run, as one small JSON file that equals the dataclass.

    preset = load_preset("tacos", ["train.batch=4", "model.width=128"])

The shipped ones are in assets/presets; a path to a file of your own works too.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from feature_extract.files import assets_folder
from vmr.model.network import ModelConfig
from vmr.research.checkpoint import CheckpointError, from_json
from vmr.research.contrast import ContrastConfig
from vmr.research.data import DataConfig
from vmr.research.loss import LossConfig

Schedule = Literal["constant", "plateau"]
Precision = Literal["float32", "bfloat16"]
FOLDER = assets_folder() / "presets"


@dataclass(frozen=True)
class TrainConfig:
    """How the weights are found; the defaults are the paper's for TACoS."""

    rate: float = 5e-5
    """AdamW's, at the start."""
    schedule: Schedule = "constant"
    """Constant, as in the paper's runs. Plateau, as MSAT: times .8 after every 21st validation
    in a row in which minus the validation loss was not below all before, that is, mostly when
    the loss falls (their sign); it needs a validation split."""
    weight_decay: float = 0.0
    batch: int = 6
    """Over all processes together."""
    epochs: float = 100.0
    clip: float = 10.0
    """Largest norm of the gradient."""
    seed: int = 0
    validate_every: float = 1.0
    """Epochs between validations; the best weights are kept by these."""
    suppression: float = 0.37
    """IoU above which a lower-ranked moment is left out."""
    precision: Precision = "float32"
    """Of training and prediction, on any device. bfloat16: mixed, faster on a GPU, and not what
    is published."""
    workers: int = 0
    """Processes that prepare batches; 0: none beside the training one."""
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("rate", "batch", "epochs", "clip", "validate_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"train.{name} must be positive, not {getattr(self, name)}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"train.schedule: {self.schedule!r} is none of {get_args(Schedule)}")
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"train.precision: {self.precision!r} is none of {get_args(Precision)}"
            )
        if not 0 <= self.suppression <= 1:
            raise ValueError(f"train.suppression must be within 0..1, not {self.suppression}")


@dataclass(frozen=True)
class Preset:
    """Everything that shapes a run."""

    dataset: str
    """Kind of annotation file it is made for, as Annotations.dataset; "" for any."""
    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json(Preset, ...)` is the way back."""
        return asdict(self)


def load_preset(name: str, changes: Iterable[str] = ()) -> Preset:
    """A shipped preset by name, or a JSON file by path, with `section.setting=value` changes.

    Raises:
        CheckpointError: no such preset, or a setting that does not exist or fit.
    """
    path = Path(name) if name.endswith(".json") else FOLDER / f"{name}.json"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json")))
        raise CheckpointError(f"no preset {name!r}; shipped are {shipped}, or give a .json file")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    return change(from_json(Preset, values, str(path)), changes)


def change(preset: Preset, changes: Iterable[str]) -> Preset:
    """`preset` with `section.setting=value` changes applied."""
    values = preset.to_json()
    for item in changes:
        path, equals, text = item.partition("=")
        section, _, setting = path.rpartition(".")
        known = values.get(section) if section else values
        if not equals or not isinstance(known, dict) or setting not in known:
            raise CheckpointError(
                f"--set {item}: expected SECTION.SETTING=VALUE of a known setting"
            )
        known[setting] = _parse(text)
    return from_json(Preset, values, "settings")


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # a bare word

"""A training run on disk: its checkpoints, and the curves of its losses.

    run = Run(preset, vocabulary, Path("runs/tacos"), torch.device("cpu"))
    run.resume(); ...; run.save_last()
    model, preset, vocabulary = load_run(Path("runs/tacos"))

The folder holds preset.json, last.safetensors (everything, to go on), best.safetensors (the weights
that did best on the validation split), train.csv, validation.csv and TensorBoard's event file.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.tensorboard import SummaryWriter

from feature_extract.files import write_text
from vmr.model.network import MomentModel
from vmr.research.checkpoint import (
    CheckpointError,
    differences,
    from_json,
    load_checkpoint,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    save_checkpoint,
)
from vmr.research.data import vocabulary_size
from vmr.research.loss import Objective
from vmr.research.preset import Preset

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.8, 20  # of MSAT's scheduler
LAST, BEST = "last.safetensors", "best.safetensors"
MAY_CHANGE = ("epochs", "workers", "compile", "validate_every")  # of a run that is resumed


def fit_vocabulary(preset: Preset, vocabulary: Sequence[str]) -> Preset:
    """The preset with a masked-word head of this vocabulary's size, if it has such a head."""
    if not preset.model.vocabulary:
        return preset
    size = vocabulary_size(vocabulary)
    return replace(preset, model=replace(preset.model, vocabulary=size))


class Run:
    """Model, losses and optimizer with their place in the run."""

    def __init__(
        self, preset: Preset, vocabulary: Sequence[str], out: Path, device: torch.device
    ) -> None:
        torch.manual_seed(preset.train.seed)
        self.preset, self.vocabulary, self.out = preset, tuple(vocabulary), out
        self.objective = Objective(MomentModel(preset.model), preset.loss, preset.contrast)
        self.objective.to(device)
        trained = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=preset.train.rate, weight_decay=preset.train.weight_decay, fused=True
        )
        self.schedule: ReduceLROnPlateau | None = None
        if preset.train.schedule == "plateau":
            self.schedule = ReduceLROnPlateau(
                self.optimizer, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE
            )
        self.step, self.best = 0, -1.0
        if preset.train.compile:
            self.objective.model.compile(dynamic=True)

    def save(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write tensors with the preset and the place in the run."""
        record = {
            "preset": self.preset.to_json(),
            "vocabulary": self.vocabulary,
            "step": self.step,
            "best": self.best,
            "schedule": self.schedule.state_dict() if self.schedule else None,
        }
        save_checkpoint(self.out / name, tensors, record)

    def save_last(self) -> None:
        """Everything that is needed to go on."""
        memory = {f"optimizer.{k}": v for k, v in optimizer_tensors(self.optimizer).items()}
        self.save(LAST, {**self.objective.state_dict(), **memory})

    def save_best(self) -> None:
        """The weights alone."""
        weights = self.objective.model.state_dict()
        self.save(BEST, {f"model.{name}": tensor for name, tensor in weights.items()})

    def resume(self) -> None:
        """Go on from last.safetensors.

        Raises:
            CheckpointError: it is missing, or was made with other settings or other words.
        """
        checkpoint = load_checkpoint(self.out / LAST)
        saved = checkpoint.record
        now = self.preset.to_json()
        for settings in (saved["preset"], now):
            for name in MAY_CHANGE:
                settings["train"].pop(name)
        unlike = differences(saved["preset"], now)
        if unlike:
            raise CheckpointError(f"{self.out / LAST}: of another preset ({'; '.join(unlike[:5])})")
        if tuple(saved["vocabulary"]) != self.vocabulary:
            raise CheckpointError(
                f"{self.out / LAST}: trained with other annotations (words differ)"
            )
        tensors = checkpoint.tensors
        own = {k: v for k, v in tensors.items() if not k.startswith("optimizer.")}
        self.objective.load_state_dict(own)
        restore_optimizer(self.optimizer, prefixed("optimizer.", tensors))
        self.step, self.best = saved["step"], saved["best"]
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])
            for group, rate in zip(
                self.optimizer.param_groups, self.schedule.get_last_lr(), strict=True
            ):
                group["lr"] = rate


def load_run(path: Path) -> tuple[MomentModel, Preset, tuple[str, ...]]:
    """Model (evaluation mode), preset and vocabulary of a checkpoint, or of a run's best one.

    Raises:
        CheckpointError: there is none, or it does not hold together.
    """
    if path.is_dir():
        held = [path / name for name in (BEST, LAST) if (path / name).is_file()]
        if not held:
            raise CheckpointError(f"{path}: no run in it; expected {BEST} or {LAST}")
        path = held[0]
    checkpoint = load_checkpoint(path)
    preset = from_json(Preset, checkpoint.record.get("preset"), str(path))
    model = MomentModel(preset.model)
    try:
        model.load_state_dict(prefixed("model.", checkpoint.tensors))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own settings") from error
    return model.eval(), preset, tuple(checkpoint.record["vocabulary"])


class Log:
    """Scalars of a run, as CSV and for TensorBoard; going on from a step forgets later lines."""

    def __init__(self, out: Path, preset: Preset, step: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "preset.json", json.dumps(preset.to_json(), indent=2) + "\n")
        self._out = out
        for name in ("train", "validation"):
            _forget(out / f"{name}.csv", step)
        self._board = SummaryWriter(str(out), purge_step=step if step else None)

    def write(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Add one line to NAME.csv."""
        path = self._out / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:  # written in place: a line more
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *(f"{value:.6g}" for value in values.values())])
        for key, value in values.items():
            self._board.add_scalar(f"{name}/{key}", value, step)

    def close(self) -> None:
        """Write what TensorBoard's writer still holds."""
        self._board.close()


def _forget(path: Path, step: int) -> None:
    """Drop the lines after `step`: a run that was killed may have written beyond its save."""
    if not path.exists():
        return
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    kept = [head, *(line for line in lines if int(line.split(",", 1)[0]) <= step)]
    write_text(path, "\n".join(kept) + "\n")

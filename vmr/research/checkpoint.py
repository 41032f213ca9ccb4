"""Weights with the settings that made them, in one safetensors file that is written whole or not.

    save_checkpoint(path, tensors, record)           # record: anything JSON can hold
    checkpoint = load_checkpoint(path)               # CheckpointError in one line

Nothing here is a pickle, so that loading a stranger's checkpoint runs no code. The optimizer's
state is stored as named tensors too. Configs are dataclasses; `from_json` checks every field.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from feature_extract.files import write_bytes

FORMAT = 1
_Config = TypeVar("_Config")


class CheckpointError(ValueError):
    """A checkpoint or a config file that cannot be used; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A file's content."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write the file whole or not at all: an interrupted save leaves the old one."""
    metadata = {"vmr": json.dumps({"format": FORMAT, **record})}
    content = to_bytes({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, metadata)
    write_bytes(path, content)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote, on the CPU.

    Raises:
        CheckpointError: missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        record = json.loads(metadata["vmr"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        found = "other weights" if isinstance(error, KeyError) else "a damaged or foreign file"
        raise CheckpointError(
            f"{path}: not a readable checkpoint of this program: found {found}, "
            "expected best.safetensors or last.safetensors as `train` writes them"
        ) from error
    if record.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: written by another version of this program")
    return Checkpoint(tensors, record)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's memory as `PARAMETER.NAME` tensors."""
    return {
        f"{parameter}.{name}": value
        for parameter, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo `optimizer_tensors`; rates and decay stay those of `optimizer`."""
    memory: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        parameter, name = key.split(".", 1)
        memory.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})


def from_json(kind: type[_Config], values: object, where: str) -> _Config:
    """A config dataclass from parsed JSON; nested configs too.

    Raises:
        CheckpointError: an unknown or missing setting, or a value of another type or range.
    """
    if not isinstance(values, dict):
        raise CheckpointError(f"{where}: expected an object of settings, found {values!r}")
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    unknown = set(values) - {field.name for field in fields(kind)}
    if unknown:
        raise CheckpointError(f"{where}: unknown setting {', '.join(sorted(unknown))}")
    arguments = {}
    for name, value in values.items():
        hint = hints[name]
        if is_dataclass(hint) and isinstance(hint, type):
            value = from_json(hint, value, f"{where}: {name}")
        elif hint is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        elif hint in (int, float, bool, str) and type(value) is not hint:
            raise CheckpointError(f"{where}: {name} must be {hint.__name__}, found {value!r}")
        arguments[name] = value
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from error


def differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Settings in which two configs differ, as `name: A, not B`."""
    found = []
    for name in sorted({*a, *b}):
        left, right = a.get(name), b.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differences(left, right, f"{prefix}{name}.")
        elif left != right:
            found.append(f"{prefix}{name}: {left}, not {right}")
    return found

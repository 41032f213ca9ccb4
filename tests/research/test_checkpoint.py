"""Checkpoints and configs: what goes in comes out, and what is wrong is one clear line."""

import json
import os
import pickle
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vmr.model.network import ModelConfig
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
from vmr.research.preset import FOLDER, Preset, change, load_preset

torch.set_num_threads(1)
SHIPPED = ("activitynet", "msat_activitynet", "msat_tacos", "tacos")


@dataclass(frozen=True)
class Inner:
    number: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = 3
    flag: bool = False
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must not be negative, not {self.count}")


def test_tensors_and_record_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(2, 3), "b": torch.tensor(7), "c": torch.randn(4, 4).T}
    save_checkpoint(tmp_path / "x.safetensors", tensors, {"step": 3, "words": ["é"]})
    found = load_checkpoint(tmp_path / "x.safetensors")
    assert found.record == {"step": 3, "words": ["é"]}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.safetensors"
    save_checkpoint(file, {"a": torch.zeros(1)}, {"step": 1})

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(file, {"a": torch.ones(1)}, {"step": 2})
    assert load_checkpoint(file).record == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(file)
    save_checkpoint(file, {"a": torch.zeros(100)}, {})
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(file)
    save_file({"a": torch.zeros(1)}, file, {"vmr": json.dumps({"format": 99})})
    with pytest.raises(CheckpointError, match="another version"):
        load_checkpoint(file)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "run"),)

    (tmp_path / "x.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "x.safetensors")
    assert not (tmp_path / "run").exists()


def test_an_optimizer_goes_on_as_if_never_stored() -> None:
    def made() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def step(layer: torch.nn.Linear, optimizer: torch.optim.AdamW) -> None:
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).pow(2).sum().backward()
        optimizer.step()

    straight, first = made(), made()
    for _ in range(4):
        step(*straight)
    for _ in range(2):
        step(*first)
    second = made()
    second[0].load_state_dict(first[0].state_dict())
    restore_optimizer(second[1], optimizer_tensors(first[1]))
    for _ in range(2):
        step(*second)
    assert torch.equal(second[0].weight, straight[0].weight)


def test_prefixes() -> None:
    tensors = {"model.a": torch.zeros(1), "contrast.b": torch.ones(1)}
    assert set(prefixed("model.", tensors)) == {"a"}


@given(
    st.builds(
        Outer,
        name=st.text(),
        count=st.integers(0, 9),
        flag=st.booleans(),
        inner=st.builds(Inner, number=st.floats(allow_nan=False, allow_infinity=False)),
    )
)
@settings(max_examples=30)
def test_configs_survive_json(config: Outer) -> None:
    assert from_json(Outer, json.loads(json.dumps(asdict(config))), "here") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "expected an object of settings"),
        ({"nmae": "x"}, "here: unknown setting nmae"),
        ({}, "here: .*name"),
        ({"name": 3}, "name must be str, found 3"),
        ({"name": "x", "count": 1.5}, "count must be int, found 1.5"),
        ({"name": "x", "count": True}, "count must be int, found True"),
        ({"name": "x", "count": -1}, "here: count must not be negative"),
        ({"name": "x", "inner": {"number": "y"}}, "here: inner: number must be float"),
    ],
)
def test_configs_that_do_not_fit_name_the_setting(values: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_json(Outer, values, "here")


def test_differences_are_listed_by_name() -> None:
    one, other = asdict(Outer("x", inner=Inner(2.0))), asdict(Outer("y"))
    assert differences(one, other) == ["inner.number: 2.0, not 1.0", "name: x, not y"]
    assert differences(one, one) == []


# Presets.


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets_equal_their_dataclass(name: str) -> None:
    preset = load_preset(name)
    text = (FOLDER / f"{name}.json").read_text()
    assert text == json.dumps(preset.to_json(), indent=2) + "\n"


def test_every_shipped_preset_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == list(SHIPPED)


def test_presets_say_what_was_published() -> None:
    tacos, activitynet = load_preset("tacos"), load_preset("activitynet")
    assert (tacos.model.heads, activitynet.model.heads) == (16, 32)
    assert (tacos.train.rate, activitynet.train.rate) == (5e-5, 1e-4)
    assert (tacos.train.batch, activitynet.train.batch) == (6, 64)
    assert (tacos.loss.overlap, activitynet.loss.overlap) == (100, 10)
    assert tacos.contrast == activitynet.contrast
    assert tacos.model == ModelConfig(feature_width=4096, vocabulary=1514)


def test_changes_on_the_command_line() -> None:
    preset = load_preset("tacos", ["train.batch=4", "model.encoder=joint", "train.rate=1"])
    assert (preset.train.batch, preset.model.encoder, preset.train.rate) == (4, "joint", 1.0)
    assert change(preset, ["dataset=activitynet"]).dataset == "activitynet"
    base = load_preset("tacos")
    assert change(base, ["train.batch=4"]) == replace(base, train=replace(base.train, batch=4))
    for wrong, message in (
        ("train.bach=4", "expected SECTION.SETTING=VALUE of a known setting"),
        ("train.batch", "expected SECTION"),
        ("batch=4", "expected SECTION"),
        ("train.batch=many", "batch must be int, found 'many'"),
        ("train.batch=0", "must be positive"),
        ("model.heads=7", "does not divide"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_preset("tacos", [wrong])


def test_a_preset_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"dataset": "", "model": {"feature_width": 9}}))
    mine = load_preset(str(file))
    assert mine == Preset("", ModelConfig(feature_width=9))
    file.write_text("{")
    with pytest.raises(CheckpointError, match=r"mine\.json: not JSON"):
        load_preset(str(file))
    with pytest.raises(CheckpointError, match="no preset 'taco'; shipped are activitynet, msat_"):
        load_preset("taco")

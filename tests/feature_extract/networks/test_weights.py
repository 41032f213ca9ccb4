"""A user's weights: said what they are, kept, found by `--clips`; and all that is refused."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import feature_extract.networks.c3d as c3d
from feature_extract.__main__ import main as extract
from feature_extract.features import Features
from feature_extract.networks.weights import sports_1m
from tests.feature_extract.networks.test_c3d import Attack, layouts, narrow
from tests.support.media import counter_video
from vmr.__main__ import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; and a narrow network in the place of one of 245 MB."""
    monkeypatch.setenv("VMR_WEIGHTS", str(tmp_path / "kept"))
    for module in ("networks.c3d", "row_networks"):
        shape = c3d.C3DConfig(width=2, features=8)
        monkeypatch.setattr(f"feature_extract.{module}.SPORTS_1M", shape)
    return tmp_path / "kept"


def files(folder: Path) -> list[Path]:
    """The same weights in the layouts of both ports."""
    states = layouts(narrow())
    for name, state in states.items():
        torch.save(state, folder / name)
    return [folder / name for name in states]


def test_added_and_found(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, layout in zip(files(tmp_path), ("c3d.pickle", "mmaction2"), strict=True):
        assert main(["weights", "add", str(path)]) == 0
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        said = capsys.readouterr().out
        assert layout in said
        assert digest in said
        kept = sports_1m()
        assert kept is not None
        assert kept.read_bytes() == path.read_bytes()
        assert [*folder.iterdir()] == [kept]  # the one before is gone, and nothing temporary
        assert main(["weights", "info", "--json"]) == 0
        records = json.loads(capsys.readouterr().out)["weights"]
        assert {"path": str(kept), "sha256": digest}.items() <= records[-1].items()
        assert any(record["what"] == "shipped: base" for record in records)


def test_clips_use_what_was_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counter_video(tmp_path / "a.mp4", 1.0)
    arguments = [str(tmp_path / "a.mp4"), "--clips", "activitynet", "--out", str(tmp_path / "out")]
    assert extract(arguments) == 1
    assert "weights add" in capsys.readouterr().err
    assert main(["weights", "add", str(files(tmp_path)[0])]) == 0
    assert extract(arguments) == 0
    features = Features.load(tmp_path / "out" / "a.mp4.safetensors")
    assert features.rows.shape == ((30 - 16) // 8 + 1, 8)


@pytest.mark.parametrize("command", ["info", "add"])
def test_refused(
    command: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = files(tmp_path)[0].read_bytes()
    (tmp_path / "cut.pth").write_bytes(good[: len(good) // 2])
    torch.save({"conv1.weight": Attack()}, tmp_path / "code.pickle")
    torch.save({"layer1.0.conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("cut.pth", "code.pickle", "other.pth", "missing.pth"):
        assert main(["weights", command, str(tmp_path / name)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {tmp_path / name}: ")
    assert not folder.exists() or not [*folder.iterdir()]


def test_info_of_a_file_and_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "info", str(files(tmp_path)[1])]) == 0
    assert "mmaction2" in capsys.readouterr().out
    assert main(["weights", "info"]) == 0
    assert "not shipped" in capsys.readouterr().out
    code = (
        "import sys, vmr.cli.weights, feature_extract.networks.weights;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

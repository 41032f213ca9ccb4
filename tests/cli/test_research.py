"""`train` and `evaluate` as a user runs them: the way through, and wrong turns in one line."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from feature_extract.__main__ import main as extract
from feature_extract.features import Features
from tests.support.media import counter_video
from tests.support.research import CHANGES, write_set
from vmr.__main__ import main

torch.set_num_threads(1)
OPTIONS = [f"--set={change}" for change in CHANGES]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    write_set(tmp_path)
    truth, features = str(tmp_path / "set.jsonl"), str(tmp_path / "features.h5")
    return ["--annotations", truth, "--features", features, "--device", "cpu"]


def test_train_then_evaluate(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, truth = str(tmp_path / "run"), files[1]
    line = ["train", *files, *OPTIONS, "--validation", truth, "--out", out, "--steps", "3"]
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert printed.endswith("best.safetensors\n")
    assert "8 queries; left out or repaired: nothing" in printed
    assert main(["evaluate", "--run", out, *files]) == 0
    assert "| these |" in capsys.readouterr().out


def test_evaluate_predictions_as_json(
    tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in Path(files[1]).read_text().splitlines()]
    found = tmp_path / "found.jsonl"
    found.write_text("\n".join(json.dumps(line) for line in lines[:4]))
    assert main(["evaluate", "--predictions", str(found), *files[:2], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["queries"], report["strict"], report["R@1,IoU=0.7"]) == (8, False, 50)
    assert main(["evaluate", "--predictions", str(found), *files[:2], "--iou", "strict"]) == 0
    assert "4 queries have no prediction" in capsys.readouterr().out


def test_our_own_feature_files_train_too(files: list[str], tmp_path: Path) -> None:
    """Extractor's files, variable length: what is between raw videos and a trained network."""
    folder = tmp_path / "features"
    folder.mkdir()
    with h5py.File(files[3]) as file:
        for name, node in file.items():
            seconds = np.arange(len(node), dtype=np.float64)
            Features(
                rows=node[()].astype(np.float16),
                starts=seconds,
                ends=seconds + 1,
                blocks={"appearance": 50},
                cuts=np.zeros(0),
                duration=float(len(node)),
                unreadable=(),
                fingerprint="test",
            ).save(folder / f"{name}.safetensors")
    options = [*OPTIONS, "--set=data.length=variable", "--out", str(tmp_path / "run")]
    line = ["train", *files[:2], "--features", str(folder), "--device", "cpu", *options]
    assert main([*line, "--validation", files[1], "--steps", "2"]) == 0


def test_raw_videos_to_features_to_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two video files through both commands, nothing in between by hand."""
    lines = []
    for number in range(2):
        counter_video(tmp_path / f"v{number}.mp4", 6, fps=10, size=(96, 64))
        moment = {"duration": 6.0, "moments": [[1, 3 + number]]}
        lines.append({"video": f"v{number}.mp4", "query": "squares change", **moment})
    truth, features = tmp_path / "own.jsonl", tmp_path / "features"
    truth.write_text("\n".join(map(json.dumps, lines)))
    videos = [str(tmp_path / f"v{number}.mp4") for number in range(2)]
    assert extract([*videos, "--out", str(features), "--device", "cpu"]) == 0
    width = Features.load(next(features.glob("*.safetensors"))).rows.shape[1]
    options = [*OPTIONS, f"--set=model.feature_width={width}", "--set=data.length=variable"]
    files = ["--annotations", str(truth), "--features", str(features), "--device", "cpu"]
    out = str(tmp_path / "run")
    assert main(["train", *files, *options, "--out", out, "--steps", "2"]) == 0
    assert "2 queries; left out or repaired: nothing" in capsys.readouterr().out
    assert main(["evaluate", "--run", out, *files, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["queries"] == 2  # nothing but JSON on standard output
    assert "2 queries; left out or repaired: nothing" in printed.err


def wrong(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(line) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_wrong_turns_are_one_line_each(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    missing = wrong(["train", "--preset", "tacos"], capsys)
    assert "--annotations, --features, --out is needed" in missing
    other = wrong(["train", *files, *OPTIONS[1:], *out], capsys)
    assert "found jsonl annotations, expected tacos" in other
    width = wrong(["train", *files, *OPTIONS, "--set=model.feature_width=4096", *out], capsys)
    assert "has 50 columns, the model expects 4096" in width
    assert "no preset 'msat'" in wrong(["train", *files, "--preset", "msat", *out], capsys)
    bad = tmp_path / "keys.h5"
    with h5py.File(bad, "w") as file:
        file["v0/i3d"] = np.zeros((2, 50), np.float32)
    keys = wrong(["train", files[0], files[1], "--features", str(bad), *OPTIONS, *out], capsys)
    assert "v0 holds i3d; expected c3d_features" in keys
    assert main(["train", *files, *OPTIONS, *out, "--steps", "1"]) == 0
    again = ["train", *files, *OPTIONS, "--set=model.width=16", *out, "--resume"]
    assert "of another preset (model.width: 32, not 16)" in wrong(again, capsys)
    run = ["evaluate", "--run", str(tmp_path / "none.safetensors"), *files]
    assert "no such checkpoint" in wrong(run, capsys)
    empty = wrong(["evaluate", "--run", str(tmp_path), *files], capsys)
    assert "no run in it; expected best.safetensors or last.safetensors" in empty
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    found = wrong(["evaluate", "--run", str(foreign), *files], capsys)
    assert "found other weights, expected best.safetensors" in found


def test_help_loads_no_network() -> None:
    """`--help` answers at once: torch alone would take seconds."""
    check = (
        "import sys; from vmr.__main__ import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--preset" in done.stdout

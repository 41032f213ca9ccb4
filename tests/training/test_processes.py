"""`train base` and `train c3d-small` by several processes: as one runs, with the same batches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from feature_extract.motion import load_motion
from tests.support.drawn import write_drawn_set
from tests.support.trained_toys import BASE, C3D, PICTURES
from vmr.model.retrieval import RetrievalModel
from vmr.research.processes import Processes

ROOT = Path(__file__).parents[2]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
STARTS = {"two": TORCHRUN, "one": ()}
OF_TOWERS = BASE.epochs * (2 * PICTURES // BASE.batch)
OF_MOTION = C3D.pictures // C3D.batch + C3D.clips // C3D.clip_batch


def trained(start: tuple[str, ...], out: Path, *folders: Path) -> tuple[list[float], str]:
    """Every loss, and what was printed."""
    out.mkdir()
    names = map(str, (out, *folders))
    line = [sys.executable, "-m", *start, "tests.support.trained_toys", *names]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "losses.json").read_text()), done.stdout


def test_two_processes_lose_what_one_loses_and_one_of_them_writes(tmp_path: Path) -> None:
    curves = {}
    for name, start in STARTS.items():
        curves[name], told = trained(start, tmp_path / name)
        assert told.count("dev {") == 2
        state = torch.load(tmp_path / name / "state" / "moving.pt", weights_only=True)
        assert state["done"] == C3D.clips // C3D.clip_batch
        load_motion(tmp_path / name / "c3d-small")
    assert len(curves["one"]) == OF_TOWERS + OF_MOTION
    assert curves["two"] == pytest.approx(curves["one"], rel=1e-3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_whole_commands_lose_alike(tmp_path: Path) -> None:
    """Preparing pictures, the second stage and the calibration too: two minutes of processors."""
    write_drawn_set(tmp_path, {"train": PICTURES, "dev": 16, "test": 1})
    curves, cache = {}, tmp_path / "cache"
    for name, start in STARTS.items():
        curves[name], told = trained(start, tmp_path / name, tmp_path, cache)
        assert told.count("epoch 3/3: dev") == 1
        assert told.count("right on dev timelines") == 1
        RetrievalModel.load(tmp_path / name / "base")
        load_motion(tmp_path / name / "c3d-small")
        shutil.rmtree(cache / "c3d-small")  # the state of the run; pictures and rows stay
    steps = BASE.epochs * (PICTURES // BASE.batch) + BASE.second_stage.steps
    assert len(curves["one"]) == steps + OF_MOTION
    assert curves["two"] == pytest.approx(curves["one"], rel=2e-3)


def test_a_batch_that_has_no_equal_shares_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 8 does not divide by 3 processes"):
        Processes(0, 3, torch.device("cpu")).divide(8)

"""Training goes on as if never stopped, is the same on two processes, and learns by heart."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.research import CHANGES, open_set, write_set
from vmr.research.checkpoint import CheckpointError, load_checkpoint
from vmr.research.predict import answer, arithmetic, predict, ranked
from vmr.research.preset import Precision, load_preset
from vmr.research.run import BEST, LAST, Run, load_run
from vmr.research.train import TrainingError, evaluate, train

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def same_tensors(a: Path, b: Path) -> None:
    left, right = load_checkpoint(a), load_checkpoint(b)
    assert left.record == right.record
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in left.tensors.items():
        assert torch.equal(tensor, right.tensors[name]), name


def test_ten_steps_are_five_and_five_more(tmp_path: Path) -> None:
    """Bit for bit: weights, queue, momentum copy, temperature and the optimizer, with dropout."""
    preset, data, vocabulary = open_set(tmp_path)
    assert preset.model.dropout > 0
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    train(preset, data, data, vocabulary, straight, device="cpu", steps=10)
    train(preset, data, data, vocabulary, parts, device="cpu", steps=5)
    train(preset, data, data, vocabulary, parts, device="cpu", steps=10, resume=True)
    same_tensors(straight / LAST, parts / LAST)
    names = load_checkpoint(straight / LAST).tensors
    for part in ("model.", "contrast.teacher.", "contrast.video_queue", "optimizer."):
        assert any(name.startswith(part) for name in names), part


def test_the_rate_falls_as_in_msats_training(tmp_path: Path) -> None:
    """Their plateau scheduler minimises minus the validation loss: 20 falling losses after the
    first are put up with, and at the 22nd validation the rate is .8 of the first."""
    preset, _, vocabulary = open_set(tmp_path, "train.schedule=plateau", "train.rate=1e-4")
    run = Run(preset, vocabulary, tmp_path, CPU)
    assert run.schedule is not None
    rates = []
    for evaluation in range(1, 23):
        run.schedule.step(-10.0 / evaluation)  # minus a loss that falls
        rates.append(run.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-4] * 21 + [0.8e-4])
    for evaluation in range(100):
        run.schedule.step(-10.0 - evaluation)  # and a loss that rises changes nothing
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.8e-4)
    run.save_last()
    again = Run(preset, vocabulary, tmp_path, CPU)
    again.resume()
    assert again.optimizer.param_groups[0]["lr"] == run.optimizer.param_groups[0]["lr"]
    assert again.schedule is not None
    assert again.schedule.state_dict() == run.schedule.state_dict()
    for name in ("msat_tacos", "msat_activitynet"):
        assert load_preset(name).train.schedule == "plateau"
    for name in ("tacos", "activitynet"):
        assert load_preset(name).train.schedule == "constant"


def test_every_validation_tells_the_schedule_its_loss(tmp_path: Path) -> None:
    changes = "train.schedule=plateau", "model.contrast=false", "train.validate_every=1"
    preset, data, vocabulary = open_set(tmp_path, *changes)
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    train(preset, data, data, vocabulary, straight, device="cpu", steps=6)
    schedule = load_checkpoint(straight / LAST).record["schedule"]
    assert schedule["last_epoch"] == 3  # two steps an epoch
    assert -1e4 < schedule["best"] < 0
    train(preset, data, data, vocabulary, parts, device="cpu", steps=4)
    train(preset, data, data, vocabulary, parts, device="cpu", steps=6, resume=True)
    same_tensors(straight / LAST, parts / LAST)
    with pytest.raises(TrainingError, match="goes by the validation loss: give --validation"):
        train(preset, data, None, vocabulary, tmp_path / "none", device="cpu", steps=1)


def test_precision_is_float32_unless_asked(tmp_path: Path) -> None:
    """The published presets compute as the published code does, on any device."""
    for name in ("tacos", "activitynet", "msat_tacos", "msat_activitynet"):
        assert load_preset(name).train.precision == "float32"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for precision in ("float32", "bfloat16"):
        with arithmetic(torch.device(device), precision):
            lowered = torch.is_autocast_enabled(device)
        assert lowered == (precision == "bfloat16")
    preset, data, vocabulary = open_set(tmp_path)
    model = Run(preset, vocabulary, tmp_path, CPU).objective.model.eval()
    batch = next(data.batches(4))
    plain, mixed = (answer(model, batch, p).logits for p in ("float32", "bfloat16"))
    assert torch.equal(plain, model(batch.rows, batch.words, batch.word_mask).logits)
    assert 0 < (plain - mixed).abs().max() < 0.1


def test_precision_reaches_training_and_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def recorded(device: torch.device, precision: Precision) -> torch.autocast:
        asked.append(precision)
        return arithmetic(device, precision)

    monkeypatch.setattr("vmr.research.train.arithmetic", recorded)
    monkeypatch.setattr("vmr.research.predict.arithmetic", recorded)
    preset, data, vocabulary = open_set(tmp_path, "train.precision=bfloat16")
    train(preset, data, data, vocabulary, tmp_path / "run", device="cpu", steps=1)
    assert len(asked) >= 2  # a step, and its validation
    assert set(asked) == {"bfloat16"}


def test_logs_forget_what_a_resumed_run_does_again(tmp_path: Path) -> None:
    preset, data, vocabulary = open_set(tmp_path)
    out = tmp_path / "run"
    train(preset, data, data, vocabulary, out, device="cpu", steps=4)
    with (out / "train.csv").open("a") as file:
        file.write("9,1,1,1,1,1,1\n")  # beyond the save: the process was killed later
    train(preset, data, data, vocabulary, out, device="cpu", steps=6, resume=True)
    rows = list(csv.DictReader((out / "train.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert set(rows[0]) == {"step", "total", "stage", "offset", "overlap", "words", "contrast"}
    scores = list(csv.DictReader((out / "validation.csv").open()))
    assert [int(row["step"]) for row in scores] == [2, 4, 6]
    assert list(out.glob("events.out.tfevents.*"))


def test_a_run_of_other_settings_or_words_is_not_resumed(tmp_path: Path) -> None:
    preset, data, vocabulary = open_set(tmp_path)
    out = tmp_path / "run"
    train(preset, data, None, vocabulary, out, device="cpu", steps=2)
    other, _, _ = open_set(tmp_path, "model.width=16", "train.rate=1")
    with pytest.raises(
        CheckpointError, match=r"model\.width: 32, not 16; train\.rate: 0\.002, not"
    ):
        train(other, data, None, vocabulary, out, device="cpu", resume=True)
    words = (*vocabulary[:-1], "zebra")
    with pytest.raises(CheckpointError, match="trained with other annotations"):
        train(preset, data, None, words, out, device="cpu", resume=True)
    with pytest.raises(TrainingError, match="holds a run: go on with --resume"):
        train(preset, data, None, vocabulary, out, device="cpu")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        train(preset, data, None, vocabulary, tmp_path / "none", device="cpu", resume=True)
    longer, _, _ = open_set(tmp_path, "train.epochs=50")
    train(longer, data, None, vocabulary, out, device="cpu", steps=3, resume=True)


def test_learns_eight_queries_by_heart_and_keeps_the_best(tmp_path: Path) -> None:
    preset, data, vocabulary = open_set(tmp_path, "train.validate_every=60", "model.dropout=0")
    best = train(preset, data, data, vocabulary, tmp_path / "run", device="cpu", steps=360)
    assert best.name == BEST
    model, loaded, words = load_run(tmp_path / "run")
    assert (loaded, words) == (preset, vocabulary)
    recall = evaluate(model, data, preset, CPU).recall
    assert recall.rate(1, 0.5) == 100
    assert recall.rate(1, 0.7) >= 87  # on some processors one edge of eight is a clip off
    scores = [
        np.mean([float(row[f"R@1,IoU={m}"]) for m in (0.3, 0.5, 0.7)])
        for row in csv.DictReader((tmp_path / "run" / "validation.csv").open())
    ]
    assert load_checkpoint(best).record["best"] == pytest.approx(max(scores), rel=1e-5)


def test_predictions_are_ranked_inside_the_video_and_apart(tmp_path: Path) -> None:
    preset, data, vocabulary = open_set(tmp_path)
    train(preset, data, None, vocabulary, tmp_path / "run", device="cpu", steps=1)
    model, _, _ = load_run(tmp_path / "run")
    found = predict(model, data, suppression=0.37, batch=3)
    assert len(found) == len(data.queries)
    for moments in found:
        assert len(moments) == 5
        assert (moments[:, 0] < moments[:, 1]).all()
        assert moments[:, :2].min() >= 0
        assert moments[:, :2].max() <= 32
        assert (np.diff(moments[:, 2]) <= 0).all()


def test_ranking_by_hand() -> None:
    """Of four clips: candidates are cut to them, emptied ones dropped, doubles suppressed."""
    spans = np.array([[-1, 2], [0, 2], [5, 9], [2, 6]], np.float32)
    found = ranked(spans, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 4.0, 0.5, 5)
    assert np.allclose(found, [[0, 2, 0.9], [2, 4, 0.6]])


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    preset, data, vocabulary = open_set(tmp_path, "train.rate=1e30", "train.clip=1e30")
    with pytest.raises(TrainingError, match="no longer a number at step"):
        train(preset, data, None, vocabulary, tmp_path / "run", device="cpu", steps=20)


def command(folder: Path, out: Path, *more: str) -> list[str]:
    exact = "model.dropout=0", "contrast.pooling=mean"  # a sum depends on how batches are padded
    options = [f"--set={change}" for change in (*CHANGES, *exact)]
    files = ["--annotations", str(folder / "set.jsonl"), "--features", str(folder / "features.h5")]
    return ["vmr", "train", *files, "--device", "cpu", "--out", str(out), *options, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_two_processes_are_one_with_the_doubled_batch(tmp_path: Path) -> None:
    """Over gloo, five steps, with queue, soft targets and hidden words: equal to 1e-4."""
    write_set(tmp_path)
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    runs = {"one": (), "two": torchrun}
    for name, start in runs.items():
        line = [sys.executable, "-m", *start, *command(tmp_path, tmp_path / name, "--steps", "5")]
        done = subprocess.run(
            line, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_checkpoint(tmp_path / name / LAST) for name in runs)
    assert two.record["step"] == 5
    for name, tensor in one.tensors.items():
        if name in ("contrast.video_queue", "contrast.text_queue"):
            continue  # the same vectors in another order: the processes take turns
        if name == "contrast.queue_identities":
            assert torch.equal(tensor.sort().values, two.tensors[name].sort().values)
        else:
            assert torch.allclose(tensor, two.tensors[name], atol=1e-4), name


def test_ctrl_c_saves_and_the_run_goes_on(tmp_path: Path) -> None:
    write_set(tmp_path)
    out = tmp_path / "run"
    line = [sys.executable, "-m", *command(tmp_path, out, "--steps", "100000")]
    process = subprocess.Popen(
        line, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "train.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "go on with --resume" in printed
    step = load_checkpoint(out / LAST).record["step"]
    assert step > 0
    again = [sys.executable, "-m", *command(tmp_path, out, "--steps", str(step + 2), "--resume")]
    subprocess.run(again, cwd=ROOT, env=environment(), capture_output=True, check=True, timeout=120)
    assert load_checkpoint(out / LAST).record["step"] == step + 2

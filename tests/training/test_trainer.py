"""The training loop: the same numbers as the loops it replaced, and a stopped run goes on."""

import copy
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vmr.training.trainer import Optimisation, ResumeError, Trainer

STEPS = 12


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 1))


def loss_of(model: nn.Module, rng: random.Random) -> Tensor:
    inputs = torch.tensor([[rng.uniform(-1, 1) for _ in range(4)] for _ in range(6)])
    loss: Tensor = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
    return loss


def run(
    model: nn.Module, file: Path | None = None, *, stop: int = STEPS, **settings: float
) -> Trainer:
    """Train until `stop`, and show the score of every fourth step."""
    rng = random.Random(0)
    optimisation = Optimisation(STEPS, 0.05, 0.1, average=0.9)
    trainer = Trainer(model, optimisation, file, settings=settings, rng=rng, save_seconds=0)
    for step in trainer:
        if step == stop:
            break
        trainer.step(loss_of(model.train(), rng))
        if step % 4 == 3:
            trainer.keep_if_best(-abs(step - 7))  # best after the eighth step
    return trainer


@pytest.mark.parametrize("decays_all", [False, True])
def test_it_does_what_is_written_out_here(decays_all: bool) -> None:
    """The loop of before, spelt out: AdamW, one cycle, clipped gradients, and an average."""
    optimisation = Optimisation(STEPS, 0.05, 0.1, decays_all=decays_all, average=0.9)
    model, rng = network(), random.Random(0)
    trainer = Trainer(model, optimisation, rng=rng)
    for _ in trainer:
        trainer.step(loss_of(model.train(), rng))

    twin, rng = network(), random.Random(0)
    average = copy.deepcopy(twin)
    decays = [0.1 if decays_all or p.ndim > 1 else 0.0 for p in twin.parameters()]
    groups = [
        {"params": [p], "weight_decay": d} for p, d in zip(twin.parameters(), decays, strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=STEPS + 1, pct_start=0.1
    )
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        loss_of(twin.train(), rng).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(twin.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        for kept, new in zip(average.parameters(), twin.parameters(), strict=True):
            kept.data.lerp_(new.data, 1 - min(0.9, (1 + step) / (10 + step)))
    for mine, theirs in ((model, twin), (trainer.averaged, average)):
        for found, expected in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert found.equal(expected)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = run(network())
    stopped = run(network(), tmp_path / "run.pt", stop=9, rate=1.0)
    assert stopped.done == 9
    torch.manual_seed(99)
    resumed = run(network(), tmp_path / "run.pt", rate=1.0)
    assert resumed.done == STEPS
    for mine, theirs in (
        (resumed.network, whole.network),
        (resumed.averaged, whole.averaged),
        (resumed.best(), whole.best()),
    ):
        for name, expected in theirs.state_dict().items():
            assert mine.state_dict()[name].equal(expected), name
    assert not whole.best().state_dict()["0.weight"].equal(whole.averaged.state_dict()["0.weight"])
    again = run(network(), tmp_path / "run.pt", rate=1.0)  # all is done
    assert again.averaged.state_dict()["0.weight"].equal(whole.averaged.state_dict()["0.weight"])


def test_a_file_that_it_cannot_go_on_from_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    run(network(), file, stop=2, rate=1.0, seed=0)
    before = file.read_bytes()
    with pytest.raises(ResumeError, match=r"run\.pt: a run of other settings \(rate\)"):
        run(network(), file, rate=2.0, seed=0)
    assert file.read_bytes() == before
    file.write_bytes(before[:1000])
    with pytest.raises(ResumeError, match=r"run\.pt: cannot be read"):
        run(network(), file)
    torch.save({"done": 3}, file)
    with pytest.raises(ResumeError, match="another version"):
        run(network(), file)


def test_a_loss_that_is_no_number_stops_the_run_before_it_does_harm() -> None:
    model = network()
    trainer = Trainer(model, Optimisation(STEPS, 0.05, 0.1))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ArithmeticError, match="step 0: the loss is nan"):
        trainer.step(next(model.parameters()).sum() * torch.nan)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())

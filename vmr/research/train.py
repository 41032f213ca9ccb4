"""The training loop: one process or several, resumable to the bit.

    best = train(preset, training_data, validation_data, vocabulary, Path("runs/tacos"))

Every step is seeded by its number, so that a resumed run needs no state of a random generator.
Start it with `torchrun` to use several GPUs: each process takes its share of every batch.
"""

import math
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from vmr.model.network import MomentModel
from vmr.research.data import MomentData, Stream, collate
from vmr.research.evaluation import Scores, score
from vmr.research.loss import Batch
from vmr.research.predict import Moments, answer, arithmetic, predict
from vmr.research.preset import Preset
from vmr.research.processes import Processes, processes
from vmr.research.run import BEST, LAST, Log, Run

LOG_EVERY = 10  # steps
VALIDATION_BATCH = 32
SELECTED_BY = (0.3, 0.5, 0.7)  # the mean R@1 over these IoUs decides which weights are best


class TrainingError(ValueError):
    """Training cannot go on; the message says why and what to do."""


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """Ctrl-C asks for a stop after the current step (the list gains an item); twice: at once."""
    asked: list[bool] = []

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def train(
    preset: Preset,
    training: MomentData,
    validation: MomentData | None,
    vocabulary: Sequence[str],
    out: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    steps: int | None = None,
) -> Path:
    """Train, and return the file with the best weights (the last ones without validation).

    Args:
        steps: stop after so many steps instead of preset.train.epochs.

    Raises:
        CheckpointError: `resume` and the run in `out` do not fit.
        TrainingError: `out` holds a run that is not to be resumed, the batch does not divide by
            the processes, the schedule has no validation split to go by, or the loss is no number.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    with processes(device) as place:
        if preset.train.batch % place.count:
            raise TrainingError(
                f"train.batch {preset.train.batch} does not divide by {place.count} processes"
            )
        if place.count > 1 and preset.data.length == "windows" and preset.model.contrast:
            raise TrainingError(
                "windows that lie away from their moment take no part in the contrast, so that "
                "processes would hold unequal shares of it: use one process, or --set "
                "model.contrast=false"
            )
        if preset.train.schedule == "plateau" and validation is None:
            raise TrainingError(
                "train.schedule plateau goes by the validation loss: give --validation, "
                "or --set train.schedule=constant"
            )
        if (out / LAST).exists() and not resume:
            raise TrainingError(f"{out} holds a run: go on with --resume, or give another --out")
        run = Run(preset, vocabulary, out, place.device)
        if resume:
            run.resume()
        per_epoch = len(training.pairs) / preset.train.batch
        total = steps or math.ceil(preset.train.epochs * per_epoch)
        every = max(1, round(preset.train.validate_every * per_epoch))
        batches = _batches(run, training, total, place)
        log = Log(out, preset, run.step) if place.rank == 0 else None
        try:
            _loop(run, place, batches, validation, total, every, log)
        finally:
            if log is not None:
                log.close()
    return out / (BEST if validation is not None else LAST)


def _loop(
    run: Run,
    place: Processes,
    batches: Iterable[Batch],
    validation: MomentData | None,
    total: int,
    every: int,
    log: Log | None,
) -> None:
    """Steps until `total`; validates and saves after every `every` steps and at the end."""
    objective: nn.Module = run.objective
    if place.count > 1:
        objective = DistributedDataParallel(
            run.objective,
            broadcast_buffers=False,  # the queues are equal already, and large
            find_unused_parameters=not run.preset.model.vocabulary,
        )
    bar = tqdm(batches, "training", initial=run.step, total=total, disable=log is None)
    with interruptible() as asked:
        for batch in bar:
            losses = train_step(run, objective, batch.to(place.device), place)
            done, stop = run.step == total, _anyone(bool(asked), place)
            due = done or run.step % every == 0
            if log is not None and (due or stop or run.step % LOG_EVERY == 0):
                _write(log, run.step, losses)
                bar.set_postfix(loss=f"{losses['total'].item():.3f}")
            if log is not None and due and validation is not None:
                _validate(run, validation, place.device, log)
            if due and validation is not None and run.schedule is not None:
                run.schedule.step(-_validation_loss(run, validation, place))
            if log is not None and (due or stop):
                run.save_last()
            if stop and not done:
                raise KeyboardInterrupt


def train_step(run: Run, objective: nn.Module, batch: Batch, place: Processes) -> dict[str, Tensor]:
    """One update of the weights."""
    torch.manual_seed((run.preset.train.seed * 1_000_003 + run.step) * place.count + place.rank)
    objective.train()
    with arithmetic(place.device, run.preset.train.precision):
        losses: dict[str, Tensor] = objective(batch)
    run.optimizer.zero_grad(set_to_none=True)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.objective.parameters(), run.preset.train.clip)
    run.optimizer.step()
    run.step += 1
    return losses


def _batches(run: Run, training: MomentData, total: int, place: Processes) -> Iterable[Batch]:
    """The batches of this process from the run's step on."""
    size, workers = run.preset.train.batch, run.preset.train.workers
    shares = [
        list(range(step * size + place.rank, (step + 1) * size, place.count))
        for step in range(run.step, total)
    ]
    return DataLoader(
        Stream(training, run.preset.train.seed),
        batch_sampler=shares,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=place.device.type == "cuda",
    )


def _write(log: Log, step: int, losses: dict[str, Tensor]) -> None:
    values = {name: loss.item() for name, loss in losses.items()}
    if not all(map(math.isfinite, values.values())):
        raise TrainingError(
            f"the loss is no longer a number at step {step} ({values}): "
            "lower train.rate, or go on from the last save with --resume"
        )
    log.write("train", step, values)


def _validate(run: Run, validation: MomentData, device: torch.device, log: Log) -> None:
    """Score the validation split, and keep the weights if they are the best so far."""
    scores = evaluate(run.objective.model, validation, run.preset, device)
    log.write("validation", run.step, scores.record())
    mean = sum(scores.recall.rate(1, m) for m in SELECTED_BY) / len(SELECTED_BY)
    if mean > run.best:
        run.best = mean
        run.save_best()


@torch.inference_mode()
def _validation_loss(run: Run, validation: MomentData, place: Processes) -> float:
    """The weighted loss of the validation split, mean over queries, the same in all processes.

    Only of where moments are: nothing is hidden from a query that is validated, and the queues of
    the contrast belong to training.
    """
    total = torch.zeros((), device=place.device, dtype=torch.float64)
    count = 0
    if place.rank == 0:
        run.objective.eval()
        for batch in validation.batches(VALIDATION_BATCH):
            batch = batch.to(place.device)
            output = answer(run.objective.model, batch, run.preset.train.precision)
            loss = run.objective.weighted(run.objective.grounding(output, batch))
            total += loss * len(batch.spans)
            count += len(batch.spans)
        total /= count
    if place.count > 1:
        dist.broadcast(total, 0)
    return total.item()


def evaluate(
    model: MomentModel,
    data: MomentData,
    preset: Preset,
    device: torch.device,
    *,
    strict: bool | None = None,
) -> Scores:
    """Scores of a model over all queries of `data`, by the protocol of the preset's dataset."""
    found = answers(model, data, preset, device)
    return score(preset.dataset, data.queries, found, strict=strict)


def answers(
    model: MomentModel, data: MomentData, preset: Preset, device: torch.device
) -> list[Moments]:
    """The moments (K, 3) of every query of `data`, with the settings of the preset."""
    return predict(
        model,
        data,
        suppression=preset.train.suppression,
        device=device,
        precision=preset.train.precision,
    )


def _anyone(asked: bool, place: Processes) -> bool:
    """Whether any process was asked to stop, so that all stop after the same step."""
    if place.count == 1:
        return asked
    flag = torch.tensor(float(asked), device=place.device)
    dist.all_reduce(flag)
    return bool(flag.item() > 0)

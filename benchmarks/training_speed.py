"""Training speed of a preset at its full size, eager against compiled.

    python -m benchmarks.training_speed --steps 300                      # the tacos preset
    python -m benchmarks.training_speed --preset activitynet --device cpu --steps 3 --warm-up 1

Rows, words and moments are random, of the preset's sizes: the arithmetic is that of real training,
the losses mean nothing. Memory is the allocator's peak; utilisation is the share of the wall time
in which the GPU had a kernel running, sampled by the driver.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from vmr.research.loss import Batch
from vmr.research.preset import Preset, load_preset
from vmr.research.processes import Processes
from vmr.research.run import Run
from vmr.research.train import train_step

WORDS = 12  # of every query


@dataclass(frozen=True)
class Speed:
    """Of one way of running."""

    steps_per_second: float
    memory_mib: float
    "peak; 0 without a GPU"
    utilisation: float | None
    "percent; None where the driver does not say"


def random_batch(preset: Preset, seed: int) -> Batch:
    """A batch of the preset's sizes."""
    model, size = preset.model, preset.train.batch
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand(size, WORDS, generator=generator) < preset.data.hide_words
    hidden[:, 0] = True
    starts = torch.rand(size, generator=generator) * model.clips * 0.8
    return Batch(
        rows=torch.randn(size, model.clips * model.pool, model.feature_width, generator=generator),
        clips=torch.full((size,), model.clips),
        words=torch.randn(size, WORDS, model.word_width, generator=generator),
        word_mask=torch.ones(size, WORDS, dtype=torch.bool),
        hidden_words=hidden,
        word_ids=torch.randint(2, max(3, model.vocabulary), (size, WORDS), generator=generator),
        spans=torch.stack([starts, starts + 1 + model.clips * 0.1], 1),
        queries=torch.arange(size) + seed * size,
        moments=torch.arange(size) + seed * size,
        starts=torch.zeros(size, dtype=torch.int64),
    )


def measure(preset: Preset, device: torch.device, steps: int, warm_up: int) -> Speed:
    """Speed of `steps` steps after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(preset, (), Path(folder), device)
    place = Processes(0, 1, device)
    batches = [random_batch(preset, seed).to(device) for seed in range(8)]
    used: list[float] = []
    for step in range(warm_up + steps):
        if step == warm_up:
            _wait(device)
            started = time.perf_counter()
        train_step(run, run.objective, batches[step % len(batches)], place)
        if step > warm_up and step % 20 == 0:
            used += _utilisation(device)
    _wait(device)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    return Speed(steps / seconds, peak, mean(used) if used else None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _utilisation(device: torch.device) -> Sequence[float]:
    if device.type != "cuda":
        return []
    try:
        return [float(torch.cuda.utilization(device))]
    except (ModuleNotFoundError, RuntimeError):  # the driver's Python binding is not installed
        return []


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="training speed, eager against compiled")
    parser.add_argument("--preset", default="tacos")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--warm-up", type=int, default=20, help="steps; compilation happens here")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--eager-only", action="store_true")
    options = parser.parse_args()
    preset, device = load_preset(options.preset, options.changes), torch.device(options.device)
    print(f"{options.preset}, batch {preset.train.batch}, {options.steps} steps on {device}\n")
    print("| mode | steps/s | pairs/s | peak memory, MiB | utilisation, % |")
    print("|---|---:|---:|---:|---:|")
    for compiled in (False,) if options.eager_only else (False, True):
        chosen = replace(preset, train=replace(preset.train, compile=compiled))
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        speed = measure(chosen, device, options.steps, options.warm_up)
        figures = (
            f"{speed.steps_per_second:.2f}",
            f"{speed.steps_per_second * preset.train.batch:.1f}",
            f"{speed.memory_mib:.0f}",
            "-" if speed.utilisation is None else f"{speed.utilisation:.0f}",
        )
        print(f"| {'compiled' if compiled else 'eager'} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main()

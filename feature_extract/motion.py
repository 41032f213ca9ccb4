"""What moves in each second: one C3D row of the 2 s window around it, 8 pictures a second.

    network = load_motion(MOTION)                  # C3D(SMALL) with its weights; WeightsError
    rows = MotionRows(ClipNetwork(network))
    for frames in read_frames(path, rate=RATE):    # pictures of any size from 96 x 96 up
        rows.add(frames)
    rows.finish(count)                             # (count, 512) float32

Row i describes [i, i + 1) s, and looks at the 16 pictures shown at i - 0.5, i - 0.375, ...,
i + 1.375 s. Before the first picture the first stands in, after the last the last, as often as it
takes: a clip that is shorter than 16 pictures ends standing still.

Training and serving prepare pictures by `motion_frames`, and network and mean by `ClipNetwork`.
Every picture is decoded, resized and kept once, as bytes. The network looks at a second's 8
pictures by themselves, then across two such blocks: a block is computed once for both windows that
it is in.
"""

import hashlib
import json
from bisect import bisect_right
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from feature_extract.clips import Bytes, ClipNetwork
from feature_extract.files import assets_folder, replacing
from feature_extract.networks.c3d import C3D, SMALL, C3DConfig, WeightsError, load_weights
from feature_extract.networks.squash import squash_batch
from feature_extract.video.frames import Frames
from feature_extract.video.timing import slot

MOTION: Final = assets_folder() / "weights" / "c3d-small"
"""The weights of a fresh install."""
RATE: Final = 8
"""Pictures looked at a second."""
BEFORE: Final = 4
"""Samples of a row's window before its second; as many, less one, come after it."""
SIDE: Final = SMALL.side
"""Pictures are squashed whole to this square."""
BATCH: Final = 4
"""Blocks that the network sees at once. With more, rows come no sooner; with fewer, up to a tenth
later (`python -m benchmarks --only networks` times it)."""
FORMAT: Final = 2


def motion_frames(pixels: Bytes) -> Bytes:
    """Pictures (N, H, W, 3) squashed to (N, 96, 96, 3), bilinear over all that a pixel covers."""
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pictures must be (N, H, W, 3) uint8, not {pixels.shape} {pixels.dtype}")
    if min(pixels.shape[1:3]) < SIDE:
        raise ValueError(f"pictures must be at least {SIDE} x {SIDE}, not {pixels.shape[1:3]}")
    given = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(0, 3, 1, 2)
    squashed: Bytes = squash_batch(given, SIDE).permute(0, 2, 3, 1).numpy()
    return squashed


class MotionRows:
    """Collects pictures, and computes blocks of them, and rows of two blocks each, as soon as they
    are complete. What stands still is computed once."""

    def __init__(self, network: ClipNetwork) -> None:
        self._network = network
        self._first: list[int] = []  # sample from which on each kept picture is shown
        self._kept: list[Bytes] = []  # (96, 96, 4) each: RGB and ones
        self._waiting: list[list[int]] = []  # blocks: of each sample the place in _kept
        self._blocks: list[int] = []  # for each second's block its number
        self._maps: list[torch.Tensor] = []  # of the blocks computed, from number _gone on
        self._gone = 0
        self._pairs: list[tuple[int, int]] = []  # for each row the numbers of its blocks
        self._order: list[int] = []  # for each row its place in _rows
        self._rows: list[NDArray[np.float32]] = []  # of the pairs computed

    def add(self, frames: Frames) -> None:
        """Take the next pictures, in order."""
        self._kept.extend(with_ones(motion_frames(frames.pixels)))
        self._first.extend(slot(frames.times, RATE).astype(np.int64).tolist())
        while self._first[-1] >= self._end(len(self._blocks)):
            self._add_block()

    def finish(self, count: int) -> NDArray[np.float32]:
        """All `count` rows (count, D), the last ones with the last picture standing still."""
        while len(self._blocks) <= count:
            self._add_block()
        self._compute()
        return np.stack(self._rows)[self._order[:count]]

    def _end(self, block: int) -> int:
        """The sample after a block, the first of a row's two."""
        return block * RATE - BEFORE + RATE

    def _add_block(self) -> None:
        """Put the next block in line; the same pictures again make the same one."""
        end = self._end(len(self._blocks))
        block = [max(0, bisect_right(self._first, k) - 1) for k in range(end - RATE, end)]
        if not self._waiting or block != self._waiting[-1]:
            self._waiting.append(block)
        self._blocks.append(self._gone + len(self._maps) + len(self._waiting) - 1)
        if len(self._waiting) > BATCH:
            self._compute(keep=1)
            self._forget()

    def _compute(self, keep: int = 0) -> None:
        """Run all blocks in line but the last `keep`, of which the next may be a repetition, and
        all rows whose blocks are there."""
        count = len(self._waiting) - keep
        blocks = [np.stack([self._kept[k] for k in block]) for block in self._waiting[:count]]
        if blocks:
            self._maps.extend(self._network.maps(np.stack(blocks)))
        del self._waiting[:count]
        there, fresh = self._gone + len(self._maps), []
        for pair in pairwise(self._blocks[len(self._pairs) :]):
            if pair[1] >= there:
                break
            if not self._pairs or pair != self._pairs[-1]:
                fresh.append(torch.stack([self._maps[number - self._gone] for number in pair]))
            self._pairs.append(pair)
            self._order.append(len(self._rows) + len(fresh) - 1)
        if fresh:
            self._rows.extend(self._network.rows(torch.stack(fresh)))
        self._gone = there - 1
        del self._maps[:-1]

    def _forget(self) -> None:
        """Let go of pictures that no block needs any more."""
        next_start = self._end(len(self._blocks)) - RATE
        needed = max(0, bisect_right(self._first, next_start) - 1)
        needed = min([needed, *(block[0] for block in self._waiting)])
        del self._kept[:needed], self._first[:needed]
        self._waiting = [[k - needed for k in block] for block in self._waiting]


def with_ones(pixels: Bytes) -> Bytes:
    """Pictures (N, S, S, 3) with a fourth channel of ones, (N, S, S, 4), as C3D's first convolution
    takes them (networks/c3d.py: fold_input)."""
    return np.pad(pixels, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1)


def save_motion(network: C3D, folder: Path, **about: Any) -> None:
    """Write a network's weights in half precision, and config.json with their sha256, whole or not.

    Args:
        about: what else the config says, such as how the weights were trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().cpu().half() if value.is_floating_point() else value.cpu()
        for name, value in network.state_dict().items()
    }
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise WeightsError(f"{folder}: weights are not finite in half precision")
    # Both are whole before the first is replaced. Killed between the two, the folder holds weights
    # that its config.json does not name, which `load_motion` refuses.
    with (
        replacing(folder / "config.json") as config_file,
        replacing(folder / "weights.safetensors") as weights,
    ):
        save_file({n: v.contiguous() for n, v in state.items()}, weights)
        config = {
            "format": FORMAT,
            "sha256": _sha256(weights),
            "network": asdict(network.config),
        }
        config_file.write_text(json.dumps(config | about, indent=2) + "\n", encoding="utf-8")


def load_motion(folder: Path = MOTION) -> C3D:
    """The network that `save_motion` wrote, for inference.

    Raises:
        WeightsError: it is missing, damaged, or not as its config.json says.
    """
    config = _config(folder)
    weights = folder / "weights.safetensors"
    network = C3D(C3DConfig(**config["network"]))
    load_weights(network, weights)
    if _sha256(weights) != config["sha256"]:
        raise WeightsError(f"{weights}: not the file that config.json names; copy both again")
    return network.eval()


def motion_fingerprint(folder: Path = MOTION) -> dict[str, Any]:
    """All that shapes motion rows: the digest of the weights, by config.json, and how pictures are
    sampled. Loads no network.

    Raises:
        WeightsError: config.json is missing, damaged, or of another kind of network.
    """
    weights = _config(folder)["sha256"]
    return {"weights": weights, "rate": RATE, "before": BEFORE, "side": SIDE, "version": 2}


def motion_width(folder: Path = MOTION) -> int:
    """Columns of a motion row, by config.json. Raises as `motion_fingerprint`."""
    return int(_config(folder)["network"]["features"])


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text())
        if config["format"] != FORMAT:
            raise WeightsError(f"{folder}: written by another version")
        network = C3DConfig(**_as_named_today(config["network"]))
        if network.block != RATE:
            wrong = f"looks at {network.block} pictures at once, must be {RATE}"
            raise WeightsError(f"{folder}: {wrong}")
        if network.side != SIDE:
            raise WeightsError(f"{folder}: looks at {network.side} pixels, must be {SIDE}")
        return {"sha256": str(config["sha256"]), "network": asdict(network)}
    except OSError as error:
        raise WeightsError(f"{folder}: no motion weights here ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{folder}: config.json is damaged ({error!r})") from error


def _as_named_today(network: dict[str, Any]) -> dict[str, Any]:
    """A network's settings; weights of before 2026-11-30 have another name for one of them."""
    return {"replicate_time" if name == "lasting" else name: network[name] for name in network}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

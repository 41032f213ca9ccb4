"""What is known of a video once it has been looked at: one row of numbers a second, and its file.

Sits below everything else; knows neither decoders nor networks.

    features.save(Path("cat.safetensors"))
    features = Features.load(Path("cat.safetensors"))   # FeaturesError when damaged
    features.rows[12]                                   # describes [starts[12], ends[12]) seconds

The file is safetensors, so that reading one can never run code. It carries a checksum of every
value: one flipped bit is an error, not a slightly wrong search result.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from feature_extract.files import write_bytes

FORMAT: Final = 1
MAX_ROWS: Final = 7 * 24 * 3600
"""A week of video. More means a damaged header, and is refused before memory is asked for."""
MAX_BYTES: Final = 4 << 30


class FeaturesError(ValueError):
    """A feature file or a set of features that cannot be right, in one line."""


@dataclass(frozen=True, eq=False)
class Features:
    """Everything extracted from one video. Times are seconds, half-open, 0 = start of the file."""

    rows: NDArray[np.float16]
    """(T, D), finite."""
    starts: NDArray[np.float64]
    """(T,), ascending; row i describes [starts[i], ends[i])."""
    ends: NDArray[np.float64]
    """(T,), each after its start."""
    blocks: dict[str, int]
    """Columns by network, in order, such as {"appearance": 1280}; the widths sum to D."""
    cuts: NDArray[np.float64]
    """(S,), ascending: where one shot ends and the next begins."""
    duration: float
    """Seconds."""
    unreadable: tuple[tuple[float, float], ...]
    """Damaged spans; rows inside them repeat the last readable picture."""
    fingerprint: str
    """Of everything that shaped the numbers: networks, weights, rate, sizes."""

    def __post_init__(self) -> None:
        _check_arrays(self)
        if (
            sum(self.blocks.values()) != self.rows.shape[1]
            or min(self.blocks.values(), default=0) < 1
        ):
            raise FeaturesError(f"blocks {self.blocks} do not add up to {self.rows.shape[1]}")
        if not 0 < self.duration < float("inf"):
            raise FeaturesError(f"duration must be positive and finite, not {self.duration}")
        if any(not 0 <= start < end < float("inf") for start, end in self.unreadable):
            raise FeaturesError(f"unreadable spans are not spans: {self.unreadable}")
        if not self.fingerprint:
            raise FeaturesError("fingerprint is empty")

    def columns(self, names: Iterable[str]) -> NDArray[np.float16]:
        """(T, D) the columns of some blocks, in the order asked for; all of them are not copied."""
        wanted = list(names)
        if wanted == list(self.blocks):
            return self.rows
        ends = np.cumsum([0, *self.blocks.values()])
        first = dict(zip(self.blocks, ends.tolist(), strict=False))
        parts = [self.rows[:, first[name] : first[name] + self.blocks[name]] for name in wanted]
        return np.concatenate(parts, axis=1)

    def with_block(self, name: str, rows: NDArray[np.floating]) -> "Features":
        """The same with a further block of columns (T, W) at the end, in place of one of its name.

        Raises:
            FeaturesError: the rows are not as many, or hold NaN or infinity.
        """
        kept = [block for block in self.blocks if block != name]
        if rows.ndim != 2 or len(rows) != len(self.rows):
            raise FeaturesError(f"{len(self.rows)} rows, but {rows.shape} of {name}")
        joined = np.concatenate([self.columns(kept), rows.astype(np.float16)], axis=1)
        blocks = {block: self.blocks[block] for block in kept} | {name: rows.shape[1]}
        return replace(self, rows=joined, blocks=blocks)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all, to the disk. OSError where that fails."""
        write_bytes(path, self.content())

    def content(self) -> bytes:
        """What the file holds."""
        tensors = _tensors(self)
        record = _record(self)
        record["sha256"] = _digest(tensors, record)
        # One entry only: several are written in an order that changes from run to run.
        content: bytes = to_bytes(tensors, {"features": json.dumps(record, sort_keys=True)})
        return content

    @classmethod
    def load(cls, path: Path) -> "Features":
        """Read a file that `save` wrote.

        The file is read whole, because the checksum has to see all of it: 9 MB an hour of video.

        Raises:
            FeaturesError: it is missing, damaged, of another format, or not ours.
        """
        try:
            if path.stat().st_size > MAX_BYTES:
                raise FeaturesError(f"{path}: too large for a feature file")
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return cls(**_checked(tensors, metadata))
        except FeaturesError as error:
            raise FeaturesError(f"{path}: {error}; index the video again") from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise FeaturesError(
                f"{path}: not a readable feature file ({error}); index the video again"
            ) from error


def _check_arrays(features: Features) -> None:
    rows, starts, ends, cuts = features.rows, features.starts, features.ends, features.cuts
    if rows.ndim != 2 or rows.dtype != np.float16:
        raise FeaturesError(f"rows must be (T, D) float16, not {rows.shape} {rows.dtype}")
    if not 1 <= len(rows) <= MAX_ROWS:
        raise FeaturesError(f"there must be 1 to {MAX_ROWS} rows, not {len(rows)}")
    if not np.isfinite(rows).all():
        raise FeaturesError("rows hold NaN or infinity")
    for name, times in (("starts", starts), ("ends", ends), ("cuts", cuts)):
        if times.ndim != 1 or times.dtype != np.float64:
            raise FeaturesError(f"{name} must be 1-D float64, not {times.shape} {times.dtype}")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise FeaturesError(f"{name} must be finite and ascending")
    if not len(starts) == len(ends) == len(rows):
        raise FeaturesError(f"{len(rows)} rows, but {len(starts)} starts and {len(ends)} ends")
    if starts[0] < 0 or (starts >= ends).any():
        raise FeaturesError("a row must end after it starts, and start at 0 s or later")


def _tensors(features: Features) -> dict[str, NDArray[Any]]:
    return {
        name: np.ascontiguousarray(getattr(features, name))
        for name in ("rows", "starts", "ends", "cuts")
    }


def _record(features: Features) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "blocks": list(features.blocks.items()),
        "duration": features.duration,
        "unreadable": features.unreadable,
        "fingerprint": features.fingerprint,
    }


def _digest(tensors: dict[str, NDArray[Any]], record: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape} ".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _checked(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> dict[str, Any]:
    """The fields of a Features, from a file's content; the caller knows the file's name."""
    if "features" not in metadata:
        raise FeaturesError("not a feature file")
    record = json.loads(metadata["features"])
    if record.pop("sha256") != _digest(tensors, record):
        raise FeaturesError("damaged (checksum differs)")
    if record.pop("format") != FORMAT:
        raise FeaturesError("written by another version")
    record["blocks"] = dict(record["blocks"])
    record["unreadable"] = tuple((start, end) for start, end in record["unreadable"])
    return {**tensors, **record}

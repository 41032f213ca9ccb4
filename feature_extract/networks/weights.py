"""Which weights there are, and a user's own: checked, kept in one folder, found again.

    add(Path("c3d.pickle"))          # WeightsError when it is no C3D; else kept, and described
    sports_1m()                      # the path of what was added, or None
    describe(Path("c3d.pickle"))     # size, sha256, what it is; no code of the file is run

Nothing is ever downloaded. The original weights are `c3d.pickle` of the project c3d-pytorch by
DavideA, and `c3d_sports1m_pretrain_20201016-dcc47ddc.pth` of mmaction2; either will do.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_extract.files import assets_folder, data_folder, replacing

SUFFIXES: Final = (".pickle", ".pth", ".pt", ".safetensors")
NAME: Final = "c3d-sports1m"
SHIPPED: Final = assets_folder() / "weights"


@dataclass(frozen=True)
class Weights:
    """A weights file: where it is, what it is in words, its size and its digest."""

    path: Path
    what: str
    size_bytes: int
    sha256: str


def weights_folder() -> Path:
    """$VMR_WEIGHTS, or a folder of the user's data."""
    return data_folder("VMR_WEIGHTS", "weights")


def sports_1m() -> Path | None:
    """The C3D weights that were added, if any."""
    there = (weights_folder() / f"{NAME}{suffix}" for suffix in SUFFIXES)
    return next((path for path in there if path.is_file()), None)


def describe(path: Path) -> Weights:
    """A file of C3D weights, wherever it is.

    Raises:
        WeightsError: it cannot be read, or holds no weights of the original C3D.
    """
    from feature_extract.networks.c3d import (  # here: torch costs seconds
        C3D,
        SPORTS_1M,
        load_weights,
    )

    layout = load_weights(C3D(SPORTS_1M), path)
    return _weights(path, f"C3D, Sports-1M shape, {layout}")


def add(path: Path) -> Weights:
    """Keep a copy of a user's C3D weights, in place of one added before. Raises as `describe`."""
    given = describe(path)
    suffix = path.suffix if path.suffix in SUFFIXES else ".pth"
    folder = weights_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}{suffix}"
    with replacing(target) as draft:
        shutil.copyfile(path, draft)
    for other in SUFFIXES:
        if other != suffix:
            (folder / f"{NAME}{other}").unlink(missing_ok=True)
    return Weights(target, given.what, given.size_bytes, given.sha256)


def known() -> list[Weights]:
    """What is shipped and what was added; the files are not loaded."""
    found = [
        _weights(path, f"shipped: {path.parent.name}")
        for path in sorted(SHIPPED.glob("*/weights.safetensors"))
    ]
    added = sports_1m()
    return found + ([_weights(added, "added: C3D, Sports-1M shape")] if added else [])


def _weights(path: Path, what: str) -> Weights:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Weights(path, what, path.stat().st_size, digest)

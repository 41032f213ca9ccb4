"""Where the rows of a video come from: published feature files, or our own extractor's.

    source = open_rows(Path("tall_c3d_features.hdf5"))      # or a folder
    source.rows("s17-d69.avi")                              # (n, W) float32

HDF5 in both published styles: one dataset per video (TACoS), or one group per video with
`c3d_features` in it (ActivityNet). A folder holds one file per video, named like the video with or
without its suffix: .npy, .npz, or .safetensors as `python -m feature_extract` writes them.
"""

import os
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from feature_extract.features import Features

GROUP_KEY = "c3d_features"  # of ActivityNet's release
SUFFIXES = (".npy", ".npz", ".safetensors")


class RowsError(ValueError):
    """Features that cannot be used; the message names the file, what was found and expected."""


class RowSource(Protocol):
    """Rows of videos by name."""

    path: Path

    def has(self, video: str) -> bool:
        """Whether there are rows of this video."""

    def example(self) -> str:
        """The name of a video it has, or "nothing", for messages."""

    def rows(self, video: str) -> NDArray[np.float32]:
        """(n, W) in order of time, as stored: not normalised, perhaps with NaN."""


def open_rows(path: Path) -> RowSource:
    """The source for a folder or an HDF5 file.

    Raises:
        RowsError: it is neither.
    """
    if path.is_dir():
        return FolderRows(path)
    if not path.is_file():
        raise RowsError(f"{path}: no such feature file or folder")
    if not h5py.is_hdf5(path):
        raise RowsError(f"{path}: found no HDF5 file; expected HDF5, or a folder of {SUFFIXES}")
    return Hdf5Rows(path)


class Hdf5Rows:
    """One HDF5 file for all videos."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, h5py.File] | None = None

    def _file(self) -> h5py.File:
        # HDF5 handles do not survive a fork: every worker process opens its own.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), h5py.File(self.path, "r")
        return self._opened[1]

    def has(self, video: str) -> bool:
        """Whether the file has this key."""
        return video in self._file()

    def example(self) -> str:
        """The file's first key."""
        return next(iter(self._file()), "nothing")

    def rows(self, video: str) -> NDArray[np.float32]:
        """Rows under this key."""
        node = self._file()[video]
        if isinstance(node, h5py.Group):
            if GROUP_KEY not in node:
                raise RowsError(
                    f"{self.path}: {video} holds {', '.join(node) or 'nothing'}; "
                    f"expected {GROUP_KEY} (ActivityNet) or rows under the video's name (TACoS)"
                )
            node = node[GROUP_KEY]
        return _checked(node[()], f"{self.path}: {video}")

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_opened": None}  # a spawned worker opens its own


class FolderRows:
    """One file per video."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names = {file.name for file in path.iterdir() if file.suffix in SUFFIXES}

    def _find(self, video: str) -> Path | None:
        base = Path(video).name
        for stem in (base, Path(base).stem):
            for suffix in SUFFIXES:
                if stem + suffix in self._names:
                    return self.path / (stem + suffix)
        return None

    def has(self, video: str) -> bool:
        """Whether a file is named like this video."""
        return self._find(video) is not None

    def example(self) -> str:
        """The first file's name."""
        return min(self._names, default="nothing")

    def rows(self, video: str) -> NDArray[np.float32]:
        """Rows of the file named like this video."""
        file = self._find(video)
        if file is None:
            raise RowsError(f"{self.path}: no file for {video}")
        if file.suffix == ".safetensors":
            return Features.load(file).rows.astype(np.float32)
        try:
            content = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise RowsError(f"{file}: not a readable array file ({error})") from error
        if isinstance(content, np.ndarray):
            return _checked(content, str(file))
        with content:
            names = content.files
            if "features" not in names and len(names) != 1:
                raise RowsError(
                    f"{file}: found {', '.join(names)}; expected one array, or 'features'"
                )
            return _checked(content["features" if "features" in names else names[0]], str(file))


def _checked(values: object, where: str) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.ndim != 2 or not len(array) or array.dtype.kind != "f":
        raise RowsError(
            f"{where}: found an array {array.shape} {array.dtype}; expected (rows, columns) floats"
        )
    return array.astype(np.float32)

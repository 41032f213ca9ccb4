"""Which files are videos: those that are named, and those in folders, searched to the bottom.

paths = find_videos([Path("holiday"), Path("film.dat")])
"""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from vmr.library.locks import LibraryError

logger = logging.getLogger(__name__)


EXTENSIONS: Final = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".flv", ".gif", ".m1v", ".m2ts", ".m2v", ".m4v", ".mkv"}
    | {".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ts", ".vob"}
    | {".webm", ".webp", ".wmv", ".y4m"}
)


def find_videos(paths: Iterable[Path]) -> list[Path]:
    """The video files that files and folders name, folders searched to the bottom, in order.

    A file that is named itself is taken whatever its extension; inside folders the usual video
    extensions count and hidden names do not. Links to folders are followed once.

    Raises:
        LibraryError: a path that is not there, or a folder without a video.
    """
    found: list[Path] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112  # False where one may not look
            inside = videos_inside(path)
            if not inside:
                raise LibraryError(f"{path}: no video files in this folder")
            found.extend(inside)
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise LibraryError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def videos_inside(folder: Path) -> list[Path]:
    """The video files in a folder and the folders in it, in order.

    A folder inside that may not be listed comes as itself: it is refused by name, and the others
    go on.

    Raises:
        LibraryError: this folder cannot be listed.
    """
    try:
        return list(_walk(folder, set()))
    except OSError as error:
        raise LibraryError(f"{folder}: {(error.strerror or str(error)).lower()}") from error


def is_video(path: Path) -> bool:
    """Whether the name says so."""
    return path.suffix.lower() in EXTENSIONS


def is_hidden(path: Path) -> bool:
    """Whether a folder search leaves it out: hidden names, and libraries with their previews."""
    return path.name.startswith(".") or os.path.isfile(path / "library.db")  # noqa: PTH113  # the same


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)  # links to folders are followed, each folder once
    if real in seen:
        return
    seen.add(real)
    for entry in sorted(folder.iterdir()):
        if is_hidden(entry):
            continue
        if os.path.isdir(entry):  # noqa: PTH112  # the same
            try:
                yield from _walk(entry, seen)
            except OSError as error:
                logger.info("%s: cannot be looked into: %s", entry, error)
                yield entry
        elif is_video(entry):
            yield entry

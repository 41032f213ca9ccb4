"""Where a result may be written: nothing that exists is replaced without being asked.

    with written(Path("holiday.mp4"), overwrite=False, kept=[source]) as draft:
        ...                                      # write to draft.path
    draft.placed                                 # holiday.mp4, or holiday 2.mp4 if that was there

The result is made in a folder beside the target and moved there when it is whole. A name that is
taken in the meantime is not replaced either.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from feature_extract.files import scratch_folder
from vmr.library.catalogue import readable
from vmr.media.ffmpeg import FfmpegError

LONGEST_NAME: Final = 255
"""Bytes of a file name on all common file systems; some count letters, and take no fewer."""
DOUBLE: Final = (".markers.edl", ".chapters.txt")
MOST_COPIES: Final = 10_000


class OutputError(FfmpegError):
    """Nothing can be written there; the message says where and why."""


class Draft:
    """A file in the making."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        """Where to write it."""
        self.placed = target
        """Where it lies in the end."""


@contextmanager
def written(target: Path, *, overwrite: bool = False, kept: Iterable[Path] = ()) -> Iterator[Draft]:
    """A draft that becomes `target`, or a free name like it, when the block ends without an error.

    Args:
        overwrite: replace what is there.
        kept: files that are never replaced: sources, and what a library reads.

    Raises:
        OutputError: the target is one of `kept`, or cannot be written.
    """
    target = fitting_name(target)
    refuse(target, kept)
    try:
        with scratch_folder(target.parent) as folder:
            draft = Draft(folder / f"draft{target.suffix.lower()}", target)
            yield draft
            with Path(draft.path).open("r+b") as file:
                os.fsync(file.fileno())
            draft.placed = _place(draft.path, target, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"{readable(target.name)}: cannot be written: {reason(error)}") from error


def refuse(target: Path, kept: Iterable[Path]) -> None:
    """Raise OutputError where `target` is one of these files, by whatever name."""
    there = target.exists()
    for path in kept:
        same = os.path.abspath(path) == os.path.abspath(target)  # noqa: PTH100  # links stay as named
        with suppress(OSError):  # one that is away is another one
            same = same or (there and path.samefile(target))
        if same:
            raise OutputError(f"{readable(target.name)}: is read by the library; take another name")


def fitting_name(target: Path) -> Path:
    """`target`, its name shortened to what file systems take; the ending stays."""
    stem, ending = _parts(target)
    return target.with_name(_shortened(stem, ending))


def free_name(target: Path) -> Path:
    """`target`, or with a number behind its stem, the first that is not there."""
    for name in _names(target):
        if not os.path.lexists(name):
            return name
    raise OutputError(f"{readable(target.name)}: there are {MOST_COPIES} files of this name")


def reason(error: OSError) -> str:
    """What the system says, as a person would."""
    known = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "no permission to write in this folder",
        errno.EPERM: "no permission to write in this folder",
        errno.EROFS: "the disk is read-only",
        errno.ENOENT: "its folder is not there",
        errno.ENOTDIR: "its folder is not there",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return known.get(error.errno or 0, (error.strerror or str(error)).lower())


def _names(target: Path) -> Iterator[Path]:
    yield target
    stem, ending = _parts(target)
    for number in range(2, MOST_COPIES):
        yield target.with_name(_shortened(stem, f" {number}{ending}"))


def _parts(target: Path) -> tuple[str, str]:
    """Stem and ending; of two parts where both of them say what a file is."""
    name = target.name
    double = next((ending for ending in DOUBLE if name.lower().endswith(ending)), "")
    return (name[: -len(double)], name[-len(double) :]) if double else (target.stem, target.suffix)


def _shortened(stem: str, rest: str) -> str:
    raw, end = os.fsencode(stem), max(0, LONGEST_NAME - len(os.fsencode(rest)))
    while 0 < end < len(raw) and raw[end] & 0xC0 == 0x80:  # not within a letter
        end -= 1
    return os.fsdecode(raw[:end]) + rest


def _place(draft: Path, target: Path, *, overwrite: bool) -> Path:
    if overwrite:
        if target.is_dir():
            raise OutputError(f"{readable(target.name)}: is a folder")
        draft.replace(target)
        return target
    for name in _names(target):
        if _placed(draft, name):
            return name
    raise OutputError(f"{readable(target.name)}: there are {MOST_COPIES} files of this name")


def _placed(draft: Path, name: Path) -> bool:
    """Move the draft there, unless something is; whether it was moved."""
    try:
        os.link(draft, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG or not draft.is_file():
            raise
    else:
        draft.unlink()
        return True
    # No hard links on this disk (FAT, some network disks): hold the name with an empty file.
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    draft.replace(name)
    return True

"""What a file holds, told apart from what it is called: size, times and digests.

The quick digest reads three samples and serves to recognise a file that was moved, renamed or
copied; the full digest settles the doubt that remains.

    stamp = FileStamp.of(path)
    quick, full = quick_digest(path), full_digest(path)
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from feature_extract.video.frames import shown_name

SAMPLE_BYTES = 1 << 18
_LATEST_NS = (1 << 63) - 1
"""11 April 2262, the last moment that SQLite can count in nanoseconds; XFS and others go beyond."""


class ContentError(ValueError):
    """A path that is no readable regular file; one line that names it and says why."""


@dataclass(frozen=True)
class FileStamp:
    """What the file system says of a file without reading it."""

    size_bytes: int
    modified_ns: int
    """Nanoseconds since the epoch, held to what SQLite can count."""

    @classmethod
    def of(cls, path: Path) -> "FileStamp":
        """The stamp of a regular file, links followed.

        Raises:
            ContentError: nothing there, a dangling or looping link, a folder, a pipe, or no
                permission.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise ContentError(f"{shown_name(path)}: {_plain(path, error)}") from error
        except ValueError as error:  # a zero byte in it
            raise ContentError(f"{shown_name(path)}: no file can have this name") from error
        if stat.S_ISDIR(status.st_mode) and not os.access(path, os.R_OK | os.X_OK):
            raise ContentError(f"{shown_name(path)}: no permission to look into this folder")
        if not stat.S_ISREG(status.st_mode):
            raise ContentError(f"{shown_name(path)}: not a regular file")
        modified = min(max(status.st_mtime_ns, -_LATEST_NS), _LATEST_NS)
        return cls(status.st_size, modified)


def quick_digest(path: Path) -> str:
    """Digest of the size and of a sample at head, middle and tail; all of a small file.

    Raises:
        ContentError: the file cannot be read.
    """
    size = FileStamp.of(path).size_bytes
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    tail = max(size - SAMPLE_BYTES, 0)
    offsets = range(0, size, SAMPLE_BYTES) if covers_all(size) else (0, tail // 2, tail)
    try:
        with path.open("rb", buffering=0) as file:
            for offset in offsets:
                file.seek(offset)
                digest.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        raise ContentError(f"{shown_name(path)}: {_plain(path, error)}") from error
    return digest.hexdigest()


def covers_all(size_bytes: int) -> bool:
    """Whether the quick digest of a file of this size reads every byte of it."""
    return size_bytes <= 3 * SAMPLE_BYTES


def full_digest(path: Path) -> str:
    """Digest of every byte of the file.

    Raises:
        ContentError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    except OSError as error:
        raise ContentError(f"{shown_name(path)}: {_plain(path, error)}") from error


def _plain(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        dangling = path.is_symlink()
        return "a link to a file that is not there" if dangling else "no such file or folder"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return (error.strerror or str(error)).lower()

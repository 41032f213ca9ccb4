"""What a file holds, told apart from what it is called: size, times and digests.

The quick digest reads three samples and serves to recognise a file that was moved, renamed or
copied; the full digest settles the doubt that remains.

    stamp = FileStamp.of(path)
    quick, full = quick_digest(path), full_digest(path)
    with RunningDigest(path) as digest:      # beside something else that reads the file
        digest.up_to(0.5)
        full = digest.finish(report)
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from feature_extract.video.faults import in_words, is_fault
from feature_extract.video.frames import shown_name
from vmr.library.films import BucketPath, bucket_of, entry_of

SAMPLE_BYTES: Final = 1 << 18
_PIECE_BYTES: Final = 1 << 22
_LONGEST_STEP_BYTES: Final = 1 << 26
"""Of a digest in between two looks at whether it is still wanted: a tenth of a second."""
_LATEST_NS = (1 << 63) - 1
"""11 April 2262, the last moment that SQLite can count in nanoseconds; XFS and others go beyond."""


class ContentError(ValueError):
    """A path that is no readable regular file; one line that names it and says why."""


class NotReadError(ContentError):
    """A disk, a network or a permission kept the file from being read; it may be sound."""


@dataclass(frozen=True)
class FileStamp:
    """What the file system says of a file without reading it."""

    size_bytes: int
    modified_ns: int
    """Nanoseconds since the epoch, held to what SQLite can count."""
    inode: int = 0
    """Of the file system, in 63 bits; 0 where that is not known."""
    changed_ns: int = 0
    """When the file system last wrote anything about the file, as `modified_ns`; no program sets
    it. A recorder without a clock may use a name, a size and a date again, but not this."""

    @classmethod
    def of(cls, path: Path) -> "FileStamp":
        """The stamp of a regular file, links followed, or of an object in a bucket.

        Raises:
            NotReadError: nothing there, or no permission.
            ContentError: a dangling or looping link, a folder, a pipe.
        """
        if isinstance(path, BucketPath):
            return _of_object(path)
        try:
            status = path.stat()
        except OSError as error:
            raise not_read(path, error) from error
        except ValueError as error:  # a zero byte in it
            raise ContentError(f"{shown_name(path)}: no file can have this name") from error
        if stat.S_ISDIR(status.st_mode) and not os.access(path, os.R_OK | os.X_OK):
            raise NotReadError(f"{shown_name(path)}: no permission to look into this folder")
        if not stat.S_ISREG(status.st_mode):
            raise ContentError(f"{shown_name(path)}: not a regular file")
        modified, changed = (
            min(max(time, -_LATEST_NS), _LATEST_NS)
            for time in (status.st_mtime_ns, status.st_ctime_ns)
        )
        return cls(status.st_size, modified, status.st_ino & _LATEST_NS, changed)

    def same_file(self, other: "FileStamp | None") -> bool:
        """Whether both are of one file with one content; its mode or name may have changed."""
        return other is not None and replace(self, changed_ns=other.changed_ns) == other

    def is_older_form_of(self, other: "FileStamp") -> bool:
        """Whether this is what a library of before version 6 knows of it: size and date."""
        return self == FileStamp(other.size_bytes, other.modified_ns)


def quick_digest(path: Path) -> str:
    """Digest of the size and of a sample at head, middle and tail; all of a small file.

    Raises:
        ContentError: the file cannot be read.
    """
    size = FileStamp.of(path).size_bytes
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    tail = max(size - SAMPLE_BYTES, 0)
    offsets = range(0, size, SAMPLE_BYTES) if covers_all(size) else (0, tail // 2, tail)
    with _open(path) as file:
        for offset in offsets:
            file.seek(offset)
            digest.update(_read(path, file, min(SAMPLE_BYTES, size - offset)))
    return digest.hexdigest()


def covers_all(size_bytes: int) -> bool:
    """Whether the quick digest of a file of this size reads every byte of it."""
    return size_bytes <= 3 * SAMPLE_BYTES


def full_digest(path: Path) -> str:
    """Digest of every byte of the file.

    Raises:
        ContentError: the file cannot be read.
    """
    with RunningDigest(path) as digest:
        return digest.finish(lambda _: None)


class RunningDigest:
    """The full digest, taken piece by piece behind something else that reads the file: the system
    still holds those bytes, so that a disk or a network gives each once.

    Raises:
        ContentError: the file cannot be read; from every method, too.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._digest = hashlib.blake2b()
        self._size = FileStamp.of(path).size_bytes
        self._file = _open(path)

    def __enter__(self) -> "RunningDigest":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def up_to(self, fraction: float) -> None:
        """Take in the bytes up to this share of the file, 0..1, if that is not too much at once."""
        until = min(int(self._size * fraction), self._read + _LONGEST_STEP_BYTES)
        while self._read < until:
            piece = _read(self._path, self._file, min(_PIECE_BYTES, self._size - self._read))
            self._digest.update(piece)
            self._read += len(piece)

    def finish(self, report: Callable[[float], None]) -> str:
        """Take in the rest; the digest of the whole file.

        Args:
            report: told the share that is read, 0..1, in between; what it raises ends the reading.
        """
        while self._read < self._size:
            self.up_to(1.0)
            report(self._read / self._size)
        return self._digest.hexdigest()[:32]


def is_there(path: Path) -> bool:
    """Whether anything lies there, be it a link that leads nowhere.

    Raises:
        NotReadError: the store of a film in a bucket does not say.
    """
    if not isinstance(path, BucketPath):
        return os.path.lexists(path)
    try:
        entry_of(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise not_read(path, error) from error
    return True


def _of_object(path: BucketPath) -> FileStamp:
    """Its tag stands where a file has its inode: another content has another one."""
    try:
        entry = entry_of(path)
    except OSError as error:
        raise not_read(path, error) from error
    tag = hashlib.blake2b(entry.tag.encode(), digest_size=8).digest()
    return FileStamp(entry.size_bytes, entry.modified_ns, int.from_bytes(tag, "big") & _LATEST_NS)


def _open(path: Path) -> BinaryIO:
    try:
        if isinstance(path, BucketPath):
            return bucket_of(path).open(path.key, entry_of(path))
        return path.open("rb")
    except OSError as error:
        raise not_read(path, error) from error


def _read(path: Path, file: BinaryIO, count: int) -> bytes:
    """The next bytes of a file, as many as there have to be."""
    try:
        found = file.read(count)
    except OSError as error:
        raise not_read(path, error) from error
    if len(found) < count:  # of a regular file that is cut off while we look, or by its network
        raise NotReadError(f"{shown_name(path)}: it ends before its size says")
    return found


def not_read(path: Path, error: OSError) -> ContentError:
    """Why a path cannot be read, in one line; of a bucket, that is never said of the film."""
    name = shown_name(path)
    if isinstance(path, BucketPath):
        said = in_words(error) if error.errno else str(error)
        said = said.removeprefix(f"{path}: ").removeprefix(f"s3://{path.bucket}: ")
        return NotReadError(f"{name}: {said}")
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return ContentError(f"{name}: a link to a file that is not there")
        return NotReadError(f"{name}: no such file or folder")
    if isinstance(error, PermissionError):
        return NotReadError(f"{name}: no permission to read it")
    return (NotReadError if is_fault(error) else ContentError)(f"{name}: {in_words(error)}")

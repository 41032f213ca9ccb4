"""Where a film lies: a path of this computer, or an object in a bucket, whose address is its path.

path = film_path("s3://films/2024/beach.mp4")      # a BucketPath; of anything else, its Path
path.name, path.suffix, path.bucket, path.key
entry_of(path)                                     # size, time and tag, as the store says them
with one_look():                                   # the store is asked once for each of them
    find_videos([folder]); entry_of(path)

A BucketPath goes wherever a path does; what reads a film asks content.py for what the store says
of it, and film_cache.py for a file. obstore is imported when the first one is asked for.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path, PosixPath, WindowsPath
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from vmr.library.blobs import Entry
from vmr.library.locks import LibraryError

if TYPE_CHECKING:
    from vmr.library.bucket import Bucket

SCHEME: Final = "s3://"
_ASKED: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_REGION")
"""A bucket is opened anew where one of these variables is another one."""

_seen: ContextVar["dict[BucketPath, Entry] | None"] = ContextVar("seen", default=None)
"""Of one look, in the thread that takes it."""

if sys.platform == "win32":
    _Local = WindowsPath
else:
    _Local = PosixPath


class BucketPath(_Local):
    """An object of a bucket, or what the keys of several begin with: s3://BUCKET/KEY."""

    def __str__(self) -> str:
        return SCHEME + "/".join(self.parts[1:])

    def __fspath__(self) -> str:
        return str(self)

    @property
    def bucket(self) -> str:
        """Its name."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """Of the object; empty for the bucket itself."""
        return "/".join(self.parts[2:])

    def absolute(self) -> Self:
        """Itself: an address is whole."""
        return self

    def resolve(self, strict: bool = False) -> Self:  # noqa: ARG002  # as of every path
        """Itself: a store has no links."""
        return self

    def as_uri(self) -> str:
        """The address as edit lists have it."""
        return SCHEME + quote("/".join(self.parts[1:]))


def film_path(text: str) -> Path:
    """The path that somebody named.

    Raises:
        ValueError: it begins as the address of a bucket and names none, or none that is taken.
    """
    if not text.startswith(SCHEME):
        return Path(text)
    path = BucketPath(text)
    if len(path.parts) < 2 or str(path) != text.rstrip("/") or {".", ".."} & {*path.parts}:
        raise ValueError(f"{text}: films in a bucket are s3://BUCKET/KEY, without empty parts")
    return path


def stored(path: Path) -> bytes:
    """How a path is kept: absolute, links as the user named them, as bytes."""
    if isinstance(path, BucketPath):
        return os.fsencode(path)
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100  # links stay as named


def read_stored(kept: bytes) -> Path:
    """The path that was kept so."""
    text = os.fsdecode(kept)
    return BucketPath(text) if text.startswith(SCHEME) else Path(text)


def bucket_of(path: BucketPath) -> "Bucket":
    """The bucket that an object lies in; keys are whole there.

    Raises:
        LibraryError: what asks it is not installed, or this is no bucket's name.
    """
    return _open(path.bucket, tuple(os.environ.get(name) for name in _ASKED))


def entry_of(path: BucketPath) -> Entry:
    """What the store says of an object, now or since the look began that is being taken.

    Raises:
        OSError: there is none, or the store does not answer.
        LibraryError: as `bucket_of`.
    """
    seen = _seen.get()
    if seen is not None and path in seen:
        return seen[path]
    entry = bucket_of(path).entry(path.key)
    note(path, entry)
    return entry


def note(path: BucketPath, entry: Entry) -> None:
    """The store has said this of an object, as in a list; forgotten where no look is taken."""
    seen = _seen.get()
    if seen is not None:
        seen[path] = entry


def was_seen(path: Path) -> bool:
    """Whether the store has said something of it in the look that is being taken."""
    return path in (_seen.get() or ())


@contextmanager
def one_look() -> Iterator[None]:
    """While it is open, this thread takes what a store has said of an object for what it says: a
    film that is read by its tag then, and is another one by now, is refused by the store."""
    if _seen.get() is not None:
        yield
        return
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


@lru_cache(maxsize=64)
def _open(name: str, _: tuple[str | None, ...]) -> "Bucket":
    try:
        from vmr.library.bucket import Bucket
    except ImportError as error:
        raise LibraryError(
            f"{SCHEME}{name}: pip install -r requirements-cluster.txt first ({error})"
        ) from error
    try:
        return Bucket(f"{SCHEME}{name}")
    except ValueError as error:
        raise LibraryError(str(error)) from error

"""A bucket of a store that speaks S3, asked with a deadline: the home of obstore.

bucket = Bucket("s3://bucket/moments")      # keys, region, endpoint: AWS_* variables
bucket.put("features/3.safetensors", content)
bucket.entry("features/3.safetensors").tag

A put is one request, or a multipart upload that is completed last: a reader finds all of it, or
what was there before. Every request has a deadline, and whatever became of it is made again for
`RETRY_SECONDS`: obstore does so for most, but for none that it holds for changing something twice,
as a delete, nor where an answer stops half way in a listing. All that is asked here may be asked
again. What can go wrong is an OSError of one line.
"""

import io
import os
import re
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, BinaryIO, Final, TypeVar, cast

import obstore
from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from vmr.library.blobs import Entry

RETRY_SECONDS: Final = 60.0
"""How long a request is tried again that failed on its way, or that the server could not answer."""
REQUEST_SECONDS: Final = 30.0
"""How long one may take, with all that it brings."""
CONNECT_SECONDS: Final = 5.0
BLOCK_BYTES: Final = 1 << 18
"""Read at once where little is asked for: a request costs more than these bytes."""
KEPT_BLOCKS: Final = 16
"""Of one open file."""
_LONGEST_WAIT_SECONDS: Final = 5.0
_WHOLE_BYTES: Final = 16 << 20
"""Sent with one request: obstore begins and completes an upload of parts with one try each."""
_PARTS_AT_ONCE: Final = 4
"""Of an upload, 5 MiB each: a line carries that many within the deadline of each."""
_FINAL: Final = re.compile(r"status code: 4(?!08|29)\d\d")
"""Of what a store says that will say the same again."""
_FORBIDDEN: Final = "status code: 403"
_LOST: Final = "NoSuchUpload"
"""What it says of an upload that it has completed, where its first answer was lost."""

T = TypeVar("T")


class ReplacedError(OSError):
    """There is another content under the key than the one that was asked for."""


class Bucket:
    """Objects below a prefix of a bucket; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Takes s3://BUCKET/PREFIX; opens no connection yet.

        Raises:
            ValueError: it is no such address.
        """
        self.name = url.rstrip("/")
        retry: Any = {"max_retries": 10, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
        try:
            store = S3Store.from_url(self.name, retry_config=retry, client_options=_client())
        except BaseError as error:
            raise ValueError(f"{self.name}: not a store that can be opened ({error})") from error
        self._store = store

    @property
    def server(self) -> str:
        """Who holds it, as it is told to people."""
        return _endpoint() or "AWS"

    def about(self) -> str:
        """Who holds it; it has listed something, if there is anything."""
        self._asked("", lambda: next(iter(obstore.list(self._store, chunk_size=1)), None))
        return f"{self.name} at {self.server}: answers"

    def put(self, key: str, content: bytes) -> None:
        """Keep something, instead of what the key had, whole or not at all."""
        how: Any = {"use_multipart": len(content) > _WHOLE_BYTES, "max_concurrency": _PARTS_AT_ONCE}
        try:
            self._asked(key, lambda: obstore.put(self._store, key, content, **how))
        except FileNotFoundError as error:
            raise OSError(f"{self.name}: no such bucket; make it first") from error

    def get(self, key: str) -> bytes:
        """All of it."""
        return self._asked(key, lambda: bytes(obstore.get(self._store, key).bytes()))

    def get_range(self, key: str, start: int, end: int, *, tag: str = "") -> bytes:
        """The bytes from `start` to before `end`, or to where there are no more.

        Args:
            tag: of the content that is meant; ReplacedError where there is another one by now.
        """
        options: Any = {"range": (start, end)} | ({"if_match": tag} if tag else {})
        return self._asked(
            key, lambda: bytes(obstore.get(self._store, key, options=options).bytes())
        )

    def open(self, key: str, entry: Entry | None = None) -> BinaryIO:
        """For a reader that reads here and there, by ranges.

        Args:
            entry: of the content that is meant; ReplacedError where there is another one by now.
        """
        size, tag = (entry.size_bytes, entry.tag) if entry else (self.entry(key).size_bytes, "")
        return cast(BinaryIO, io.BufferedReader(_Ranges(self, key, size, tag), BLOCK_BYTES))

    def entry(self, key: str) -> Entry:
        """What is known of an object."""
        return _entry(self._asked(key, lambda: obstore.head(self._store, key)))

    def entries(self, folder: str) -> list[Entry]:
        """Every object whose key begins with this and a slash; of "", all there are."""
        found = self._asked(
            folder,
            lambda: [entry for page in obstore.list(self._store, folder or None) for entry in page],
        )
        return [_entry(entry) for entry in found]

    def delete(self, key: str) -> None:
        """Forget it; where there is none, nothing happens."""
        try:
            self._asked(key, lambda: obstore.delete(self._store, key))
        except FileNotFoundError:
            return

    def _asked(self, key: str, ask: Callable[[], T]) -> T:
        """What a request brings, made again as long as there is hope and time."""
        until, wait = time.monotonic() + RETRY_SECONDS, 0.1
        while True:
            try:
                return ask()
            except (BaseError, OSError, ValueError) as error:
                said = str(error)
                lost = isinstance(error, FileNotFoundError) and _LOST in said
                again = isinstance(error, GenericError) and not _FINAL.search(said)
                if not (lost or again) or time.monotonic() + wait > until:
                    raise _plain(error, self.name, key) from error
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


class _Ranges(io.RawIOBase):
    """An object that is read by blocks, some of which are remembered."""

    def __init__(self, bucket: Bucket, key: str, size: int, tag: str) -> None:
        self._size, self._at = size, 0

        def block(number: int) -> bytes:
            first = number * BLOCK_BYTES
            return bucket.get_range(key, first, min(first + BLOCK_BYTES, size), tag=tag)

        self._block = lru_cache(maxsize=KEPT_BLOCKS)(block)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        number, inside = divmod(self._at, BLOCK_BYTES)
        piece = self._block(number)[inside : inside + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


def _client() -> Any:
    """Without encryption only where the address that somebody set says so."""
    plain = {"allow_http": True} if _endpoint().startswith("http://") else {}
    return {
        **plain,
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
    }


def _entry(said: Any) -> Entry:
    # In lists some stores say it to the millisecond, of one object to the second before.
    modified_ns = int(said["last_modified"].timestamp()) * 1_000_000_000
    return Entry(said["path"], int(said["size"]), modified_ns, said["e_tag"] or "")


def _plain(error: Exception, name: str, key: str) -> OSError:
    """What the store says as an error of one line, without what was sent to it."""
    place = f"{name}/{key}" if key else name
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    said = line.rpartition(" - ")[2].removeprefix("Generic S3 error: ")  # without its address
    if "NoSuchBucket" in str(error):
        return OSError(f"{name}: no such bucket")
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"{place}: no such object")
    if isinstance(error, PreconditionError):
        return ReplacedError(f"{place}: it was replaced meanwhile")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _FORBIDDEN in line:
        return PermissionError(f"{place}: the keys in AWS_ACCESS_KEY_ID may not read or write it")
    if isinstance(error, GenericError) and not _FINAL.search(line):
        return OSError(f"{place}: no answer ({said})")
    return OSError(f"{place}: {said}")

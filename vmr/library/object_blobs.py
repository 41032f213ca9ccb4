"""Features and thumbnails in an object store that speaks S3: the home of obstore.

blobs = ObjectBlobs("s3://bucket/moments")      # keys, region, endpoint: AWS_* variables

A put is one request, or a multipart upload that is completed last: a reader finds all of it, or
what was there before. Requests that fail on their way are tried again for `RETRY_SECONDS`.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from feature_extract.files import scratch_folder
from vmr.library.blobs import tried
from vmr.library.locks import plain_errors

RETRY_SECONDS: Final = 60.0
"""How long a request is tried again that failed on its way, or that the server could not answer."""
BLOCK_BYTES: Final = 1 << 18
"""Read at once where little is asked for: a request costs more than these bytes."""
KEPT_BLOCKS: Final = 16
"""Of one open file."""


class ObjectBlobs:
    """Objects below a prefix of a bucket."""

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
        self.folder: Path | None = None

    def about(self) -> str:
        """As `Blobs.about`."""
        with plain_errors(self.name):
            tried(self)
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return f"{self.name} at {endpoint or 'AWS'}: writes and reads"

    def put(self, key: str, content: bytes) -> None:
        """As `Blobs.put`."""
        try:
            with _plain_errors(self.name, key):
                obstore.put(self._store, key, content)
        except FileNotFoundError as error:
            raise OSError(f"{self.name}: no such bucket; make it first") from error

    def get(self, key: str) -> bytes:
        """As `Blobs.get`."""
        with _plain_errors(self.name, key):
            return bytes(obstore.get(self._store, key).bytes())

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """As `Blobs.get_range`."""
        with _plain_errors(self.name, key):
            return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def open(self, key: str) -> BinaryIO:
        """As `Blobs.open`: read by ranges."""
        with _plain_errors(self.name, key):
            size = int(obstore.head(self._store, key)["size"])
        return cast(BinaryIO, io.BufferedReader(_Ranges(self, key, size), BLOCK_BYTES))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """As `Blobs.local`: a copy."""
        with scratch_folder() as folder:
            copy = folder / key.rpartition("/")[2]
            copy.write_bytes(self.get(key))
            yield copy

    def sizes(self, prefix: str) -> dict[str, int]:
        """As `Blobs.sizes`."""
        folder, _, beginning = prefix.rpartition("/")
        with _plain_errors(self.name, prefix):
            pages = obstore.list(self._store, prefix=folder or None)
            found = {entry["path"]: int(entry["size"]) for page in pages for entry in page}
        start = f"{folder}/{beginning}" if folder else beginning
        return {key: size for key, size in found.items() if key.startswith(start)}

    def delete(self, keys: Iterable[str]) -> None:
        """As `Blobs.delete`."""
        for key in keys:
            try:
                with _plain_errors(self.name, key):
                    obstore.delete(self._store, key)
            except FileNotFoundError:
                continue


class _Ranges(io.RawIOBase):
    """An object that is read by blocks, some of which are remembered."""

    def __init__(self, blobs: ObjectBlobs, key: str, size: int) -> None:
        self._size, self._at = size, 0

        def block(number: int) -> bytes:
            first = number * BLOCK_BYTES
            return blobs.get_range(key, first, min(first + BLOCK_BYTES, size))

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


def _client() -> Any:
    """Without encryption only where the address that somebody set says so."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    plain = {"allow_http": True} if named.startswith("http://") else {}
    return {**plain, "timeout": timedelta(seconds=30), "connect_timeout": timedelta(seconds=5)}


@contextmanager
def _plain_errors(name: str, key: str) -> Iterator[None]:
    """Turn what the store says into an OSError of one line, without what was sent to it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}/{key}: no such object") from error
    except (BaseError, OSError) as error:
        said = str(error).strip().splitlines()
        raise OSError(f"{name}/{key}: {said[0] if said else type(error).__name__}") from error

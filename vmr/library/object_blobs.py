"""Features and thumbnails in an object store that speaks S3.

blobs = ObjectBlobs("s3://bucket/moments")      # keys, region, endpoint: AWS_* variables
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from feature_extract.files import scratch_folder
from vmr.library.blobs import tried
from vmr.library.bucket import Bucket
from vmr.library.locks import plain_errors


class ObjectBlobs:
    """Objects below a prefix of a bucket."""

    def __init__(self, url: str) -> None:
        """Takes s3://BUCKET/PREFIX; opens no connection yet.

        Raises:
            ValueError: it is no such address.
        """
        self._bucket = Bucket(url)
        self.name = self._bucket.name
        self.folder: Path | None = None

    def about(self) -> str:
        """As `Blobs.about`."""
        with plain_errors(self.name):
            tried(self)
        return f"{self.name} at {self._bucket.server}: writes and reads"

    def put(self, key: str, content: bytes) -> None:
        """As `Blobs.put`."""
        self._bucket.put(key, content)

    def get(self, key: str) -> bytes:
        """As `Blobs.get`."""
        return self._bucket.get(key)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """As `Blobs.get_range`."""
        return self._bucket.get_range(key, start, end)

    def open(self, key: str) -> BinaryIO:
        """As `Blobs.open`: read by ranges."""
        return self._bucket.open(key)

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
        start = f"{folder}/{beginning}" if folder else beginning
        found = {entry.key: entry.size_bytes for entry in self._bucket.entries(folder)}
        return {key: size for key, size in found.items() if key.startswith(start)}

    def delete(self, keys: Iterable[str]) -> None:
        """As `Blobs.delete`."""
        for key in keys:
            self._bucket.delete(key)

"""Features and thumbnails by key: in a folder of the library, or what else can hold bytes.

blobs = FolderBlobs(Path("holiday"))
blobs.put("features/3.safetensors", content)        # whole, or not at all
with blobs.local("features/3.safetensors") as file:
    features = Features.load(file)
with blobs.open("thumbnails/3.zip") as file: ...    # read from any place in it

object_blobs.py has the same for S3. What can go wrong is an OSError; where there is nothing under a
key, a FileNotFoundError.
"""

import secrets
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from feature_extract.files import write_bytes
from vmr.library.locks import plain_errors


@dataclass(frozen=True)
class Entry:
    """What a store says of an object without reading it."""

    key: str
    size_bytes: int
    modified_ns: int
    "nanoseconds since the epoch; stores count whole seconds"
    tag: str
    "of the content: another one has another tag"


class Blobs(Protocol):
    """Bytes by key; a key is a path with slashes. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Where they lie, as it is told to people."""

    @property
    def folder(self) -> Path | None:
        """The folder that they lie in; None where they are no files."""

    def about(self) -> str:
        """What holds them; it has written and read some bytes. LibraryError where it cannot."""

    def put(self, key: str, content: bytes) -> None:
        """Keep something, instead of what the key had, whole or not at all."""

    def get(self, key: str) -> bytes:
        """All of it."""

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, or to where there are no more."""

    def open(self, key: str) -> BinaryIO:
        """For a reader that reads here and there."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """A file of this computer with all of it, while the context is open."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """The keys that begin so, and how many bytes each has."""

    def delete(self, keys: Iterable[str]) -> None:
        """Forget these; those that are not there do not matter."""


class FolderBlobs:
    """Files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self._folder = folder
        self.name = str(folder)

    def about(self) -> str:
        """As `Blobs.about`."""
        with plain_errors(self._folder):
            tried(self)
        return f"{self.name}: writes and reads"

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self._folder.joinpath(*key.split("/"))

    def put(self, key: str, content: bytes) -> None:
        """As `Blobs.put`; the bytes are on the disk afterwards."""
        write_bytes(self.path(key), content)

    def get(self, key: str) -> bytes:
        """As `Blobs.get`."""
        return self.path(key).read_bytes()

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """As `Blobs.get_range`."""
        with self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def open(self, key: str) -> BinaryIO:
        """As `Blobs.open`."""
        return self.path(key).open("rb")

    def local(self, key: str) -> AbstractContextManager[Path]:
        """As `Blobs.local`: the file itself."""
        return nullcontext(self.path(key))

    def sizes(self, prefix: str) -> dict[str, int]:
        """As `Blobs.sizes`; drafts of files are none."""
        folder, _, beginning = prefix.rpartition("/")
        inside = self.path(folder) if folder else self._folder
        if not inside.is_dir():
            return {}
        files = (f for f in inside.iterdir() if f.is_file() and f.name.startswith(beginning))
        start = f"{folder}/" if folder else ""
        return {f"{start}{file.name}": file.stat().st_size for file in files}

    def delete(self, keys: Iterable[str]) -> None:
        """As `Blobs.delete`."""
        for key in keys:
            self.path(key).unlink(missing_ok=True)


def tried(blobs: Blobs) -> None:
    """Write something, read it again and delete it. OSError where any of it fails."""
    key, content = f"features/{secrets.token_hex(8)}.tried", secrets.token_bytes(16)
    blobs.put(key, content)
    same = blobs.get(key) == content
    blobs.delete([key])
    if not same:
        raise OSError("what was read is not what was written")

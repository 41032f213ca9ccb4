"""The small pictures of a video: one JPEG a row, in one zip that is read by entry.

save_thumbnails(pictures, Path("3.zip"))
read_thumbnail(Path("3.zip"), 12)           # JPEG bytes
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1 << 20
"""Of one picture; ours have some 4 kB."""


class ThumbnailError(ValueError):
    """There is no such picture, or the file is damaged."""


def save_thumbnails(pictures: Sequence[bytes], path: Path) -> None:
    """Write the file whole or not at all; the pictures are stored: JPEG does not shrink again."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for row, picture in enumerate(pictures):
                    archive.writestr(zipfile.ZipInfo(f"{row}.jpg"), picture)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_thumbnail(path: Path, row: int) -> bytes:
    """The picture of one row.

    Raises:
        ThumbnailError: there is none, or it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(f"{row}.jpg")
            if entry.file_size > MAX_BYTES:
                raise ThumbnailError(f"{path}: the picture of row {row} claims {entry.file_size} B")
            return archive.read(entry)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ThumbnailError(f"{path}: no picture of row {row}") from error

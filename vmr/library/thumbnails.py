"""The small pictures of a video: one JPEG a row, in one zip that is read by entry.

content = packed(pictures)
with open("3.zip", "rb") as file:
    read_thumbnails(file, [12, 13])     # JPEG bytes of each
"""

import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import BinaryIO, Final

MAX_BYTES: Final = 1 << 20
"""Of one picture; ours have some 4 kB."""


class ThumbnailError(ValueError):
    """There is no such picture, or the file is damaged."""


def packed(pictures: Sequence[bytes]) -> bytes:
    """The zip; the pictures are stored: JPEG does not shrink again."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for row, picture in enumerate(pictures):
            archive.writestr(zipfile.ZipInfo(f"{row}.jpg"), picture)
    return content.getvalue()


def read_thumbnails(file: BinaryIO, rows: Iterable[int]) -> list[bytes]:
    """The pictures of some rows, in their order.

    Raises:
        ThumbnailError: one is missing, or damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return [_read(archive, f"{row}.jpg") for row in rows]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ThumbnailError(f"a picture is missing or damaged ({error})") from error


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.file_size > MAX_BYTES:
        raise ThumbnailError(f"{name} claims {entry.file_size} B")
    return archive.read(entry)

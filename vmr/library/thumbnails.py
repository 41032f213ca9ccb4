"""The small pictures of a video: one JPEG a row, in one zip that is read by entry.

save_thumbnails(pictures, Path("3.zip"))
read_thumbnails(Path("3.zip"), [12, 13])    # JPEG bytes of each
"""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from feature_extract.files import replacing

MAX_BYTES: Final = 1 << 20
"""Of one picture; ours have some 4 kB."""


class ThumbnailError(ValueError):
    """There is no such picture, or the file is damaged."""


def save_thumbnails(pictures: Sequence[bytes], path: Path) -> None:
    """Write the file whole or not at all; the pictures are stored: JPEG does not shrink again."""
    with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for row, picture in enumerate(pictures):
            archive.writestr(zipfile.ZipInfo(f"{row}.jpg"), picture)


def read_thumbnails(path: Path, rows: Iterable[int]) -> list[bytes]:
    """The pictures of some rows, in their order.

    Raises:
        ThumbnailError: one is missing, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read(archive, f"{row}.jpg") for row in rows]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ThumbnailError(f"{path}: a picture is missing or damaged ({error})") from error


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.file_size > MAX_BYTES:
        raise ThumbnailError(f"{name} claims {entry.file_size} B")
    return archive.read(entry)

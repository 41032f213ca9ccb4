"""What a killed run left in a library is put right when the library is opened.

with hold_lock(folder / "indexing.lock", wait_seconds=0):  # whoever indexes has files in use
    put_right(folder, Connection(folder), files, demote)
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from feature_extract.files import sweep
from vmr.library.connection import Catalogue
from vmr.library.locks import plain_errors
from vmr.library.settings import KEEP

logger = logging.getLogger(__name__)

_OURS = re.compile(r"\.?\d+\.(safetensors|zip)(\.\d+\.tmp)?")  # and drafts of version 0.1
DONE = "put right"
"""Up to which change."""


def put_right(
    folder: Path,
    db: Catalogue,
    files: Callable[[int], tuple[Path, Path]],
    demote: Callable[[int, str], None],
) -> None:
    """Put right half-written files, rows that nobody indexes any more, and files cut short.

    Where nothing has changed since the last time, only drafts in the library's own folder, of its
    index, are looked for: whatever else a killed run leaves begins with a change of the database.

    Args:
        folder: of the library.
        files: from the id of a video to its two files.
        demote: has a video indexed again; takes its id, and the fingerprint it is stored with.
    """
    with plain_errors(folder):
        sweep(folder)
        for file in folder.glob("index.*.tmp"):
            file.unlink(missing_ok=True)
    ((last,),) = db.fetch("SELECT coalesce(max(number), 0) FROM changes")
    if last and db.fetch("SELECT 1 FROM settings WHERE key = ? AND value = ?", DONE, str(last)):
        return
    with db.transaction() as statements:
        statements.execute("UPDATE videos SET state = 'new', progress = 0 WHERE state = 'indexing'")
    stored = "SELECT id, fingerprint, features_bytes, thumbnails_bytes FROM videos WHERE rows"
    for id, fingerprint, *sizes in db.fetch(stored):
        if [_size(file) for file in files(id)] != sizes:
            logger.info("%s: files of video %d are not whole", folder, id)
            demote(id, fingerprint)
    ids = db.fetch("SELECT id FROM videos WHERE rows > 0")
    _delete_others(folder, {file for (id,) in ids for file in files(id)})
    with db.transaction() as statements:
        # Of before: what was put right here is looked at once more.
        statements.execute(KEEP, (DONE, str(last)))


def give_back(db: Catalogue, lease: Callable[[int], str]) -> None:
    """Have the videos that nobody indexes any more wait again, where each has a lock of its own.

    Args:
        lease: from the id of a video to the name of its lock.
    """
    for (id,) in db.fetch("SELECT id FROM videos WHERE state = 'indexing'"):
        with db.lock(lease(id), wait_seconds=0) as alone:
            if alone:
                with db.transaction() as statements:
                    statements.execute(
                        "UPDATE videos SET state = 'new', progress = 0 "
                        "WHERE id = ? AND state = 'indexing'",
                        (id,),
                    )


def _delete_others(library: Path, kept: set[Path]) -> None:
    """Delete every file of ours that belongs to no indexed video."""
    with plain_errors(library):
        inside = library / "features", library / "thumbnails"
        for folder in inside:
            sweep(folder)
        ours = {
            file for folder in inside for file in folder.iterdir() if _OURS.fullmatch(file.name)
        }
        for file in ours - kept:
            logger.info("%s: belongs to no indexed video; deleted", file)
            file.unlink(missing_ok=True)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else -1

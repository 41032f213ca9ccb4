"""Films in buckets as files of this computer, for what reads files alone: fetched once, and kept
within a limit.

with local_film(path, report) as file:      # of a path of this computer, itself
    read_file(file, extractor, report)

Whoever uses a film has a name of his own for it, a hard link in a scratch folder: one that goes
from the cache meanwhile goes from the disk when the last of them is done with it.
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from feature_extract.files import cache_folder, file_lock, scratch_folder
from vmr.library.blobs import Entry
from vmr.library.content import not_read
from vmr.library.films import BucketPath, bucket_of, entry_of

logger = logging.getLogger(__name__)

KEPT_BYTES: Final = 20 << 30
"""Of all films together; a larger one is fetched each time, and goes when it was used."""
FREE_BYTES: Final = 1 << 30
"""Left to the disk, whatever is fetched."""
PART_BYTES: Final = 8 << 20
"""Asked for at once: between two parts, whoever waits may leave."""
_LONGEST_NAME: Final = 150
"""Bytes; disks take some more."""


@contextmanager
def local_film(path: Path, report: Callable[[float], None] = lambda _: None) -> Iterator[Path]:
    """A file of this computer with all of a film, while the context is open.

    Args:
        report: told the share that is fetched, 0..1; what it raises ends that.

    Raises:
        NotReadError: the object is gone, was replaced meanwhile or may not be read, its store does
            not answer, or there is no room for it here.
    """
    if not isinstance(path, BucketPath):
        yield path
        return
    with ExitStack() as held:
        try:
            file = _held(path, report, held)
        except OSError as error:
            raise not_read(path, error) from error
        yield file


def is_kept(path: BucketPath) -> bool:
    """Whether a film can be had without fetching it."""
    try:
        return _name(path, entry_of(path)).is_file()
    except OSError:
        return False


def _held(path: BucketPath, report: Callable[[float], None], held: ExitStack) -> Path:
    folder = cache_folder() / "films"
    folder.mkdir(parents=True, exist_ok=True)
    entry = bucket_of(path).entry(path.key)
    kept = _name(path, entry)
    mine = held.enter_context(scratch_folder(folder)) / _readable_name(path)
    while not _linked(kept, mine):
        with file_lock(kept.with_suffix(".lock"), wait_seconds=0.5) as alone:
            if alone and not _linked(kept, mine):
                _make_room(folder, entry.size_bytes)
                _fetch(path, entry, mine, report)
                _keep(mine, kept)
                return mine
        report(0.0)  # somebody else is at it
    return mine


def _name(path: BucketPath, entry: Entry) -> Path:
    """Another one for every content; a tag is empty where a store has none."""
    said = repr((str(path), entry.tag or entry.modified_ns, entry.size_bytes))
    return cache_folder() / "films" / hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _readable_name(path: BucketPath) -> str:
    """As the object is called, as far as every disk takes it: messages name it."""
    stem = path.stem.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return re.sub(r'[<>:"|?*\\\x00-\x1f]', "_", stem + path.suffix[:20])


def _linked(kept: Path, mine: Path) -> bool:
    """Whether there was a film to take a link to; then nothing else was used so lately."""
    try:
        os.link(kept, mine)
        os.utime(mine)
    except FileNotFoundError:
        return False
    return True


def _keep(mine: Path, kept: Path) -> None:
    if mine.stat().st_size > KEPT_BYTES:
        return
    try:
        os.link(mine, kept)
    except FileExistsError:
        return
    except OSError as error:  # a disk without hard links: it is fetched again the next time
        logger.info("%s: cannot be kept: %s", kept, error)


def _make_room(folder: Path, needed: int) -> None:
    """Let go what was used least lately, until there is room.

    Raises:
        OSError: there is none.
    """
    kept = [(file, file.stat()) for file in folder.iterdir() if file.is_file() and not file.suffix]
    total = sum(state.st_size for _, state in kept)
    for file, state in sorted(kept, key=lambda film: film[1].st_mtime):
        if total + needed <= KEPT_BYTES and _free(folder) >= needed + FREE_BYTES:
            return
        with suppress(OSError):  # on Windows, where it is in use
            file.unlink(missing_ok=True)
            file.with_suffix(".lock").unlink(missing_ok=True)
            total -= state.st_size
    if _free(folder) < needed + FREE_BYTES:
        raise OSError(
            f"{needed / 1e9:.1f} GB have no room in the cache; VMR_CACHE names its folder"
        )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _fetch(path: BucketPath, entry: Entry, target: Path, report: Callable[[float], None]) -> None:
    """All of an object, of one content."""
    bucket, size = bucket_of(path), entry.size_bytes
    try:
        with target.open("xb") as file:  # written in place: a draft in a scratch folder
            for start in range(0, size, PART_BYTES):
                report(start / size)
                end = min(start + PART_BYTES, size)
                part = bucket.get_range(path.key, start, end, tag=entry.tag)
                if len(part) != end - start:
                    raise OSError("it ends before its size says")
                file.write(part)
        if not entry.tag and bucket.entry(path.key) != entry:
            raise OSError("it was replaced meanwhile")
    except BaseException:
        target.unlink(missing_ok=True)
        raise

"""Files written whole or not at all, temporary folders, locks, and where a user's files lie.

    write_text(folder / "config.json", text)          # a reader finds the old file or the new one
    with replacing(Path("3.safetensors")) as draft:   # for savers that want a path
        save_file(tensors, draft)
    with scratch_folder() as folder: ...              # gone when done with
    with file_lock(folder / "indexing.lock", wait_seconds=0) as alone: ...
    cache_folder(), data_folder("VMR_LIBRARY", "library"), assets_folder() / "weights" / "base"

Drafts lie in scratch folders beside their targets: renaming within one disk is all or nothing. A
scratch folder is locked while it is in use. Where it lies is noted in the user's cache, so that the
next start of any command deletes what a killed process left, wherever that was.

The lowest file of all: every room may import it.
"""

import errno
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import platformdirs
from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


ROOT: Final = Path(__file__).resolve().parents[1]
PREFIX: Final = ".moments."
"""Not `.moments-`, as in version 0.1: it locked otherwise, and would take ours for left over."""
LOCK: Final = "lock"
_ATTEMPTS: Final = 5
_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a disk says that has no locks at all, such as some network disks."""


# Whole or not at all


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A path to write a draft to, with the same ending; afterwards it takes the place of `path`.

    If the body raises, or the process dies, `path` stays as it was.

    Args:
        sync: wait until the content is on the disk, so that a power cut leaves the old file or the
            new one. What can be made again, and is checked when read, does without.

    Raises:
        OSError: the folder is not there or cannot be written, or the disk is full.
    """
    path = Path(os.path.realpath(path))  # a link stays, and what it names is written
    with _held_folder(path.parent) as folder:
        draft = folder / f"draft{path.suffix}"  # our own name: savers may read more into others
        yield draft
        if sync:
            with draft.open("r+b") as file:
                os.fsync(file.fileno())
        draft.replace(path)


def write_bytes(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file whole or not at all. Raises as `replacing`."""
    with replacing(path, sync=sync) as draft:
        draft.write_bytes(content)


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write UTF-8, line ends as they are, whole or not at all. Raises as `replacing`."""
    write_bytes(path, text.encode(), sync=sync)


# Folders for a while


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """A fresh folder in `place`, by default where the system keeps temporary files.

    Raises:
        OSError: `place` is not there or cannot be written.
    """
    place = (place or Path(tempfile.gettempdir())).absolute()
    sweep(place)
    with _held_folder(place) as folder:
        yield folder


def sweep(place: Path) -> None:
    """Delete the scratch folders in `place` that no living process holds."""
    for folder in place.glob(f"{PREFIX}*"):
        _delete_if_free(folder)


def sweep_noted() -> None:
    """Delete what killed processes left, wherever it was; for the start of a program."""
    with suppress(OSError, RuntimeError):
        for note in _notes().iterdir():
            folder = Path(os.fsdecode(note.read_bytes()))
            if folder.name.startswith(PREFIX):  # whoever wrote there: nothing else is deleted
                _delete_if_free(folder)
            if not folder.exists():
                note.unlink(missing_ok=True)


@contextmanager
def _held_folder(place: Path) -> Iterator[Path]:
    folder, held = _claim(place)
    try:
        with held:
            yield folder
    finally:
        _forget(folder)


def _claim(place: Path) -> tuple[Path, ExitStack]:
    """A fresh folder, and the lock on it.

    In between, a sweep may take it for a dead process's: then it is gone, and another one is made.
    Where locks do not work at all, it is used without.
    """
    for _ in range(_ATTEMPTS):
        folder, held = place / f"{PREFIX}{secrets.token_hex(8)}", ExitStack()
        with suppress(OSError, RuntimeError):  # no home: the next use of this place deletes it, too
            _notes().mkdir(parents=True, exist_ok=True)
            (_notes() / folder.name).write_bytes(os.fsencode(folder))
        try:
            folder.mkdir(mode=0o700)
            alone = held.enter_context(file_lock(folder / LOCK, wait_seconds=0))
        except OSError as error:
            if error.errno in _NO_LOCKS:
                logger.info("%s: its disk has no locks; used without: %s", place, error)
                return folder, held
            swept = not folder.exists()
            _forget(folder)
            if not (swept and place.is_dir() and os.access(place, os.W_OK)):
                raise OSError(error.errno, error.strerror, str(place)) from error
            continue
        if alone and (folder / LOCK).exists():
            return folder, held
        held.close()
    logger.info("%s: %d folders were swept as they were made; used without", place, _ATTEMPTS)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder, ExitStack()


def _delete_if_free(folder: Path) -> None:
    with suppress(OSError):  # another user's, or just gone
        if folder.is_dir() and not folder.is_symlink():
            with file_lock(folder / LOCK, wait_seconds=0) as free:
                if not free:
                    return
                logger.info("%s: left by a killed process; deleted", folder)
                shutil.rmtree(folder, ignore_errors=True)
            folder.rmdir()  # on Windows: the lock itself goes last, when it is let go


def _forget(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError, RuntimeError):
        (_notes() / folder.name).unlink(missing_ok=True)


def _notes() -> Path:
    return cache_folder() / "scratch"


# Locks


@contextmanager
def file_lock(path: Path, *, wait_seconds: float) -> Iterator[bool]:
    """Whether we hold the lock on this file, which is nobody else's while the context is open.

    It is let go when the process dies, however it dies. The file stays, but on Windows.

    Raises:
        OSError: the file cannot be made, or its disk has no locks.
    """
    # Without a fallback to marker files: those outlive a killed process.
    lock = FileLock(path, wait_seconds, thread_local=False, fallback_to_soft=False)
    path.parent.stat()  # where there is none, filelock would make it
    with suppress(Timeout):
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()


# Where files lie


def cache_folder() -> Path:
    """$VMR_CACHE, or where this system keeps a user's caches; RuntimeError for a user without home.

    Version 0.1 used ~/.cache/vmr on every system: where that is, it goes on being used.
    """
    if named := os.environ.get("VMR_CACHE"):
        return Path(named)
    earlier = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vmr"
    usual = platformdirs.user_cache_path("vmr", appauthor=False)
    # Unlike Path.is_dir, False where one may not look.
    if os.path.isdir(usual) or not os.path.isdir(earlier):  # noqa: PTH112
        return usual
    logger.info("the cache of version 0.1 is used: %s", earlier)
    return earlier


def data_folder(variable: str, name: str) -> Path:
    """What an environment variable names, or `name` where this system keeps a user's data."""
    if named := os.environ.get(variable):
        return Path(named)
    return platformdirs.user_data_path("vmr", appauthor=False) / name


def assets_folder() -> Path:
    """The folder that holds `weights`, `presets`, `samples` and `ui`.

    A wheel carries it inside `vmr`; in a checkout it lies beside the packages.
    """
    inside = ROOT / "vmr" / "assets"
    return inside if inside.is_dir() else ROOT / "assets"

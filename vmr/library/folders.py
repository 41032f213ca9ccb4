"""Which files are videos: those that are named, and those in folders, searched to the bottom.

paths = find_videos([Path("holiday"), Path("film.dat")], exclude=["drafts/"])
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from vmr.library.films import BucketPath, bucket_of, entry_of, note
from vmr.library.locks import LibraryError

logger = logging.getLogger(__name__)


AMBIGUOUS: Final = frozenset(
    {".dat", ".m2t", ".m2ts", ".mod", ".mts", ".tod", ".tp", ".trp", ".ts", ".vro"}
)
"""Endings that other kinds of file have, too, such as source code: the content decides."""
EXTENSIONS: Final = AMBIGUOUS | frozenset(
    {".264", ".265", ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avi", ".dif", ".divx", ".dv"}
    | {".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc", ".insv", ".ivf", ".lrv", ".m1v", ".m2p"}
    | {".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg"}
    | {".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".vob", ".webm", ".webp"}
    | {".wmv", ".wtv", ".xvid", ".y4m"}
)
"""Endings of what feature_extract/video/formats.py opens."""
IGNORE_FILE: Final = ".momentsignore"
_KEPT_BY_SYSTEMS: Final = frozenset(
    {"$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"}
    | {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@sharebin", "@tmp"}
    | {"__macosx", "found.000"}
)
"""Folders, in small letters, in which systems and file servers keep small copies and what was
deleted. Those that begin with a dot (.Trash-1000, .Trashes) are hidden anyway."""
_HEAD_BYTES: Final = 8192
_BEGINNINGS: Final = re.compile(
    rb"\0\0\x01[\xb3\xba\xe0-\xef]|....(?:ftyp|moov|mdat|wide|free|skip)"
    rb"|RIFF....(?:AVI |CDXA)|\x1aE\xdf\xa3|FLV\x01|0&\xb2u|OggS|\x1f\x07\0|\x06\x0e\x2b\x34",
    re.DOTALL,
)
# Transport streams: a "G" every 188 bytes, 192 in a camera's, 204 with the sender's check bytes.
_PACKETS: Final = re.compile(
    rb"G(?=.{187}G.{187}G.{187}G)|G(?=.{191}G.{191}G.{191}G)|G(?=.{203}G.{203}G.{203}G)", re.DOTALL
)


def find_videos(
    paths: Iterable[Path], *, exclude: Sequence[str] = (), passed: list[Path] | None = None
) -> list[Path]:
    """The video files that files and folders name, folders searched to the bottom, in order; in
    buckets, too.

    A file that is named itself is taken whatever its extension; inside folders the usual video
    extensions count, and the content where an extension is ambiguous. Hidden names, folders that
    systems keep for themselves, and what `exclude` or a `.momentsignore` says are left out. Links
    to folders are followed once.

    Args:
        exclude: patterns as in a .gitignore, relative to each folder.
        passed: the files that were taken for no videos are appended here.

    Raises:
        LibraryError: a path that is not there, or a folder without a video.
    """
    found: list[Path] = []
    for path in paths:
        if isinstance(path, BucketPath):
            found.extend(_objects(path, exclude, passed))
        elif os.path.isdir(path):  # noqa: PTH112  # False where one may not look
            inside = videos_inside(path, LeftOut(path, exclude), passed)
            if not inside:
                raise LibraryError(f"{path}: no video files in this folder")
            found.extend(inside)
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise LibraryError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


class LeftOut:
    """What the search of one folder leaves out, as its ignore files are at this moment."""

    def __init__(self, root: Path, exclude: Sequence[str] = ()) -> None:
        """`exclude` holds patterns as in a .gitignore, relative to `root`."""
        self._root = root
        self._exclude = GitIgnoreSpec.from_lines(exclude)
        self._rules: dict[Path, GitIgnoreSpec | None] = {}

    def holds(self, path: Path) -> bool:
        """Whether this entry is left out; the folders above it are not looked at."""
        folder = os.path.isdir(path)  # noqa: PTH112  # False where one may not look
        if path.name.startswith(".") or (folder and path.name.lower() in _KEPT_BY_SYSTEMS):
            return True
        if os.path.isfile(path / "library.db"):  # noqa: PTH113  # libraries with their previews
            return True
        # The option before the files, a deeper file before those above it, as git does.
        rules = [(self._root, self._exclude)]
        for above in path.parents:
            if (own := self._rules_of(above)) is not None:
                rules.append((above, own))
            if above == self._root:
                break
        for above, spec in rules:
            name = path.relative_to(above).as_posix() + "/" * folder
            if (verdict := spec.check_file(name).include) is not None:
                return verdict
        return False

    def holds_any(self, path: Path) -> bool:
        """Whether this entry or a folder between it and the root is left out."""
        inside = [path, *path.parents][: len(path.parts) - len(self._root.parts)]
        return any(self.holds(part) for part in reversed(inside))

    def _rules_of(self, folder: Path) -> GitIgnoreSpec | None:
        if folder not in self._rules:
            try:
                text = (folder / IGNORE_FILE).read_text("utf-8-sig", errors="replace")
                self._rules[folder] = GitIgnoreSpec.from_lines(text.splitlines())
            except (FileNotFoundError, NotADirectoryError):
                self._rules[folder] = None
            except (OSError, ValueError) as error:
                raise LibraryError(f"{folder / IGNORE_FILE}: cannot be used: {error}") from error
        return self._rules[folder]


def videos_inside(
    folder: Path, left_out: LeftOut | None = None, passed: list[Path] | None = None
) -> list[Path]:
    """The video files in a folder and the folders in it, in order.

    A folder inside that may not be listed comes as itself: it is refused by name, and the others
    go on.

    Raises:
        LibraryError: this folder cannot be listed, or an ignore file cannot be used.
    """
    passed = [] if passed is None else passed
    try:
        return list(_walk(folder, set(), left_out or LeftOut(folder), passed))
    except OSError as error:
        raise LibraryError(f"{folder}: {(error.strerror or str(error)).lower()}") from error


def is_video(path: Path) -> bool:
    """Whether the name says so, or, where its ending is ambiguous, how the file begins. One that
    may not be read counts: whoever takes it says why."""
    ending = path.suffix.lower()
    if ending not in AMBIGUOUS:
        return ending in EXTENSIONS
    if isinstance(path, BucketPath):
        return _begins_as_video(bucket_of(path).get_range(path.key, 0, _HEAD_BYTES))
    if not os.path.isfile(path):  # noqa: PTH113  # a pipe would be waited for
        return os.path.islink(path)  # noqa: PTH114
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return True
    return _begins_as_video(head)


def _begins_as_video(head: bytes) -> bool:
    return bool(_BEGINNINGS.match(head) or _PACKETS.search(head))


def _objects(path: BucketPath, exclude: Sequence[str], passed: list[Path] | None) -> list[Path]:
    """The film at an address, or all whose keys begin with it and a slash, in order; of a bucket,
    an ignore file is not looked at.

    Raises:
        LibraryError: there is none, or the store does not say.
    """
    rules, found = GitIgnoreSpec.from_lines(exclude), []
    bucket = bucket_of(path)
    try:
        entries = bucket.entries(path.key)
        if not entries and path.key:
            entry_of(path)
            return [path]
        for entry in sorted(entries, key=lambda entry: entry.key):
            one = BucketPath(f"s3://{path.bucket}/{entry.key}")
            inside = one.relative_to(path)
            hidden = any(p.startswith(".") or p.lower() in _KEPT_BY_SYSTEMS for p in inside.parts)
            marker = not entry.size_bytes and not one.suffix  # what some programs have for a folder
            if hidden or marker or rules.match_file("/".join(inside.parts)):
                continue
            if is_video(one):
                note(one, entry)
                found.append(one)
                continue
            logger.info("%s: passed over: not a video by its name or beginning", one)
            if passed is not None:
                passed.append(one)
    except FileNotFoundError as error:
        raise LibraryError(f"{path}: no such object or folder") from error
    except OSError as error:
        raise LibraryError(str(error)) from error
    if not found:
        raise LibraryError(f"{path}: no video files in this folder")
    return list[Path](found)


def _walk(folder: Path, seen: set[str], left_out: LeftOut, passed: list[Path]) -> Iterator[Path]:
    real = os.path.realpath(folder)  # links to folders are followed, each folder once
    if real in seen:
        return
    seen.add(real)
    for entry in sorted(folder.iterdir()):
        if left_out.holds(entry):
            continue
        if os.path.isdir(entry):  # noqa: PTH112  # the same
            try:
                yield from _walk(entry, seen, left_out, passed)
            except OSError as error:
                logger.info("%s: cannot be looked into: %s", entry, error)
                yield entry
        elif is_video(entry):
            yield entry
        else:
            logger.info("%s: passed over: not a video by its name or beginning", entry)
            passed.append(entry)

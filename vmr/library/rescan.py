"""Look again at the disk: what came, moved, changed, is still being written, or is gone.

with Ingest(library, Extractor) as ingest:
    found = rescan(library, ingest)     # registers everything, queues what has to be read
    ingest.wait()
for line in found.problems: ...         # folders that could not be looked through
for video in missing(library): ...      # once the queue is empty: a moved file is found there
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmr.library.films import BucketPath, one_look
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError, Video
from vmr.library.watch import PATIENCE_SECONDS, wait_for_copies

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rescan:
    """What a rescan found; the queue says what became of the files."""

    files: tuple[Path, ...]
    "absolute paths given to the queue, which skips those that have not changed"
    growing: tuple[Path, ...]
    "files that were still being written; each waits in the library for the next rescan"
    problems: tuple[str, ...]
    "one line for each path that could not be looked through: what is wrong with it"
    passed: tuple[Path, ...] = ()
    "files that are no videos by their names or beginnings"


def rescan(
    library: Library,
    ingest: Ingest,
    paths: Sequence[Path] = (),
    *,
    exclude: Sequence[str] = (),
    patience_seconds: float = PATIENCE_SECONDS,
    say: Callable[[str], None] = logger.info,
) -> Rescan:
    """Queue every known video and every video file under `paths`; see which paths are gone, and
    what the files of older libraries say of their recording.

    Files that were refused before are tried again only if they changed.

    Args:
        paths: files or folders; by default all folders that the library was made from.
        exclude: patterns as in a .gitignore: what they match is not looked for.
        patience_seconds: how long to wait for files that are being written at this moment.
        say: is told for how many, if any.

    Raises:
        LibraryError: the library could not be written.
    """
    library.recordings.complete()
    with one_look():
        return _looked(library, ingest, paths, exclude, patience_seconds, say)


def _looked(
    library: Library,
    ingest: Ingest,
    paths: Sequence[Path],
    exclude: Sequence[str],
    patience_seconds: float,
    say: Callable[[str], None],
) -> Rescan:
    passed: list[Path] = []
    found, problems = find_and_remember(
        library, paths or library.folders(), exclude=exclude, passed=passed
    )
    library.check_presence()  # after it: a store that has listed its films is not asked for each
    known = [video.path for video in library.videos() if video.state != "missing"]
    files = [*dict.fromkeys([*known, *(path.absolute() for path in found)])]
    growing = wait_for_copies(files, patience_seconds=patience_seconds, say=say)
    for path in growing:
        library.register_unread(path, "waiting", "waiting for its copy to finish")
    whole = tuple(path for path in files if path not in growing)
    library.words.forget_changed(library.videos())
    ingest.add(whole, retry=False)
    return Rescan(whole, tuple(growing), tuple(problems), tuple(passed))


def find_and_remember(
    library: Library,
    paths: Iterable[Path],
    *,
    exclude: Sequence[str] = (),
    passed: list[Path] | None = None,
) -> tuple[list[Path], list[str]]:
    """The video files that these paths name, and one line for each path that names none.

    Later rescans look through the folders among them, too. `exclude` and `passed`
    are those of `find_videos`.

    Raises:
        LibraryError: the library could not be written.
    """
    files: list[Path] = []
    problems = []
    for path in paths:
        found: list[Path] = []
        try:
            found = find_videos([path], exclude=exclude, passed=passed)
        except LibraryError as error:
            problems.append(str(error))
        files += found
        if path.is_dir() or (isinstance(path, BucketPath) and found not in ([], [path])):
            library.remember(path)
    return files, problems


def missing(library: Library) -> list[Video]:
    """The videos whose files are gone from every path that named them, oldest first."""
    return [video for video in library.videos() if video.state == "missing"]

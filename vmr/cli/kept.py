"""What no command may write over, whatever it is told: what a library reads, or is made of.

kept_of(library, Path("holiday.mp4"))       # goes to `vmr.media.outputs.written`
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmr.library.store import Library


def kept_of(library: "Library", target: Path) -> list[Path]:
    """What an export must never replace: every file that the library reads, or is made of."""
    inside = library.folder.resolve() in target.resolve().parents
    films = [path for video in library.videos() for path in (video.path, *video.also)]
    return [*films, *_subtitles(films, target), *([target] if inside else [])]


def _subtitles(films: Sequence[Path], target: Path) -> list[Path]:
    """The subtitles of these films that lie where the target does."""
    from feature_extract.video.subtitles import sidecars

    place = target if os.path.isdir(target) else target.parent  # noqa: PTH112  # False of a name too long for the disk
    try:
        names, folder = [path.name for path in place.iterdir()], place.resolve()
    except OSError:  # writing there will say what is wrong with it
        return []
    beside = [film for film in films if film.parent in (folder, place)]
    return [path for film in beside for path in sidecars(film, names)]

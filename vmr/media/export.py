"""Moments taken away: exact clips, one film of several, stills, tables, lists for other programs.

    cuts = [Cut(Path("a.mp4"), 12.0, 19.5, fps=25, query="a dog jumps")]
    write_clip(cuts[0], Path("dog.mp4"))            # encoded anew, exact to the picture
    write_film(cuts, Path("all.mp4"))               # joined, in the size of the first
    export(cuts, Path("cuts.edl"))                  # what the ending says: `ENDINGS`

A clip holds the pictures that the index read in [start, end): those that begin there, and the one
on the screen at the start. With `copy` nothing is encoded anew: that is fast and loses nothing, but
a clip can then begin only at the key picture before its start. Nothing that exists is replaced
unless that is asked for.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vmr.library.catalogue import readable
from vmr.media.copying import copy_clip
from vmr.media.cut import Cut, ExportError, source_file
from vmr.media.lists import LISTS, with_clock
from vmr.media.outputs import written
from vmr.media.taking import take_clip, take_film, take_still

LONGEST: Final = 3600.0  # seconds of one export
FILMS: Final = (".mp4", ".m4v", ".mov", ".mkv")
COPIES: Final = (*FILMS, ".webm", ".ts", ".m2ts", ".mts", ".avi", ".mpg")
"""Containers that a copied clip may stay in."""
KEPT_CONTAINERS: Final = (*FILMS, ".webm")
STILLS: Final = (".jpg", ".jpeg", ".png")

Kind = Literal["film", "still", "list"]


@dataclass(frozen=True)
class Made:
    """What came of an export."""

    path: Path
    """Where it lies; another name than asked for, where that one was taken."""
    word: str = ""
    """What has to be said of it, such as a sound that was left out."""


def kind_of(target: Path) -> Kind:
    """What the ending of a name asks for, in any case of letters.

    Raises:
        ExportError: no ending that is known.
    """
    name = target.name.lower()
    if list_ending(name) is not None:
        return "list"
    if target.suffix.lower() in STILLS:
        return "still"
    if target.suffix.lower() in COPIES:
        return "film"
    known = " ".join((*FILMS, *STILLS, *LISTS))
    raise ExportError(f"{readable(target.name)}: its ending says nothing; take one of {known}")


def copy_ending(cut: Cut) -> str:
    """The container that a copied clip of this file stays in; Matroska takes what others hold."""
    ending = cut.path.suffix.lower()
    return ending if ending in KEPT_CONTAINERS else ".mkv"


def list_ending(name: str) -> str | None:
    """Which of `LISTS` a name ends with; of ".markers.edl" and ".edl" the longer one."""
    found = [ending for ending in LISTS if name.lower().endswith(ending)]
    return max(found, key=len, default=None)


def export(
    cuts: Sequence[Cut],
    target: Path,
    *,
    copy: bool = False,
    strip: bool = False,
    paths: bool = True,
    overwrite: bool = False,
    kept: Iterable[Path] = (),
) -> Made:
    """Write what the ending of `target` asks for: a clip, a film of several, a still, a list.

    Args:
        copy: one clip, its streams as they are.
        strip: leave out when, where and with what it was recorded.
        paths: lists name files with their folders.
        overwrite: replace what has the name; else a free one is taken.
        kept: files that are never replaced, beside the sources.

    Raises:
        ExportError: these moments cannot be exported like that.
        FfmpegError: a file cannot be read there, or the target not be written.
    """
    kind = kind_of(target)
    if kind == "list":
        return write_list(cuts, target, paths=paths, overwrite=overwrite, kept=kept)
    if kind == "still":
        if len(cuts) != 1:
            raise ExportError("a still is of one moment: name one, or a folder for all")
        first = cuts[0]
        return write_still(first.path, first.start, target, overwrite=overwrite, kept=kept)
    if len(cuts) == 1:
        return write_clip(cuts[0], target, copy=copy, strip=strip, overwrite=overwrite, kept=kept)
    if copy:
        raise ExportError("--copy makes single clips: name one moment, or a folder")
    return write_film(cuts, target, overwrite=overwrite, kept=kept)


def write_clip(
    cut: Cut,
    target: Path,
    *,
    copy: bool = False,
    strip: bool = False,
    overwrite: bool = False,
    kept: Iterable[Path] = (),
) -> Made:
    """The moment as a file of its own; the ending of `target` chooses the container.

    Args, raises: as `export`.
    """
    _check_length([cut])
    _check_container(target, copy=copy)
    with (
        source_file(cut.path) as file,
        written(target, overwrite=overwrite, kept=[cut.path, *kept]) as draft,
    ):
        take = copy_clip if copy else take_clip
        word = take((file, cut.start, cut.end), draft.path, keep_tags=not strip)
    return Made(draft.placed, word and f"{cut.name}: {word}")


def write_film(
    cuts: Sequence[Cut], target: Path, *, overwrite: bool = False, kept: Iterable[Path] = ()
) -> Made:
    """Several moments one after the other, in the size of the first, as fast as the fastest.

    Raises: as `export`.
    """
    _check_length(cuts)
    _check_container(target, copy=False)
    sources = [cut.path for cut in cuts]
    with ExitStack() as held:
        files = {path: held.enter_context(source_file(path)) for path in {*sources}}
        draft = held.enter_context(written(target, overwrite=overwrite, kept=[*sources, *kept]))
        word = take_film([(files[cut.path], cut.start, cut.end) for cut in cuts], draft.path)
    return Made(draft.placed, word)


def write_still(
    source: Path,
    seconds: float,
    target: Path,
    *,
    overwrite: bool = False,
    kept: Iterable[Path] = (),
) -> Made:
    """The picture on the screen at `seconds`, in full size.

    Raises: as `export`.
    """
    with (
        source_file(source) as file,
        written(target, overwrite=overwrite, kept=[source, *kept]) as draft,
    ):
        take_still(file, seconds, draft.path)
    return Made(draft.placed)


def write_list(
    cuts: Sequence[Cut],
    target: Path,
    *,
    paths: bool = True,
    overwrite: bool = False,
    kept: Iterable[Path] = (),
) -> Made:
    """The moments as a list; the ending of `target` chooses which of `LISTS`.

    Args:
        paths: name files with their folders.

    Raises:
        ExportError: there is no moment, or one lies beyond its file's end.
        FfmpegError: a file cannot be read, or the target not be written.
    """
    ending = list_ending(target.name)
    if ending is None:
        raise ExportError(f"{readable(target.name)}: no list has this ending")
    if not cuts:
        raise ExportError("there is no moment to export")
    text = LISTS[ending].write(with_clock(cuts) if LISTS[ending].clocked else cuts, paths)
    with written(target, overwrite=overwrite, kept=[*(cut.path for cut in cuts), *kept]) as draft:
        draft.path.write_bytes(text.encode("utf-8", "backslashreplace"))
    return Made(draft.placed)


def _check_container(target: Path, *, copy: bool) -> None:
    allowed = COPIES if copy else FILMS
    if target.suffix.lower() not in allowed:
        hint = " (with --copy)" if target.suffix.lower() in COPIES else ""
        raise ExportError(f"{readable(target.name)}: clips are written as {' '.join(FILMS)}{hint}")


def _check_length(cuts: Sequence[Cut]) -> None:
    if not cuts:
        raise ExportError("there is no moment to export")
    total = sum(cut.seconds for cut in cuts)
    if total > LONGEST:
        raise ExportError(
            f"{total / 60:.0f} minutes are too long to export at once; at most {LONGEST / 60:.0f}"
        )

"""What a visitor downloads: one file made of the moments that the page names.

file = make(files, "film.mp4", '[{"video": 1, "start": 6, "end": 10}]', folder)
"""

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vmr.media.captions import said_as_srt
from vmr.media.cut import Cut
from vmr.media.export import copy_ending, export, list_ending, write_clip
from vmr.media.lists import LISTS
from vmr.page.access import PageError
from vmr.page.files import MediaFiles
from vmr.page.requests import LONGEST_TEXT, ExportMoment, reader

FILM: Final = "film.mp4"
CLIPS: Final = "clips.zip"
FILES: Final = (FILM, CLIPS, *(f"moments{ending}" for ending in LISTS))
MOST_MOMENTS: Final = 200
LONGEST_STEM: Final = 200  # bytes of a video's name; disks take some more
# Elsewhere a backslash parts folders: a file called `..\\..\\x.mp4` here would leave them there.
_UNSAFE: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
_READ_MOMENTS: Final = reader(list[ExportMoment])


def make(files: MediaFiles, file: str, moments: str, folder: Path, *, copy: bool = False) -> Path:
    """Write `file` into `folder`; a film of one moment is called after its video and span there.

    Args:
        file: one of FILES.
        moments: a JSON list of ExportMoment, see views.py.
        copy: clips as they are in their files, from the key picture before the start; nothing is
            encoded anew, so several of them cannot become one film.

    Raises:
        PageError: there is no such file, the visitor may not, or the moments are not understood.
        ExportError, FfmpegError: the moments cannot be exported.
    """
    if file not in FILES:
        raise PageError(f"there is no export called {file}")
    if list_ending(file) is None:
        files.access.require("originals")
    cuts, paths = _cuts(files, moments), files.access.paths
    target, strip = folder / file, not paths  # the place of a recording is one, too
    if file == CLIPS:
        _write_clips(cuts, target, copy=copy, strip=strip)
        return target
    if file == FILM and len(cuts) == 1:
        target = folder / _clip_name(cuts[0], copy)
    elif file == FILM and copy:
        raise PageError("clips that are only copied cannot be joined: take single clips")
    return export(cuts, target, copy=copy, strip=strip, paths=paths).path


def _clip_name(cut: Cut, copy: bool) -> str:
    stem = _UNSAFE.sub("_", Path(cut.name).stem).encode()[:LONGEST_STEM].decode(errors="ignore")
    return f"{stem} {cut.start:.1f}-{cut.end:.1f}{copy_ending(cut) if copy else '.mp4'}"


def _write_clips(cuts: Sequence[Cut], target: Path, *, copy: bool, strip: bool) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, cut in enumerate(cuts, 1):
            name = _clip_name(cut, copy)
            clip = target.with_name(f"{number:03}{Path(name).suffix}")
            write_clip(cut, clip, copy=copy, strip=strip)
            archive.write(clip, f"{number:03} {name}")
            if cut.said:
                archive.writestr(f"{number:03} {Path(name).stem}.srt", said_as_srt(cut))
            clip.unlink()


def _cuts(files: MediaFiles, moments: str) -> list[Cut]:
    try:
        asked = json.loads(moments)
    except (ValueError, RecursionError) as error:
        raise PageError("the moments to export were not understood") from error
    cuts = [_cut(files, moment) for moment in _READ_MOMENTS(asked)[:MOST_MOMENTS]]
    if not cuts:
        raise PageError("there is no moment to export")
    return cuts


def _cut(files: MediaFiles, moment: ExportMoment) -> Cut:
    video = files.read(moment["video"])
    start, end = moment["start"], min(moment["end"], video.duration)
    said, written = files.words(video.id, start, end)
    return Cut(
        files.source(video.id),
        start,
        end,
        video.fps,
        (moment.get("query") or "")[:LONGEST_TEXT],
        moment.get("strength") or 0.0,
        said=said,
        written=written,
    )

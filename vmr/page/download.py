"""What a visitor downloads: one file made of the moments that the page names.

file = make(page, "film.mp4", '[{"video": 1, "start": 6, "end": 10}]', folder)
"""

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from vmr.media.cut import Cut, ExportError
from vmr.media.export import copy_ending, write_clip, write_film, write_list
from vmr.media.lists import LISTS
from vmr.page.page import LONGEST_TEXT, Page, PageError

MOST_MOMENTS: Final = 200
LONGEST_STEM: Final = 200  # bytes of a video's name; disks take some more
# Elsewhere a backslash parts folders: a file called `..\\..\\x.mp4` here would leave them there.
_UNSAFE: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f]')


def make(page: Page, file: str, moments: str, folder: Path, *, copy: bool = False) -> Path:
    """Write `file` into `folder`; a film of one moment is called after its video and span there.

    Args:
        file: film.mp4, clips.zip, or moments with one of the endings of `LISTS`.
        moments: a JSON list of objects with video, start, end, and maybe query and strength.
        copy: clips as they are in their files, from the key picture before the start; nothing is
            encoded anew, so several of them cannot become one film.

    Raises:
        PageError: there is no such file, the visitor may not, or the moments are not understood.
        ExportError, FfmpegError: the moments cannot be exported.
    """
    cuts, strip = _cuts(page, moments), not page.rights.paths  # the place is one, too
    target = folder / file
    if file in [f"moments{ending}" for ending in LISTS]:
        write_list(cuts, target, paths=page.rights.paths)
    elif file not in ("film.mp4", "clips.zip"):
        raise PageError(f"there is no export called {file}")
    elif not page.rights.originals:
        raise PageError("the original videos cannot be downloaded from here")
    elif file == "clips.zip":
        _write_clips(cuts, target, copy=copy, strip=strip)
    elif len(cuts) == 1:
        target = folder / f"{_title(cuts[0])}{_suffix(cuts[0], copy)}"
        write_clip(cuts[0], target, copy=copy, strip=strip)
    elif copy:
        raise PageError("clips that are only copied cannot be joined: take single clips")
    else:
        write_film(cuts, target)
    return target


def _suffix(cut: Cut, copy: bool) -> str:
    return copy_ending(cut) if copy else ".mp4"


def _title(cut: Cut) -> str:
    stem = _UNSAFE.sub("_", Path(cut.name).stem).encode()[:LONGEST_STEM].decode(errors="ignore")
    return f"{stem} {cut.start:.1f}-{cut.end:.1f}"


def _write_clips(cuts: Sequence[Cut], target: Path, *, copy: bool, strip: bool) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, cut in enumerate(cuts, 1):
            clip = target.with_name(f"{number:03}{_suffix(cut, copy)}")
            write_clip(cut, clip, copy=copy, strip=strip)
            archive.write(clip, f"{number:03} {_title(cut)}{clip.suffix}")
            clip.unlink()


def _cuts(page: Page, moments: str) -> list[Cut]:
    try:
        asked = json.loads(moments)
        cuts = [_cut(page, moment) for moment in asked[:MOST_MOMENTS]]
    except (PageError, ExportError):
        raise
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise PageError("the moments to export were not understood") from error
    if not cuts:
        raise PageError("there is no moment to export")
    return cuts


def _cut(page: Page, moment: dict[str, Any]) -> Cut:
    video = page.video(int(moment["video"]))
    return Cut(
        page.source(video.id),
        float(moment["start"]),
        min(float(moment["end"]), video.duration),
        video.fps,
        str(moment.get("query") or "")[:LONGEST_TEXT],
        float(moment.get("strength") or 0.0),
    )

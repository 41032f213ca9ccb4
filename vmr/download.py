"""What a visitor downloads: one file made of the moments that the page names.

file = make(page, "film.mp4", '[{"video": 1, "start": 6, "end": 10}]', folder)
"""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from vmr.export import Cut, ExportError, as_csv, as_edl, as_json, as_otio, write_clip, write_film
from vmr.page import LONGEST_TEXT, Page, PageError

MOST_MOMENTS: Final = 200
_LISTS: Final[dict[str, Callable[[Sequence[Cut], bool], str]]] = {
    "moments.csv": lambda cuts, paths: as_csv(cuts, paths=paths),
    "moments.json": lambda cuts, paths: as_json(cuts, paths=paths),
    "moments.edl": lambda cuts, paths: as_edl(cuts),
    "moments.otio": lambda cuts, paths: as_otio(cuts, paths=paths),
}


def make(page: Page, file: str, moments: str, folder: Path) -> Path:
    """Write `file` into `folder`.

    Args:
        file: film.mp4, clips.zip, or moments with the ending .csv, .json, .edl or .otio.
        moments: a JSON list of objects with video, start, end, and maybe query and strength.

    Raises:
        PageError: there is no such file, the visitor may not, or the moments are not understood.
        ExportError, FfmpegError: the moments cannot be exported.
    """
    cuts = _cuts(page, moments)
    target = folder / file
    if file in _LISTS:
        target.write_text(_LISTS[file](cuts, page.rights.paths), newline="")
    elif file not in ("film.mp4", "clips.zip"):
        raise PageError(f"there is no export called {file}")
    elif not page.rights.originals:
        raise PageError("the original videos cannot be downloaded from here")
    elif file == "clips.zip":
        _write_clips(cuts, target)
    elif len(cuts) == 1:
        write_clip(cuts[0], target)
    else:
        write_film(cuts, target)
    return target


def _write_clips(cuts: Sequence[Cut], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, cut in enumerate(cuts, 1):
            clip = target.with_name(f"{number:03}.mp4")
            write_clip(cut, clip)
            archive.write(clip, f"{number:03} {cut.path.stem} {cut.start:.1f}-{cut.end:.1f}.mp4")
            clip.unlink()


def _cuts(page: Page, moments: str) -> list[Cut]:
    try:
        asked = json.loads(moments)
        cuts = [_cut(page, moment) for moment in asked[:MOST_MOMENTS]]
    except (PageError, ExportError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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

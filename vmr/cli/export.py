"""The command that takes moments out of a library: clips, films, stills and lists.

    python -m vmr export 3@72.5-80 --to dog.mp4 --library LIBRARY

Heavy modules are imported inside the command, so that `--help` answers at once.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmr.cli.console import DONE, Commands, one_line, open_library
from vmr.cli.kept import kept_of
from vmr.cli.search import span

if TYPE_CHECKING:
    from vmr.library.store import Library
    from vmr.media.cut import Cut
    from vmr.media.export import Made

ENDINGS = """endings of FILE:
  .mp4 .m4v .mov .mkv        a clip; a film, of several moments
  .jpg .png                  a still of the moment's first picture
  .csv .json                 a table
  .edl .otio                 edit lists: CMX 3600, OpenTimelineIO
  .fcpxml .xml               projects: Final Cut Pro, Premiere Pro
  .markers.edl               markers for DaVinci Resolve
  .srt .vtt .chapters.txt    subtitles, and chapters for YouTube
Nothing that exists is replaced: "dog.mp4" becomes "dog 2.mp4", unless --overwrite is given."""


def add_parsers(command: Commands) -> None:
    """Register the command."""
    export = command("export", _export, "Take moments out: a clip, a film of several, a list.")
    export.formatter_class = argparse.RawDescriptionHelpFormatter
    export.epilog = ENDINGS
    export.add_argument(
        "moments",
        nargs="+",
        type=_span_or_input,
        metavar="ID@START-END",
        help="seconds; or -: what search --json prints",
    )
    export.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="FILE",
        help="its ending says what; a folder: a clip of each",
    )
    export.add_argument(
        "--copy", action="store_true", help="clips without encoding, from the key picture before"
    )
    export.add_argument(
        "--strip", action="store_true", help="leave out recording date, place and camera"
    )
    export.add_argument(
        "--captions", action="store_true", help="what is said, as .srt and .vtt beside each clip"
    )
    export.add_argument("--overwrite", action="store_true", help="replace what has the name")


def _span_or_input(text: str) -> tuple[int, float, float] | None:
    return None if text == "-" else span(text)


def _export(options: argparse.Namespace) -> int:
    from vmr.media.export import copy_ending, export, write_clip
    from vmr.media.outputs import fitting_name

    library, target = open_library(options.library), options.to
    cuts = _cuts(options.moments, library)
    kept = kept_of(library, target)
    into_folder = os.path.isdir(target)  # noqa: PTH112  # False of a name too long for the disk
    made = []
    for number, cut in enumerate(cuts if into_folder else (), 1):
        ending = copy_ending(cut) if options.copy else ".mp4"
        made.append(
            write_clip(
                cut,
                target / f"{number:03} {cut.path.stem}{ending}",
                copy=options.copy,
                strip=options.strip,
                overwrite=options.overwrite,
                kept=kept,
            )
        )
    if not into_folder:
        one = export(
            cuts,
            target,
            copy=options.copy,
            strip=options.strip,
            overwrite=options.overwrite,
            kept=kept,
        )
        made.append(one)
        target = one.path
    words = [one.word for one in made]
    if options.captions:
        words += _write_captions(cuts, made, overwrite=options.overwrite, kept=kept)
    for word in filter(None, words):
        print(f"note: {one_line(word)}", file=sys.stderr)
    taken = ""
    if target != options.to:
        fits = options.to == fitting_name(options.to)
        why = "was not free" if fits else "is too long a name"
        taken = f" ({one_line(options.to.name)} {why})"
    print(f"{len(cuts)} moments in {one_line(str(target))}{taken}", file=sys.stderr)
    return DONE


def _write_captions(
    cuts: Sequence["Cut"], made: Sequence["Made"], *, overwrite: bool, kept: Sequence[Path]
) -> list[str]:
    """What is said in each clip, beside it under its name; what has to be said of that."""
    from vmr.media.captions import said_as_srt, said_as_vtt
    from vmr.media.export import kind_of
    from vmr.media.outputs import written

    if len(cuts) != len(made) or any(kind_of(one.path) != "film" for one in made):
        raise ValueError("--captions go beside single clips: name one moment, or a folder")
    told = []
    for cut, one in zip(cuts, made, strict=True):
        for ending, text in ((".srt", said_as_srt(cut)), (".vtt", said_as_vtt(cut))):
            target = one.path.with_suffix(ending)
            with written(target, overwrite=overwrite, kept=kept) as draft:
                draft.path.write_text(text, encoding="utf-8")
            if draft.placed.name != target.name:
                told.append(f"captions in {draft.placed.name}, as {target.name} was not free")
    return told


def _cuts(spans: Sequence[tuple[int, float, float] | None], library: "Library") -> list["Cut"]:
    named = [_cut(library, *span) for span in spans if span is not None]
    if None not in spans:
        return named
    try:
        answer = json.load(sys.stdin)
        asked = [
            (m["video"], m["start"], m["end"], answer["query"], m["strength"])
            for m in answer["moments"]
        ]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError("standard input is not what `search --json` prints") from error
    return named + [_cut(library, *moment) for moment in asked]


def _cut(
    library: "Library", id: int, start: float, end: float, query: str = "", strength: float = 0.0
) -> "Cut":
    """A moment of a video; ValueError where that has no such moment."""
    from feature_extract.transcript import SENSES
    from vmr.library.content import ContentError
    from vmr.media.cut import Cut

    video = library.video(id)
    if video.state == "refused":
        raise ValueError(f"video {id}, {one_line(video.name)}, was refused: {video.reason}")
    try:
        holds = library.still_holds(video)
    except ContentError as error:
        raise ValueError(one_line(str(error))) from error
    if not holds:
        raise ValueError(
            f"{one_line(str(video.path))}: another recording lies there now; `rescan` reads it"
        )
    if 0 < video.duration <= start:
        raise ValueError(
            f"{one_line(video.name)}: ends at {video.duration:.1f} s, before {start:.1f} s"
        )
    last = min(end, video.duration) if start < end and video.duration else end
    said, written = (
        library.transcripts.between(id, sense, start, last) if start < last else ()
        for sense in SENSES
    )
    return Cut(video.path, start, last, video.fps, query, strength, said=said, written=written)

"""The kinds of list that moments are written as, by the ending of the file's name.

    LISTS[".edl"].write(with_clock(cuts), True)        # text
    with_clock(cuts)                                   # what their files say of rate and timecode

The command line, the page and the interface for programs all read this one table.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from feature_extract.video.spans import Facts, read_facts
from vmr.library.catalogue import readable
from vmr.media.captions import as_chapters, as_srt, as_vtt
from vmr.media.cut import Cut, ExportError, source_file
from vmr.media.edit_lists import as_edl, as_markers, as_otio
from vmr.media.taking import named
from vmr.media.xml_lists import as_fcpxml, as_xmeml


@dataclass(frozen=True)
class ListKind:
    """One kind of list."""

    title: str
    "what it is called in a menu"
    write: Callable[[Sequence[Cut], bool], str]
    "of moments, and whether files may be named with their folders"
    clocked: bool = False
    "whether the files are asked for their exact rate and timecode"


def as_records(cuts: Sequence[Cut], *, paths: bool = True) -> list[dict[str, Any]]:
    """One JSON object a moment; without `paths`, files are known by name only."""
    return [
        {
            "file": readable(cut.path) if paths else cut.name,
            "start": cut.start,
            "end": cut.end,
            "query": cut.query,
            "strength": cut.strength,
            "text": readable(cut.text),
        }
        for cut in cuts
    ]


def as_json(cuts: Sequence[Cut], *, paths: bool = True) -> str:
    """The moments as a JSON object, seconds as numbers."""
    return json.dumps({"moments": as_records(cuts, paths=paths)}, indent=2, ensure_ascii=False)


def as_csv(cuts: Sequence[Cut], *, paths: bool = True) -> str:
    """The moments as a table with a header line."""
    buffer = io.StringIO()
    fields = ["file", "start", "end", "query", "strength", "text"]
    writer = csv.DictWriter(buffer, fields, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(
        {name: _no_formula(value) for name, value in record.items()}
        for record in as_records(cuts, paths=paths)
    )
    return buffer.getvalue()


def _no_formula(value: object) -> object:
    """Spreadsheets run text that begins with one of these signs; an apostrophe keeps it text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


LISTS: Final[dict[str, ListKind]] = {
    ".csv": ListKind("Table (CSV)", lambda cuts, paths: as_csv(cuts, paths=paths)),
    ".json": ListKind("JSON", lambda cuts, paths: as_json(cuts, paths=paths)),
    ".edl": ListKind("Edit list (CMX 3600)", lambda cuts, _: as_edl(cuts), True),
    ".markers.edl": ListKind("Markers for DaVinci Resolve", lambda cuts, _: as_markers(cuts), True),
    ".otio": ListKind("OpenTimelineIO", lambda cuts, paths: as_otio(cuts, paths=paths), True),
    ".fcpxml": ListKind(
        "Final Cut Pro (FCPXML)", lambda cuts, paths: as_fcpxml(cuts, paths=paths), True
    ),
    ".xml": ListKind("Premiere Pro (XML)", lambda cuts, paths: as_xmeml(cuts, paths=paths), True),
    ".srt": ListKind("Subtitles (SRT)", lambda cuts, _: as_srt(cuts)),
    ".vtt": ListKind("Subtitles (WebVTT)", lambda cuts, _: as_vtt(cuts)),
    ".chapters.txt": ListKind("Chapters for YouTube", lambda cuts, _: as_chapters(cuts)),
}


def with_clock(cuts: Sequence[Cut]) -> list[Cut]:
    """The moments with what their files say of rate, timecode, size and length.

    Raises:
        FfmpegError: a file cannot be read.
        ExportError: a moment begins after its file's end.
    """
    known: dict[Any, Facts] = {}
    for cut in cuts:
        if cut.path not in known:
            with source_file(cut.path) as file, named(file):
                known[cut.path] = read_facts(file)
        length = known[cut.path].info.duration
        if 0 < length <= cut.start:
            raise ExportError(f"{cut.name}: ends at {length:.1f} s, before {cut.start:.1f} s")
    return [
        replace(
            cut,
            facts=known[cut.path],
            end=min(cut.end, known[cut.path].info.duration or cut.end),
        )
        for cut in cuts
    ]

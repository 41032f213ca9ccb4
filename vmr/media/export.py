"""Moments taken away: exact clips, one film of several, stills, tables and edit lists.

    cuts = [Cut(Path("a.mp4"), 12.0, 19.5, fps=25, query="a dog jumps")]
    write_clip(cuts[0], Path("dog.mp4"))            # re-encoded, exact to the frame
    write_film(cuts, Path("all.mp4"))               # joined, in the size of the first
    Path("cuts.edl").write_text(as_edl(cuts))       # also as_csv, as_json, as_otio

A clip holds the frames whose time lies in [start, end). With `copy` nothing is encoded anew: that
is fast and loses nothing, but a clip can then begin only at the key picture before its start.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import opentimelineio as otio

from feature_extract.video.frames import VideoInfo, probe
from vmr.library.catalogue import readable
from vmr.library.scratch import scratch_folder
from vmr.media.ffmpeg import SQUARE, input_of, run

LONGEST: Final = 3600.0  # seconds of one export
_QUALITY: Final = ("-c:v", "libx264", "-preset", "fast", "-crf", "18", "-pix_fmt", "yuv420p")
_EVERY_FRAME: Final = ("-fps_mode", "vfr", "-enc_time_base", "demux")
"""At the file's own times: in steps of the average frame rate, frames closer together are lost."""
_SOUND: Final = ("-c:a", "aac", "-b:a", "160k", "-ar", "48000", "-ac", "2")


class ExportError(ValueError):
    """These moments cannot be exported; the message says which and why."""


@dataclass(frozen=True)
class Cut:
    """One moment of one file, to be taken out."""

    path: Path
    start: float
    "seconds"
    end: float
    "seconds; the frame at this time is no longer part of it"
    fps: float
    "frames a second of the file, on average"
    query: str = ""
    "what found it"
    strength: float = 0.0
    "0..1"

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < float("inf"):
            raise ExportError(f"{self.name}: {self.start} to {self.end} s is no span of time")

    @property
    def name(self) -> str:
        """Of the file, as text."""
        return readable(self.path.name)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end - self.start


# Pictures and sound


def write_clip(cut: Cut, target: Path, *, copy: bool = False) -> None:
    """The moment as a file of its own; the ending of `target` chooses the container.

    Args:
        copy: take the streams as they are, from the key picture before the start.

    Raises:
        FfmpegError: the file cannot be read there.
        ExportError: it is too long.
    """
    _check_length([cut])
    coding = (
        ["-c", "copy", "-avoid_negative_ts", "make_zero"]
        if copy
        else [*_QUALITY, *_EVERY_FRAME, *_SOUND]
    )
    shape = [] if copy else ["-vf", f"{_until(cut)},{SQUARE}", "-af", f"a{_until(cut)}"]
    output = ["-map", "0:v:0", "-map", "0:a:0?", *shape, *coding, "-movflags", "+faststart"]
    run(_inputs(cut), output, target, name=cut.name, timeout_seconds=_patience(cut))


def write_film(cuts: Sequence[Cut], target: Path) -> None:
    """Several moments one after the other, in the size and frame rate of the first.

    Raises:
        FfmpegError: a file cannot be read.
        ExportError: there is no moment, or all together are too long.
    """
    _check_length(cuts)
    first = probe(cuts[0].path)
    with scratch_folder(target.parent) as folder:
        parts = []
        for number, cut in enumerate(cuts):
            part = Path(folder, f"{number:04}.mp4")
            _write_part(cut, first, cuts[0].fps or 25.0, part)
            parts.append(part)
        # Our own names in our own folder: nothing in the list needs quoting.
        listing = Path(folder, "parts.txt")
        listing.write_text("".join(f"file {part.name}\n" for part in parts))
        inputs = ["-f", "concat", "-i", str(listing)]
        run(inputs, ["-c", "copy", "-movflags", "+faststart"], target, name=target.name)


def _write_part(cut: Cut, shape: VideoInfo, fps: float, target: Path) -> None:
    """One moment in the common form: the same size, rate and sound, silent where it had none."""
    width, height = shape.width // 2 * 2, shape.height // 2 * 2
    fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease"
    picture = f"{_until(cut)},{SQUARE},{fit},pad={width}:{height}:-1:-1,fps={fps:.6f}"
    silence = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"]
    heard = "0:a:0" if probe(cut.path).has_audio else "1:a:0"
    sound = ["-map", heard, "-af", f"a{_until(cut)}", *_SOUND]
    output = ["-map", "0:v:0", "-vf", picture, *_QUALITY, *sound, "-shortest"]
    inputs = [*_inputs(cut), *silence]
    run(inputs, output, target, name=cut.name, timeout_seconds=_patience(cut))


def write_still(source: Path, seconds: float, target: Path) -> None:
    """The frame shown at `seconds`, in full size.

    Raises:
        FfmpegError: there is none.
    """
    inputs = ["-ss", f"{seconds:.6f}", *input_of(source)]
    output = ["-frames:v", "1", "-vf", SQUARE, "-q:v", "2"]
    run(inputs, output, target, name=readable(source.name))


def _inputs(cut: Cut) -> list[str]:
    return ["-ss", f"{cut.start:.6f}", "-t", f"{cut.seconds:.6f}", *input_of(cut.path)]


def _until(cut: Cut) -> str:
    """The filter that drops what is shown from the end on.

    ffmpeg's own `-t` counts from the first frame kept, which lies after the start when the start
    falls between two frames: one frame too many.
    """
    return f"trim=end={cut.seconds:.6f}"


def _patience(cut: Cut) -> float:
    return 120.0 + 20.0 * cut.seconds


def _check_length(cuts: Sequence[Cut]) -> None:
    if not cuts:
        raise ExportError("there is no moment to export")
    total = sum(cut.seconds for cut in cuts)
    if total > LONGEST:
        raise ExportError(
            f"{total / 60:.0f} minutes are too long to export at once; at most {LONGEST / 60:.0f}"
        )


# Lists


def as_records(cuts: Sequence[Cut], *, paths: bool = True) -> list[dict[str, Any]]:
    """One JSON object a moment; without `paths`, files are known by name only."""
    return [
        {
            "file": readable(cut.path) if paths else cut.name,
            "start": cut.start,
            "end": cut.end,
            "query": cut.query,
            "strength": cut.strength,
        }
        for cut in cuts
    ]


def as_json(cuts: Sequence[Cut], *, paths: bool = True) -> str:
    """The moments as a JSON object, seconds as numbers."""
    return json.dumps({"moments": as_records(cuts, paths=paths)}, indent=2, ensure_ascii=False)


def as_csv(cuts: Sequence[Cut], *, paths: bool = True) -> str:
    """The moments as a table with a header line."""
    buffer = io.StringIO()
    fields = ["file", "start", "end", "query", "strength"]
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


def as_edl(cuts: Sequence[Cut], title: str = "Moments") -> str:
    """A CMX 3600 edit decision list, non-drop-frame, at the frame rate of the first moment."""
    rate = max(1, round(cuts[0].fps)) if cuts else 25
    lines = [f"TITLE: {_one_line(title)}", "FCM: NON-DROP FRAME", ""]
    at = 0
    for number, cut in enumerate(cuts, 1):
        begin, length = round(cut.start * rate), max(1, round(cut.seconds * rate))
        codes = (begin, begin + length, at, at + length)
        times = " ".join(_timecode(frame, rate) for frame in codes)
        lines.append(f"{number:03}  AX       V     C        {times}")
        lines.append(f"* FROM CLIP NAME: {_one_line(cut.name)}")
        if cut.query:
            lines.append(f"* COMMENT: {_one_line(cut.query)}")
        at += length
    return "\n".join(lines) + "\n"


def _timecode(frame: int, rate: int) -> str:
    seconds, rest = divmod(frame, rate)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{rest:02}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def as_otio(cuts: Sequence[Cut], *, paths: bool = True, title: str = "Moments") -> str:
    """An OpenTimelineIO timeline (JSON) that editing programs open, one clip a moment."""
    timeline = otio.schema.Timeline(name=title)
    track = otio.schema.Track(name="V1", kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(track)
    for cut in cuts:
        rate = cut.fps or 25.0
        span = otio.opentime.TimeRange(
            otio.opentime.RationalTime(round(cut.start * rate), rate),
            otio.opentime.RationalTime(max(1, round(cut.seconds * rate)), rate),
        )
        url = cut.path.resolve().as_uri() if paths else cut.name
        track.append(
            otio.schema.Clip(
                name=cut.name,
                media_reference=otio.schema.ExternalReference(target_url=url),
                source_range=span,
                metadata={"moment": {"query": cut.query, "strength": cut.strength}},
            )
        )
    return str(otio.adapters.write_to_string(timeline, "otio_json"))

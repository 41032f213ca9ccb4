"""Subtitles that are there already, as a transcript: files beside a video, and tracks inside it.

beside = sidecars(Path("film.mp4"))            # [film.en.srt, film.srt], the best first
said = from_file(beside[0], end=5400.0)        # SubtitleError: one line, names the file
said = from_tracks(words.tracks, end=5400.0)   # None where no track says anything
"""

import html
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import pysubs2

from feature_extract.transcript import TextSpan, Transcript, in_order
from feature_extract.video.frames import shown_name
from feature_extract.video.sound import TextTrack

ENDINGS: Final = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa"}
"""The names of formats that a subtitle file may end in, and how pysubs2 calls them."""
PREFERRED: Final = "en"
"""The language that comes first where there are several: the one that questions are asked in."""
LARGEST: Final = 20_000_000
"""Bytes: more is no subtitle file."""
JOINED_SECONDS: Final = 0.1
"""The same text again after so short a pause is still the same."""
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_FORCED: Final = "forced"
_QUALITIES: Final = {_FORCED, "default", "sdh", "cc", "hi"}
"""What a file's name says between language and ending."""
_SHORTER: Final = {
    **{"ara": "ar", "ces": "cs", "chi": "zh", "cze": "cs", "dan": "da", "deu": "de", "dut": "nl"},
    **{"ell": "el", "eng": "en", "fin": "fi", "fra": "fr", "fre": "fr", "ger": "de", "gre": "el"},
    **{"heb": "he", "hin": "hi", "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko"},
    **{"nld": "nl", "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru"},
    **{"spa": "es", "swe": "sv", "tha": "th", "tur": "tr", "ukr": "uk", "vie": "vi", "zho": "zh"},
}
"""Languages in three letters, as containers name them, in two."""
_TAG: Final = re.compile(r"<[^<>]*>")
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class SubtitleError(ValueError):
    """A file that cannot be read as subtitles: one line with its name and what is wrong."""


class Cue(NamedTuple):
    """One text as a file has it."""

    start: float
    "seconds"
    end: float
    lines: tuple[str, ...]
    "without markup; as shown below each other"


def sidecars(video: Path, names: Collection[str] | None = None) -> list[Path]:
    """The subtitle files of a video, the best first: film.srt, film.en.srt, film.de.sdh.vtt ...

    Files that say to hold only what is in another language ("forced") are not among them.

    Args:
        names: of the files in the video's folder, if they are known.
    """
    if names is None:
        try:
            names = [file.name for file in video.parent.iterdir()]
        except OSError:  # a folder that may be passed through but not listed
            return []
    found = []
    for name in names:
        parts = _parts(video.stem, name)
        if parts is not None and _FORCED not in parts:
            found.append((_rank(_language_of(parts)), name))
    return [video.parent / name for _, name in sorted(found)]


def _parts(stem: str, name: str) -> tuple[str, ...] | None:
    """What stands between the video's name and the ending, in lower case; None for other files."""
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS or not name.startswith(f"{stem}."):
        return None
    parts = tuple(filter(None, name[len(stem) : -len(ending)].lower().split(".")))
    known = all(part in _QUALITIES or _LANGUAGE.fullmatch(part) for part in parts)
    return parts if known and len(parts) <= 3 else None


def _language_of(parts: Iterable[str]) -> str | None:
    return next((language_tag(part) for part in parts if part not in _QUALITIES), None)


def language_tag(said: str) -> str | None:
    """An IETF tag from what files say of a language; None where that is nothing."""
    tag = said.strip().lower()
    return None if tag in ("", "und", "mul", "zxx", "mis") else _SHORTER.get(tag, tag)


def _rank(language: str | None) -> int:
    if language is None:
        return 1
    return 0 if language.split("-")[0] == PREFERRED else 2


def from_file(path: Path, *, end: float) -> Transcript:
    """What a subtitle file says within [0, end) seconds.

    Raises:
        SubtitleError: it cannot be read, or says nothing there.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise SubtitleError(f"{shown_name(path)}: too large for subtitles")
        content = path.read_bytes()
    except OSError as error:
        raise SubtitleError(
            f"{shown_name(path)}: {(error.strerror or 'no file').lower()}"
        ) from error
    spans = _spans(_parsed(as_text(content), path), end)
    if not spans:
        raise SubtitleError(f"{shown_name(path)}: holds no subtitles that can be read")
    video = path.stem
    language = None
    while "." in video and language is None:
        video, _, part = video.rpartition(".")
        known = part.lower() not in _QUALITIES and _LANGUAGE.fullmatch(part)
        language = language_tag(part) if known else None
    return Transcript("said", f"subtitles: {shown_name(Path(path.name))}", language, spans)


def as_text(content: bytes) -> str:
    """Text in whatever encoding subtitles are found in: by its mark, else UTF-8 if it is that, else
    UTF-16 if every other byte is zero, else Latin-1 as Windows has it."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    head = content[:1000]
    for at, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) > 3 and head[at::2].count(0) > len(head) // 4:
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _parsed(text: str, path: Path) -> Iterator[Cue]:
    # pysubs2 reads lines that end in \n, and files of no known form raise whatever they hit upon.
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    try:
        with warnings.catch_warnings():  # of fields that are not looked at here
            warnings.simplefilter("ignore")
            read = pysubs2.SSAFile.from_string(text, format_=ENDINGS[path.suffix.lower()])
    except Exception as error:
        raise SubtitleError(f"{shown_name(path)}: holds no subtitles that can be read") from error
    for event in read.events:
        if not event.is_comment and not event.is_drawing:
            yield Cue(event.start / 1000, event.end / 1000, _lines(event))


def from_tracks(tracks: Iterable[TextTrack], *, end: float) -> Transcript | None:
    """What the best text track of a video says within [0, end) seconds; None if none says anything.

    Tracks that say to hold only what is in another language ("forced") are not used.
    """
    usable = [track for track in tracks if not track.forced]
    for track in sorted(
        usable, key=lambda t: (_rank(language_tag(t.language)), not t.default, t.index)
    ):
        events = [(start, stop, pysubs2.SSAEvent(text=text)) for start, stop, text in track.events]
        cues = [Cue(a, b, _lines(event)) for a, b, event in events if not event.is_drawing]
        if spans := _spans(cues, end):
            inside = track.codec == "closed captions"  # of the pictures
            origin = track.codec if inside else f"text track {track.index}"
            return Transcript("said", origin, language_tag(track.language), spans)
    return None


def _lines(event: pysubs2.SSAEvent) -> tuple[str, ...]:
    text = html.unescape(_TAG.sub("", event.plaintext))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return tuple(line for line in lines if any(map(str.isalnum, line)))


def _rolled(last: Cue | None, cue: Cue) -> int:
    """How many of a cue's first lines are the last ones of the cue before; never all."""
    if last is None:
        return 0
    most = min(len(last.lines), len(cue.lines) - 1)
    return next((n for n in range(most, 0, -1) if last.lines[-n:] == cue.lines[:n]), 0)


def _spans(cues: Iterable[Cue], end: float) -> tuple[TextSpan, ...]:
    """Spans of cues, without what rolling captions show a second time."""
    ordered = sorted(cue for cue in cues if cue.lines and 0 <= cue.start < min(cue.end, end))
    spans: list[TextSpan] = []
    before: list[Cue | None] = [None, *ordered]
    for last, cue in pairwise(before):
        assert cue is not None
        lines = cue.lines[_rolled(last, cue) :]
        text = " ".join(lines)
        held = spans[-1] if spans else None
        if held is not None and held.text.endswith(text) and cue.start < held.end + JOINED_SECONDS:
            longer = max(held.end, min(cue.end, end))
            spans[-1] = TextSpan(held.start, longer, held.text)
        else:
            spans.append(TextSpan(cue.start, min(cue.end, end), text))
    return in_order(spans)

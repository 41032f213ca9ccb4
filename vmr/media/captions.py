"""Moments as text beside a film: subtitles (SRT, WebVTT) and chapters for YouTube; and what is said
in a clip, as subtitles of its own.

Of one file: at the file's own times, so that its player shows where the moments are. Of several: at
those of the film of the moments in this order.
"""

from collections.abc import Sequence
from typing import Final

from vmr.media.cut import Cut
from vmr.media.edit_lists import one_line

OPENING: Final = "Start"
"""Name of the chapter before the first moment: YouTube wants one at 0:00."""


def as_srt(cuts: Sequence[Cut]) -> str:
    """SubRip subtitles, one a moment."""
    return _srt(_placed(cuts))


def _srt(lines: Sequence[tuple[float, float, str]]) -> str:
    blocks = [
        f"{count}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{title.replace('-->', '→')}\n"
        for count, (start, end, title) in enumerate(lines, 1)
    ]
    return "\n".join(blocks)


def as_vtt(cuts: Sequence[Cut]) -> str:
    """WebVTT subtitles, one a moment, as browsers read them."""
    return _vtt(_placed(cuts))


def _vtt(lines: Sequence[tuple[float, float, str]]) -> str:
    blocks = [
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(title)}\n"
        for start, end, title in lines
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def as_chapters(cuts: Sequence[Cut]) -> str:
    """Lines for the description of a film on YouTube. It shows chapters where there are three at
    least, of ten seconds at least."""
    placed = _placed(cuts)
    lines = [] if placed and int(placed[0][0]) == 0 else [f"0:00 {OPENING}"]
    for start, _, title in placed:
        seconds = int(start)
        hours = f"{seconds // 3600}:{seconds // 60 % 60:02}" if seconds >= 3600 else ""
        lines.append(f"{hours or seconds // 60}:{seconds % 60:02} {title}")
    return "\n".join(lines) + "\n"


def words_of(cut: Cut) -> list[tuple[float, float, str]]:
    """(start, end, text) of everything said in a clip, on the clip's own clock."""
    return [
        (max(0.0, span.start - cut.start), min(span.end, cut.end) - cut.start, one_line(span.text))
        for span in cut.said
        if span.end > cut.start and span.start < cut.end
    ]


def said_as_srt(cut: Cut) -> str:
    """What is said in a clip, as SubRip subtitles beside it."""
    return _srt(words_of(cut))


def said_as_vtt(cut: Cut) -> str:
    """What is said in a clip, as WebVTT subtitles beside it."""
    return _vtt(words_of(cut))


def _placed(cuts: Sequence[Cut]) -> list[tuple[float, float, str]]:
    """(start, end, title) on one time line, ascending."""
    titled = [(cut, one_line(cut.query or cut.name) or "Moment") for cut in cuts]
    if len({cut.path for cut in cuts}) == 1:
        return sorted((cut.start, cut.end, title) for cut, title in titled)
    placed, at = [], 0.0
    for cut, title in titled:
        placed.append((at, at + cut.seconds, title))
        at += cut.seconds
    return placed


def _clock(seconds: float, mark: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

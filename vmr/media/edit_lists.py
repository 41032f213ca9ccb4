"""Moments as lists that editing programs open: CMX 3600, Resolve markers, OpenTimelineIO.

Sources are numbered by their own timecode, where they have one. A CMX list counts in one rate, that
of its first moment: places in files of other rates are told at the label of the same time.
"""

from collections.abc import Sequence
from fractions import Fraction

import opentimelineio as otio

from vmr.library.catalogue import readable
from vmr.media.cut import Cut
from vmr.media.timecode import Clock, label, nominal, number, timebase

HOUR = "01:00:00"
"""Where timelines begin, where nobody says otherwise."""


def clock_of(cut: Cut) -> Clock:
    """How the file of a moment numbers its pictures."""
    return Clock.of(cut.facts, cut.fps)


def one_line(text: str) -> str:
    """Text without line breaks and what else would end a line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def as_edl(cuts: Sequence[Cut], title: str = "Moments") -> str:
    """A CMX 3600 edit decision list, at the rate and in the labels of the first moment's file."""
    first = clock_of(cuts[0]) if cuts else Clock(nominal(25))
    lines = [f"TITLE: {one_line(title)}", _mode(first.drop), ""]
    at, mode = 0, first.drop
    for count, cut in enumerate(cuts, 1):
        clock = clock_of(cut)
        begin, end = clock.frames(cut.start, cut.end)
        length = max(1, round((end - begin) * first.rate / clock.rate))
        drop = clock.drop if clock.rate == first.rate else first.drop
        source = _in_labels_of(first.rate, clock, begin, drop=drop)
        if drop != mode:
            lines.append(_mode(drop))
            mode = drop
        codes = [label(frame, first.rate, drop=drop) for frame in (source, source + length)]
        codes += [label(frame, first.rate, drop=first.drop) for frame in (at, at + length)]
        lines.append(f"{count:03}  AX       V     C        {' '.join(codes)}")
        lines.append(f"* FROM CLIP NAME: {one_line(cut.name)}")
        if clock.rate != first.rate:
            lines.append(f"* SOURCE RATE: {float(clock.rate):.3f}")
        if cut.query:
            lines.append(f"* COMMENT: {one_line(cut.query)}")
        at += length
    return "\n".join(lines) + "\n"


def _mode(drop: bool) -> str:
    return "FCM: DROP FRAME" if drop else "FCM: NON-DROP FRAME"


def _in_labels_of(rate: Fraction, clock: Clock, frame: int, *, drop: bool) -> int:
    """The place of a frame, as a number at another rate, drop-frame or not: as long after the label
    that the file begins with."""
    if rate == clock.rate:
        return clock.start + frame
    second, _, rest = clock.label(0).replace(";", ":").rpartition(":")
    start = number(f"{second}{';' if drop else ':'}00", rate)
    start += round(Fraction(int(rest), timebase(clock.rate)) * timebase(rate))
    return start + round(frame * rate / clock.rate)


def as_markers(cuts: Sequence[Cut], title: str = "Moments") -> str:
    """A list of markers as DaVinci Resolve imports it (Timelines > Import > Timeline Markers).

    Of one file: at its own timecode, or from 01:00:00:00 on where it has none, as Resolve begins a
    timeline with it. Of several: where the film of the moments in this order has them.
    """
    clock = clock_of(cuts[0])
    rate, hour = clock.rate, number(f"{HOUR}{';' if clock.drop else ':'}00", clock.rate)
    same = len({cut.path for cut in cuts}) == 1
    zero = clock.start if same and clock.start else hour
    lines, at = [f"TITLE: {one_line(title)}", _mode(clock.drop), ""], 0
    for count, cut in enumerate(cuts, 1):
        begin, end = Clock(rate, zero=clock_of(cut).zero).frames(cut.start, cut.end)
        place = zero + (begin if same else at)
        at += end - begin
        one = [label(place + step, rate, drop=clock.drop) for step in (0, 1)]
        lines.append(f"{count:03}  001      V     C        {' '.join(one * 2)}  ")
        name = one_line(cut.query or cut.name).replace("|", "/")
        lines.append(f" |C:ResolveColorBlue |M:{name} |D:{end - begin}\n")
    return "\n".join(lines)


def as_otio(cuts: Sequence[Cut], *, paths: bool = True, title: str = "Moments") -> str:
    """An OpenTimelineIO timeline (JSON) that editing programs open, one clip a moment."""
    timeline = otio.schema.Timeline(name=title)
    track = otio.schema.Track(name="V1", kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(track)
    for cut in cuts:
        clock = clock_of(cut)
        begin, end = clock.frames(cut.start, cut.end)
        url = cut.path.resolve().as_uri() if paths else cut.name
        whole = None
        if cut.facts:
            last = max(end, clock.frame(cut.facts.info.duration))
            whole = _range(clock.start, last, clock.rate)
        track.append(
            otio.schema.Clip(
                name=cut.name,
                media_reference=otio.schema.ExternalReference(
                    target_url=url, available_range=whole
                ),
                source_range=_range(clock.start + begin, end - begin, clock.rate),
                metadata={
                    "moment": {
                        "query": readable(cut.query),
                        "strength": cut.strength,
                        "note": readable(cut.text),
                    }
                },
            )
        )
    return str(otio.adapters.write_to_string(timeline, "otio_json"))


def _range(start: int, length: int, rate: Fraction) -> otio.opentime.TimeRange:
    return otio.opentime.TimeRange(
        otio.opentime.RationalTime(start, float(rate)),
        otio.opentime.RationalTime(length, float(rate)),
    )

"""Moments as XML for editing programs: Final Cut Pro (FCPXML 1.10) and Premiere (xmeml 5).

Both hold one sequence with the moments one after the other, at the rate and in the size of the
first. FCPXML states times as fractions of a second, which have to be whole frames; xmeml counts
frames, of sequence or file, from their beginnings.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from vmr.media.cut import Cut
from vmr.media.edit_lists import clock_of
from vmr.media.timecode import Clock, label, timebase

SIZE: Final = (1920, 1080)
"""Pixels, where the file was not asked."""
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Element = ElementTree.Element


def as_fcpxml(cuts: Sequence[Cut], *, paths: bool = True, title: str = "Moments") -> str:
    """A project for Final Cut Pro, FCPXML 1.10; DaVinci Resolve opens it, too."""
    root = Element("fcpxml", version="1.10")
    resources = _add(root, "resources")
    clocks = [clock_of(cut) for cut in cuts]
    formats: dict[tuple[Fraction, int, int], str] = {}
    assets: dict[Path, str] = {}
    for cut, clock in zip(cuts, clocks, strict=True):
        shape = (clock.rate, *_size(cut))
        if shape not in formats:
            formats[shape] = f"r{len(formats) + len(assets) + 1}"
            step = 1 / clock.rate
            width, height = str(shape[1]), str(shape[2])
            sizes = {"width": width, "height": height, "frameDuration": _seconds(step)}
            _add(resources, "format", id=formats[shape], **sizes)
        if cut.path not in assets:
            assets[cut.path] = f"r{len(formats) + len(assets) + 1}"
            _asset(resources, assets[cut.path], formats[shape], cut, clock, paths)
    rate, drop = clocks[0].rate, clocks[0].drop
    event = _add(_add(root, "library"), "event", name=_text(title))
    project = _add(event, "project", name=_text(title))
    first = formats[(rate, *_size(cuts[0]))]
    sequence = _add(project, "sequence", format=first, tcStart="0s", tcFormat=_form(drop))
    spine, at = _add(sequence, "spine"), 0
    for cut, clock in zip(cuts, clocks, strict=True):
        begin, end = clock.frames(cut.start, cut.end)
        length = max(1, round((end - begin) * rate / clock.rate))
        clip = _add(
            spine,
            "asset-clip",
            ref=assets[cut.path],
            name=_text(cut.name),
            offset=_seconds(at / rate),
            start=_seconds((clock.start + begin) / clock.rate),
            duration=_seconds(length / rate),
            format=formats[(clock.rate, *_size(cut))],
            tcFormat=_form(clock.drop),
        )
        if cut.query:
            _add(clip, "note").text = _text(cut.query)
        at += length
    sequence.set("duration", _seconds(at / rate))
    return _written(root, "fcpxml")


def _asset(resources: Element, id: str, format: str, cut: Cut, clock: Clock, paths: bool) -> None:
    whole = _frames(cut, clock)
    asset = _add(
        resources,
        "asset",
        id=id,
        name=_text(cut.name),
        start=_seconds(clock.start / clock.rate),
        duration=_seconds(whole / clock.rate),
        hasVideo="1",
        format=format,
    )
    if cut.facts is None or cut.facts.info.has_audio:
        asset.attrib.update(hasAudio="1", audioSources="1", audioChannels="2")
    _add(asset, "media-rep", kind="original-media", src=_address(cut, paths))


def as_xmeml(cuts: Sequence[Cut], *, paths: bool = True, title: str = "Moments") -> str:
    """A sequence for Premiere Pro, Final Cut Pro 7 XML (xmeml, version 5)."""
    root = Element("xmeml", version="5")
    clocks = [clock_of(cut) for cut in cuts]
    rate, at = clocks[0].rate, 0
    sequence = _add(root, "sequence", id="moments")
    _add(sequence, "name").text = _text(title)
    total = _add(sequence, "duration")
    _rate(sequence, rate)
    _timecode(sequence, Clock(rate, 0, clocks[0].drop))
    media = _add(sequence, "media")
    video, audio = _add(media, "video"), _add(media, "audio")
    form = _add(_add(video, "format"), "samplecharacteristics")
    _rate(form, rate)
    for name, pixels in zip(("width", "height"), _size(cuts[0]), strict=True):
        _add(form, name).text = str(pixels)
    pictures, sounds = _add(video, "track"), _add(audio, "track")
    files: dict[object, str] = {}
    for count, (cut, clock) in enumerate(zip(cuts, clocks, strict=True), 1):
        begin, end = clock.frames(cut.start, cut.end)
        length = max(1, round((end - begin) * rate / clock.rate))
        span = (at, at + length, begin, end)
        heard = cut.facts is None or cut.facts.info.has_audio
        links = [f"video-{count}"] + [f"audio-{count}"] * heard
        _item(pictures, links[0], cut, clock, span, files, paths, links)
        if heard:
            _item(sounds, links[1], cut, clock, span, files, paths, links)
        at += length
    total.text = str(at)
    return _written(root, "xmeml")


def _item(
    track: Element,
    id: str,
    cut: Cut,
    clock: Clock,
    span: tuple[int, int, int, int],
    files: dict[object, str],
    paths: bool,
    links: Sequence[str],
) -> None:
    item = _add(track, "clipitem", id=id)
    _add(item, "name").text = _text(cut.name)
    _add(item, "duration").text = str(_frames(cut, clock))
    _rate(item, clock.rate)
    for name, frame in zip(("start", "end", "in", "out"), span, strict=True):
        _add(item, name).text = str(frame)
    new = cut.path not in files
    file = _add(item, "file", id=files.setdefault(cut.path, f"file-{len(files) + 1}"))
    if new:  # told once, named afterwards
        _file(file, cut, clock, paths)
    if track is not None and id.startswith("audio"):
        source = _add(item, "sourcetrack")
        _add(source, "mediatype").text = "audio"
        _add(source, "trackindex").text = "1"
    for other in links:
        link = _add(item, "link")
        _add(link, "linkclipref").text = other
        _add(link, "mediatype").text = other.partition("-")[0]
    if cut.query:
        _add(_add(item, "comments"), "mastercomment1").text = _text(cut.query)


def _file(file: Element, cut: Cut, clock: Clock, paths: bool) -> None:
    _add(file, "name").text = _text(cut.name)
    _add(file, "pathurl").text = _address(cut, paths)
    _rate(file, clock.rate)
    _add(file, "duration").text = str(_frames(cut, clock))
    _timecode(file, clock)
    media = _add(file, "media")
    form = _add(_add(media, "video"), "samplecharacteristics")
    for name, pixels in zip(("width", "height"), _size(cut), strict=True):
        _add(form, name).text = str(pixels)
    if cut.facts is None or cut.facts.info.has_audio:
        _add(_add(media, "audio"), "channelcount").text = "2"


def _rate(parent: Element, rate: Fraction) -> None:
    element = _add(parent, "rate")
    _add(element, "timebase").text = str(timebase(rate))
    _add(element, "ntsc").text = "TRUE" if rate.denominator == 1001 else "FALSE"


def _timecode(parent: Element, clock: Clock) -> None:
    element = _add(parent, "timecode")
    _rate(element, clock.rate)
    _add(element, "string").text = label(clock.start, clock.rate, drop=clock.drop)
    _add(element, "frame").text = str(clock.start)
    _add(element, "displayformat").text = _form(clock.drop)


def _frames(cut: Cut, clock: Clock) -> int:
    """How many the file has, as far as is known: up to the moment's end at least."""
    known = cut.facts.info.duration if cut.facts else 0.0
    return max(clock.frames(cut.start, cut.end)[1], clock.frame(known))


def _size(cut: Cut) -> tuple[int, int]:
    return (cut.facts.info.width, cut.facts.info.height) if cut.facts else SIZE


def _form(drop: bool) -> str:
    return "DF" if drop else "NDF"


def _seconds(time: Fraction) -> str:
    whole = time.denominator == 1
    return f"{time.numerator}s" if whole else f"{time.numerator}/{time.denominator}s"


def _address(cut: Cut, paths: bool) -> str:
    return cut.path.resolve().as_uri() if paths else _text(cut.name)


def _add(parent: Element, tag: str, /, **attributes: str) -> Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _text(text: str) -> str:
    """Without what XML cannot hold."""
    return _NO_XML.sub("\ufffd", text)


def _written(root: Element, kind: str) -> str:
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {kind}>\n{body}\n'

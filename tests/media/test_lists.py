"""Lists for editing programs: read by other libraries, and right by tables worked by hand."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import opentimelineio as otio
import pytest

from feature_extract.video.frames import VideoInfo
from feature_extract.video.spans import Facts, picture_at
from tests.support.media import counter_video, ffmpeg, read_counter
from vmr.media.captions import as_chapters, as_srt, as_vtt
from vmr.media.cut import Cut, ExportError
from vmr.media.edit_lists import as_edl, as_markers, as_otio, clock_of
from vmr.media.export import kind_of, list_ending, write_list
from vmr.media.lists import LISTS, with_clock
from vmr.media.timecode import number, timebase
from vmr.media.xml_lists import as_fcpxml, as_xmeml

NTSC = Fraction(30000, 1001)
ODD = 'a "dog" & <cat> \U0001f436 \u05e9\u05dc\u05d5\u05dd\nTHEN'


def facts(
    rate: Fraction = NTSC, timecode: str = "", seconds: float = 60.0, sound: bool = True
) -> Facts:
    info = VideoInfo(seconds, 1920, 1080, float(rate), "h264", 0, sound, 1)
    return Facts(info, 0, Fraction(rate), timecode, {}, ())


def cut(
    name: str = "a.mov", start: float = 58.0, end: float = 59.0, query: str = "", **known: Any
) -> Cut:
    of_file = facts(**known)
    return Cut(Path("/films") / name, start, end, float(of_file.rate), query, 0.5, of_file)


MIXED = [
    cut("a.mov", 58, 59, ODD, timecode="10:00:00:00"),
    cut("b.mov", 2, 4, "a cat", rate=25, timecode="01:00:00:00", sound=False),
    cut("a.mov", 1, 2, timecode="10:00:00:00"),
]


def parsed(xml: str) -> ElementTree.Element:
    """Of our own making: without the line that names a document type."""
    return ElementTree.fromstring(xml.split("\n", 2)[2])  # noqa: S314


def codes(text: str) -> list[list[str]]:
    return [line.split()[4:] for line in text.splitlines() if re.match(r"\d{3}  AX", line)]


def test_an_hour_into_a_film_of_29_97_the_edit_list_is_not_3_6_seconds_off() -> None:
    text = as_edl([Cut(Path("a.mov"), 3600, 3610, 30000 / 1001)])
    assert text.splitlines()[3].split()[4:6] == ["00:59:56:12", "01:00:06:11"]


@pytest.mark.parametrize(
    ("rate", "timecode", "mode", "first"),
    [
        (NTSC, "", "NON-DROP FRAME", "00:00:57:28"),
        (NTSC, "10:00:00:00", "NON-DROP FRAME", "10:00:57:28"),
        (NTSC, "10:00:00;00", "DROP FRAME", "10:00:57;28"),
        (NTSC, "09:59:59;29", "DROP FRAME", "10:00:57;27"),
        (Fraction(24000, 1001), "01:00:00:00", "NON-DROP FRAME", "01:00:57:22"),  # frame 1,390
        (Fraction(60000, 1001), "01:00:00;00", "DROP FRAME", "01:00:57;56"),  # frame 3,476
        (Fraction(25), "23:59:30:00", "NON-DROP FRAME", "00:00:28:00"),
    ],
)
def test_the_edit_list_counts_by_the_clock_of_the_file(
    rate: Fraction, timecode: str, mode: str, first: str
) -> None:
    text = as_edl([cut(rate=rate, timecode=timecode)])
    assert f"FCM: {mode}" in text.splitlines()
    assert codes(text)[0][0] == first


def test_an_edit_list_of_mixed_rates_counts_in_one() -> None:
    text = as_edl(MIXED)
    # b.mov, 2 s after 01:00:00:00: the same label at the list's rate; 2 s are 60 of its frames.
    assert codes(text) == [
        ["10:00:57:28", "10:00:58:28", "00:00:00:00", "00:00:01:00"],
        ["01:00:02:00", "01:00:04:00", "00:00:01:00", "00:00:03:00"],
        ["10:00:00:29", "10:00:01:29", "00:00:03:00", "00:00:04:00"],
    ]
    assert "* SOURCE RATE: 25.000" in text


def test_a_drop_frame_list_tells_places_in_files_of_other_rates_at_the_same_label() -> None:
    """Ten o'clock is ten o'clock in every kind of label, though not the same count of frames."""
    drop = cut("d.mov", 1, 2, timecode="10:00:00;00")
    pal = cut("p.mov", 2, 4, rate=25, timecode="10:00:00:05")
    text = as_edl([drop, pal, cut("n.mov", 1, 2, timecode="10:00:00:00"), pal])
    assert [places[:2] for places in codes(text)] == [
        ["10:00:00;29", "10:00:01;29"],
        ["10:00:02;06", "10:00:04;06"],
        ["10:00:00:29", "10:00:01:29"],
        ["10:00:02;06", "10:00:04;06"],
    ]
    modes = [line for line in text.splitlines() if line.startswith("FCM")]
    assert modes == [f"FCM: {kind}DROP FRAME" for kind in ("", "NON-", "")]
    (other_way,) = codes(as_edl([replace(pal, start=0.0), drop]))[1:]
    assert other_way[:2] == ["10:00:00:24", "10:00:01:24"]


@pytest.mark.parametrize(
    ("rate", "timecode"),
    [
        (Fraction(24000, 1001), "10:00:00:00"),
        (Fraction(25), "23:59:30:00"),
        (Fraction(50), "10:00:00:40"),
        (NTSC, "09:59:02;02"),
        (NTSC, "23:59:05;00"),
        (Fraction(60000, 1001), "00:09:02:00"),
        (Fraction(60000, 1001), "00:09:02;04"),
    ],
)
def test_all_lists_of_one_moment_name_the_same_frames(rate: Fraction, timecode: str) -> None:
    """Over minutes, ten minutes and midnight, which drop-frame labels count each in its own way."""
    moment = cut(start=57.5, end=59.25, rate=rate, timecode=timecode)
    zero, begin, end = number(timecode, rate), int(57.5 * rate), int(59.25 * rate)
    day = number("23:59:59;00" if ";" in timecode else "23:59:59:00", rate) + timebase(rate)

    (places,) = codes(as_edl([moment]))
    assert [number(place, rate) for place in places[:2]] == [
        (zero + begin) % day,
        (zero + end) % day,
    ]
    (marker,) = [line.split() for line in as_markers([moment]).splitlines() if "001  001" in line]
    assert marker[4] == places[0]
    (clip,) = otio.adapters.read_from_string(as_otio([moment]), "otio_json").find_clips()
    assert clip.source_range.start_time.value == zero + begin
    assert clip.source_range.duration.value == end - begin
    premiere = parsed(as_xmeml([moment])).find("sequence/media/video/track/clipitem")
    assert premiere is not None
    assert (premiere.findtext("in"), premiere.findtext("out")) == (str(begin), str(end))
    assert premiere.findtext("file/timecode/frame") == str(zero)
    assert premiere.findtext("file/timecode/string") == timecode
    (apple,) = parsed(as_fcpxml([moment])).iter("asset-clip")
    first, length = (Fraction(apple.attrib[part].rstrip("s")) for part in ("start", "duration"))
    assert [first * rate, length * rate] == [zero + begin, end - begin]


@pytest.mark.parametrize("ending", ["mov", "mp4", "mkv", "ts", "mxf"])
def test_the_frame_that_a_list_names_is_the_picture_on_the_screen(
    ending: str, tmp_path: Path
) -> None:
    """In containers that keep a timecode each in its way, and where sound begins before."""
    plain, film = tmp_path / "plain.mp4", tmp_path / f"film.{ending}"
    counter_video(plain, 3, 25)
    late = ("-itsoffset", "0.48") if ending in ("mkv", "ts") else ()
    heard = ("-f", "lavfi", "-i", "sine=440:d=3", "-map", "1:v", "-map", "0:a") if late else ()
    sound = heard[:4], heard[4:]
    ffmpeg(
        *sound[0], *late, "-i", plain, *sound[1], "-c:v", "copy", "-timecode", "10:00:00:05", film
    )
    (known,) = with_clock([Cut(film, 1.5, 2.0, 25)])
    begin, _ = clock_of(known).frames(1.5, 2.0)
    assert begin == read_counter(picture_at(film, 1.5))
    # Transport streams hold no timecode.
    assert clock_of(known).label(0) == ("00:00:00:00" if ending == "ts" else "10:00:00:05")


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(25), NTSC])
def test_another_reader_finds_the_moments_of_the_edit_list(rate: Fraction) -> None:
    cuts = [
        cut(start=10, end=12, rate=rate, timecode="10:00:00:00"),
        cut(start=20.5, end=21, rate=rate),
    ]
    read = otio.adapters.read_from_string(as_edl(cuts), "cmx_3600", rate=float(rate))
    first, second = read.find_clips()
    zero = otio.opentime.from_timecode("10:00:00:00", float(rate)).value
    assert first.source_range.start_time.value == zero + int(10 * rate)
    assert first.source_range.duration.value == int(12 * rate) - int(10 * rate)
    assert second.source_range.start_time.value == int(20.5 * rate)
    assert first.name == "a.mov"


def test_the_timeline_states_the_whole_file_in_its_own_timecode() -> None:
    read = otio.adapters.read_from_string(as_otio(MIXED), "otio_json")
    clips = list(read.find_clips())
    zero = 10 * 3600 * 30
    assert clips[0].source_range.start_time.value == zero + 1738
    assert clips[0].source_range.start_time.rate == pytest.approx(30000 / 1001)
    whole = clips[0].media_reference.available_range
    assert whole.start_time.value == zero
    assert whole.duration.value == int(60 * NTSC)
    assert clips[1].source_range.start_time.value == 3600 * 25 + 50
    assert clips[1].source_range.duration.value == 50


def test_final_cut_reads_whole_frames_of_the_file(tmp_path: Path) -> None:
    root = parsed(as_fcpxml(MIXED))
    assert root.attrib == {"version": "1.10"}
    assert [child.tag for child in root] == ["resources", "library"]
    assert [child.tag for child in root[0]] == ["format", "asset", "format", "asset"]
    formats = {f.attrib["id"]: f.attrib["frameDuration"] for f in root.iter("format")}
    assert sorted(formats.values()) == ["1/25s", "1001/30000s"]
    ids = [element.get("id") for element in root[0]]
    assert len(set(ids)) == 4
    (sequence,) = root.findall("library/event/project/sequence")
    assert sequence.get("format") in formats
    clips = sequence.findall("spine/asset-clip")
    assert [clip.get("ref") in ids for clip in clips] == [True] * 3

    def seconds(text: str) -> Fraction:
        return Fraction(text.rstrip("s"))

    at = Fraction(0)
    for clip in clips:  # one after the other, each on a frame of its own and of the sequence
        assert seconds(clip.attrib["offset"]) == at
        at += seconds(clip.attrib["duration"])
        assert (seconds(clip.attrib["duration"]) * NTSC).denominator == 1
        step = seconds(formats[clip.attrib["format"]])
        assert (seconds(clip.attrib["start"]) / step).denominator == 1
    assert seconds(sequence.attrib["duration"]) == at
    assert seconds(clips[0].attrib["start"]) == (10 * 3600 * 30 + 1738) / NTSC
    assert clips[0].findtext("note") == ODD
    assets = root.findall("resources/asset")
    assert [asset.get("hasAudio") for asset in assets] == ["1", None]
    assert [media.get("src") for media in assets[0].iter("media-rep")] == ["file:///films/a.mov"]
    read = otio.adapters.read_from_string(as_fcpxml([MIXED[0], MIXED[2]]), "fcpx_xml")
    assert "a.mov" in str(otio.adapters.write_to_string(read, "otio_json"))


def test_premiere_reads_frames_from_the_files_beginning() -> None:
    text = as_xmeml(MIXED)
    root = parsed(text)
    assert (root.tag, root.get("version")) == ("xmeml", "5")
    clips = root.findall("sequence/media/video/track/clipitem")
    tags = ("start", "end", "in", "out")
    frames = [[int(clip.findtext(tag, "")) for tag in tags] for clip in clips]
    assert frames == [[0, 30, 1738, 1768], [30, 90, 50, 100], [90, 120, 29, 59]]
    assert [file.get("id") for clip in clips for file in clip.findall("file")] == [
        "file-1",
        "file-2",
        "file-1",
    ]
    assert clips[0].findtext("file/timecode/string") == "10:00:00:00"
    assert clips[0].findtext("file/timecode/frame") == str(10 * 3600 * 30)
    assert clips[0].findtext("rate/ntsc") == "TRUE"
    assert clips[1].findtext("rate/ntsc") == "FALSE"
    assert len(root.findall("sequence/media/audio/track/clipitem")) == 2
    names = {item.get("id") for item in root.iter("clipitem")}
    assert {link.text for link in root.iter("linkclipref")} == names
    read = otio.adapters.read_from_string(text, "fcp_xml")
    found = [clip for clip in read.find_clips() if clip.parent().kind == "Video"]
    assert [clip.source_range.duration.to_seconds() for clip in found] == pytest.approx(
        [1.001, 2.0, 1.001], abs=3e-3
    )


def test_markers_stand_where_the_moments_are() -> None:
    text = as_markers([MIXED[0], MIXED[2]])
    events = [line for line in text.splitlines() if re.match(r"\d{3}  001", line)]
    assert events[0].split()[4:] == ["10:00:57:28", "10:00:57:29"] * 2
    assert ' |C:ResolveColorBlue |M:a "dog" & <cat> ' in text
    assert text.rstrip().endswith("|D:30")
    no_clock = as_markers([cut(start=1, end=2)])
    assert "01:00:00:29 01:00:01:00" in no_clock  # Resolve's timelines begin at one o'clock
    film = as_markers([cut(timecode="10:00:00;00"), cut("b.mov", timecode="10:00:00;00")])
    assert "01:00:00;00 01:00:00;01" in film  # and those that drop frames, too


def test_subtitles_and_chapters_are_at_the_files_own_times() -> None:
    cuts = [cut(start=3661.5, end=3670, query=ODD), cut(start=15, end=20.25, query="a --> b")]
    assert as_srt(cuts) == (
        "1\n00:00:15,000 --> 00:00:20,250\na → b\n\n"
        f"2\n01:01:01,500 --> 01:01:10,000\n{' '.join(ODD.split())}\n"
    )
    assert as_vtt(cuts).startswith("WEBVTT\n\n00:00:15.000 --> 00:00:20.250\na --&gt; b\n")
    assert "&amp; &lt;cat&gt;" in as_vtt(cuts)
    assert as_chapters(cuts).splitlines()[:2] == ["0:00 Start", "0:15 a --> b"]
    assert as_chapters(cuts).splitlines()[2].startswith("1:01:01 a ")
    two = [cut("a.mov", 5, 7, "one"), cut("b.mov", 50, 53, "two")]  # a film of both
    assert as_chapters(two) == "0:00 one\n0:02 two\n"


@pytest.mark.parametrize(
    ("name", "kind", "ending"),
    [
        ("a.MP4", "film", None),
        ("a.JPG", "still", None),
        ("a.EDL", "list", ".edl"),
        ("a.markers.edl", "list", ".markers.edl"),
        ("a.Chapters.TXT", "list", ".chapters.txt"),
        ("a.FCPXML", "list", ".fcpxml"),
    ],
)
def test_an_ending_says_what_in_any_case_of_letters(
    name: str, kind: str, ending: str | None
) -> None:
    assert kind_of(Path(name)) == kind
    assert list_ending(name) == ending


@pytest.mark.parametrize("name", ["a", "a.txt", "a.exe", ".mp4.part"])
def test_an_ending_that_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(ExportError, match="its ending says nothing"):
        kind_of(Path(name))


@pytest.mark.parametrize("ending", LISTS)
@pytest.mark.parametrize(
    "name",
    ['"q" & <t>.mp4', "\U0001f436.mp4", "\u05e9\u05dc.mp4", "x" * 251 + ".mp4", "\x01\udcff.mp4"],
)
def test_every_list_takes_every_name(ending: str, name: str, tmp_path: Path) -> None:
    odd = replace(cut(query=ODD + name), path=Path("/films") / name)
    for paths in (True, False):
        text = LISTS[ending].write([odd], paths)
        text.encode("utf-8", "backslashreplace")
        if ending in (".json", ".otio"):
            json.loads(text)
        if ending in (".xml", ".fcpxml"):
            parsed(text)
        if not paths:
            assert "/films" not in text


def test_what_a_file_says_is_asked_once_and_a_moment_beyond_its_end_refused(tmp_path: Path) -> None:
    film = tmp_path / "ntsc.mov"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=160x90:r=30000/1001:d=4"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-timecode", "10:00:00:00", film),
    )
    (known,) = with_clock([Cut(film, 2.0, 9.0, 29.97)])
    assert known.facts is not None
    assert known.facts.timecode == "10:00:00:00"
    assert known.facts.rate == NTSC
    assert known.end == pytest.approx(4.0, abs=0.02)
    with pytest.raises(ExportError, match=r"ntsc\.mov: ends at 4\.0 s, before 100\.0 s"):
        write_list([Cut(film, 100, 101, 29.97)], tmp_path / "x.edl")
    assert not (tmp_path / "x.edl").exists()
    made = write_list([known], tmp_path / "n.edl").path
    assert "10:00:01:29" in made.read_text()  # frame 59 is on the screen at 2 s

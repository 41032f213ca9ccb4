"""Subtitles beside a video and inside it: found, read in every form, and the best one first."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_extract.video.closed_captions import scenarist
from feature_extract.video.frames import probe
from feature_extract.video.sound import TextTrack, read_words
from feature_extract.video.subtitles import (
    SubtitleError,
    from_file,
    from_tracks,
    language_tag,
    sidecars,
)
from tests.support.captions import captioned, pop_on, roll_up
from tests.support.media import counter_video, ffmpeg

SRT = """1
00:00:00,500 --> 00:00:01,500
<i>Hello</i> there,
caf\xe9 &amp; friends

2
00:00:02,000 --> 00:00:09,000
{\\an8}Good bye
"""
VTT = """WEBVTT

00:00.500 --> 00:01.500
<v Mary>Hello there,
caf\xe9 &amp; friends

00:02.000 --> 00:09.000 line:0
Good bye
"""
ASS = """[Script Info]
ScriptType: v4.00+
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.10,0:00:00.40,Default,,0,0,0,,not shown
Dialogue: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,{\\i1}Hello{\\i0} there,\\Ncaf\xe9 & friends
Dialogue: 0,0:00:01.60,0:00:01.80,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
Dialogue: 0,0:00:02.00,0:00:09.00,Default,,0,0,0,,Good bye
"""
SAID = [(0.5, 1.5, "Hello there, caf\xe9 & friends"), (2.0, 4.0, "Good bye")]


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    counter_video(path, 4.0, fps=10)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize(("ending", "text"), [("srt", SRT), ("vtt", VTT), ("ass", ASS)])
def test_files_are_read_in_every_form(
    tmp_path: Path, ending: str, text: str, encoding: str
) -> None:
    for newline in ("\n", "\r\n", "\r"):
        path = tmp_path / f"film.en-GB.{ending}"
        path.write_bytes(text.replace("\n", newline).encode(encoding))
        said = from_file(path, end=4.0)
        assert [(span.start, span.end, span.text) for span in said.spans] == SAID
        assert (said.sense, said.origin) == ("said", f"subtitles: film.en-GB.{ending}")
        assert said.language == "en-gb"


def test_the_files_of_a_video_are_found_and_english_comes_first() -> None:
    names = {"film.srt", "film.EN.srt", "film.de.vtt", "film.eng.sdh.srt", "film.pt-BR.ass"}
    others = {"film.en.forced.srt", "film.mp4", "film.txt", "film.part2.srt", "film2.srt"}
    others |= {"film.en.2.srt", "afilm.srt", "film.en"}
    found = [path.name for path in sidecars(Path("/v/film.mp4"), names | others)]
    assert set(found) == names
    assert found[:3] == ["film.EN.srt", "film.eng.sdh.srt", "film.srt"]
    assert sidecars(Path("/nowhere/at/all/film.mp4")) == []


@pytest.mark.parametrize(
    ("said", "tag"), [("eng", "en"), ("ger", "de"), ("", None), ("und", None), ("pt-BR", "pt-br")]
)
def test_languages_become_tags(said: str, tag: str | None) -> None:
    assert language_tag(said) == tag


@pytest.mark.parametrize(
    "text", ["", "hello", "1\n00:00:09,000 --> 00:00:08,000\nback\n", "\0" * 50]
)
def test_a_file_without_subtitles_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    for ending in ("srt", "vtt", "ass"):
        path = tmp_path / f"film.{ending}"
        path.write_text(text)
        with pytest.raises(SubtitleError, match=rf"film\.{ending}: holds no subtitles"):
            from_file(path, end=60.0)
    with pytest.raises(SubtitleError, match=r"gone\.srt: no such file"):
        from_file(tmp_path / "gone.srt", end=60.0)


@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_bytes_stop_the_reader(noise: bytes, at: int) -> None:
    for kind, text in (("srt", SRT), ("vtt", VTT), ("ass", ASS)):
        whole = text.encode()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"film.{kind}")
            path.write_bytes(whole[:at] + noise + whole[at:])
            try:
                said = from_file(path, end=60.0)
            except SubtitleError:
                continue
            assert all(0 <= span.start < span.end <= 60 for span in said.spans)


def test_rolling_captions_say_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    path.write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000\nfirst line\n\n00:02.000 --> 00:02.010\nfirst line\n\n"
        "00:02.010 --> 00:04.000\nfirst line\nsecond <00:03.000><c>line</c>\n\n"
        "00:06.000 --> 00:07.000\nsecond line\n"
    )
    said = [(span.start, span.end, span.text) for span in from_file(path, end=60.0).spans]
    assert said == [(1, 2.01, "first line"), (2.01, 4, "second line"), (6, 7, "second line")]


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mov_text"), ("mkv", "srt"), ("mkv", "ass"), ("mkv", "webvtt"), ("webm", "webvtt")],
)
def test_tracks_inside_a_file_are_read(
    silent: Path, tmp_path: Path, container: str, codec: str
) -> None:
    beside, path = tmp_path / "texts.srt", tmp_path / f"film.{container}"
    beside.write_text(SRT)
    video = ("-c:v", "libvpx") if container == "webm" else ("-c:v", "copy")
    language = ("-metadata:s:s:0", "language=eng")
    ffmpeg("-i", silent, "-i", beside, *video, "-c:s", codec, *language, path)
    with read_words(path, 0.0, 4.0) as words:
        said = from_tracks(words.tracks, end=4.0)
        assert list(words) == []
    assert words.reason == "no sound"
    assert said is not None
    assert [(span.start, span.end, span.text) for span in said.spans] == SAID
    assert (said.origin, said.language) == ("text track 1", "en")


def test_the_best_track_is_taken() -> None:
    def track(index: int, language: str, text: str = "x", **marks: bool) -> TextTrack:
        chosen = {"forced": False, "default": False} | marks
        return TextTrack(index, "srt", language, events=((1.0, 2.0, text),), **chosen)

    german, silent = track(1, "ger", default=True), track(4, "eng", "{\\an8}")
    forced, english = track(2, "eng", forced=True), track(3, "eng")
    for tracks, origin in [
        ((german, forced, english, silent), "text track 3"),
        ((silent, forced, german), "text track 1"),
    ]:
        said = from_tracks(tracks, end=9.0)
        assert said is not None
        assert said.origin == origin
    assert from_tracks((forced, silent), end=9.0) is None
    assert from_tracks((english,), end=0.5) is None


@pytest.mark.parametrize(
    ("name", "codec"),
    {
        "a.ts": "libx264",
        "a.mp4": "libx264",
        "a.mkv": "libx264",
        "a.mpg": "mpeg2video",
        "b.ts": "mpeg2video",
    }.items(),
)
def test_captions_inside_the_pictures_of_a_broadcast_are_its_words(
    name: str, codec: str, tmp_path: Path
) -> None:
    pairs = [*pop_on(1.5, 3.0, "Hello there"), *pop_on(4.0, 5.0, "and good bye")]
    captioned(tmp_path / name, pairs, 6.0, codec)
    assert probe(tmp_path / name).has_text
    with read_words(tmp_path / name, 0.0, 6.0) as words:
        said = from_tracks(words.tracks, end=6.0)
    assert said is not None
    assert said.origin == "closed captions"
    assert [span.text for span in said.spans] == ["Hello there", "and good bye"]
    times = [(span.start, span.end) for span in said.spans]
    assert times == [pytest.approx((1.5, 3.0), abs=0.2), pytest.approx((4.0, 5.0), abs=0.2)]


def test_captions_that_roll_up_are_told_once(tmp_path: Path) -> None:
    pairs = [*roll_up(1, "one line"), *roll_up(3, "another"), *roll_up(5, "the last")]
    captioned(tmp_path / "a.ts", [*pairs, *pop_on(7, 7.5, "x")[-2:]], 8.0)
    with read_words(tmp_path / "a.ts", 0.0, 8.0) as words:
        said = from_tracks(words.tracks, end=8.0)
    assert said is not None
    assert [span.text for span in said.spans] == ["one line", "another", "the last"]
    assert [span.start for span in said.spans] == pytest.approx([1, 3, 5], abs=0.3)


def test_captions_of_a_track_of_its_own_begin_when_they_are_shown(tmp_path: Path) -> None:
    """libav tells of each once it is gone."""
    captioned(tmp_path / "a.ts", pop_on(1.5, 3.0, "Hello there"), 4.0)
    source = tmp_path / "a.ts"
    (tmp_path / "a.scc").write_text(scenarist(str(source), probe(source).origin))
    film = tmp_path / "film.mov"
    counter_video(tmp_path / "b.mp4", 4.0, fps=10)
    inputs = ("-i", tmp_path / "b.mp4", "-i", tmp_path / "a.scc")
    ffmpeg(*inputs, "-map", "0", "-map", "1", "-c", "copy", film)
    with read_words(film, 0.0, 4.0) as words:
        said = from_tracks(words.tracks, end=4.0)
    assert said is not None
    assert [(span.start, span.end) for span in said.spans] == [pytest.approx((1.5, 3.0), abs=0.2)]
    assert said.origin == "text track 1"

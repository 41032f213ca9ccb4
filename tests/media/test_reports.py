"""What people of this trade reported, rebuilt in small; docs/RELIABILITY.md has the table."""

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from feature_extract.video.frames import read_frames
from tests.support.media import counter_video, ffmpeg, read_counter
from vmr.media.cut import Cut, ExportError
from vmr.media.export import export, write_clip, write_film, write_still
from vmr.media.ffmpeg import FfmpegError, reason
from vmr.media.outputs import LONGEST_NAME, OutputError, fitting_name
from vmr.media.preview import Previews

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
SINE = ("-f", "lavfi", "-i", "sine=440")


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as film:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)]


def loudness(path: Path) -> float:
    """Root mean square of the first sound stream, of 1; -1 where there is none."""
    with av.open(str(path)) as film:
        if not film.streams.audio:
            return -1
        pieces = [frame.to_ndarray().ravel() for frame in film.decode(audio=0)]
    return float(np.sqrt(np.mean(np.concatenate(pieces).astype(float) ** 2)))


def seconds(path: Path, kind: str) -> float:
    with av.open(str(path)) as film:
        stream = film.streams.get({kind: 0})[0]
        if stream.duration is None:
            assert film.duration is not None
            return film.duration / av.time_base
        assert stream.time_base is not None
        return float(stream.duration * stream.time_base)


def colour(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour right of the middle."""
    height, width = picture.shape[:2]
    piece = picture[height // 3 : height * 7 // 12, width * 5 // 8 : width * 7 // 8]
    return np.asarray(piece.mean((0, 1)), np.float64)


def first_picture(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as film:
        return np.asarray(next(film.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


@pytest.fixture(scope="module")
def holiday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reports") / "holiday.mp4"
    counter_video(path, 4, 25, gop=25)
    return path


@pytest.fixture(scope="module")
def previews(tmp_path_factory: pytest.TempPathFactory) -> Previews:
    return Previews(tmp_path_factory.mktemp("previews"), limit_bytes=1 << 28)


# F1: outputs replace what they find


def test_an_export_onto_its_own_source_is_refused_even_when_overwriting_is_asked_for(
    holiday: Path,
) -> None:
    before = holiday.read_bytes()
    link = holiday.with_name("link.mp4")
    link.unlink(missing_ok=True)
    link.symlink_to(holiday)
    for target in (holiday, link, holiday.parent / ".." / holiday.parent.name / "holiday.mp4"):
        for overwrite in (False, True):
            for copy in (False, True):
                with pytest.raises(OutputError, match="is read by the library"):
                    write_clip(Cut(holiday, 1, 2, 25), target, overwrite=overwrite, copy=copy)
    with pytest.raises(OutputError):
        write_film([Cut(holiday, 1, 2, 25)] * 2, holiday)
    assert holiday.read_bytes() == before


def test_what_has_the_name_stays_and_the_export_takes_a_free_one(
    holiday: Path, tmp_path: Path
) -> None:
    for name in ("notes.csv", "cuts.EDL", "still.JPG"):
        (tmp_path / name).write_text("mine")
        stem, dot, ending = name.partition(".")
        made = [export([Cut(holiday, 1, 2, 25)], tmp_path / name).path.name for _ in range(2)]
        assert made == [f"{stem} 2{dot}{ending}", f"{stem} 3{dot}{ending}"]
        assert (tmp_path / name).read_text() == "mine"
        replaced = export([Cut(holiday, 1, 2, 25)], tmp_path / name, overwrite=True).path
        assert replaced == tmp_path / name
        assert replaced.read_bytes() != b"mine"
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_name_taken_while_the_export_runs_is_not_replaced_either(
    holiday: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmr.media import export as module

    def late(span: object, target: Path, **_: object) -> str:
        target.write_bytes(b"film")
        (tmp_path / "a.mp4").write_bytes(b"mine")
        return ""

    monkeypatch.setattr(module, "take_clip", late)
    assert write_clip(Cut(holiday, 1, 2, 25), tmp_path / "a.mp4").path.name == "a 2.mp4"
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"


# F2: taking out trusts ffmpeg's seek


@pytest.mark.parametrize("name", ["cam.ts", "cam.m2ts", "cam.mpg"])
def test_a_span_of_a_camera_with_a_key_picture_each_ten_seconds_is_that_span(
    name: str, tmp_path: Path, previews: Previews
) -> None:
    path = tmp_path / name
    coding = ("mpeg2video", "yuv420p") if name == "cam.mpg" else ("libx264", "yuv420p")
    counter_video(tmp_path / "all.mkv", 24, 25, size=(160, 96), codec="ffv1", pix_fmt="bgr0")
    ffmpeg(
        *("-i", tmp_path / "all.mkv", "-c:v", coding[0], "-q:v", "3", "-pix_fmt", coding[1]),
        *("-g", "250", "-sc_threshold", "1000000000" if name == "cam.mpg" else "0", path),
    )
    expected = list(range(300, 350))
    assert numbers(write_clip(Cut(path, 12, 14, 25), tmp_path / "clip.mp4").path) == expected
    assert numbers(previews.moment(path, 12, 14)) == expected
    assert read_counter(np.asarray(Image.open(previews.still(path, 12.0)))) == 300
    copied = numbers(write_clip(Cut(path, 12, 14, 25), tmp_path / "c.mkv", copy=True).path)
    assert set(expected) <= set(copied)


def test_a_copy_of_the_first_seconds_of_a_transport_stream_has_the_picture_stored_before_zero(
    holiday: Path, tmp_path: Path
) -> None:
    """With B-frames and sound it is, and what begins at zero was left out of the copy."""
    stream = tmp_path / "stream.ts"
    encoder = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "100", "-c:a", "aac")
    ffmpeg("-i", holiday, *SINE, "-t", "4", *encoder, "-output_ts_offset", "36000", stream)
    copy = write_clip(Cut(stream, 1.1, 2.3, 25), tmp_path / "copy.mkv", copy=True).path
    assert set(range(28, 57)) <= set(numbers(copy))


def test_a_span_of_a_slow_film_is_whole_where_b_frames_reach_back_by_more_than_a_second(
    tmp_path: Path,
) -> None:
    times = [number / 10 for number in range(20)] + [2 + number * 0.4 for number in range(30)]
    path = tmp_path / "slow.mp4"
    options = {"x264-params": "bframes=4:b-adapt=0:scenecut=0"}
    counter_video(path, 0, times=times, size=(160, 96), gop=60, options=options)
    clip = write_clip(Cut(path, 6.4, 9.2, 2.5), tmp_path / "clip.mp4").path
    assert numbers(clip) == list(range(31, 38))


# F4: length taken from another stream


def test_a_film_keeps_all_pictures_where_the_sound_ends_early(
    holiday: Path, tmp_path: Path
) -> None:
    path = tmp_path / "short.mp4"
    ffmpeg("-i", holiday, "-f", "lavfi", "-i", "sine=440:d=1", "-c:v", "copy", "-c:a", "aac", path)
    film = write_film([Cut(path, 0, 3, 25), Cut(holiday, 1, 2, 25)], tmp_path / "film.mp4").path
    assert numbers(film) == [*range(75), *range(25, 50)]
    assert seconds(film, "audio") == pytest.approx(4.0, abs=0.05)
    clip = write_clip(Cut(path, 2, 4, 25), tmp_path / "clip.mp4").path  # after the sound's end
    assert numbers(clip) == list(range(50, 100))


def test_a_film_takes_the_highest_rate_of_its_parts(holiday: Path, tmp_path: Path) -> None:
    counter_video(tmp_path / "fast.mp4", 1, 50)
    cuts = [Cut(holiday, 1, 2, 25), Cut(tmp_path / "fast.mp4", 0, 1, 50)]
    film = write_film(cuts, tmp_path / "film.mp4").path
    assert numbers(film) == [*np.repeat(range(25, 50), 2), *range(50)]


# F5: a picture counts from its time until the next one


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_a_slide_that_stays_on_the_screen_can_be_cut_out(
    ending: str, holiday: Path, tmp_path: Path, previews: Previews
) -> None:
    slides = tmp_path / f"slides.{ending}"
    counter_video(slides, 0, times=[0, 5, 10, 10.04])
    for made in (
        write_clip(Cut(slides, 6, 8, 0.2), tmp_path / "clip.mp4").path,
        previews.moment(slides, 6, 8),
    ):
        assert numbers(made) == [1]
        assert seconds(made, "video") == pytest.approx(2.0, abs=0.05)
    film = write_film([Cut(slides, 2, 7, 0.2), Cut(holiday, 1, 2, 25)], tmp_path / "f.mp4").path
    shown = numbers(film)  # at the rate that the slides' file claims, or the other one's
    assert list(dict.fromkeys(shown)) == [0, 1, *range(25, 50)]
    assert shown.count(0) * 2 == shown.count(1) * 3 >= 150


# F7, F15: indexing and showing prepare pictures alike


def test_white_paper_is_white_in_what_is_taken_out_of_hdr(
    tmp_path: Path, previews: Previews
) -> None:
    path = tmp_path / "hdr.mov"
    paper = "drawbox=w=160:h=180:color=black:t=fill,format=yuv420p10le,lutyuv=y=val*0.62"
    x265 = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    ffmpeg(
        *("-f", "lavfi", "-i", "color=white:s=320x180:r=25:d=1", "-vf", paper),
        *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", x265),
        *("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"),
        path,
    )
    with read_frames(path, rate=1) as reader:
        index = colour(next(iter(reader)).pixels[0]).mean()
    write_still(path, 0.5, tmp_path / "still.png")
    clip = write_clip(Cut(path, 0.2, 0.6, 25), tmp_path / "clip.mp4").path
    shown = [tmp_path / "still.png", clip, previews.still(path, 0.5), previews.moment(path, 0, 0.4)]
    assert index > 230
    for made in shown:
        assert colour(first_picture(made)).mean() == pytest.approx(index, abs=4), made.name


def test_what_is_taken_out_of_a_tape_has_no_combs(tmp_path: Path) -> None:
    tape = tmp_path / "tape.avi"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=720x576:r=50:d=1", "-vf", "interlace=scan=tff"),
        *("-c:v", "mpeg2video", "-q:v", "3", "-flags", "+ildct+ilme", "-g", "1", tape),
    )
    clip = write_clip(Cut(tape, 0.2, 0.8, 25), tmp_path / "clip.mp4").path
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(clip), "-vf", "idet", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    multi = [line for line in said.splitlines() if "Multi frame" in line][-1].split()
    found = {
        multi[i].rstrip(":"): int(multi[i + 1])
        for i in range(len(multi) - 1)
        if multi[i].rstrip(":") in ("TFF", "BFF", "Progressive")
    }
    assert found["TFF"] + found["BFF"] == 0
    assert found["Progressive"] >= 13


# F8, F9: which stream, and one that cannot be decoded


def test_pictures_and_sound_are_of_the_streams_that_were_indexed_and_are_played(
    tmp_path: Path, previews: Previews
) -> None:
    path = tmp_path / "two.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "color=red:s=160x90:r=25:d=2"),
        *("-f", "lavfi", "-i", "color=blue:s=320x180:r=25:d=2"),
        *("-f", "lavfi", "-i", "anullsrc", *SINE, "-t", "2", *X264, "-c:a", "aac"),
        *("-map", "0:v", "-map", "1:v", "-map", "2:a", "-map", "3:a"),
        *("-disposition:v:0", "0", "-disposition:v:1", "default"),
        *("-disposition:a:0", "0", "-disposition:a:1", "default", path),
    )
    copied = write_clip(Cut(path, 0.5, 1.5, 25), tmp_path / "copy.mkv", copy=True).path
    cut = Cut(path, 0.5, 1.5, 25)
    film = write_film([cut, cut], tmp_path / "film.mp4").path
    for made in (
        write_clip(cut, tmp_path / "a.mp4").path,
        previews.moment(path, 0.5, 1.5),
        film,
        copied,
    ):
        red, _, blue = colour(first_picture(made))
        assert (red < 60, blue > 180) == (True, True), made.name
        assert loudness(made) > 0.03, made.name


def spatial(path: Path, source: Path) -> None:
    """Sound of a kind that nobody here decodes, as phones of 2025 write it."""
    ffmpeg("-i", source, *SINE, "-t", "4", "-c:v", "copy", "-c:a", "aac", path.with_suffix(".mp4"))
    content = path.with_suffix(".mp4").read_bytes()
    path.write_bytes(content.replace(b"mp4a", b"apac").replace(b"esds", b"free"))


def test_sound_that_cannot_be_decoded_does_not_take_the_pictures_with_it(
    holiday: Path, tmp_path: Path, previews: Previews
) -> None:
    path = tmp_path / "spatial.mov"
    spatial(path, holiday)
    made = write_clip(Cut(path, 1, 3, 25), tmp_path / "clip.mp4")
    assert "cannot be decoded and is left out" in made.word
    assert made.word.startswith("spatial.mov: its sound")
    assert numbers(made.path) == list(range(25, 75))
    film = write_film([Cut(path, 1, 2, 25), Cut(holiday, 0, 1, 25)], tmp_path / "film.mp4")
    assert "left out" in film.word
    assert len(numbers(film.path)) == 50
    assert numbers(previews.moment(path, 1, 3)) == list(range(25, 75))


@pytest.mark.parametrize("name", ["strange.mkv", "strange.avi"])
def test_sound_of_an_unknown_kind_takes_the_pictures_with_it_from_no_container(
    name: str, holiday: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    kind = ("copy", "-c:a", "aac") if path.suffix == ".mkv" else ("mjpeg", "-c:a", "pcm_s16le")
    ffmpeg("-i", holiday, *SINE, "-t", "4", "-c:v", *kind, path)
    content = path.read_bytes().replace(b"A_AAC", b"A_XYZ")
    if path.suffix == ".avi":
        place = content.index(b"strf", content.index(b"auds")) + 8  # what kind of sound it is
        content = content[:place] + b"\x99\x97" + content[place + 2 :]
    path.write_bytes(content)
    made = write_clip(Cut(path, 1, 3, 25), tmp_path / "clip.mp4")
    assert "of a kind unknown here) cannot be decoded and is left out" in made.word
    assert numbers(made.path) == list(range(25, 75))
    copied = write_clip(Cut(path, 1, 3, 25), tmp_path / "copy.mkv", copy=True)
    assert copied.word.startswith(f"{name}: its sound (of a kind unknown here) cannot be copied")
    assert set(range(25, 75)) <= set(numbers(copied.path))


@pytest.mark.parametrize("channels", ["1", "2"])
def test_sound_of_one_channel_is_as_loud_in_a_clip_as_it_was(
    channels: str, holiday: Path, tmp_path: Path
) -> None:
    path = tmp_path / "film.mkv"
    sound = ("-c:v", "copy", "-c:a", "pcm_f32le", "-ac", channels)
    ffmpeg("-i", holiday, *SINE, "-t", "4", *sound, path)
    clip = write_clip(Cut(path, 1, 3, 25), tmp_path / "clip.mp4").path
    assert loudness(clip) == pytest.approx(loudness(path), rel=0.05)


def test_of_two_sound_streams_the_one_that_can_be_decoded_is_heard(
    holiday: Path, tmp_path: Path
) -> None:
    spatial(tmp_path / "s.mov", holiday)
    both = tmp_path / "both.mov"
    ffmpeg(
        *("-i", tmp_path / "s.mov", *SINE, "-t", "4", "-map", "0:v", "-map", "0:a", "-map", "1:a"),
        *("-c:v", "copy", "-c:a:0", "copy", "-c:a:1", "aac", both),
    )
    made = write_clip(Cut(both, 1, 3, 25), tmp_path / "clip.mp4")
    assert made.word == ""
    assert loudness(made.path) > 0.03


# F17: the reason is the one that happened


def test_a_name_too_long_for_the_disk_is_shortened(holiday: Path, tmp_path: Path) -> None:
    for stem in ("n" * 251, "\u05e9" * 150, "m" * 300):
        target = tmp_path / f"001 {stem}.mp4"
        made = write_clip(Cut(holiday, 1, 1.4, 25), target).path
        assert made.is_file()
        assert len(made.name.encode()) <= LONGEST_NAME
        assert made.suffix == ".mp4"
        second = write_clip(Cut(holiday, 1, 1.4, 25), target).path
        assert second.name.endswith(" 2.mp4")
    assert fitting_name(Path("/a/b.mp4")) == Path("/a/b.mp4")


def test_a_container_that_cannot_hold_the_pictures_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.webm"
    counter_video(path, 2, 25, codec="libvpx", options={"deadline": "realtime"})
    with pytest.raises(FfmpegError, match=r"v\.webm: mp4 cannot hold vp8; take \.mkv"):
        write_clip(Cut(path, 0.5, 1.5, 25), tmp_path / "v.mp4", copy=True)
    assert [file.name for file in tmp_path.iterdir()] == ["v.webm"]
    with pytest.raises(ExportError, match=r"clips are written as \.mp4"):
        write_clip(Cut(path, 0.5, 1.5, 25), tmp_path / "v.webm 2.webm")


def test_why_nothing_can_be_written_is_said(holiday: Path, tmp_path: Path) -> None:
    cut = Cut(holiday, 1, 2, 25)
    with pytest.raises(OutputError, match="cannot be written: its folder is not there"):
        write_clip(cut, tmp_path / "nowhere" / "a.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_clip(cut, tmp_path / "file" / "a.mp4")


def test_why_a_stream_without_times_cannot_be_copied_is_said(tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    source = ("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=1")
    ffmpeg(*source, "-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", raw)
    with pytest.raises(FfmpegError, match=r"^raw.h264: its pictures have no times; export without"):
        write_clip(Cut(raw, 0.2, 0.6, 25), tmp_path / "copy.mkv", copy=True)
    said = reason("[a @ 0x1] No such filter\nTask finished with error", ".mkv", tmp_path)
    assert said == "ffmpeg says: No such filter"


@pytest.mark.parametrize(
    ("said", "ending", "told"),
    [
        ("[mov @ 0x1] vp9 only supported in MP4.", ".mov", "mov cannot hold vp9; take .mkv"),
        (
            "[webm @ 0x1] Only VP8 or AV1 video and WebVTT subtitles are supported for WebM.",
            ".webm",
            "webm holds only VP8 or AV1 video and WebVTT subtitles; take .mkv",
        ),
    ],
)
def test_what_a_container_cannot_hold_is_named(
    said: str, ending: str, told: str, tmp_path: Path
) -> None:
    more = "\n[out#0 @ 0x2] Could not write header (incorrect codec parameters ?): Invalid argument"
    assert reason(said + more, ending, tmp_path) == told


# F20: what is not there


def test_seconds_that_a_file_does_not_have_are_refused_by_every_export(
    holiday: Path, tmp_path: Path
) -> None:
    cut = Cut(holiday, 100, 101, 25)
    for name in ("a.mp4", "a.jpg", "a.edl", "a.otio", "a.fcpxml", "a.xml", "a.markers.edl"):
        with pytest.raises((FfmpegError, ExportError), match=r"holiday\.mp4: .*4\.0 s"):
            export([cut], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# Metadata


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_clip_keeps_when_where_and_with_what_it_was_recorded(
    holiday: Path, tmp_path: Path, ending: str, copy: bool
) -> None:
    path = tmp_path / f"phone.{ending}"
    tags = {
        "creation_time": "2024-05-06T07:08:09.000000Z",
        "location": "+52.5200+013.4050/",
        "make": "Camera Works",
        "model": "C-1",
    }
    said = [argument for name, text in tags.items() for argument in ("-metadata", f"{name}={text}")]
    ffmpeg("-i", holiday, "-c", "copy", "-movflags", "use_metadata_tags", *said, path)
    clip = write_clip(Cut(path, 1, 2, 25), tmp_path / f"clip.{ending}", copy=copy).path
    with av.open(str(clip)) as film:
        kept = {name.lower(): text for name, text in film.metadata.items()}
    assert {name: kept.get(name) for name in tags} == tags
    bare = write_clip(Cut(path, 1, 2, 25), tmp_path / f"b.{ending}", copy=copy, strip=True).path
    with av.open(str(bare)) as film:
        assert not {name.lower() for name in film.metadata} & tags.keys()

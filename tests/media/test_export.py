"""Moments taken away: the right frames, and lists that other programs read."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import opentimelineio as otio
import pytest

from feature_extract.transcript import TextSpan
from tests.support.media import counter_video, ffmpeg, read_counter
from vmr.media.captions import said_as_srt, said_as_vtt
from vmr.media.cut import Cut, ExportError
from vmr.media.edit_lists import as_edl, as_otio
from vmr.media.export import write_clip, write_film, write_still
from vmr.media.ffmpeg import FfmpegError
from vmr.media.lists import as_csv, as_json

FPS = 25


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "film.mp4"
    counter_video(path, 8, FPS, gop=50)
    return path


def frames(path: Path) -> list[int]:
    with av.open(str(path)) as video:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]


@pytest.mark.parametrize(
    ("start", "end"), [(2.0, 4.0), (0.0, 0.04), (3.16, 5.52), (6.0, 8.0), (2.01, 2.99)]
)
def test_a_clip_holds_exactly_the_frames_of_its_span(
    film: Path, tmp_path: Path, start: float, end: float
) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(Cut(film, start, end, FPS), clip)
    expected = [number for number in range(8 * FPS) if start <= number / FPS < end]
    assert frames(clip) == expected


def test_a_copied_clip_begins_at_the_key_picture_before(film: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(Cut(film, 3.0, 5.0, FPS), clip, copy=True)
    with av.open(str(clip)) as video:
        packets = [packet for packet in video.demux(video=0) if packet.size]
    assert packets[0].is_keyframe
    assert len(packets) >= 2 * FPS
    kept = {read_counter(frame.to_ndarray(format="rgb24")) for frame in _decoded(clip)}
    assert set(range(3 * FPS, 5 * FPS)) <= kept


def test_a_copy_that_lacks_what_the_disk_did_not_give_is_not_passed_off_as_whole(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ffmpeg says so, and ends as if all was well."""
    run = subprocess.run

    def failing(*args: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
        done = run(*args, **options)
        done.stderr += b"[in#0/matroska] Error during demuxing: Input/output error\n"
        assert done.returncode == 0
        return done

    monkeypatch.setattr("vmr.media.ffmpeg.subprocess.run", failing)
    with pytest.raises(FfmpegError, match="disk or network failed while it was read; try again"):
        write_clip(Cut(film, 3.0, 5.0, FPS), tmp_path / "clip.mkv", copy=True)
    assert not list(tmp_path.iterdir())


def _decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as video:
        yield from video.decode(video=0)


def test_a_copy_of_jpeg_pictures_holds_those_of_its_span(tmp_path: Path) -> None:
    source, clip = tmp_path / "a.mjpeg", tmp_path / "clip.avi"
    counter_video(tmp_path / "a.avi", 2, FPS, codec="mjpeg", pix_fmt="yuvj420p")
    ffmpeg("-i", tmp_path / "a.avi", "-c", "copy", "-f", "mjpeg", source)
    write_clip(Cut(source, 0.8, 1.6, FPS), clip, copy=True)
    assert set(range(20, 40)) <= set(frames(clip)) <= set(range(18, 42))


def test_a_film_joins_moments_of_different_files(film: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.mkv"
    counter_video(small, 4, FPS, size=(160, 90), codec="mpeg4")
    joined = tmp_path / "joined.mp4"
    cuts = [Cut(film, 1.0, 2.0, FPS), Cut(small, 0.0, 1.0, FPS), Cut(film, 5.0, 5.4, FPS)]
    write_film(cuts, joined)
    assert frames(joined) == [*range(25, 50), *range(25), *range(125, 135)]
    with av.open(str(joined)) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (320, 180)
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == []


def test_a_still_is_the_frame_of_its_second(film: Path, tmp_path: Path) -> None:
    still = tmp_path / "still.jpg"
    write_still(film, 4.0, still)
    assert frames(still) == [100]


def test_what_cannot_be_made_leaves_nothing(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    with pytest.raises(FfmpegError, match=r"film\.mp4"):
        write_clip(Cut(film, 500.0, 501.0, FPS), target)
    with pytest.raises(FfmpegError, match=r"film\.mp4"):
        write_still(film, 500.0, tmp_path / "still.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("span", [(5.0, 5.0), (6.0, 5.0), (-1.0, 2.0), (0.0, float("nan"))])
def test_a_span_has_to_be_one(film: Path, span: tuple[float, float]) -> None:
    with pytest.raises(ExportError, match=r"film\.mp4: .* is no span"):
        Cut(film, *span, FPS)


def test_there_is_a_limit(film: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="too long"):
        write_film([Cut(film, 0, 2000, FPS)] * 2, tmp_path / "film.mp4")
    with pytest.raises(ExportError, match="no moment"):
        write_film([], tmp_path / "film.mp4")


CUTS = 'a "quoted", odd\nname'


@pytest.fixture
def cuts(film: Path) -> list[Cut]:
    return [Cut(film, 2.0, 4.0, FPS, CUTS, 0.9), Cut(film, 5.04, 6.0, FPS, "=1+1", 0.5)]


def test_tables_give_back_what_went_in(cuts: list[Cut], film: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(cuts))))
    assert rows[0]["query"] == CUTS
    assert rows[1]["query"] == "'=1+1"  # a spreadsheet must not compute it
    assert [(float(row["start"]), float(row["end"])) for row in rows] == [(2, 4), (5.04, 6)]
    moments = json.loads(as_json(cuts))["moments"]
    assert moments[1] == {
        "file": str(film),
        "start": 5.04,
        "end": 6.0,
        "query": "=1+1",
        "strength": 0.5,
        "text": "",
    }
    hidden = as_json(cuts, paths=False) + as_csv(cuts, paths=False) + as_otio(cuts, paths=False)
    assert str(film.parent) not in hidden


SAID = (
    TextSpan(1.0, 2.5, "was said before -->"),
    TextSpan(3.0, 3.5, "Thank you, <all>."),
    TextSpan(3.9, 6.0, "And more"),
)


def test_what_is_said_goes_with_a_moment(cuts: list[Cut]) -> None:
    """In a column, in a note, and as subtitles on the clip's own clock."""
    cut = replace(cuts[0], said=SAID, written=(TextSpan(2, 3, "EXIT"),))
    text = "was said before --> Thank you, <all>. And more EXIT"
    (row,) = csv.DictReader(io.StringIO(as_csv([cut])))
    assert row["text"] == json.loads(as_json([cut]))["moments"][0]["text"] == text
    clip = json.loads(as_otio([cut]))["tracks"]["children"][0]["children"][0]
    assert clip["metadata"]["moment"]["note"] == text
    assert said_as_srt(cut).split("\n\n")[:2] == [
        "1\n00:00:00,000 --> 00:00:00,500\nwas said before →",
        "2\n00:00:01,000 --> 00:00:01,500\nThank you, <all>.",
    ]
    lines = said_as_vtt(cut).splitlines()
    assert lines[0] == "WEBVTT"
    assert lines[-2:] == ["00:00:01.900 --> 00:00:02.000", "And more"]
    assert "Thank you, &lt;all&gt;." in lines
    assert said_as_srt(cuts[1]) == ""


def test_the_edit_list_counts_frames(cuts: list[Cut]) -> None:
    lines = as_edl(cuts).splitlines()
    assert lines[1] == "FCM: NON-DROP FRAME"
    first = "001  AX       V     C        00:00:02:00 00:00:04:00 00:00:00:00 00:00:02:00"
    second = "002  AX       V     C        00:00:05:01 00:00:06:00 00:00:02:00 00:00:02:24"
    assert first in lines
    assert second in lines
    assert "* FROM CLIP NAME: film.mp4" in lines
    assert '* COMMENT: a "quoted", odd name' in lines


def test_the_timeline_is_read_by_its_own_library(cuts: list[Cut], film: Path) -> None:
    timeline = otio.adapters.read_from_string(as_otio(cuts), "otio_json")
    clips = list(timeline.find_clips())
    assert [clip.name for clip in clips] == ["film.mp4", "film.mp4"]
    assert clips[0].source_range.start_time.to_seconds() == 2.0
    assert clips[1].source_range.duration.to_seconds() == pytest.approx(0.96)
    assert clips[0].media_reference.target_url == film.as_uri()
    assert timeline.duration().to_seconds() == pytest.approx(2.96)

"""Whether a stream may hold interlaced pictures is read from the header that its encoder wrote."""

from pathlib import Path

import av
import pytest

from feature_extract.video.fields import Parameters, h264_may_be_woven
from tests.support.media import ffmpeg

FORMS: dict[str, tuple[str, ...]] = {
    "baseline": ("-profile:v", "baseline", "-pix_fmt", "yuv420p"),
    "main": ("-profile:v", "main", "-pix_fmt", "yuv420p"),
    "high": ("-profile:v", "high", "-pix_fmt", "yuv420p"),
    "10 bits": ("-pix_fmt", "yuv420p10le"),
    "4:2:2": ("-pix_fmt", "yuv422p"),
    "4:4:4": ("-pix_fmt", "yuv444p"),
    "scaling": ("-x264-params", "cqm=jvt", "-pix_fmt", "yuv420p"),
    "4:4:4 scaling": ("-x264-params", "cqm=jvt", "-pix_fmt", "yuv444p"),
}


def header(folder: Path, *options: str) -> bytes:
    path = folder / "film.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.1")
    ffmpeg(*source, "-c:v", "libx264", *options, path)
    with av.open(str(path)) as film:
        return film.streams.video[0].codec_context.extradata or b""


@pytest.mark.parametrize("form", FORMS)
def test_the_header_of_h264_says_whether_fields_may_come(form: str, tmp_path: Path) -> None:
    assert h264_may_be_woven(header(tmp_path, *FORMS[form])) is False
    if form != "baseline":  # which has no fields
        woven = header(tmp_path, *FORMS[form], "-flags", "+ilme+ildct")
        assert h264_may_be_woven(woven) is True


def test_a_header_that_is_cut_or_of_another_kind_says_nothing(tmp_path: Path) -> None:
    whole = header(tmp_path, "-pix_fmt", "yuv420p")
    assert [h264_may_be_woven(cut) for cut in (None, b"", whole[:6], whole[:12])] == [None] * 4
    assert h264_may_be_woven(b"\0\0\0\1" + whole[8:]) is None


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_stream_that_another_is_joined_to_is_seen_to_change(
    codec: str, ending: str, tmp_path: Path
) -> None:
    """Not by parameters that are only said again, as broadcasts do all the time."""
    found = []
    for second in ("64x64", "96x64"):
        joined = tmp_path / "joined.ts"
        joined.write_bytes(b"")
        for number, size in enumerate(("64x64", second)):
            part = tmp_path / f"{number}.ts"
            source = ("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=0.2", "-pix_fmt", "yuv420p")
            quiet = ("-x265-params", "log-level=none") if codec == "libx265" else ()
            ffmpeg(*source, "-c:v", codec, *quiet, part)
            joined.write_bytes(joined.read_bytes() + part.read_bytes())
        path = tmp_path / f"film.{ending}"
        ffmpeg("-i", joined, "-c", "copy", path)
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            parameters = Parameters(stream.codec_context.name, stream.codec_context.extradata)
            found.append([parameters.change(packet) for packet in film.demux(stream)])
    same, other = found
    assert True not in same
    assert other.index(True) == 5
    assert not Parameters(codec, None).change(None)

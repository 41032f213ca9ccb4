"""Every codec, container, pixel format, shape and stream layout: made small, read, and checked.

All are cut from one lossless counter video of 2 s at 10 frames a second, so that each picture that
is read can be asked for its number, and each time for its frame.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from feature_extract.video.frames import Frames, VideoError, VideoInfo, probe, read_frames
from tests.support.media import counter_frame, counter_video, ffmpeg, read_counter

FPS = 10
NUMBERS = [0, 2, 5, 7, 10, 12, 15, 17]  # shown at 0, 0.25, 0.5, ... 1.75 s

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "8")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
AV1 = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1")
FORMATS: dict[str, tuple[str, ...]] = {
    # codecs in their usual containers
    "h264.mp4": (*X264, "-pix_fmt", "yuv420p"),
    "h264_b_frames.mp4": ("-c:v", "libx264", "-bf", "3", "-g", "20", "-pix_fmt", "yuv420p"),
    "h264_fragmented.mp4": (*X264, "-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov"),
    "h264.mov": (*X264, "-pix_fmt", "yuv420p"),
    "h264.mkv": (*X264, "-pix_fmt", "yuv420p"),
    "h264.avi": (*X264, "-pix_fmt", "yuv420p"),
    "h264.ts": (*X264, "-pix_fmt", "yuv420p"),
    "h264.m2ts": (*X264, "-pix_fmt", "yuv420p", "-f", "mpegts", "-mpegts_m2ts_mode", "1"),
    "h264.flv": (*X264, "-pix_fmt", "yuv420p"),
    "h264_raw.h264": (*X264, "-pix_fmt", "yuv420p"),
    "hevc.mp4": (*X265, "-pix_fmt", "yuv420p", "-tag:v", "hvc1"),
    "hevc_10bit.mkv": (*X265, "-pix_fmt", "yuv420p10le"),
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "1M"),
    "vp9.webm": (*VP9, "-b:v", "1M"),
    "vp9_alpha.webm": (*VP9, "-pix_fmt", "yuva420p", "-b:v", "1M"),
    "av1.mp4": (*AV1, "-pix_fmt", "yuv420p"),
    "av1_10bit.webm": (*AV1, "-pix_fmt", "yuv420p10le"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "3"),
    "mpeg4.mp4": ("-c:v", "mpeg4", "-q:v", "3", "-bf", "2"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "3", "-r", "25"),
    "wmv2.wmv": ("-c:v", "wmv2", "-q:v", "3"),
    "theora.ogv": ("-c:v", "libtheora", "-q:v", "7"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3"),
    "mjpeg.mov": ("-c:v", "mjpeg", "-q:v", "3"),
    "prores.mov": ("-c:v", "prores_ks"),
    "ffv1.mkv": ("-c:v", "ffv1"),
    "animation.gif": (),
    "animation.webp": ("-c:v", "libwebp_anim", "-lossless", "1"),
    "animation.apng": ("-f", "apng"),
    # pixel formats
    "422.mp4": (*X264, "-pix_fmt", "yuv422p"),
    "444.mp4": (*X264, "-pix_fmt", "yuv444p"),
    "grey.mp4": (*X264, "-pix_fmt", "gray"),
    "full_range.mp4": (*X264, "-vf", "scale=out_range=pc", "-pix_fmt", "yuvj420p"),
    "10bit_422.mp4": (*X264, "-pix_fmt", "yuv422p10le"),
    "rgb.mkv": ("-c:v", "libx264rgb", "-preset", "ultrafast", "-pix_fmt", "rgb24"),
    "palette.mkv": ("-c:v", "png", "-pix_fmt", "pal8"),
    # sizes
    "odd.mp4": (*X264, "-vf", "scale=321:181", "-pix_fmt", "yuv444p"),
    "odd.webm": (*VP9, "-vf", "scale=321:181", "-b:v", "1M"),
    "tiny.mp4": (*X264, "-vf", "scale=16:16:flags=neighbor", "-pix_fmt", "yuv420p"),
    "panorama.mp4": ("-c:v", "mjpeg", "-vf", "scale=7680:480:flags=neighbor", "-q:v", "5"),
    "tower.mp4": (*X264, "-vf", "scale=90:1600:flags=neighbor", "-pix_fmt", "yuv420p"),
    # interlaced
    "interlaced.mp4": ("-c:v", "libx264", "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p"),
}
RATES = {"mpeg2.mpg": 25}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    counter_video(folder / "source.mkv", 2.0, FPS, codec="ffv1", pix_fmt="bgr0")
    counter_video(folder / "plain.mp4", 2.0, FPS)
    return folder


def read(
    path: Path, *, rate: float = 4
) -> tuple[VideoInfo, Frames, float, tuple[tuple[float, float], ...]]:
    with read_frames(path, rate=rate) as reader:
        batches = list(reader)
    pixels = np.concatenate([batch.pixels for batch in batches])
    times = np.concatenate([batch.times for batch in batches])
    return reader.info, Frames(pixels, times), reader.duration, reader.unreadable


def spelled(frames: Frames) -> list[int]:
    return [read_counter(pixels) for pixels in frames.pixels]


@pytest.mark.parametrize("name", FORMATS)
def test_format(media: Path, name: str) -> None:
    ffmpeg("-i", media / "source.mkv", *FORMATS[name], "-an", media / name)
    _, frames, duration, unreadable = read(media / name)
    assert unreadable == ()
    assert duration == pytest.approx(2.0, abs=0.11)
    # Within one frame: GIF counts hundredths, and some containers start a frame late.
    numbers = np.array(spelled(frames))
    np.testing.assert_allclose(numbers / FPS, frames.times, atol=1 / FPS)
    assert abs(len(numbers) - len(NUMBERS)) <= 1
    np.testing.assert_allclose(numbers[: len(NUMBERS)], NUMBERS[: len(numbers)], atol=1)


TURNS = {  # what `-display_rotation`, `-display_hflip` and `-display_vflip` do to a picture
    ("-display_rotation", "90"): lambda p: np.rot90(p, 1),
    ("-display_rotation", "180"): lambda p: np.rot90(p, 2),
    ("-display_rotation", "270"): lambda p: np.rot90(p, 3),
    ("-display_hflip",): np.fliplr,
    ("-display_vflip",): np.flipud,
    ("-display_rotation", "90", "-display_hflip"): lambda p: np.fliplr(np.rot90(p, 1)),
    ("-display_rotation", "270", "-display_hflip"): lambda p: np.fliplr(np.rot90(p, 3)),
}


@pytest.mark.parametrize("flags", TURNS, ids=" ".join)
def test_orientation(media: Path, flags: tuple[str, ...]) -> None:
    """Phones store pictures lying down, and a flag; peers scramble or ignore it."""
    path = media / "turned.mp4"
    ffmpeg(*flags, "-i", media / "plain.mp4", "-c", "copy", path)
    info, frames, _, _ = read(path)
    turn = TURNS[flags]
    expected = [read_counter(turn(counter_frame(n, 64, 64))) for n in NUMBERS]
    assert spelled(frames) == expected
    upright = turn(np.zeros((180, 320))).shape
    assert (info.height, info.width) == upright


@pytest.mark.parametrize("fps", [1, 240])
def test_extreme_rates(tmp_path: Path, fps: int) -> None:
    counter_video(tmp_path / "a.mp4", 3.0, fps, size=(64, 64))
    _, frames, duration, _ = read(tmp_path / "a.mp4")
    shown = [0, 1, 2] if fps == 1 else list(range(0, 720, 60))
    assert spelled(frames) == shown
    np.testing.assert_allclose(frames.times, np.array(shown) / fps, atol=1e-3)
    assert duration == pytest.approx(3.0, abs=1e-3)


def test_anamorphic_pixels(tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", 1.0, size=(720, 576), aspect=Fraction(64, 45))
    info, frames, _, _ = read(tmp_path / "a.mp4")
    assert (info.width, info.height) == (1024, 576)
    assert frames.pixels.shape[1:] == (224, 224, 3)


def test_full_and_limited_range_show_the_same(media: Path) -> None:
    read_as = {}
    for name in ("full_range.mp4", "h264.mp4", "444.mp4", "10bit_422.mp4", "rgb.mkv"):
        if not (media / name).exists():
            ffmpeg("-i", media / "source.mkv", *FORMATS[name], media / name)
        read_as[name] = read(media / name)[1].pixels.astype(int)
    for name, pixels in read_as.items():
        assert np.abs(pixels - read_as["rgb.mkv"]).mean() < 4, name


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_tone_mapped(tmp_path: Path, transfer: str) -> None:
    """White paper at 203 cd/m2 comes out nearly white, black black, and the hue stays; not mapped,
    the same code values (58 % PQ, 75 % HLG) would be mid-grey."""
    level = {"smpte2084": 0.5806, "arib-std-b67": 0.75}[transfer]
    path = tmp_path / "hdr.mp4"
    picture = f"geq=lum='lt(X,80)*(64+876*{level})+gte(X,80)*64':cb=512:cr=512"
    ffmpeg(
        *("-f", "lavfi", "-i", "color=s=160x120:r=10:d=1,format=yuv420p10le," + picture),
        *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
        *("-x265-params", f"log-level=none:colorprim=bt2020:transfer={transfer}"),
        *("-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", transfer),
        path,
    )
    _, frames, _, _ = read(path)
    white, black = frames.pixels[0, :, 20:90], frames.pixels[0, :, 134:204]
    assert 225 < white.mean() < 250
    assert black.mean() < 8
    assert np.ptp(white.reshape(-1, 3).mean(axis=0)) < 3


def test_two_video_streams_and_cover_art(media: Path, tmp_path: Path) -> None:
    """The best stream is read, never the cover; other streams make no difference."""
    ffmpeg("-i", media / "plain.mp4", "-frames:v", "1", tmp_path / "cover.png")
    source, cover = media / "plain.mp4", tmp_path / "cover.png"
    art = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
    ffmpeg("-i", source, "-i", cover, *art, tmp_path / "art.mp4")
    ffmpeg("-i", source, "-i", source, "-map", "0", "-map", "1", "-c", "copy", tmp_path / "two.mkv")
    ffmpeg(
        *("-i", source, "-f", "lavfi", "-i", "sine=d=2"),
        *("-c:v", "copy", "-c:a", "aac", tmp_path / "sound.mp4"),
    )
    for name in ("art.mp4", "two.mkv", "sound.mp4"):
        assert spelled(read(tmp_path / name)[1]) == NUMBERS
    assert probe(tmp_path / "sound.mp4").has_audio
    sine = ("-f", "lavfi", "-i", "sine=d=2")
    ffmpeg(*sine, "-i", cover, "-map", "0", "-map", "1", "-c:a", "libmp3lame", tmp_path / "s.mp3")
    ffmpeg(*sine, "-c:a", "aac", tmp_path / "sound_only.mp4")
    for name in ("s.mp3", "sound_only.mp4"):
        with pytest.raises(VideoError, match="holds sound but no video"):
            probe(tmp_path / name)


def test_jpeg_pictures_one_after_the_other_are_a_film_unless_they_are_called_a_photograph(
    media: Path, tmp_path: Path
) -> None:
    """Cameras put a second picture behind a photograph, too. Without times, 25 a second."""
    film = tmp_path / "film.MJPG"
    ffmpeg("-i", media / "source.mkv", "-c:v", "mjpeg", "-q:v", "3", "-f", "mjpeg", film)
    info, frames, duration, unreadable = read(film)
    assert (info.fps, unreadable) == (25, ())
    assert duration == pytest.approx(20 / 25)
    assert spelled(frames) == [0, 6, 12, 18]
    np.testing.assert_allclose(frames.times, np.array([0, 6, 12, 18]) / 25)
    photograph = film.rename(tmp_path / "film.jpg")
    with pytest.raises(VideoError, match="not a video"):
        probe(photograph)
    counter_video(tmp_path / "a.avi", 1.0)
    assert probe((tmp_path / "a.avi").rename(tmp_path / "a.mjpg")).duration == 1.0


@pytest.mark.parametrize(
    ("name", "options"),
    {
        "a.dv": ("-s", "720x576"),
        "a.ivf": ("-c:v", "libvpx"),
    }.items(),
)
def test_a_rate_is_one_of_pictures_and_not_of_a_clock(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.4", *options, path)
    assert probe(path).fps == 25


def test_a_copy_to_avi_that_counts_in_600ths_has_the_rate_of_its_pictures(tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", 1.0, 25)
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "a.avi")
    with av.open(str(tmp_path / "a.avi")) as film:
        assert film.streams.video[0].average_rate == 600
    assert probe(tmp_path / "a.avi").fps == 25


def test_one_picture_and_none(media: Path, tmp_path: Path) -> None:
    ffmpeg("-i", media / "plain.mp4", "-frames:v", "1", "-c:v", "libx264", tmp_path / "one.mp4")
    _, frames, duration, _ = read(tmp_path / "one.mp4")
    assert spelled(frames) == [0]
    assert duration == pytest.approx(0.1, abs=0.01)
    ffmpeg("-i", media / "plain.mp4", "-frames:v", "0", "-c:v", "libx264", tmp_path / "none.mp4")
    with pytest.raises(VideoError, match=r"none\.mp4"):
        read(tmp_path / "none.mp4")


def test_twelve_hours_by_the_header(tmp_path: Path) -> None:
    hours = 12 * 3600.0
    truth = np.arange(0, hours + 1, 600)
    counter_video(tmp_path / "long.mp4", 0, times=truth.tolist(), size=(64, 64))
    assert probe(tmp_path / "long.mp4").duration == pytest.approx(hours, abs=0.1)
    _, frames, _, _ = read(tmp_path / "long.mp4")
    assert spelled(frames) == list(range(len(truth)))
    np.testing.assert_allclose(frames.times, truth, atol=0.01)


def random_structure(rng: np.random.Generator) -> tuple[str, str, int, dict[str, str]]:
    """Extension, codec, distance of key pictures, and options of an encoder."""
    codec = str(rng.choice(["libx264", "libx264", "libx265", "libvpx-vp9", "libvpx"]))
    extension = str(rng.choice(["mkv", "webm"] if "vpx" in codec else ["mp4", "mkv", "mov"]))
    gop = int(rng.integers(2, 60))
    if codec == "libx264":
        pyramid = rng.choice(["none", "strict", "normal"])
        inside = (
            f"bframes={rng.integers(0, 9)}:open-gop={rng.integers(2)}:b-pyramid={pyramid}:"
            f"ref={rng.integers(1, 8)}:intra-refresh={int(rng.random() < 0.1)}"
        )
        return extension, codec, gop, {"preset": "veryfast", "x264-params": inside}
    if codec == "libx265":
        inside = f"bframes={rng.integers(0, 5)}:open-gop={rng.integers(2)}:keyint={gop}"
        return (
            extension,
            codec,
            gop,
            {"preset": "ultrafast", "x265-params": inside + ":log-level=0"},
        )
    ahead = {"lag-in-frames": str(rng.choice([0, 16])), "auto-alt-ref": str(rng.integers(2))}
    return extension, codec, gop, {"deadline": "realtime", "cpu-used": "8", "b": "2M"} | ahead


def check_structures(folder: Path, cases: int, seed: int) -> None:
    """Every picture is the one of its time, whatever the structure of key and B-frames. decord's
    way of skipping frames fails here about once in five."""
    rng = np.random.default_rng(seed)
    for case in range(cases):
        extension, codec, gop, options = random_structure(rng)
        count = int(rng.integers(20, 120))
        gaps = np.round(rng.uniform(0.02, 0.4, count), 3) if case % 2 else np.full(count, 1 / 25)
        truth = np.cumsum(gaps) - gaps[0]
        path = folder / f"{case}.{extension}"
        times = (truth + float(rng.choice([0, 1.5]))).tolist()
        counter_video(path, 0, times=times, size=(160, 96), codec=codec, gop=gop, options=options)
        _, frames, _, unreadable = read(path, rate=float(rng.choice([2, 4, 8])))
        story = (case, extension, codec, gop, options)
        np.testing.assert_allclose(
            truth[spelled(frames)], frames.times, atol=2e-3, err_msg=str(story)
        )
        assert np.diff(frames.times).max() <= 0.5 + gaps.max() + 2e-3, story
        assert unreadable == (), story


def test_random_structures(tmp_path: Path) -> None:
    check_structures(tmp_path, 8, seed=1)


@pytest.mark.soak
def test_random_structures_long(tmp_path: Path) -> None:
    check_structures(tmp_path, 200, seed=2)

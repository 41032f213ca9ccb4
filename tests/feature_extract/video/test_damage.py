"""Damaged and hostile files: nothing hangs, nothing crashes the parent, nothing is wrong.

What is readable comes with right times and right pictures, what is not is named by its seconds or
refused in one line. Random injuries are in `test_video_fuzz.py`.
"""

import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from feature_extract.video.frames import VideoError, probe, read_frames
from feature_extract.video.mpegts_continuity import holes
from tests.support.media import counter_video, ffmpeg, read_counter

FPS = 30
Spans = tuple[tuple[float, float], ...]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one 8 s video in several containers; a key picture each second."""
    folder = tmp_path_factory.mktemp("sound")
    noise = {"crf": "4", "preset": "ultrafast"}  # many bytes a picture: damage hits pictures
    counter_video(folder / "a.mp4", 8.0, FPS, gop=30, options=noise)
    ffmpeg("-i", folder / "a.mp4", "-c", "copy", "-movflags", "+faststart", folder / "fast.mp4")
    for name in ("a.mkv", "a.ts"):
        ffmpeg("-i", folder / "a.mp4", "-c", "copy", folder / name)
    counter_video(folder / "a.avi", 8.0, FPS, gop=30, codec="mpeg4", options={"qmin": "1"})
    return folder


def read(path: Path) -> tuple[np.ndarray, list[int], float, Spans]:
    """Seconds, spelled numbers, duration, damaged spans. A scrambled picture raises."""
    with read_frames(path, rate=8) as reader:
        batches = list(reader)
    times = np.concatenate([batch.times for batch in batches])
    numbers = [read_counter(pixels) for batch in batches for pixels in batch.pixels]
    return times, numbers, reader.duration, reader.unreadable


def covered(seconds: np.ndarray, spans: Spans) -> np.ndarray:
    return np.array([any(a - 0.2 <= s < b + 0.2 for a, b in spans) for s in seconds])


@pytest.mark.parametrize("name", ["fast.mp4", "a.mkv", "a.avi"])
def test_cut_tail(sound: Path, tmp_path: Path, name: str) -> None:
    """decord gives up on the whole file, or says nothing; half of it is there."""
    content = (sound / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    times, numbers, duration, unreadable = read(tmp_path / name)
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    ((start, end),) = unreadable
    assert start == pytest.approx(4.0, abs=1.0)
    assert times[-1] <= start
    assert times[-1] > start - 0.3
    assert end == duration == pytest.approx(8.0, abs=0.1)


@pytest.mark.parametrize("name", ["fast.mp4", "a.mkv", "a.ts"])
def test_zeroed_middle(sound: Path, tmp_path: Path, name: str) -> None:
    """decord repeats pictures across the hole. Here every picture is the right one, what comes
    after the hole is there too, and the hole is named."""
    content = bytearray((sound / name).read_bytes())
    first, last = int(len(content) * 0.4), int(len(content) * 0.6)
    content[first:last] = bytes(last - first)
    (tmp_path / name).write_bytes(content)
    times, numbers, duration, unreadable = read(tmp_path / name)
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    assert times[0] < 0.05
    assert times[-1] > 7.7
    assert duration == pytest.approx(8.0, abs=0.1)
    missing = np.setdiff1d(np.arange(64), np.round(times * 8 + 0.2).astype(int)) / 8
    assert len(missing) >= 8  # of the 64 samples those in the hole, about 13
    assert covered(missing, unreadable).all()
    assert sum(end - start for start, end in unreadable) < 4


def test_zeroed_middle_where_times_are_counted(sound: Path, tmp_path: Path) -> None:
    """AVI stores no times: after a hole the count is short, and every time would be too early."""
    content = bytearray((sound / "a.avi").read_bytes())
    first, last = int(len(content) * 0.4), int(len(content) * 0.6)
    content[first:last] = bytes(last - first)
    (tmp_path / "a.avi").write_bytes(content)
    times, numbers, duration, unreadable = read(tmp_path / "a.avi")
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    assert times[-1] > 2.5
    ((start, end),) = unreadable
    assert times[-1] <= start < 4
    assert end == duration == pytest.approx(8.0, abs=0.1)


def test_two_recordings_in_one_file(sound: Path, tmp_path: Path) -> None:
    """Joined without care, the clock starts again in the middle: nothing finds the second part by
    its time, so that it is named as unreadable instead of being lost without a word."""
    (tmp_path / "joined.ts").write_bytes((sound / "a.ts").read_bytes() * 2)
    times, numbers, duration, unreadable = read(tmp_path / "joined.ts")
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    assert times[-1] > 7.7
    start, end = unreadable[-1]
    assert start == pytest.approx(8.0, abs=0.1)
    assert end == pytest.approx(16.0, abs=0.3)
    assert duration == end


def test_one_damaged_time(sound: Path, tmp_path: Path) -> None:
    """A picture said to come an hour later does not take the time of all that follow it."""
    path = tmp_path / "jump.ts"
    with av.open(str(sound / "a.ts")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None:
                packet.stream = stream
                assert packet.pts is not None
                packet.pts += 3600 * 90_000 if number == 100 else 0
                target.mux(packet)
    times, numbers, duration, unreadable = read(path)
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    assert times[-1] > 7.7
    assert duration == pytest.approx(8.0, abs=0.1)
    assert unreadable == ()


def test_whole_pictures_lost_from_a_transport_stream(sound: Path, tmp_path: Path) -> None:
    """libav marks only the picture that a hole runs through. Where whole ones are lost, those that
    build on them were shown, smeared, as if nothing had happened."""
    with av.open(str(sound / "a.ts")) as source:
        places = [p.pos for p in source.demux(video=0) if p.pos is not None]
    content = (sound / "a.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(content[: places[100]] + content[places[103] :])
    times, numbers, duration, unreadable = read(tmp_path / "a.ts")
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    ((start, end),) = unreadable
    assert start == pytest.approx(100 / FPS, abs=0.15)
    assert end == pytest.approx(4.0, abs=0.05)
    assert times[-1] > 7.7
    assert duration == pytest.approx(8.0, abs=0.1)


@pytest.mark.parametrize("chunk", [1000, 1 << 22])
def test_holes_are_found_at_their_places(
    sound: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chunk: int
) -> None:
    monkeypatch.setattr("feature_extract.video.mpegts_continuity.CHUNK", chunk)
    content = (sound / "a.ts").read_bytes()
    assert list(holes(str(sound / "a.ts"), 256)) == []
    inside = [n for n in range(40, 400) if content[188 * n + 1] & 0x5F == 1]  # of a picture
    first = next(n for n in inside if n + 1 in inside)
    cut = content[: 188 * first] + content[188 * (first + 1) :]
    (tmp_path / "cut.ts").write_bytes(cut)
    assert list(holes(str(tmp_path / "cut.ts"), 256)) == [188 * first]
    (tmp_path / "shifted.ts").write_bytes(cut[: 188 * first] + b"junk" + cut[188 * first :])
    assert list(holes(str(tmp_path / "shifted.ts"), 256)) == [188 * first + 4]


def test_a_clock_that_the_header_contradicts(tmp_path: Path) -> None:
    """One flipped number makes 2 s of pictures last for half an hour."""
    path = tmp_path / "slow.mp4"
    counter_video(tmp_path / "plain.mp4", 2.0, size=(64, 64))
    ffmpeg("-i", tmp_path / "plain.mp4", "-c", "copy", "-use_editlist", "0", path)
    content = bytearray(path.read_bytes())
    place = content.index(b"mdhd") + 16  # ticks a second of the pictures
    (ticks,) = struct.unpack_from(">I", content, place)
    struct.pack_into(">I", content, place, ticks // 1000)
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"slow\.mp4: contradicts itself: .*says 2\.0 s"):
        probe(path)

    path = tmp_path / "slow.mkv"
    counter_video(path, 2.0, size=(64, 64))
    content = bytearray(path.read_bytes())
    place = content.index(b"\x2a\xd7\xb1\x83") + 4  # nanoseconds a tick
    content[place : place + 3] = (3_000_000).to_bytes(3, "big")
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"slow\.mkv: contradicts itself: .*tags say 2\.0 s"):
        probe(path)

    path = tmp_path / "late.avi"
    counter_video(path, 2.0, size=(64, 64), codec="mpeg4")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"strh") + 36, 2048)  # where it begins
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"late\.avi: contradicts itself: .*after its end"):
        probe(path)


def test_a_picture_that_the_decoder_made_up(tmp_path: Path) -> None:
    """GIF pictures build on one another, and of a damaged one libav only complains."""
    counter_video(tmp_path / "a.mkv", 2.0, 10, size=(96, 64), codec="ffv1", pix_fmt="bgr0")
    ffmpeg("-i", tmp_path / "a.mkv", tmp_path / "a.gif")
    with av.open(str(tmp_path / "a.gif")) as source:
        places = [p.pos for p in source.demux(video=0) if p.pos is not None]
    content = bytearray((tmp_path / "a.gif").read_bytes())
    middle = places[10] + 900
    content[middle : middle + 40] = b"\xff" * 40
    (tmp_path / "a.gif").write_bytes(content)
    times, numbers, _, unreadable = read(tmp_path / "a.gif")
    np.testing.assert_allclose(times, np.array(numbers) / 10, atol=0.11)
    assert 0.6 < times[-1] < 0.95  # the damaged picture itself does not come, either
    ((start, end),) = unreadable
    assert (start, end) == pytest.approx((1.0, 2.0), abs=0.02)


def pieces(content: bytes) -> list[int]:
    """Where the pictures of an AVI file begin."""
    return [match.end() + 4 for match in re.finditer(b"00dc", content[: content.index(b"idx1")])]


def test_the_last_pictures_of_all_are_damaged(tmp_path: Path) -> None:
    """With several threads libav says so and raises nothing: there is no next packet to fail."""
    path = tmp_path / "a.avi"
    counter_video(path, 2.0, size=(64, 64), codec="mpeg4")
    content = bytearray(path.read_bytes())
    for place in pieces(bytes(content))[-2:]:
        content[place : place + 12] = b"\xff" * 12
    path.write_bytes(content)
    times, numbers, duration, unreadable = read(path)
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    ((start, end),) = unreadable
    assert times[-1] < start < 58 / FPS
    assert end == duration == pytest.approx(2.0, abs=0.05)


def without_first_picture(path: Path) -> Path:
    """A film whose pictures are built on a first one that is not there."""
    counter_video(path, 2.0, size=(64, 64), codec="mpeg4")
    content = path.read_bytes()
    start = pieces(content)[0] - 8
    path.write_bytes(content[:start] + b"JUNK" + content[start + 4 :].replace(b"00dc", b"JUNK", 1))
    return path


def test_pictures_built_on_a_first_one_that_is_not_there(tmp_path: Path) -> None:
    """They were shown, grey, as if all were well. AVI counts them: no time is right, either."""
    path = without_first_picture(tmp_path / "a.avi")
    with pytest.raises(VideoError, match="holds no picture that can be read"):
        read(path)
    ffmpeg("-i", path, "-c", "copy", "-copyinkf", tmp_path / "a.mkv")
    times, numbers, _, unreadable = read(tmp_path / "a.mkv")
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    (gap,) = unreadable
    assert gap == pytest.approx((0, 0.5), abs=0.05)
    assert gap[0] == 0


SLOW_DISK = """
import sys, time
from feature_extract.video import av_reader
from feature_extract.video.libav_log import Complaints
from feature_extract.video.source import describe
path, packets = sys.argv[1], av_reader.packets
def slow(*streams):
    for packet in packets(*streams):
        time.sleep(0.02)
        yield packet
av_reader.packets = slow
reader = av_reader.AvReader(path, describe(path), (64, 64), Complaints(), after=-1.0)
print(min(seconds for seconds, _ in reader.pictures(8)), reader.unreadable)
"""


def test_a_decoder_that_complains_while_a_packet_is_read_is_heard(tmp_path: Path) -> None:
    """Its words were taken for the container's, and grey pictures before that packet shown."""
    path = without_first_picture(tmp_path / "a.avi")
    ffmpeg("-i", path, "-c", "copy", "-copyinkf", tmp_path / "a.mkv")
    command = [sys.executable, "-c", SLOW_DISK, str(tmp_path / "a.mkv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, unreadable = done.stdout.split(maxsplit=1)
    assert float(first) == pytest.approx(0.5, abs=0.15)
    assert unreadable.startswith("[(0.0, 0.")


def test_a_damaged_time_does_not_hide_that_the_end_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    counter_video(path, 4.0, size=(64, 64))
    with av.open(str(path)) as source:
        places = [packet.pos for packet in source.demux(video=0) if packet.pos is not None]
    content = bytearray(path.read_bytes())
    place = content.index(b"\x81", places[10]) + 1  # after the number of the track
    struct.pack_into(">h", content, place, 20_000)
    path.write_bytes(content[: places[60]])
    times, numbers, _, unreadable = read(path)
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    assert unreadable[-1] == pytest.approx((2.0, 4.0), abs=0.05)


def test_the_first_time_of_all_is_damaged(tmp_path: Path) -> None:
    """All later pictures came before the file's beginning, and were left out without a word."""
    path = tmp_path / "a.mkv"
    counter_video(path, 4.0, size=(64, 64))
    with av.open(str(path)) as source:
        place = next(packet.pos for packet in source.demux(video=0))
    content = bytearray(path.read_bytes())
    struct.pack_into(">h", content, content.index(b"\x81", place) + 1, 16_384)
    path.write_bytes(content)
    times, _, duration, ((start, end),) = read(path)
    assert times.tolist() == [0]
    assert start < 0.1
    assert end == duration > 3.5


def test_a_recording_that_never_knew_its_length_breaks_off(tmp_path: Path) -> None:
    """Nobody knows how much is missing; that something is, is said."""
    path = tmp_path / "live.mkv"
    counter_video(path, 4.0, size=(64, 64), gop=30)
    with av.open(str(path)) as source:
        places = [packet.pos for packet in source.demux(video=0) if packet.pos is not None]
    content = path.read_bytes().replace(b"\x44\x89\x88", b"\xec\x89\x00", 1)  # no Duration
    path.write_bytes(content)
    assert read(path)[3] == ()
    path.write_bytes(content[: places[80] + 20])
    times, numbers, duration, unreadable = read(path)
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    ((start, end),) = unreadable
    assert start == pytest.approx(80 / FPS, abs=0.05)
    assert end == duration


def test_pictures_that_would_be_sheared(tmp_path: Path) -> None:
    """No camera writes that, and every player makes something else of it."""
    path = tmp_path / "a.mp4"
    counter_video(path, 1.0, size=(64, 64))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44  # the matrix; its second number is what shears
    struct.pack_into(">i", content, place + 4, 1 << 16)
    path.write_bytes(content)
    with pytest.raises(VideoError, match="its pictures would be sheared"):
        probe(path)


def test_unfinished_recording(sound: Path, tmp_path: Path) -> None:
    """An mp4 whose index was to be written last, and never was."""
    content = (sound / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(VideoError, match=r"a\.mp4: .*unfinished"):
        probe(tmp_path / "a.mp4")


HOSTILE = {
    "text.mp4": b"These are words, not pictures.\n" * 50,
    "zeros.mp4": bytes(5000),
    "page.mp4": b"<!DOCTYPE html><html><body><video src='x.mp4'></video></body></html>",
    "archive.mkv": b"PK\x03\x04" + bytes(range(256)) * 8,
    "list.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\nfile://SECRET\n#EXT-X-ENDLIST\n",
    "concat.mp4": b"ffconcat version 1.0\nfile 'SECRET'\nduration 8\n",
    "session.mp4": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\n"
    b"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "script.mp4": b'import os; os.system("touch owned")\n',
    "picture.mp4": b"\x89PNG\r\n\x1a\n" + bytes(200),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_video_is_refused(sound: Path, tmp_path: Path, name: str) -> None:
    """Playlists would read the files and addresses they name: they are not opened at all."""
    secret = str(sound / "a.mp4").encode()
    (tmp_path / name).write_bytes(HOSTILE[name].replace(b"SECRET", secret))
    with pytest.raises(VideoError, match="not a video|no video|no picture") as caught:  # noqa: RUF043
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["concat:a.mp4", "http:__localhost_a.mp4", "%03d.mp4", "-i.mp4"])
def test_names_are_only_names(sound: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((sound / "fast.mp4").read_bytes())
    assert read(tmp_path / name)[1] == read(sound / "fast.mp4")[1]


def test_huge_picture_is_refused(tmp_path: Path) -> None:
    """A header that asks for 65,500 x 65,500 pixels, 12 GB of them."""
    path = tmp_path / "huge.avi"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=1:r=5", "-c:v", "mjpeg", path)
    content = bytearray(path.read_bytes())
    place = -1
    while (place := content.find(b"\xff\xc0\x00\x11\x08", place + 1)) >= 0:
        content[place + 5 : place + 9] = (65_500).to_bytes(2, "big") * 2
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(VideoError):
        read(path)
    assert time.monotonic() - began < 30


def test_a_few_bytes_cannot_last_for_days(tmp_path: Path) -> None:
    """Each second costs a row and a thumbnail on disk: 48 hours of nothing are refused."""
    path = tmp_path / "days.mkv"
    counter_video(path, 0, times=[0.0, 1.0, 48 * 3600.0], size=(64, 64))
    with pytest.raises(VideoError, match="48 hours, more than the 24"):
        probe(path)


def test_twelve_hours_by_the_header_only(tmp_path: Path) -> None:
    """Two seconds of pictures under a header that promises half a day: the rest is named."""
    path = tmp_path / "claim.mkv"
    counter_video(path, 2.0, size=(64, 64))
    content = bytearray(path.read_bytes())
    place = content.index(b"\x44\x89\x88") + 3  # the element Duration, in milliseconds
    content[place : place + 8] = struct.pack(">d", 12 * 3600e3)
    place = content.index(b"00:00:02")  # the same in the track's tag
    content[place : place + 8] = b"12:00:00"
    path.write_bytes(content)
    assert probe(path).duration == pytest.approx(12 * 3600)
    began = time.monotonic()
    times, numbers, duration, unreadable = read(path)
    assert time.monotonic() - began < 30
    np.testing.assert_allclose(times, np.array(numbers) / FPS, atol=1.1 / FPS)
    ((start, end),) = unreadable
    assert start == pytest.approx(2.0, abs=0.05)
    assert end == pytest.approx(12 * 3600)
    assert duration == pytest.approx(12 * 3600)


def test_child_has_a_memory_limit() -> None:
    program = (
        "import numpy as np; from feature_extract.video.decoder import MEMORY_BYTES, limit_memory\n"
        "limit_memory()\n"
        "try: np.ones(MEMORY_BYTES, np.uint8)\n"
        "except MemoryError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "refused"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """decord reads ahead without end: three hours of 1080p were in memory whole before the first
    minute was looked at, and more than the decoder may hold would have ended it."""
    noise = ("-f", "lavfi", "-i", "nullsrc=s=1280x720:r=25:d=1,geq=random(1)*255:128:128")
    ffmpeg(*noise, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "1", tmp_path / "once.mp4")
    size = (tmp_path / "once.mp4").stat().st_size
    times = str(600_000_000 // size)
    looped = ("-stream_loop", times, "-i", tmp_path / "once.mp4", "-c", "copy")
    ffmpeg(*looped, tmp_path / "large.mp4")
    assert (tmp_path / "large.mp4").stat().st_size > 600_000_000
    with read_frames(tmp_path / "large.mp4", rate=4) as reader:
        batches = iter(reader)
        for _ in range(4):
            next(batches)
        status = Path(f"/proc/{reader._child._process.pid}/status").read_text()
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    assert int(peak) * 1024 < 350_000_000, peak


def test_no_temporary_file_is_left(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    read(sound / "fast.mp4")
    reader = read_frames(sound / "fast.mp4", rate=30)
    next(iter(reader))
    reader._child._process.kill()
    reader.close()
    assert list(tmp_path.iterdir()) == []

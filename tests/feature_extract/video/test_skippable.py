"""Pictures that nobody looks at are not decoded, and those that somebody does are the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from feature_extract.video.skippable import unseen
from feature_extract.video.source import describe
from tests.support.media import counter_video, ffmpeg

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-x264-params")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
STRUCTURES = {
    "plain.mp4": (*X264, "bframes=3:b-adapt=0:keyint=50"),
    "pyramid.mkv": (*X264, "bframes=8:b-pyramid=strict:b-adapt=0:keyint=40"),
    "open.mp4": (*X264, "bframes=4:open-gop=1:b-adapt=0:keyint=12"),
    "fields.mp4": (*X264, "bframes=3:tff=1:b-adapt=0"),
    "hevc.mp4": (*X265, "bframes=4:b-adapt=0:keyint=20:log-level=none"),
    "hevc_open.mkv": (*X265, "bframes=4:open-gop=1:b-adapt=0:keyint=12:log-level=none"),
    "none.mp4": (*X264, "bframes=0"),
}
PROGRAM = """
import hashlib, sys
from feature_extract.video import av_reader
from feature_extract.video.libav_log import Complaints
from feature_extract.video.source import describe
path, rate, skips = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "skips"
if not skips:
    av_reader.unseen = lambda *_: frozenset()
decoded = 0
class Counted(av_reader.AvReader):
    def _frames(self):
        global decoded
        for item in super()._frames():
            decoded += 1
            yield item
reader = Counted(path, describe(path), (224, 224), Complaints(), after=-1.0)
for seconds, picture in reader.pictures(rate):
    print(round(seconds, 6), hashlib.sha256(picture.tobytes()).hexdigest())
print(reader.end, reader.unreadable)
print(decoded)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unseen") / "source.mkv"
    counter_video(path, 5.0, 30, codec="ffv1", pix_fmt="bgr0")
    return path


def read(path: Path, rate: float, how: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, str(path), str(rate), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("rate", [2.0, 7.3])
@pytest.mark.parametrize("name", STRUCTURES)
def test_pictures_are_the_same_and_fewer_are_decoded(source: Path, name: str, rate: float) -> None:
    path = source.with_name(name)
    if not path.is_file():
        ffmpeg("-i", source, *STRUCTURES[name], "-an", path)
    every, some = (read(path, rate, how) for how in ("all", "skips"))
    assert some[:-1] == every[:-1]
    assert len(some) > 5 * rate
    fewer = int(every[-1]) - int(some[-1])
    # Without B-frames there is nothing to leave out; fields are taken apart by their neighbours.
    assert fewer == 0 if name in ("none.mp4", "fields.mp4") else fewer > 30


def test_times_that_do_not_tell_leave_nothing_out(source: Path) -> None:
    stream = source.with_name("stream.ts")
    ffmpeg("-i", source, *STRUCTURES["plain.mp4"], "-an", stream)
    assert unseen(str(stream), describe(str(stream)), 2.0) == frozenset()
    plain = source.with_name("short.mp4")
    counter_video(plain, 2.0, 30)
    assert len(unseen(str(plain), describe(str(plain)), 2.0)) == pytest.approx(60 - 4 - 2, abs=2)
    assert unseen(str(plain), describe(str(plain)), 1000.0) == frozenset()

"""Times and pictures against videos whose frames spell their own number."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from feature_extract.video import decord_reader
from feature_extract.video.child import Child
from feature_extract.video.decord_reader import DecordReader, DistrustError
from feature_extract.video.frames import (
    FrameReader,
    VideoError,
    VideoInfo,
    check_file,
    probe,
    read_frames,
)
from feature_extract.video.source import describe
from tests.support.media import counter_video, ffmpeg, read_counter, trimmed_copy


def numbers(path: Path, *, rate: float = 4) -> tuple[list[float], list[int], FrameReader]:
    """Seconds and spelled number of every picture read, and the reader once read through."""
    reader = read_frames(path, rate=rate)
    times: list[float] = []
    spelled: list[int] = []
    for batch in reader:
        times += batch.times.tolist()
        spelled += [read_counter(pixels) for pixels in batch.pixels]
    return times, spelled, reader


def shown_at_samples(truth: np.ndarray, end: float, rate: float = 4) -> list[int]:
    """Which of the frames, shown from `truth[i]` to the next, are on at a time k/rate; and the
    first. Brute force, apart from the rule under test."""
    spans = zip(truth, [*truth[1:], end], strict=True)
    on = [
        i
        for i, (start, stop) in enumerate(spans)
        if any(start - 1e-3 <= k / rate < stop - 1e-3 for k in range(int(end * rate) + 2))
    ]
    return sorted({0, *on})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "plain.mp4"
    counter_video(path, 6.0)
    return path


def test_pictures_and_times_are_exact(plain: Path) -> None:
    times, spelled, reader = numbers(plain)
    assert spelled == shown_at_samples(np.arange(180) / 30, 6.0)
    np.testing.assert_allclose(times, np.array(spelled) / 30, atol=1e-3)
    assert reader.duration == pytest.approx(6.0, abs=1e-3)
    assert reader.unreadable == ()


@pytest.mark.parametrize("gop", [600, 30])
@pytest.mark.parametrize("start", [4.37, 1.0])
def test_trimmed_copy(tmp_path: Path, gop: int, start: float) -> None:
    """decord 0.6 hangs on these for ever, and decord2 repeats pictures at wrong times: frames
    before the cut stay in the file, hidden by an edit list."""
    counter_video(tmp_path / "source.mp4", 9.0, gop=gop)
    trimmed_copy(tmp_path / "source.mp4", tmp_path / "trim.mp4", start)
    times, spelled, reader = numbers(tmp_path / "trim.mp4")
    assert reader.duration == pytest.approx(9.0 - start, abs=0.07)
    np.testing.assert_allclose(np.array(times) + start, np.array(spelled) / 30, atol=1 / 30)
    np.testing.assert_allclose(times, np.arange(len(times)) / 4, atol=1 / 30)
    assert len(times) >= 4 * (9 - start) - 1


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
def test_variable_frame_rate(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(7)
    truth = np.round(np.cumsum(rng.uniform(0.011, 0.6, 40)), 3)
    truth -= truth[0]
    counter_video(tmp_path / name, 0, times=truth.tolist())
    times, spelled, reader = numbers(tmp_path / name)
    assert spelled == shown_at_samples(truth, reader.duration)
    np.testing.assert_allclose(times, truth[spelled], atol=2e-3)


@pytest.mark.parametrize("name", ["late.mkv", "late.ts", "late.mp4"])
def test_time_starts_with_the_file(tmp_path: Path, name: str) -> None:
    """A file whose clock starts at 5 s starts at 0 for us; `origin` is what a browser adds."""
    counter_video(tmp_path / name, 0, times=(5 + np.arange(60) / 30).tolist())
    times, spelled, reader = numbers(tmp_path / name)
    assert spelled == shown_at_samples(np.arange(60) / 30, 2.0)
    np.testing.assert_allclose(times, np.array(spelled) / 30, atol=2e-3)
    assert reader.duration == pytest.approx(2.0, abs=0.04)
    assert name != "late.mkv" or reader.info.origin == pytest.approx(5.0, abs=2e-3)


@pytest.mark.parametrize("name", ["sound.mp4", "sound.mkv"])
def test_pictures_that_start_after_the_sound(plain: Path, tmp_path: Path, name: str) -> None:
    sound = ("-f", "lavfi", "-i", "sine=d=6.5")
    ffmpeg(*sound, "-itsoffset", "0.5", "-i", plain, "-c:v", "copy", tmp_path / name)
    times, spelled, reader = numbers(tmp_path / name)
    assert times[0] == pytest.approx(0.5, abs=2e-3)
    np.testing.assert_allclose(np.array(times) - 0.5, np.array(spelled) / 30, atol=2e-3)
    assert reader.info.has_audio
    assert reader.unreadable == ()


def test_rate_above_the_videos_gives_every_frame_once(plain: Path) -> None:
    times, spelled, _ = numbers(plain, rate=240)
    assert spelled == list(range(180))
    np.testing.assert_allclose(times, np.arange(180) / 30, atol=1e-3)


@pytest.mark.parametrize("rate", [2, 8, 1000])
def test_decord_reads_what_is_sound(plain: Path, rate: float) -> None:
    """It once refused to skip no frames at all, before the first picture of every file, and PyAV
    read everything in its place without anybody noticing."""
    program = (
        "from feature_extract.video.libav_log import Complaints\n"
        "from feature_extract.video.decord_reader import DecordReader\n"
        "from feature_extract.video.source import describe\n"
        f"path = {str(plain)!r}\n"
        "reader = DecordReader(path, describe(path), (224, 224), Complaints())\n"
        f"print(len(list(reader.pictures({rate}))), reader.end)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    times, _, reader = numbers(plain, rate=rate)
    assert done.stdout.split() == [str(len(times)), str(reader.duration)]


def test_decord_leaves_long_files_alone(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decodes ahead of whoever asks: all pictures of a file are soon in memory."""
    held = 180 * 224 * 224 * 3
    monkeypatch.setattr(decord_reader, "MOST_PICTURES", held - 1)
    with pytest.raises(DistrustError, match="all pictures of a long file"):
        DecordReader(str(plain), describe(str(plain)), (224, 224), None)  # type: ignore[arg-type]


def test_probe(plain: Path) -> None:
    info = probe(plain)
    assert (info.width, info.height, info.codec, info.rotation) == (320, 180, "h264", 0)
    assert info.duration == pytest.approx(6.0)
    assert info.fps == pytest.approx(30)
    assert info.size_bytes == plain.stat().st_size
    assert not info.has_audio


def test_hung_decoder_is_killed_and_the_file_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first child is stopped in its tracks; the second reads on from the last good picture."""
    path = tmp_path / "long.mp4"
    counter_video(path, 120.0, fps=10, size=(64, 64))
    reader = read_frames(path, rate=4)
    stopped, start = reader._child._process, reader._start

    def start_patiently(*, after: float | None) -> tuple[Child, VideoInfo]:
        monkeypatch.undo()  # the second one may be slow on a busy machine
        return start(after=after)

    monkeypatch.setattr(reader, "_start", start_patiently)
    spelled: list[int] = []
    for batch in reader:
        if not spelled:
            os.kill(stopped.pid, signal.SIGSTOP)
            monkeypatch.setattr("feature_extract.video.frames.WAIT_SECONDS", 1.0)
        spelled += [read_counter(pixels) for pixels in batch.pixels]
    assert spelled == shown_at_samples(np.arange(1200) / 10, 120.0)
    assert reader.unreadable == ()
    assert stopped.poll() is not None


def test_a_file_has_a_deadline_in_all(tmp_path: Path) -> None:
    """Each hung child took the whole of it again."""
    path = tmp_path / "long.mp4"
    counter_video(path, 120.0, fps=10, size=(64, 64))
    reader = read_frames(path, rate=4)
    stopped = False
    times: list[float] = []
    for batch in reader:
        if not stopped:
            os.kill(reader._child._process.pid, signal.SIGSTOP)
            stopped, began = True, time.monotonic()
            reader._left = 2.0
        times += batch.times.tolist()
    assert time.monotonic() - began < 45  # a wait for one batch alone is 60
    ((start, end),) = reader.unreadable
    assert start == times[-1]
    assert end == pytest.approx(120.0)
    assert len(times) < 480


def test_crashed_decoder_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    counter_video(path, 120.0, fps=10, size=(64, 64))
    reader = read_frames(path, rate=4)
    spelled: list[int] = []
    for batch in reader:
        if not spelled:
            reader._child._process.kill()
        spelled += [read_counter(pixels) for pixels in batch.pixels]
    assert spelled == shown_at_samples(np.arange(1200) / 10, 120.0)


def test_what_came_before_two_losses_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mp4"
    counter_video(path, 120.0, fps=10, size=(64, 64))
    reader = read_frames(path, rate=4)
    batches = 0
    for _ in reader:
        batches += 1
        reader._child._process.kill()
    assert batches >= 2
    ((start, end),) = reader.unreadable
    assert 0 < start < end == reader.duration == pytest.approx(120.0)


def test_freed_memory_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hours of 1080p held a gigabyte of holes between 100 MB of rows."""
    program = (
        "import ctypes; from feature_extract.video.frames import give_back_memory\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "ctypes.CDLL(None).mallopt(-3, 1 << 30)\n"  # large blocks on the heap, as they get there
        "blocks = [bytearray(100_000) for _ in range(2000)]\n"
        "kept = blocks[::50]; held = resident(); del blocks\n"
        "give_back_memory(); print(held - resident())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert int(done.stdout) > 100_000_000
    calls: list[int] = []
    monkeypatch.setattr("feature_extract.video.frames.give_back_memory", lambda: calls.append(1))
    counter_video(tmp_path / "long.mp4", 300.0, fps=4, size=(64, 64))
    with read_frames(tmp_path / "long.mp4", rate=4, size=(8, 8)) as reader:
        for _ in reader:
            pass
    assert calls == [1]


def test_leaving_early_ends_the_child(plain: Path) -> None:
    before = threading.active_count()
    reader = read_frames(plain, rate=30)
    next(iter(reader))
    reader.close()
    assert reader._child._process.poll() is not None
    assert threading.active_count() == before


def test_child_ends_with_a_killed_parent(plain: Path) -> None:
    """The parent is killed while its child waits for the pipe to be read."""
    program = (
        "import sys, time; from pathlib import Path; from feature_extract.video.frames import *\n"
        "reader = read_frames(Path(sys.argv[1]), rate=240)\n"
        "print(reader._child._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, plain], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(600):
        if not _alive(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child lives on")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody has collected it, but it has ended


def test_child_starts_without_the_networks() -> None:
    program = (
        "import sys, feature_extract.video.decoder\n"
        "assert not {'torch', 'PIL', 'faiss', 'gradio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_impossible_rate(plain: Path, rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        read_frames(plain, rate=rate)


def test_file_changed_while_read(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.mp4"
    path.write_bytes(plain.read_bytes())
    reader = iter(read_frames(path, rate=4))
    next(reader)
    with Path(path).open("ab") as file:
        file.write(b"more")
    with pytest.raises(VideoError, match="changed while it was read"):
        list(reader)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, words in {
        "folder.mp4": "a folder",
        "empty.mp4": "empty",
        "dangling.mp4": "a link to a file that is not there",
        "loop.mp4": "too many levels of symbolic links",
        "pipe.mp4": "a pipe or device",
        "missing.mp4": "no such file",
        "a" * 300: "file name too long",
    }.items():
        with pytest.raises(VideoError, match=words) as caught:
            read_frames(tmp_path / name, rate=4)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_file_without_permission(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(plain.read_bytes())
    path.chmod(0)
    if os.geteuid() == 0:  # root may read everything: ask as nobody instead
        program = (
            "import os, sys; from pathlib import Path\n"
            "from feature_extract.video.frames import VideoError, check_file\n"
            "os.setuid(65534)\n"
            "try: check_file(Path(sys.argv[1]))\n"
            "except VideoError as error: print(error)"
        )
        command = [sys.executable, "-c", program, str(path)]
        answer = subprocess.run(command, capture_output=True, text=True).stdout
    else:
        with pytest.raises(VideoError) as caught:
            check_file(path)
        answer = str(caught.value)
    assert "permission" in answer


def test_names_are_shown_on_one_line(plain: Path, tmp_path: Path) -> None:
    name = 'it\'s "odd"\n😀 %s {} ; rm -rf ~ ' + "é" * 90 + ".mp4"
    path = tmp_path / name
    path.write_bytes(plain.read_bytes())
    assert numbers(path)[1] == numbers(plain)[1]
    longest = tmp_path / ("x" * 246 + ".mp4")
    longest.write_bytes(plain.read_bytes())
    assert numbers(longest)[1] == numbers(plain)[1]
    path.write_text("no video")
    with pytest.raises(VideoError) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    assert "😀" in str(caught.value)

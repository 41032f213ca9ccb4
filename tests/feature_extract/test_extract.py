import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from feature_extract.__main__ import main
from feature_extract.extract import Extractor, extractor_fingerprint, row_times
from feature_extract.features import Features
from feature_extract.motion import motion_width
from feature_extract.networks.appearance import BLOCKS, SIZE, WIDTH, Appearance
from feature_extract.networks.device import BEHIND, aside
from feature_extract.video.frames import VideoError, read_frames
from tests.support.media import counter_frame, counter_video, ffmpeg, read_counter


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    torch.set_num_threads(1)
    return Extractor(device="cpu")


def nearest_rows(features: Features, candidates: np.ndarray) -> list[int]:
    """For each row the candidate row (N, D) most like it, by cosine around the mean."""
    rows = features.rows[:, :WIDTH].astype(np.float32)
    centre = candidates.mean(axis=0)
    rows, candidates = rows - centre, candidates - centre
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    candidates = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    return [int(nearest) for nearest in (rows @ candidates.T).argmax(axis=1)]


def test_rows_are_the_seconds_they_say(extractor: Extractor, tmp_path: Path) -> None:
    """Row i is of the picture on at i + .5 s: recomputed from every frame of the file, apart from
    the extractor's own sampling."""
    path = tmp_path / "a.mp4"
    counter_video(path, 3.4, fps=10)
    network = Appearance(device="cpu")
    batches = list(read_frames(path, rate=100, size=(SIZE, SIZE)))
    frames = np.concatenate([batch.pixels for batch in batches])
    assert [read_counter(frame) for frame in frames] == list(range(34))
    features = extractor.extract(path).features
    expected = network(frames[[5, 15, 25, 32]])  # 3.5 s is past the end; 32 is on at 3.25 s
    np.testing.assert_allclose(features.rows[:, :WIDTH], expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(features.starts, [0, 1, 2, 3])
    np.testing.assert_allclose(features.ends, [1, 2, 3, 3.4], atol=1e-3)
    assert features.duration == pytest.approx(3.4, abs=1e-3)
    assert features.blocks == {**BLOCKS, "motion": motion_width()}
    assert features.fingerprint == extractor.fingerprint == extractor_fingerprint()


def test_still_pictures_shown_for_long(extractor: Extractor, tmp_path: Path) -> None:
    """A slide show: three pictures at 0, 4 and 9 s, and nothing between."""
    path = tmp_path / "slides.mkv"
    counter_video(path, 0, times=[0.0, 4.0, 9.0, 12.0])
    features = extractor.extract(path).features
    slides = np.concatenate(
        [batch.pixels for batch in read_frames(path, rate=4, size=(SIZE, SIZE))]
    )
    rows = Appearance(device="cpu")(slides)
    assert nearest_rows(features, rows)[:12] == [0] * 4 + [1] * 5 + [2] * 3


def test_thumbnails_have_the_shown_aspect(extractor: Extractor, tmp_path: Path) -> None:
    counter_video(tmp_path / "wide.mp4", 2.5)
    ffmpeg(
        *("-display_rotation", "90", "-i", tmp_path / "wide.mp4"),
        *("-c", "copy", tmp_path / "tall.mp4"),
    )
    counter_video(tmp_path / "stretched.mp4", 2.5, size=(180, 180), aspect=Fraction(16, 9))
    for name, size in (("wide", (160, 90)), ("tall", (90, 160)), ("stretched", (160, 90))):
        thumbnails = extractor.extract(tmp_path / f"{name}.mp4").thumbnails
        assert len(thumbnails) == 3
        pictures = [Image.open(io.BytesIO(thumbnail)) for thumbnail in thumbnails]
        assert {picture.size for picture in pictures} == {size}
        if name != "tall":  # each shows the middle of its second: 0.5, 1.5, and the last picture
            numbers = [read_counter(np.asarray(picture)) for picture in pictures]
            assert numbers[:2] == [15, 45]
        assert sum(map(len, thumbnails)) < 3 * 6_000


def test_disk_for_an_hour(extractor: Extractor, tmp_path: Path) -> None:
    """Rows and thumbnails of natural pictures, scaled up: 40 MB an hour at most."""
    path = tmp_path / "photographs.mp4"
    photographs = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for photograph in photographs * 2:
            frame = Image.fromarray(photograph).resize((640, 360))
            output.mux(stream.encode(av.VideoFrame.from_image(frame)))
        output.mux(stream.encode())
    extraction = extractor.extract(path)
    extraction.features.save(tmp_path / "features")
    size = (tmp_path / "features").stat().st_size + sum(map(len, extraction.thumbnails))
    assert size / extraction.features.duration * 3600 < 40e6


def test_cuts_are_found(extractor: Extractor, tmp_path: Path) -> None:
    """Shots of different colours; the numbers inside them change all the time and are no cut."""
    path = tmp_path / "shots.mp4"
    tints = [(255, 60, 40), (30, 200, 90), (60, 60, 240)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(240):
            frame = counter_frame(0b1010_1010_0101_0101, 320, 180) // 2 + 60
            tinted = (frame * np.array(tints[number * 3 // 240]) / 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(tinted, format="rgb24")))
        output.mux(stream.encode())
    cuts = extractor.extract(path).features.cuts
    assert len(cuts) == 2
    np.testing.assert_allclose(cuts, [80 / 30, 160 / 30], atol=0.125 + 1e-3)


def test_damaged_file_keeps_its_readable_part(extractor: Extractor, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    counter_video(tmp_path / "a.mp4", 8.0, options={"crf": "10"})
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-movflags", "+faststart", whole)
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    complete, salvaged = extractor.extract(whole).features, extractor.extract(cut).features
    ((start, end),) = salvaged.unreadable
    assert 2 < start < 6
    assert end == salvaged.duration == pytest.approx(8.0)
    sound = int(start)
    np.testing.assert_array_equal(salvaged.rows[:sound], complete.rows[:sound])
    assert len(salvaged.rows) == 8
    assert (salvaged.rows[sound + 1 :] == salvaged.rows[-1]).all()  # the last readable picture


def test_progress_and_cancel(extractor: Extractor, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    counter_video(path, 20.0, fps=10, size=(64, 64))
    told: list[float] = []
    extractor.extract(path, on_progress=told.append)
    assert told == sorted(told)
    assert told[0] >= 0  # that while the decoder has given nothing yet
    assert any(0 < part < 0.5 for part in told)
    assert 0.5 < told[-1] <= 1

    class CancelledError(Exception):
        pass

    def cancel(_: float) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        extractor.extract(path, on_progress=cancel)


def test_aside_keeps_the_order_and_waits_for_the_end() -> None:
    done: list[int] = []
    threads: set[tuple[str, int, int]] = set()
    behind = BEHIND if sys.platform == "linux" else 0
    usual = os.nice(0)

    def work(item: int) -> None:
        threads.add((threading.current_thread().name, torch.get_num_threads(), os.nice(0)))
        done.append(item)

    with aside(work, 2) as give:
        for item in range(50):
            give(item)
            assert item - len(done) <= 3
    assert done == list(range(50))
    assert threads == {("aside_0", torch.get_num_threads(), min(19, usual + behind))}
    assert os.nice(0) == usual


def test_errors_aside_come_out() -> None:
    """In a later call, or at the end."""

    def divide(number: int) -> None:
        print(1 // number)

    def give_all(numbers: Iterator[int]) -> None:
        with aside(divide, 2) as give:
            for number in numbers:
                give(number)

    many = iter(range(100))
    with pytest.raises(ZeroDivisionError):
        give_all(many)
    assert next(many) == 4
    with pytest.raises(ZeroDivisionError):
        give_all(iter((0,)))


def test_leaving_drops_what_has_not_begun() -> None:
    done: list[int] = []
    begun, left = threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.set()
        left.wait()
        done.append(number)

    def leave() -> None:
        with aside(work, 5) as give:
            for number in range(5):
                give(number)
            begun.wait()
            threading.Timer(0.1, left.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert done == [0]
    assert not [thread for thread in threading.enumerate() if thread.name == "aside_0"]


def test_a_failing_motion_network_ends_the_extraction(
    extractor: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter_video(tmp_path / "a.mp4", 20.0, fps=10, size=(64, 64))

    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(extractor._motion, "maps", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        extractor.extract(tmp_path / "a.mp4")


def test_networks_do_not_ask_for_the_same_memory_again() -> None:
    """A quarter of their time went into pages that the system made and cleared for every map."""
    program = (
        "import resource, numpy; from feature_extract.networks.appearance import Appearance\n"
        "from feature_extract.networks.device import beside_decoder\n"
        "network, pictures = Appearance(), numpy.zeros((16, 260, 260, 3), numpy.uint8)\n"
        "def pages(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def once():\n"
        "    before = pages(); network(pictures); return pages() - before\n"
        "def made(): return min(once() for _ in range(8))\n"
        "outside = made()\n"
        "with beside_decoder(): print(outside, made())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    outside, inside = map(int, done.stdout.split())
    assert inside < outside / 10


@pytest.mark.parametrize(
    ("duration", "ends"),
    [(0.02, [0.02]), (1.0, [1.0]), (1.03, [1.0]), (1.5, [1.0, 1.5]), (3.0, [1.0, 2.0, 3.0])],
)
def test_row_times(duration: float, ends: list[float]) -> None:
    starts, found = row_times(duration)
    assert found.tolist() == ends
    assert starts.tolist() == list(range(len(ends)))


def test_same_file_gives_the_same_bytes(extractor: Extractor, tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", 2.0)
    first, second = (extractor.extract(tmp_path / "a.mp4") for _ in range(2))
    first.features.save(tmp_path / "first")
    second.features.save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert first.thumbnails == second.thumbnails


@pytest.mark.parametrize("device", ["gpu", "tpu", ""])
def test_unknown_device(device: str) -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        Extractor(device=device)


def test_one_picture(extractor: Extractor, tmp_path: Path) -> None:
    counter_video(tmp_path / "one.mp4", 0, times=[0.0])
    extraction = extractor.extract(tmp_path / "one.mp4")
    assert extraction.features.rows.shape == (1, WIDTH + motion_width())
    assert len(extraction.thumbnails) == 1


def test_command_line(tmp_path: Path) -> None:
    counter_video(tmp_path / "good.mp4", 2.0)
    (tmp_path / "text.mp4").write_text("I am no video\n" * 100)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "feature_extract", str(tmp_path / "text.mp4")]
    done = subprocess.run(
        [*command, str(tmp_path / "good.mp4"), "--out", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 3  # one refused, the other taken all the same
    assert "text.mp4: not a video" in done.stderr
    assert "Traceback" not in done.stderr
    assert Features.load(out / "good.mp4.safetensors").rows.shape == (2, WIDTH + motion_width())
    assert [path.name for path in out.iterdir()] == ["good.mp4.safetensors"]


def test_command_line_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMR_WEIGHTS", str(tmp_path / "none kept"))
    video = tmp_path / "good.mp4"
    counter_video(video, 1.0)
    assert main([str(video), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main([str(video), "--out", str(video)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    missing = [str(video), "--out", str(tmp_path), "--clips", "tacos", "--weights", "none.pth"]
    assert main(missing) == 1
    assert capsys.readouterr().err.startswith("error: none.pth: cannot be read")
    assert main(missing[:-2]) == 1
    assert capsys.readouterr().err.startswith("error: no C3D weights: name a file by --weights")
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main(["a/x.mp4", "b/x.mp4", "--out", str(tmp_path)])
    assert "several videos are called x.mp4" in capsys.readouterr().err


def test_refused_video(extractor: Extractor, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        extractor.extract(tmp_path / "text.mp4")

"""Randomly injured files: nothing hangs, nothing crashes the parent, and no success is a wrong one.

A file that is read without a word (not salvaged, not refused) claims that all of it is right. It
is a wrong success unless what comes, the number of pictures, their times and the pictures, is

* what the file held before the injury, or
* what ffmpeg, a program of its own with other releases of the decoders, shows of the same injured
  bytes, while its decoder complains of no picture, and its container reader of nothing but the
  header, or, where it does later on, the pictures do not end before those of the whole file.

So a flipped bit that makes another valid file, which every decoder reads alike and without a word,
such as one of a time, of a delay or inside a picture, is no wrong success: nothing in such a file
tells. They are counted as "other". `pytest -m soak` runs the long form.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from feature_extract.video.frames import VideoError, read_frames
from feature_extract.video.timing import TOLERANCE, slot
from tests.support.media import counter_video, ffmpeg, read_counter

RATE = 4
FPS = 15
ALIKE = 4.0
"""Mean difference in grey levels below which two decoders show one picture."""
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p")
FUZZED = {
    "h264.mp4": (*H264, "-movflags", "+faststart"),
    "vp9.webm": VP9,
    "mpeg4.avi": ("-c:v", "mpeg4"),
    "h264.ts": H264,
    "animation.gif": ("-r", "10"),
}
WAYS = ("read", "salvaged", "refused")


@dataclass
class Shown:
    """Pictures (N, 32, 32, 3) and the seconds (N,) at which they come, ascending."""

    times: np.ndarray
    pixels: np.ndarray
    end: float

    def differs(self, other: "Shown") -> str:
        """In what from another; empty when in nothing."""
        if len(self.times) != len(other.times):
            return f"{len(self.times)} pictures, not {len(other.times)}"
        if np.abs(self.times - other.times).max(initial=0) > 2 * TOLERANCE:
            return f"times {self.times}, not {other.times}"
        distance = np.abs(self.pixels.astype(float) - other.pixels).mean(axis=(1, 2, 3))
        return "" if distance.max(initial=0) < ALIKE else f"pictures by up to {distance.max():.0f}"


@dataclass
class Reference:
    """All pictures that ffmpeg shows of a file, and what it says of them."""

    times: np.ndarray
    pixels: np.ndarray
    of_pictures: list[str]
    "complaints of the decoder"
    of_container: list[str]
    "complaints of the container reader, once the header was read"

    def sampled(self, end: float) -> Shown:
        """Those on the screen at the times k/RATE up to `end`, each once, and the first. A time
        that is out of order is none."""
        kept = in_order(self.times)
        times = self.times[kept]
        end = max(end, times[-1] + 2 * TOLERANCE) if kept else end
        shown = np.diff(slot(np.append(times, end), RATE)) > 0
        shown[:1] = True
        return Shown(times[shown], self.pixels[kept][shown], end)


def in_order(times: np.ndarray) -> list[int]:
    """Places of the longest row of ascending times, and of those the earliest."""
    length, before = [1] * len(times), [-1] * len(times)
    for place, seconds in enumerate(times):
        for earlier in np.flatnonzero(times[:place] < seconds - TOLERANCE).tolist():
            if length[earlier] >= length[place]:
                length[place], before[place] = length[earlier] + 1, earlier
    row = [int(np.argmax(length))] if len(times) else []
    while row and before[row[-1]] >= 0:
        row.append(before[row[-1]])
    return row[::-1]


def reference(path: Path) -> Reference:
    """Decode by ffmpeg, whose frames, times and complaints come in one log."""
    picture = "scale=32:32:flags=bicubic,format=rgb24,showinfo"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-v", "level+info"]
    command += ["-threads", "1", "-copyts", "-start_at_zero", "-i", str(path), "-an", "-sn", "-dn"]
    command += ["-vf", picture, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    log = done.stderr.decode(errors="replace")
    times = [float(seconds) for seconds in re.findall(r"pts_time:(\S+)", log)]
    pixels = np.frombuffer(done.stdout, np.uint8).reshape(-1, 32, 32, 3)
    assert len(times) == len(pixels), log
    _, _, later = log.partition("Stream mapping:")
    said = [line for line in later.splitlines() if re.search(r"\[(error|fatal|panic)\]", line)]
    said = [line for line in said if not line.startswith("[rawvideo @")]  # of its own output
    said = [line for line in said if "SEI type 5 " not in line]  # a remark of the encoder, as text
    container = [line for line in said if line.startswith("[in#")]
    decoder = [line for line in said if line not in container]
    return Reference(np.array(times), pixels, decoder, container)


def wrong(ours: Shown, whole: Shown, path: Path) -> str:
    """Why a success is a wrong one, as the head of this file defines it; empty when it is not."""
    if not (lost := ours.differs(whole)):
        return ""
    other = reference(path)
    if said := other.of_pictures:
        return f"ffmpeg complains of pictures: {said[0]}"
    if other.of_container and ours.end < whole.end - 1.5 / FPS:
        return f"ffmpeg complains of the container: {other.of_container[0]}; {lost}"
    return ours.differs(other.sampled(ours.end))


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One random injury: bits flipped, a piece zeroed, cut out, doubled or randomised, a cut."""
    data = bytearray(content)
    start = int(rng.integers(len(data)))
    stop = min(len(data), start + int(2 ** rng.uniform(0, np.log2(len(data)))))
    kind = rng.choice(["bits", "head", "zero", "remove", "repeat", "random", "cut"])
    if kind in ("bits", "head"):
        reach = len(data) if kind == "bits" else 600
        for place in rng.integers(0, reach, int(rng.integers(1, 24))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == "zero":
        data[start:stop] = bytes(stop - start)
    elif kind == "remove":
        del data[start:stop]
    elif kind == "repeat":
        data[start:start] = data[start:stop]
    elif kind == "random":
        data[start:stop] = rng.bytes(stop - start)
    else:
        del data[start:]
    return bytes(data)


def read(path: Path) -> tuple[Shown, tuple[tuple[float, float], ...]]:
    """What the reader gives, checked for order and bounds, and the damaged spans."""
    times, pixels, last = [np.zeros(0)], [np.zeros((0, 32, 32, 3), np.uint8)], -1.0
    with read_frames(path, rate=RATE, size=(32, 32), deadline_seconds=20) as reader:
        for batch in reader:  # Frames checks shapes and the order of times
            assert batch.times[0] > last
            last = float(batch.times[-1])
            times.append(batch.times)
            pixels.append(batch.pixels)
    assert last <= reader.duration <= 24 * 3600
    for start, end in reader.unreadable:
        assert 0 <= start < end <= reader.duration + 1e-6
    shown = Shown(np.concatenate(times), np.concatenate(pixels), reader.duration)
    return shown, reader.unreadable


def sources(folder: Path) -> dict[str, Shown]:
    """Make the five files; what is right to be read of each."""
    counter_video(folder / "source.mkv", 2.0, FPS, size=(96, 64), codec="ffv1", pix_fmt="bgr0")
    for name, codec in FUZZED.items():
        ffmpeg("-i", folder / "source.mkv", *codec, folder / name)
    return {name: read(folder / name)[0] for name in FUZZED}


def shown_at(path: Path) -> dict[int, float]:
    """The second at which each number is shown."""
    with read_frames(path, rate=100, size=(32, 32)) as reader:
        return {
            read_counter(pixels): float(seconds)
            for batch in reader
            for pixels, seconds in zip(batch.pixels, batch.times, strict=True)
        }


def elsewhere(shown: Shown, truth: dict[int, float]) -> int:
    """How many pictures can be read, and say that they belong to another time."""
    count = 0
    for pixels, seconds in zip(shown.pixels, shown.times, strict=True):
        try:
            count += bool(abs(truth[read_counter(pixels)] - seconds) > 1.1 / FPS)
        except (ValueError, KeyError):
            continue
    return count


def fuzz(
    folder: Path, cases: int, monkeypatch: pytest.MonkeyPatch, seed: int = 0
) -> dict[str, int]:
    """Read so many injured files; how many were read, salvaged and refused, how many of those read
    are "other" files now or "wrong", and of how many pictures another time is told."""
    monkeypatch.setattr("feature_extract.video.frames.WAIT_SECONDS", 10.0)
    rng = np.random.default_rng(seed)
    counts = dict.fromkeys((*WAYS, "other", "wrong", "pictures", "elsewhere"), 0)
    whole = sources(folder)
    originals = {name: (folder / name).read_bytes() for name in FUZZED}
    truth = {name: shown_at(folder / name) for name in FUZZED}
    for case in range(cases):
        name = list(FUZZED)[case % len(FUZZED)]
        path = folder / f"case{case}{Path(name).suffix}"
        path.write_bytes(mutated(originals[name], rng))
        began = time.monotonic()
        try:
            shown, unreadable = read(path)
        except VideoError as refusal:
            counts["refused"] += 1
            reason = str(refusal)
            assert reason.startswith(f"{path}: "), (case, name)
            assert "\n" not in reason, (case, name)
        else:
            counts["salvaged" if unreadable else "read"] += 1
            counts["pictures"] += len(shown.times)
            counts["elsewhere"] += elsewhere(shown, truth[name])
            if not unreadable and shown.differs(whole[name]):
                reason = wrong(shown, whole[name], path)
                counts["wrong" if reason else "other"] += 1
                if reason:
                    print(f"case {case}, {name}: {reason}", flush=True)
                    continue  # the file is kept
        assert time.monotonic() - began < 45, (case, name)
        path.unlink(missing_ok=True)
    return counts


def test_fuzzed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = fuzz(tmp_path, 30, monkeypatch)
    assert sum(counts[way] for way in WAYS) == 30
    assert min(counts[way] for way in WAYS) > 0  # every way is tried
    assert counts["wrong"] == 0
    # In so few files a single flipped delay, which moves all later pictures of a GIF, is 6 %.
    assert counts["elsewhere"] < 0.1 * counts["pictures"]


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_fuzzed_files_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    children = len(list(Path("/proc").iterdir()))
    counts = fuzz(tmp_path, 2000, monkeypatch, seed)
    print(counts)
    assert sum(counts[way] for way in WAYS) == 2000
    assert counts["wrong"] == 0
    assert counts["elsewhere"] < 0.05 * counts["pictures"]
    assert len(list(Path("/proc").iterdir())) < children + 50  # no child is left behind


def test_ffmpeg_agrees_about_whole_files_and_what_is_wrong_is_seen(tmp_path: Path) -> None:
    """The judge itself: silent where all is well, and not to be fooled."""
    for name, whole in sources(tmp_path).items():
        judge = reference(tmp_path / name)
        assert (judge.of_pictures, judge.of_container) == ([], [])
        assert whole.differs(judge.sampled(whole.end)) == ""
        late = Shown(whole.times + 1 / FPS, whole.pixels, whole.end)
        fewer = Shown(whole.times[:-1], whole.pixels[:-1], whole.times[-1])
        other = Shown(whole.times, whole.pixels[::-1], whole.end)
        for lie, reason in ((late, "times"), (fewer, "pictures, not"), (other, "pictures by")):
            assert reason in wrong(lie, whole, tmp_path / name)


def test_a_success_that_ffmpeg_complains_of_is_wrong(tmp_path: Path) -> None:
    """Pictures built on a key picture that is lost, as ffmpeg shows them, too."""
    whole = sources(tmp_path)["mpeg4.avi"]
    path = tmp_path / "mpeg4.avi"
    content = bytearray(path.read_bytes())
    key = [match.end() + 4 for match in re.finditer(b"00dc", content)][12]
    content[key + 8 : key + 40] = b"U" * 32
    path.write_bytes(content)
    shown = reference(path).sampled(whole.end)
    assert "complains of pictures" in wrong(shown, whole, path)
    assert read(path)[1]  # here that part is named

"""Sound for what listens to words: at its times, whatever it is in the file; else a reason."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.video.frames import VideoError, probe
from feature_extract.video.sound import RATE, read_words
from tests.support.media import counter_video
from tests.support.speech import talking_video, tones

SECONDS = 4.0


def heard(path: Path, end: float = SECONDS) -> tuple[NDArray[np.float32], str]:
    with read_words(path, 0.0, end) as words:
        pieces = list(words)
    assert all(piece.dtype == np.float32 for piece in pieces)
    return np.concatenate([np.zeros(0, np.float32), *pieces]), words.reason


def sounding(samples: NDArray[np.float32]) -> tuple[float, float]:
    """Where sound begins and ends, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    return loud[0] / RATE, (loud[-1] + 1) / RATE


def at_rate(rate: int, seconds: float, channels: int = 1) -> NDArray[np.float32]:
    tone = np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate) * 0.5
    return np.repeat(tone[:, None].astype(np.float32), channels, axis=1)


PCM = ("-c:a", "pcm_s16le")


@pytest.mark.parametrize(
    ("name", "sound", "options", "rate", "span"),
    [
        ("plain.mp4", tones(4), (), RATE, (0, 4)),
        ("late.mkv", tones(2), ("-itsoffset", "1.5", *PCM), RATE, (1.5, 3.5)),
        ("longer.mkv", tones(9), PCM, RATE, (0, 4)),
        ("shorter.mkv", tones(1), PCM, RATE, (0, 1)),
        ("surround.mkv", at_rate(48_000, 3, 8), ("-c:a", "flac"), 48_000, (0, 3)),
        ("telephone.mkv", at_rate(8_000, 3), ("-c:a", "pcm_mulaw"), 8_000, (0, 3)),
        ("odd.mkv", at_rate(44_100, 3, 2), ("-c:a", "libvorbis"), 44_100, (0, 3)),
    ],
)
def test_sound_comes_at_its_times(
    tmp_path: Path,
    name: str,
    sound: NDArray[np.float32],
    options: tuple[str, ...],
    rate: int,
    span: tuple[float, float],
) -> None:
    path = talking_video(tmp_path / name, sound, *options, seconds=SECONDS, rate=rate)
    samples, reason = heard(path)
    assert reason == ""
    assert sounding(samples) == pytest.approx(span, abs=0.06)
    assert len(samples) <= SECONDS * RATE
    assert 0.2 < np.abs(samples).max() <= 1


def test_what_cannot_be_heard_is_said_in_a_line(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    counter_video(silent, 1.0, fps=10)
    samples, reason = heard(silent)
    assert (len(samples), reason) == (0, "no sound")
    unknown = talking_video(tmp_path / "a.mkv", tones(4), "-c:a", "flac", seconds=SECONDS)
    unknown.write_bytes(unknown.read_bytes().replace(b"A_FLAC", b"A_APAC"))  # as Apple's of 2024
    samples, reason = heard(unknown)
    assert len(samples) == 0
    assert reason == "its sound (of an unknown codec) cannot be decoded"
    assert probe(unknown).has_audio
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(VideoError, match=r"text\.mp4: not a video"):
        heard(tmp_path / "text.mp4")


def test_injured_files_end_in_sound_or_a_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    whole = talking_video(
        tmp_path / "a.mkv", tones(4), "-c:a", "flac", seconds=SECONDS
    ).read_bytes()
    for case in range(6):
        injured = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(len(whole) // 3, len(whole) - 2000)
        if case % 2:
            injured[at : at + 500] = rng.integers(0, 256, 500)
        path = tmp_path / f"{case}.mkv"
        path.write_bytes(injured.tobytes() if case % 2 else injured[:at].tobytes())
        with contextlib.suppress(VideoError):
            samples, _ = heard(path)
            assert len(samples) <= SECONDS * RATE
            assert np.isfinite(samples).all()

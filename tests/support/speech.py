"""Speech made here, by espeak-ng: sound whose words and word times are known.

spoken = speak("a red bus stops at the corner")
spoken.samples, spoken.words[0]              # (N,) float32 16,000 a second, (0.0, 0.1, "a")
noisy = in_noise(spoken.samples, decibels=10)
"""

import ctypes
import re
import wave
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from tests.support.media import counter_video, ffmpeg

RATE: Final = 16_000
"""Samples a second of what is spoken here, as Whisper wants them."""

Sound = NDArray[np.float32]  # (N,), -1 to 1

_RETRIEVAL, _UTF8, _WORD, _END_OF_LIST = 1, 1, 1, 0


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Spoken(NamedTuple):
    """Speech, and what is said when."""

    samples: Sound
    words: list[tuple[float, float, str]]
    "(start, end) in seconds, and the word"


@cache
def _library() -> tuple[Any, int]:
    """The library, and how many samples a second it makes; kept for the whole process."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = str(Path(espeakng_loader.get_data_path()).parent).encode()
    rate = library.espeak_Initialize(_RETRIEVAL, 200, data, 0)
    if rate <= 0:
        raise RuntimeError("espeak-ng does not start; pip install -r requirements-dev.txt")
    return library, rate


def speak(text: str, *, voice: str = "en-us", words_a_minute: int = 160) -> Spoken:
    """English text said by a voice of espeak-ng, such as en-us, en-gb-x-rp, en-us+f3."""
    library, rate = _library()
    pieces: list[NDArray[np.int16]] = []
    begun: list[tuple[float, int, int]] = []

    def heard(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        begun.extend(
            (event.audio_position / 1000, event.text_position - 1, event.length)
            for event in _until_end(events)
            if event.type == _WORD
        )
        return 0

    callback = _Callback(heard)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    library.espeak_SetParameter(1, words_a_minute, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    samples = resampled(np.concatenate(pieces), rate)
    ends = [start for start, *_ in begun[1:]] + [len(samples) / RATE]
    return Spoken(
        samples,
        [(start, end, text[at : at + n]) for (start, at, n), end in zip(begun, ends, strict=True)],
    )


def _until_end(events: Any) -> Any:
    for i in range(10_000):
        if events[i].type == _END_OF_LIST:
            return
        yield events[i]


def resampled(samples: NDArray[np.int16], rate: int) -> Sound:
    """Samples (N,) of another rate as 16,000 a second."""
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    made = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray()[0] for piece in made])


def in_noise(samples: Sound, *, decibels: float, seed: int = 0) -> Sound:
    """Speech in white noise, louder than it by so many decibels where it sounds."""
    loud = samples[np.abs(samples) > 0.01]
    level = np.sqrt(np.mean(loud**2)) / 10 ** (decibels / 20)
    noise = np.random.default_rng(seed).normal(0, level, len(samples))
    mixed = samples + noise
    return np.asarray(mixed / max(1.0, np.abs(mixed).max()), np.float32)


def music(seconds: float, *, seed: int = 0) -> Sound:
    """A made-up tune: chords of decaying tones with overtones over a beat, no voice."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE))
    scale = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    for beat in np.arange(0, seconds - 0.5, 0.25):
        at, t = round(beat * RATE), np.arange(RATE // 2) / RATE
        for tone in rng.choice(scale, 2, replace=False):
            wave = sum(np.sin(2 * np.pi * k * tone * t) / k for k in (1, 2, 3, 4))
            sound[at : at + len(t)] += 0.1 * wave * np.exp(-5 * t)
        hit = rng.normal(0, 0.2, RATE // 10) * np.exp(-60 * t[: RATE // 10])
        sound[at : at + len(hit)] += hit
    return np.asarray(sound / np.abs(sound).max() * 0.7, np.float32)


def tones(seconds: float) -> Sound:
    """A tone of 440 Hz, then a siren between 300 and 900 Hz."""
    t = np.arange(round(seconds * RATE)) / RATE
    swept = np.sin(2 * np.pi * (600 * t + 300 / (2 * np.pi * 0.5) * np.sin(2 * np.pi * 0.5 * t)))
    return np.asarray(
        0.5 * np.where(t < seconds / 2, np.sin(2 * np.pi * 440 * t), swept), np.float32
    )


def words_of(text: str) -> list[str]:
    """Words for comparison: lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to insert, delete or replace: Levenshtein's distance over words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def save_wav(path: Path, samples: NDArray[Any], rate: int = RATE) -> Path:
    """Sound (N,) or (N, channels), -1 to 1, as 16-bit WAV."""
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if whole.ndim == 1 else whole.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    return path


def talking_video(
    path: Path, samples: NDArray[Any], *options: str, seconds: float, rate: int = RATE
) -> Path:
    """A video of so many seconds with this sound, as AAC unless options of ffmpeg say otherwise."""
    silent, sound = path.with_suffix(".silent.mkv"), path.with_suffix(".wav")
    counter_video(silent, seconds, fps=10)
    save_wav(sound, samples, rate)
    late = options[:2] if options[:1] == ("-itsoffset",) else ()
    codec = options[len(late) :] or ("-c:a", "aac")
    ffmpeg("-i", silent, *late, "-i", sound, "-map", "0", "-map", "1", "-c:v", "copy", *codec, path)
    silent.unlink()
    sound.unlink()
    return path

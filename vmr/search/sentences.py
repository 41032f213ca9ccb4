"""A transcript as words with their times, and where its sentences begin and end.

tokens = tokens_of(spans)
first, last = sentence_around(tokens, tokens[7], tokens[9])
quoted("said", tokens[first : last + 1], matched)       # the sentence, with what was found in it
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from feature_extract.transcript import SENTENCE_ENDS, Sense, begins_sentence
from vmr.library.transcripts import KeptSpan

PAUSE_SECONDS: Final = 1.5
"""After so long a silence, another sentence begins."""
LONGEST_SECONDS: Final = 15.0
"""How far a sentence is followed to each side; speech without an end is cut where a span ends."""
_CLOSES: Final = "\"'”’»)]"


STRIDE: Final = 1 << 16
"""Words that a span may have, in the key of a token."""


class Token(NamedTuple):
    """A word as it stands in the text."""

    start: float
    end: float
    "seconds; of a word without a time of its own, those of its span"
    text: str
    key: int
    "its span's place times STRIDE, and its place in it"
    timed: bool
    last: bool
    "of its span"


@dataclass(frozen=True)
class Quote:
    """What was said or written where something was found."""

    sense: Sense
    text: str
    matched: tuple[tuple[int, int], ...]
    "the found words: where each begins and ends in the text, in characters"


def tokens_of(spans: Sequence[KeptSpan], first: int = 0) -> list[Token]:
    """The words of spans, the first of which counts as this place."""
    tokens: list[Token] = []
    # Decoded at once, and made by place: a question reads some thousand words.
    timed = iter(json.loads(f"[{','.join(span.timed for span in spans if span.timed)}]"))
    for place, span in enumerate(spans, first):
        words = next(timed) if span.timed else []
        key, last = place * STRIDE, len(words) - 1
        if words:
            tokens += [
                Token(start, end, text, key + at, True, at == last)
                for at, (start, end, text) in enumerate(words)
            ]
        else:
            texts = span.text.split()
            tokens += [
                Token(span.start, span.end, text, key + at, timed=False, last=at == len(texts) - 1)
                for at, text in enumerate(texts)
            ]
    return tokens


def sentence_around(tokens: Sequence[Token], first: Token, last: Token) -> tuple[int, int]:
    """The places of the first and the last word of the sentences that hold two words."""
    keys = [token.key for token in tokens]
    begins, ends = keys.index(first.key), keys.index(last.key)
    while begins > 0 and not _border(tokens[begins - 1], tokens[begins], first.start):
        begins -= 1
    while ends < len(tokens) - 1 and not _border(tokens[ends], tokens[ends + 1], last.end):
        ends += 1
    return begins, ends


def sentence_numbers(tokens: Sequence[Token]) -> list[int]:
    """Of each word the number of its sentence, from 0."""
    ends = (_border(early, late, early.start) for early, late in pairwise(tokens))
    return [0, *accumulate(ends)] if tokens else []


def _border(early: Token, late: Token, found: float) -> bool:
    """Whether a sentence may end between two words; without times only where a span ends."""
    if not (early.last or (early.timed and late.timed)):
        return False
    pause = late.start - early.end
    if early.text.rstrip(_CLOSES).endswith(SENTENCE_ENDS) or pause > PAUSE_SECONDS:
        return True
    if begins_sentence(pause, late.text):
        return True
    far = max(found - early.start, late.end - found) > LONGEST_SECONDS
    return far and early.last


def quoted(sense: Sense, tokens: Sequence[Token], matched: Collection[int]) -> Quote:
    """Words as a text, with the places of the found ones."""
    text, places = "", []
    for token in tokens:
        text += " " if text else ""
        if token.key in matched:
            places.append((len(text), len(text) + len(token.text)))
        text += token.text
    return Quote(sense, text, tuple(places))

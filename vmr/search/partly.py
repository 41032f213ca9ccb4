"""Which part of a question was found, where the whole was not.

    there, missing = partly_found(parse("a horse on a bridge"), "none", judged)
    # ("a bridge",), ("a horse",): there is a bridge, and nothing that looks like a horse

A scene with half of what was asked for often comes first. Who is told which half has not to watch
it to find out. The parts are what stands between words of place and company; each is asked for by
itself, and only a part that is probably found beside one that nothing looks like is worth a word.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from vmr.library.locks import LibraryError
from vmr.model.halves import single
from vmr.model.retrieval import RetrievalModel
from vmr.model.strength import Verdict
from vmr.model.text import QueryError, says_nothing, tokenize
from vmr.search.clips import Index
from vmr.search.parts import Videos
from vmr.search.query import ParsedQuery, sense_of

_BETWEEN: Final = re.compile(
    r"\b(?:in front of|next to|on top of|on|in|at|with|under|near|beside|behind|by|through|over|"
    r"across|into|inside|along|between|against|around|and|holding|wearing)\b",
    re.IGNORECASE,
)
_MOST_PARTS: Final = 4
"""Longer questions tell a scene, and are not taken apart."""
THERE: Final = 0.5
"""Strength from which a part is said to be there: right for one of two."""
MISSING: Final = 0.08
"""Presence below which nothing looks like a part. A verdict of "none" is no such word: it is also
said of what is near to everything, as "people" are (`python -m benchmarks.sample_questions`)."""


class Judgement(NamedTuple):
    """How sure we are of some words, by the row that matches them best."""

    strength: float
    "0..1, that it is the right one"
    presence: float
    "0..1, that what was asked for is there at all (vmr/model/strength.py)"


def partly_found(
    parsed: ParsedQuery, verdict: Verdict, judged: Callable[[str], Judgement]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parts of a question that are shown somewhere, and those that nothing looks like; nothing
    of either where there are not both, or where the whole was found.

    Args:
        verdict: of the whole question.
        judged: words -> how sure we are that something shows them.
    """
    things = [thing for step in parsed.steps for thing in step if sense_of(thing)[0] is None]
    parts = [part for thing in things for part in parts_of(thing)]
    if verdict == "strong" or not 2 <= len(parts) <= _MOST_PARTS:
        return (), ()
    found = {part: _safely(judged, part) for part in parts}
    there = tuple(part for part, said in found.items() if said and said.strength >= THERE)
    missing = tuple(part for part, said in found.items() if said and said.presence < MISSING)
    return (there, missing) if there and missing else ((), ())


def judge(
    model: RetrievalModel, index: Index, chosen: Videos | None, searched: int, words: str
) -> Judgement:
    """How sure we are that some of these videos shows something.

    Args:
        searched: rows of these videos.

    Raises:
        QueryError: no word is known.
    """
    vector = model.encode_query(model.query(words))
    ids, rows, _ = index.nearest(vector, 1, videos=chosen)
    if not len(ids):
        return Judgement(0.0, 0.0)
    clips = single(index.vectors(int(ids[0]), int(rows[0]), int(rows[0]) + 1))
    score, calibration = model.curve(clips, vector), model.calibration
    strength, presence = (
        calibration.strength(score, searched),
        calibration.presence(score, searched),
    )
    return Judgement(float(strength[0]), float(presence[0]))


def parts_of(thing: str) -> list[str]:
    """What a thing is made of: "a horse on a bridge" -> ["a horse", "a bridge"]."""
    pieces = (" ".join(piece.split()) for piece in _BETWEEN.split(thing))
    return [piece for piece in pieces if not says_nothing(tokenize(piece))]


def _safely(judged: Callable[[str], Judgement], part: str) -> Judgement | None:
    """How sure we are of a part; None of one without a known word, or whose best row is gone."""
    try:
        return judged(part)
    except (QueryError, LibraryError):
        return None

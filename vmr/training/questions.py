"""What is asked of a composed timeline, and where the answers are.

    question = ask_any(timeline, pool, random.Random(7), present=True)
    question.text, question.spans       # "a dog ... moves left", ((12.5, 17.0),)

A question asks for a thing ("a dog ..."), for a thing with its movement ("a dog ... moves left"),
or for two things in order ("a dog ..., then a man ..."), which both shots together answer. A moment
is one showing of a picture; a question may have several, or none: absent movements are the opposite
ones, and absent orders the other ones. An absent thing is none that is shown, and none that goes by
the same words either: where dogs run through grass, "a brown dog runs on the lawn" is not absent,
whoever's caption it is. Captions tell, not the model: no shot has captions with much of its words.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from vmr.training.compose import MOVES, OPPOSITE, Pool, Segment, Timeline, words_of

ORDERS: Final = ("{}, then {}", "{} and then {}", "first {}, then {}", "{}, followed by {}")
Kind = Literal["thing", "move", "order"]
KINDS: Final[dict[Kind, float]] = {"thing": 0.5, "move": 0.25, "order": 0.25}
"""What questions ask for (one thing, a thing with its movement, or two things in order), and the
share of each."""
ALIKE: Final = 0.28
"""Share of a caption's words, weighed by their rarity, from which on other captions may tell of the
same. Of five captions of one picture each has more in common with the other four, but for one in
seven."""
_TRIES: Final = 1000


class AbsentError(ValueError):
    """A question without an answer was wanted, but the timeline shows all that could be asked
    for."""


@dataclass(frozen=True)
class Question:
    """What is asked of a timeline, and where the answers are."""

    text: str
    spans: tuple[tuple[float, float], ...]
    "Start and end of every answer, in seconds; empty where nothing that is shown answers."
    group: str
    "The group of the picture whose caption it is."
    kind: Kind = "thing"
    "What it asks for."


def ask(
    timeline: Timeline, pool: Pool, rng: random.Random, *, present: bool, kind: Kind = "thing"
) -> Question:
    """What is asked, with all its answers; or what nothing answers.

    Raises:
        ValueError: the timeline has nothing of that kind to ask for (AbsentError: that is absent).
    """
    if kind == "move":
        return _ask_move(timeline, pool, rng, present)
    if kind == "order":
        return _ask_order(timeline, pool, rng, present)
    groups = {pool.groups[segment.place] for segment in timeline.segments}
    if present:
        named = [segment for segment in timeline.segments if pool.captions[segment.place]]
        if not named:
            raise ValueError("nothing that is shown has a caption")
        place = rng.choice(named).place
        spans = [
            (segment.start, segment.end)
            for segment in timeline.segments
            if pool.groups[segment.place] == pool.groups[place]
        ]
        text = rng.choice(pool.captions[place])
        return Question(text, tuple(_joined(spans)), pool.groups[place])
    told = [words_of(pool.captions[segment.place]) for segment in timeline.segments]
    for _ in range(_TRIES):
        place = rng.choice(pool.places)
        if pool.groups[place] not in groups and pool.captions[place]:
            text = rng.choice(pool.captions[place])
            if all(shared(text, words, pool.rarity) < ALIKE for words in told):
                return Question(text, (), pool.groups[place])
    raise AbsentError("nothing is absent: the timeline shows the whole pool, or its like")


def shared(text: str, words: frozenset[str], rarity: Mapping[str, float]) -> float:
    """Share 0..1 of a text's words that are among `words`, weighed by their rarity."""
    weights = {word: rarity.get(word, 0.0) for word in words_of([text])}
    total = sum(weights.values())
    return sum(weights[word] for word in weights.keys() & words) / total if total else 0.0


def ask_any(
    timeline: Timeline,
    pool: Pool,
    rng: random.Random,
    *,
    present: bool,
    kind: Kind | None = None,
) -> Question:
    """A question of a kind, or of one by their shares; for a thing where there is none of it."""
    chosen = kind or rng.choices(list(KINDS), list(KINDS.values()))[0]
    try:
        return ask(timeline, pool, rng, present=present, kind=chosen)
    except ValueError:
        return ask(timeline, pool, rng, present=present)


def _ask_move(timeline: Timeline, pool: Pool, rng: random.Random, present: bool) -> Question:
    shown = {(pool.groups[s.place], s.move) for s in timeline.segments}
    able = [
        s
        for s in timeline.segments
        if s.move
        and pool.captions[s.place]
        and (present or (pool.groups[s.place], OPPOSITE[s.move]) not in shown)
    ]
    if not able:
        raise ValueError("nothing to ask for by its movement")
    chosen = rng.choice(able)
    group, move = pool.groups[chosen.place], chosen.move if present else OPPOSITE[chosen.move]
    spans = [
        (s.start, s.end)
        for s in timeline.segments
        if pool.groups[s.place] == group and s.move == move
    ]
    text = f"{_caption(pool, chosen, rng)} {rng.choice(MOVES[move])}"
    return Question(text, tuple(_joined(spans)), group, "move")


def _ask_order(timeline: Timeline, pool: Pool, rng: random.Random, present: bool) -> Question:
    named = [pool.groups[s.place] if pool.captions[s.place] else "" for s in timeline.segments]
    pairs = list(pairwise(named))
    able = [
        i
        for i, (first, second) in enumerate(pairs)
        if first and second and first != second and (present or (second, first) not in pairs)
    ]
    if not able:
        raise ValueError("no two things follow each other")
    i = rng.choice(able)
    both = [timeline.segments[i], timeline.segments[i + 1]]
    spans = [
        (timeline.segments[k].start, timeline.segments[k + 1].end)
        for k, pair in enumerate(pairs)
        if pair == pairs[i]
    ]
    captions = [_caption(pool, segment, rng) for segment in (both if present else both[::-1])]
    text = rng.choice(ORDERS).format(*captions)
    return Question(text, tuple(spans) if present else (), named[i], "order")


def _caption(pool: Pool, segment: Segment, rng: random.Random) -> str:
    return rng.choice(pool.captions[segment.place]).rstrip(" .").lower()


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The spans with those that touch each other made one; ascending."""
    joined = spans[:1]
    for start, end in spans[1:]:
        if start - joined[-1][1] < 1e-6:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined

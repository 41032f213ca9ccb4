"""The forms a question can take in one line of text, and what they mean in the shared space.

    a dog on a beach                    words, as they come
    a dog AND a ball                    both at the same time
    a dog -crowd -"parked car"          without what follows a minus sign
    a dog NOT a parked car              the same, up to the next operator
    a man opens a door THEN sits down WITHIN 20     one after the other, at most 20 s apart
    said:"thank you" AND a crowd -written:exit      what is said, what is to be read

Plain words are asked for in pictures, in what is said and in what is written. The operators are
words in capitals, so that "and" and "then" stay words of a query.

    parsed = parse('a dog AND a ball -crowd')
    steps, unknown = understand(parsed, model)
    steps[0].curve(model, clips)        # (T,) standard deviations above unrelated footage
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.text_form import normal_form
from feature_extract.transcript import Sense
from vmr.model.localise import Proposal
from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Vector
from vmr.model.text import Query, QueryError, tokenize
from vmr.model.windows import Window, along

WITHIN_SECONDS: Final = 60.0
"""How far apart the parts of a THEN may be when the question does not say."""
_WITHIN = re.compile(r"\s+WITHIN\s+(\d+(?:\.\d+)?)\s*s?\s*$")
_NO_OR: Final = "OR is not understood: ask for each of the two by itself"
"""People expect an operator; read as a word it would falsify the answer."""
_SENSES: Final = re.compile(
    r'(?:^|(?<=\s))(-?)(said|written):(?:"([^"]*)(?:"|$)|([^\s"]\S*|(?=\s*$)))', re.I
)
"""A quote that is not closed goes to the end, and nothing at the end is no word; "he said: come"
is a sentence."""
_HELD: Final = re.compile("\ue000(\\d+)\ue001")
"""Stands for such a part while the rest is taken apart: in quotes, capitals are no operators."""
_AVOIDED = re.compile(r'(?:^|(?<=\s))-(?:"([^"]*)"|([^\W\d_]\S*))')


@dataclass(frozen=True)
class ParsedQuery:
    """A question in its parts."""

    steps: tuple[tuple[str, ...], ...]
    "one after the other; each the things that have to be there together, words or said:words"
    avoided: tuple[str, ...] = ()
    within: float = WITHIN_SECONDS
    "seconds between the end of a step and the start of the next, at most"


def parse(text: str) -> ParsedQuery:
    """Take a question apart.

    Raises:
        QueryError: an operator without words on both sides, one that is not understood (OR),
            or nothing to look for.
    """
    text, held, unwanted = _take_senses(normal_form(text))
    avoided = tuple((quoted or word).strip() for quoted, word in _AVOIDED.findall(text)) + unwanted
    rest = _AVOIDED.sub(" ", text)
    if "OR" in rest.split():
        raise QueryError(_NO_OR)
    within = _WITHIN.search(rest)
    rest = _WITHIN.sub("", rest)
    read = [_step(step, held) for step in _split("THEN", rest)]
    steps = tuple(wanted for wanted, _ in read)
    avoided += tuple(thing for _, unwanted in read for thing in unwanted)
    if within and len(steps) == 1:
        raise QueryError("WITHIN tells how far apart the parts of a THEN may be; there is no THEN")
    if avoided and steps == (("",),):
        raise QueryError("say what to look for, too, not only what to avoid")
    if (len(steps) > 1 or len(steps[0]) > 1) and not all(all(step) for step in steps):
        raise QueryError("AND and THEN need words on both sides")
    return ParsedQuery(steps, avoided, float(within[1]) if within else WITHIN_SECONDS)


def _split(operator: str, text: str) -> list[str]:
    """What stands before, between and behind the places of an operator."""
    return re.split(rf"(?:^|\s){operator}(?=\s|$)", text)


def _step(text: str, held: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """The things that a step asks for, "" where an operator has no words, and those behind NOT."""
    wanted: list[str] = []
    unwanted: list[str] = []
    for thing in _split("AND", text):
        asked, *others = _split("NOT", thing)
        left_out = [part for other in others for part in _parts(other.replace('"', " "), held)]
        if not all(left_out):
            raise QueryError("NOT needs words behind it, as in: a dog NOT a cat")
        if asked.strip() or not left_out:
            wanted += _parts(asked, held)
        unwanted += left_out
    return tuple(wanted) or ("",), unwanted


def _take_senses(text: str) -> tuple[str, list[str], tuple[str, ...]]:
    """A question with a mark in the place of every `said:` and `written:`, these, and those of them
    that are to be left out."""
    held: list[str] = []
    unwanted: list[str] = []

    def take(found: re.Match[str]) -> str:
        minus, sense, quoted, word = found.groups()
        words = " ".join((quoted if word is None else word).split())
        if not any(sign.isalnum() for sign in words):
            raise QueryError(f'{sense.lower()}: needs words, as in {sense.lower()}:"thank you"')
        part = f'{sense.lower()}:"{words}"'
        if minus:
            unwanted.append(part)
            return " "
        held.append(part)
        return f" \ue000{len(held) - 1}\ue001 "

    text = re.sub("[\ue000\ue001]", " ", text)
    return _SENSES.sub(take, text), held, tuple(unwanted)


def _parts(thing: str, held: list[str]) -> list[str]:
    """The words of a thing, and what it asks of single senses beside them."""
    words = " ".join(_HELD.sub(" ", thing).split()) if held else thing.strip()
    told = [held[int(place)] for place in _HELD.findall(thing)]
    return [words, *told] if words or not told else told


def sense_of(thing: str) -> tuple[Sense | None, str]:
    """The only sense that a thing is asked of, and its words; None where any will do."""
    found = _SENSES.fullmatch(thing)
    if found is None:
        return None, thing
    return ("said" if found[2] == "said" else "written"), found[3]


@dataclass(frozen=True, eq=False)
class QueryStep:
    """What one step of a question looks for."""

    wanted: tuple[Vector, ...]
    "all of them have to be there; none where nothing is asked of the pictures"
    avoided: tuple[Vector, ...] = ()
    query: Query | None = None
    "its words, where words are all there is to it"

    def moved(self, move: Callable[[Vector], Vector]) -> "QueryStep":
        """The same target with its wanted vectors moved; itself, when none was. A query in two
        parts is still read by the second stage, which goes by its words."""
        wanted = tuple(move(vector) for vector in self.wanted)
        if all(new is old for new, old in zip(wanted, self.wanted, strict=True)):
            return self
        in_parts = self.query is not None and self.query.parts is not None
        return QueryStep(wanted, self.avoided, self.query if in_parts else None)

    def directions(self, model: RetrievalModel) -> list[Vector]:
        """The vectors whose neighbours are worth reading: each thing, and all of them in one; of a
        query that a second stage reads, its two parts."""
        if len(self.wanted) == 1 and not self.avoided:
            if self.query is None or model.second_stage is None:
                return list(self.wanted)
            both = self.query.parts or ()
            return [*self.wanted, *(model.encode_query(part) for part in both)]
        total = np.sum(self.wanted, axis=0) - np.sum(self.avoided, axis=0)
        return [*self.wanted, model.as_query(model.space.unit(total))]

    def curve(self, model: RetrievalModel, clips: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, E) -> (T,): the least of the wanted things, less what is seen of the avoided ones."""
        wanted = np.min([model.curve(clips, vector) for vector in self.wanted], axis=0)
        for vector in self.avoided:
            # Less of it than the best of unrelated footage has is no merit.
            wanted = wanted - np.maximum(model.curve(clips, vector), 0.0)
        return np.asarray(wanted, dtype=np.float32)

    def propose(self, model: RetrievalModel, windows: Sequence[Window]) -> list[list[Proposal]]:
        """Moments of each window, best first: by the model that reads words, or by the curve."""
        if self.query is not None:
            return model.localise(windows, self.query)
        return along(windows, [self.curve(model, window.clips) for window in windows])


def understand(
    parsed: ParsedQuery, model: RetrievalModel
) -> tuple[list[QueryStep], tuple[str, ...]]:
    """What to look for in the pictures of each step, and the words that are not known.

    Raises:
        QueryError: a part without a known word.
    """
    steps = [[model.query(thing) for thing in step if _is_seen(thing)] for step in parsed.steps]
    avoided = [model.query(thing) for thing in parsed.avoided if _is_seen(thing)]
    queries = [query for group in (*steps, avoided) for query in group]
    unknown = tuple(dict.fromkeys(word for query in queries for word in query.unknown))
    away = tuple(model.encode_query(query) for query in avoided)
    found = [
        QueryStep(
            tuple(model.encode_query(query) for query in step),
            away,
            step[0] if len(step) == 1 and not away else None,
        )
        for step in steps
    ]
    return found, unknown


def plain_words(parsed: ParsedQuery) -> str:
    """All that is asked of the pictures, as one text."""
    things = [*(thing for step in parsed.steps for thing in step), *parsed.avoided]
    return " ".join(thing for thing in things if _is_seen(thing))


def _is_seen(thing: str) -> bool:
    return sense_of(thing)[0] is None


@dataclass(frozen=True)
class Suggestion:
    """Another word for one of a question."""

    word: str
    "as it was typed"
    instead: tuple[str, ...]
    "known words spelt like it, best first"
    unknown: bool
    "True: it has no vector and was left out; False: it was searched for, but may be a slip"


def suggestions(text: str, unknown: Iterable[str], model: RetrievalModel) -> list[Suggestion]:
    """What may have been meant by unknown words, and by rare ones that the model was never
    taught; words without a suggestion are left out."""
    near = {word: tuple(model.words.near(word)) for word in unknown}
    rare = [word for word in dict.fromkeys(tokenize(text)) if not model.knows(word)]
    meant = {word: other for word in rare if (other := model.words.meant(word))}
    return [Suggestion(word, others, True) for word, others in near.items() if others] + [
        Suggestion(word, (other,), False) for word, other in meant.items()
    ]

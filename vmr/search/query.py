"""The forms a question can take in one line of text, and what they mean in the shared space.

    a dog on a beach                    words, as they come
    a dog AND a ball                    both at the same time
    a dog -crowd -"parked car"          without what follows a minus sign
    a man opens a door THEN sits down WITHIN 20     one after the other, at most 20 s apart

The operators are words in capitals, so that "and" and "then" stay words of a query.

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

from vmr.model.localise import Proposal
from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Vector
from vmr.model.text import Query, QueryError, normal_form, tokenize
from vmr.model.windows import Window

WITHIN_SECONDS: Final = 60.0
"""How far apart the parts of a THEN may be when the question does not say."""
_WITHIN = re.compile(r"\s+WITHIN\s+(\d+(?:\.\d+)?)\s*s?\s*$")
_NOT_READ: Final = {
    "OR": "OR is not understood: ask for each of the two by itself",
    "NOT": "NOT is not understood: put a minus sign before what is to be left out, as in: dog -cat",
}
"""Capital words that people expect to be operators; read as words they would falsify the answer."""
_AVOIDED = re.compile(r'(?:^|(?<=\s))-(?:"([^"]*)"|([^\W\d_]\S*))')


@dataclass(frozen=True)
class ParsedQuery:
    """A question in its parts."""

    steps: tuple[tuple[str, ...], ...]
    "one after the other; each the things that have to be there together"
    avoided: tuple[str, ...] = ()
    within: float = WITHIN_SECONDS
    "seconds between the end of a step and the start of the next, at most"


def parse(text: str) -> ParsedQuery:
    """Take a question apart.

    Raises:
        QueryError: an operator without words on both sides, one that is not understood (OR, NOT),
            or nothing to look for.
    """
    text = normal_form(text)
    avoided = tuple((quoted or word).strip() for quoted, word in _AVOIDED.findall(text))
    rest = _AVOIDED.sub(" ", text)
    for word, advice in _NOT_READ.items():
        if word in rest.split():
            raise QueryError(advice)
    within = _WITHIN.search(rest)
    rest = _WITHIN.sub("", rest)
    steps = tuple(
        tuple(thing.strip() for thing in re.split(r"(?:^|\s)AND(?=\s|$)", step))
        for step in re.split(r"(?:^|\s)THEN(?=\s|$)", rest)
    )
    if within and len(steps) == 1:
        raise QueryError("WITHIN tells how far apart the parts of a THEN may be; there is no THEN")
    if avoided and steps == (("",),):
        raise QueryError("say what to look for, too, not only what to avoid")
    if (len(steps) > 1 or len(steps[0]) > 1) and not all(all(step) for step in steps):
        raise QueryError("AND and THEN need words on both sides")
    return ParsedQuery(steps, avoided, float(within[1]) if within else WITHIN_SECONDS)


@dataclass(frozen=True, eq=False)
class QueryStep:
    """What one step of a question looks for."""

    wanted: tuple[Vector, ...]
    "all of them have to be there"
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
        return [model.along(window, self.curve(model, window.clips)) for window in windows]


def understand(
    parsed: ParsedQuery, model: RetrievalModel
) -> tuple[list[QueryStep], tuple[str, ...]]:
    """What to look for in each step, and the words that are not known.

    Raises:
        QueryError: a part without a known word.
    """
    steps = [[model.query(thing) for thing in step] for step in parsed.steps]
    avoided = [model.query(thing) for thing in parsed.avoided]
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

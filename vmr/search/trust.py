"""Less trust where the model was hardly taught what a question asks for.

    found, words = less_sure(found, parse("a dinosaur"), model)         # words: ("dinosaur",)

What no caption and no name has, in any form, is read by its vector and its sentence alone: that
finds a pagoda among temples, and calls a sphinx a dinosaur as confidently.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from vmr.model.movements import names_nothing_else
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import says_nothing, tokenize
from vmr.search.moments import SEEN, Moment
from vmr.search.query import ParsedQuery, sense_of

_ENDINGS: Final = ("s", "es", "ed", "ing", "er", "ers")
_BELOW: Final = 0.01  # strengths are shown in whole percent


def less_sure(
    found: Sequence[list[Moment]], parsed: ParsedQuery, model: RetrievalModel
) -> tuple[list[list[Moment]], tuple[str, ...]]:
    """The moments of each step, none of them strong that was only seen where the model was hardly
    taught a thing of its step; and the words of such things."""
    highest = model.calibration.strong - _BELOW
    untaught = [
        [word for thing in step for word in hardly_seen(thing, model)] for step in parsed.steps
    ]
    sure = [
        [
            replace(hit, verdict="possible", strength=highest)
            if words and hit.verdict == "strong" and hit.sense == SEEN
            else hit
            for hit in moments
        ]
        for moments, words in zip(found, untaught, strict=True)
    ]
    return sure, tuple(dict.fromkeys(word for words in untaught for word in words))


def is_guess(parsed: ParsedQuery, model: RetrievalModel) -> bool:
    """Whether the strength of an answer was not fitted for the model, or for such a question."""
    things = [thing for step in parsed.steps for thing in step if sense_of(thing)[0] is None]
    return not all(model.is_calibrated(thing) for thing in things)


def hardly_seen(thing: str, model: RetrievalModel) -> tuple[str, ...]:
    """The words of a thing that show something, if the model was taught none of them."""
    if sense_of(thing)[0] is not None:
        return ()
    known = [word for word in tokenize(thing) if model.words.rank(word) is not None]
    telling = tuple(dict.fromkeys(word for word in known if not says_nothing((word,))))
    if names_nothing_else(known) or not model.towers.config.learned:
        return ()  # nobody has to be taught a movement; other weights do not say what they were
    taught = any(model.knows(form) for word in telling for form in _forms(word))
    return () if taught else telling


def _forms(word: str) -> Iterator[str]:
    """A word, its stem and what is made of it, as far as endings tell: some are no words."""
    stems = [word]
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            stems += [stem, stem + "e"]
            if stem[-1] == stem[-2]:
                stems.append(stem[:-1])
    if word.endswith("ies"):
        stems.append(word[:-3] + "y")
    for stem in stems:
        yield stem
        yield from (stem + ending for ending in _ENDINGS)

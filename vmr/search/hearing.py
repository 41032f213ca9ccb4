"""Words that are said or written, found and weighed: sentences out of transcripts.

    hearing = Hearing(library.transcripts, rank=model.words.rank)
    hearing.find(TextPart("thank you", "said"))         # [Heard(3, 12.1, 14.0, ...)]

What is found is a sentence, or as many as hold the words. Its strength stands for a probability, as
that of what is seen: how often such a find is what somebody asked for. It goes by how rare the
found words are together, by which share of the question they are, each as much as it is rare, and
by whether they follow each other as asked. The constants are set by hand; how often finds of a
strength are right is measured by benchmarks/talking_films.py, which can fit them, too.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from feature_extract.transcript import Sense
from vmr.library.transcripts import Passage, Transcripts
from vmr.model.text import word_set
from vmr.search.sentences import Quote, Token, quoted, sentence_around, sentence_numbers, tokens_of

PASSAGES: Final = 32
"""Passages that are read for a question."""
MOST_TELLING: Final = 8
"""Words of a plain question of which some may be missing; of more, the others are not needed."""
MOST_GROUPS: Final = 64
"""Groups of words of a plain question that passages are looked for with."""
TOGETHER: Final = 8
"""Passages that are taken apart at a time."""
FINDS: Final = 16
"""Finds whose sentences are looked for: more than an answer shows."""
NEAR_SECONDS: Final = 12.0
NEAR_WORDS: Final = 30
"""How far apart words may be that belong together."""
JOINED: Final = 0.15
"""Of the weight of all words: a second sentence is joined to one where it brings more than that, as
a word that was misheard in the one may be said in the other, too."""
AROUND: Final = 5
"""Spans beside a passage in which its first and last sentence may begin and end."""
PASSAGE_WORDS: Final = 75.0
"""Words of a passage, about."""
PRIOR: Final = 300.0
"""Passages of other people's talk that a word's frequency in general counts as; a small library
says little about which words are rare."""
RAREST: Final = 400_000
"""Rank of a word that no list knows."""
EXACT: Final = 0.97
"""Strength of words that were asked for in quotes, or by their sense, and follow each other so."""
SCATTERED: Final = 0.4
"""Of such words, all of them near each other, but not as asked."""
LEAST: Final = 0.1
"""Finds that are weaker are none."""
# Of plain words: log odds of being what was asked for.
BIAS: Final = -9.0
BY_RARITY: Final = 0.35
BY_SHARE: Final = 6.0
BY_PHRASE: Final = 2.0

FUNCTION_WORDS: Final = word_set("""
a an the this that these those and or but nor not no if so as than then there here of to in on at by
for with from into onto over under about up down out off is are was were be been being am do does
did has have had will would can could may might must shall should it its itself he him his she her
they them their i me my we us our you your what which who whom whose when where why how some any
every each both such very just only also too
""")
"""Of plain words, those that are in every talk; said of themselves they are looked for."""

Rank = Callable[[str], int | None]
"""The place of a word among all words by frequency, from 0; None of an unknown one."""


@dataclass(frozen=True)
class TextPart:
    """Words to be found among what is said and written."""

    text: str
    sense: Sense | None = None
    "only there; None: plain words, which may have been meant for the picture as well"


@dataclass(frozen=True)
class Heard:
    """Sentences in which words were found; seconds."""

    video: int
    start: float
    end: float
    best: float
    "when the first of the words is said"
    strength: float
    senses: tuple[Sense, ...]
    words: tuple[Quote, ...]
    evidence: "Evidence | None" = None
    "what the strength was worked out from, of plain words"


@dataclass(frozen=True)
class Evidence:
    """How much the words of a plain question say that were found near each other."""

    rarity: float
    "of all of them: minus the logarithm of how often they are in one passage by chance"
    share: float
    "which part of the question they are, each as much as it is rare; 0..1"
    as_asked: bool
    "they follow each other as in the question"

    @property
    def strength(self) -> float:
        """0..1: how often such a find is what was asked for."""
        logit = BIAS + BY_RARITY * self.rarity + BY_SHARE * self.share + BY_PHRASE * self.as_asked
        return 1 / (1 + math.exp(-logit))


@dataclass(frozen=True)
class _Find:
    """Where words of a question stand in a passage."""

    passage: Passage
    tokens: Sequence[Token]
    "its words"
    first: Token
    last: Token
    matched: frozenset[int]
    "keys of the matched tokens"
    strength: float
    evidence: Evidence | None = None


class Hearing:
    """Finds words in the transcripts of a library."""

    def __init__(self, transcripts: Transcripts, *, rank: Rank, least: float = LEAST) -> None:
        """`least`: finds that are weaker are none."""
        self._transcripts = transcripts
        self._rank = rank
        self._least = least

    def find(self, part: TextPart, videos: Collection[int] | None = None) -> list[Heard]:
        """Sentences with these words, best first.

        Args:
            videos: ids of those to look into; all by default.
        """
        words, sense = part.text.split(), part.sense
        told = [word for word in words if sense or _plain(word) not in FUNCTION_WORDS]
        if not told:
            return []
        weigh = self._weights(told, sense)
        near = self._transcripts.near
        passages = []
        if sense:
            passages = self._transcripts.search([part.text], videos, PASSAGES, sense=sense)
        # Not so: all of them near each other, or nearly all, of which one may be misheard.
        passages = passages or near(_groups(weigh, self._least), videos, PASSAGES, sense=sense)
        finds: list[_Find] = []
        for passage, tokens, stems in self._taken_apart(passages):
            found = self._finds(passage, tokens, stems, part, weigh)
            finds += (find for find in found if find.strength >= self._least)
            if sense and sum(find.strength >= EXACT for find in finds) >= FINDS:
                break  # none can be better
        finds.sort(key=lambda find: -find.strength)  # stable: among equals as the index has them
        return _apart([self._heard(find) for find in finds[:FINDS]])

    def _taken_apart(
        self, passages: Sequence[Passage]
    ) -> Iterator[tuple[Passage, list[Token], list[tuple[str, ...]]]]:
        """Passages with their words, and the stems of those."""
        for first in range(0, len(passages), TOGETHER):
            some = [(p, tokens_of(p.spans)) for p in passages[first : first + TOGETHER]]
            texts = [token.text for _, tokens in some for token in tokens]
            stems = iter(self._transcripts.stems.of(texts))
            for passage, tokens in some:
                yield passage, tokens, list(itertools.islice(stems, len(tokens)))

    def said_in(
        self, part: TextPart, videos: Collection[int], most: int = 2000
    ) -> list[tuple[int, float, float]]:
        """Every place with these words, (video, start, end), for what is to be left out."""
        places = []
        passages = self._transcripts.search([part.text], videos, most, sense=part.sense)
        for passage, tokens, stems in self._taken_apart(passages):
            for first, last in self._phrases(tokens, stems, part.text):
                places.append((passage.video, tokens[first].start, tokens[last].end))
        return places

    def _weights(self, words: Sequence[str], sense: Sense | None) -> dict[str, float]:
        """How rare each word is: minus the logarithm of the share of passages that hold it."""
        total = self._transcripts.passages()
        return {
            word: -math.log(
                (self._transcripts.count(word, sense) + PRIOR * self._share(word)) / (total + PRIOR)
            )
            for word in dict.fromkeys(words)
        }

    def _share(self, word: str) -> float:
        """Of the passages of anybody, how many hold a word: by its rank, after Zipf's law."""
        rank = self._rank(_plain(word))
        often = 0.1 / (1 + (RAREST if rank is None else rank))
        return 1 - math.exp(-PASSAGE_WORDS * often)

    def _finds(
        self,
        passage: Passage,
        tokens: Sequence[Token],
        stems: Sequence[tuple[str, ...]],
        part: TextPart,
        weigh: dict[str, float],
    ) -> Iterator[_Find]:
        total = sum(weigh.values()) or 1.0
        phrases = list(self._phrases(tokens, stems, part.text))
        if part.sense is not None and phrases:
            for first, last in phrases:
                yield _find(passage, tokens, range(first, last + 1), EXACT)
            return
        found = self._nearest(tokens, stems, list(weigh), weigh)
        if found is None:
            return
        places, rarity = found
        share = rarity / total
        if part.sense is not None:
            strength = Evidence(rarity, share, as_asked=False).strength
            yield _find(
                passage, tokens, places, SCATTERED if share > 0.999 else min(SCATTERED, strength)
            )
            return
        as_asked = len(places) > 1 and any(
            first <= places[0] and places[-1] <= last for first, last in phrases
        )
        evidence = Evidence(rarity, share, as_asked)
        yield _find(passage, tokens, places, evidence.strength, evidence)

    def _phrases(
        self, tokens: Sequence[Token], stems: Sequence[tuple[str, ...]], text: str
    ) -> Iterator[tuple[int, int]]:
        """First and last token of every place where the words of a text follow each other."""
        wanted = self._transcripts.stems.of([text.rstrip("*")])[0]
        begins = text.endswith("*")
        flat = [(stem, place) for place, held in enumerate(stems) for stem in held]
        for at in range(len(flat) - len(wanted) + 1 if wanted else 0):
            if len(wanted) > 1 and flat[at][0] != wanted[0]:  # nearly all of them
                continue
            here = flat[at : at + len(wanted)]
            *body, (last, end) = here
            if [stem for stem, _ in body] != list(wanted[:-1]):
                continue
            if last != wanted[-1] and not (begins and last.startswith(wanted[-1])):
                continue
            if tokens[end].start - tokens[here[0][1]].end <= NEAR_SECONDS:
                yield here[0][1], end

    def _nearest(
        self,
        tokens: Sequence[Token],
        stems: Sequence[tuple[str, ...]],
        words: Sequence[str],
        weigh: dict[str, float],
    ) -> tuple[list[int], float] | None:
        """The places of the most telling words of a question that stand near each other."""
        wanted = dict(zip(words, self._transcripts.stems.of(words), strict=True))
        beginning: dict[str, list[str]] = {}
        for word, (stem, *_) in ((word, held) for word, held in wanted.items() if held):
            beginning.setdefault(stem, []).append(word)
        held = [
            (place, word)
            for place, token in enumerate(stems)
            for stem in token
            for word in beginning.get(stem, ())
            if set(wanted[word]) <= set(token)
        ]
        sentence = sentence_numbers(tokens) if held else []
        beyond = JOINED * sum(weigh.values())
        best: tuple[float, int, float, list[int]] | None = None
        for start, (first, _) in enumerate(held):
            places: dict[str, int] = {}
            rarity = 0.0
            for place, word in held[start:]:
                late = tokens[place].start - tokens[first].end > NEAR_SECONDS
                if late or place - first > NEAR_WORDS:
                    break
                if word in places:
                    continue
                places[word] = place
                rarity += weigh[word]
                worth = rarity - beyond * (sentence[place] > sentence[first]), first - place
                if best is None or worth > best[:2]:
                    best = *worth, rarity, list(places.values())
        return None if best is None else (best[3], best[2])

    def _heard(self, find: _Find) -> Heard:
        """The sentences around what was found."""
        passage, tokens = find.passage, find.tokens
        begins, ends = sentence_around(tokens, find.first, find.last)
        if begins == 0 or ends == len(tokens) - 1:  # it may go on beside the passage
            first = max(0, passage.first - AROUND)
            last = passage.first + len(passage.spans) - 1 + AROUND
            spans = self._transcripts.kept(passage.video, passage.sense, first, last)
            tokens = tokens_of(spans, first - passage.first)
            begins, ends = sentence_around(tokens, find.first, find.last)
        inside = tokens[begins : ends + 1]
        return Heard(
            passage.video,
            inside[0].start,
            max(token.end for token in inside),
            find.first.start,
            find.strength,
            (passage.sense,),
            (quoted(passage.sense, inside, find.matched),),
            find.evidence,
        )


def _groups(weigh: dict[str, float], least: float = LEAST) -> list[list[str]]:
    """Words of a plain question that tell enough where they are found without the others, all of
    them first, then by how much they tell: what holds no such group is no find."""
    total = sum(weigh.values()) or 1.0
    telling = sorted(weigh, key=lambda word: -weigh[word])[:MOST_TELLING]
    parts: list[tuple[float, list[str]]] = []
    for size in range(1, len(telling) + 1):
        for group in itertools.combinations(telling, size):
            rarity = sum(weigh[word] for word in group)
            if Evidence(rarity, rarity / total, as_asked=False).strength >= least:
                parts.append((rarity, list(group)))
    parts.sort(key=lambda part: -part[0])
    return [list(weigh), *(group for _, group in parts[:MOST_GROUPS] if len(group) < len(weigh))]


def _plain(word: str) -> str:
    return word.strip(".,;:!?\"'*").lower()


def _find(
    passage: Passage,
    tokens: Sequence[Token],
    places: Sequence[int],
    strength: float,
    evidence: Evidence | None = None,
) -> _Find:
    matched = frozenset(tokens[place].key for place in places)
    first, last = tokens[places[0]], tokens[places[-1]]
    return _Find(passage, tokens, first, last, matched, strength, evidence)


def together(parts: Sequence[list[Heard]], seconds: float) -> list[Heard]:
    """What is found of every part at the same time, give or take some seconds."""
    found = list(parts[0])
    for others in parts[1:]:
        found = [
            _united(one, other)
            for one in found
            for other in others
            if one.video == other.video
            and one.start - other.end <= seconds
            and other.start - one.end <= seconds
        ]
    return _apart(found)


def _united(one: Heard, other: Heard) -> Heard:
    return replace(
        min(one, other, key=lambda heard: heard.strength),
        start=min(one.start, other.start),
        end=max(one.end, other.end),
        best=max(one.best, other.best),
        senses=tuple(dict.fromkeys((*one.senses, *other.senses))),
        words=tuple(dict.fromkeys((*one.words, *other.words))),
    )


def _apart(found: list[Heard]) -> list[Heard]:
    """Best first; of those that lie in each other's time, only the best: passages overlap."""
    kept: list[Heard] = []
    for heard in sorted(found, key=lambda heard: -heard.strength):
        if not any(
            heard.video == other.video
            and heard.senses == other.senses
            and heard.start < other.end
            and other.start < heard.end
            for other in kept
        ):
            kept.append(heard)
    return kept

"""What is said and written in the videos of a library: kept, given back, and searched by word.

    library.transcripts.replace(3, transcript)          # whole, or not at all
    library.transcripts.of(3, "said")                   # the same Transcript, or None
    library.transcripts.search(["thank you"], limit=20) # passages that hold the phrase, best first

Spans are kept as they came. Searched are passages: runs of spans of half a minute that overlap, so
that words which are said one after the other lie together in one, whatever spans they are in. What
has words is part of no fingerprint: no row of pictures and no index of clips depends on it.
"""

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from feature_extract.transcript import SENSES, Sense, TextSpan, TimedWord, Transcript
from vmr.library.connection import Catalogue, Statements
from vmr.library.locks import LibraryError
from vmr.library.passages import ALL
from vmr.library.tokens import Stems, index_form

PASSAGE_SECONDS: Final = 30.0
"""As long as a passage gets, unless its two first spans are longer."""
OVERLAP_SECONDS: Final = 8.0
"""How much of a passage the next one repeats, at least its last span."""
MOST_SPANS: Final = 64
"""Of a passage: what lies in one picture may be many lines."""
COUNTED: Final = 5000
"""How far passages with a word are counted: one with more is common, which is all to know."""
RANKED: Final = 2000
"""Of words in so many passages together, all of them are ranked. SQLite goes through every passage
with a word to say how much it tells; of more, any passage is like any other."""
FIRST: Final = 9
"""Groups of words that are looked for before the rest is."""
NEAR_WORDS: Final = 45
"""How far apart words are that are near each other: half as far again as who asks has it, as
"don't" is one word to people and two to SQLite."""
MOST_COUNTS: Final = 10_000
"""Counts that are remembered until something changes."""
_AT_ONCE: Final = 500  # values of a statement: older SQLites take 999
_NUMBERS: Final = 1 << 20
"""Passages that a transcript may have: ten thousand hours."""


class KeptSpan(NamedTuple):
    """A span as it lies in the library. Checked when it was written, and not again: a question
    reads some thousand words."""

    start: float
    end: float
    text: str
    timed: str
    "its words as JSON, [[start, end, text], ...]; empty where only the whole has a time"
    confidence: float | None

    def words(self) -> list[tuple[float, float, str]]:
        """Start, end and text of each word; none where only the whole has a time."""
        return json.loads(self.timed) if self.timed else []

    def checked(self) -> TextSpan:
        """The same as others know it."""
        words = tuple(TimedWord(*word) for word in self.words())
        return TextSpan(self.start, self.end, self.text, words, self.confidence)


@dataclass(frozen=True)
class Passage:
    """Half a minute of a transcript, in which something was found."""

    video: int
    sense: Sense
    first: int
    "place of its first span in the transcript"
    spans: tuple[KeptSpan, ...]


class Transcripts:
    """The transcripts of a library. `Library.transcripts` is the one to use."""

    def __init__(self, db: Catalogue) -> None:
        self._db = db
        self.stems = Stems()
        self._counts: dict[str, int] = {}
        self._counted_at: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._db.fetch("SELECT 1 FROM transcripts LIMIT 1"))

    def replace(self, video: int, transcript: Transcript) -> None:
        """Keep what one sense found in a video, instead of what it had found before.

        Raises:
            LibraryError: there is no such video (any more), or the library may only be read.
        """
        key = video, transcript.sense
        runs = list(_runs(transcript.spans))
        if len(runs) > _NUMBERS:
            raise LibraryError(f"video {video}: a transcript of {len(runs)} passages is too long")
        first_id = _first_id(*key)
        with self._db.transaction() as db:
            self._remove(db, *key)
            if not db.execute("SELECT 1 FROM videos WHERE id = ?", (video,)).fetchone():
                raise LibraryError(f"no video {video}; `list` shows what there is")
            db.execute(
                "INSERT INTO transcripts VALUES (?, ?, ?, ?, ?)",
                (*key, transcript.origin, transcript.language, len(runs)),
            )
            db.executemany(
                "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(*key, place, *_as_row(span)) for place, span in enumerate(transcript.spans)],
            )
            db.executemany(
                f"INSERT INTO passages (id, video, sense, first, last, {transcript.sense}) "  # noqa: S608  # no part of it comes from outside
                "VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (first_id + number, *key, first, last, _text(transcript.spans, first, last))
                    for number, (first, last) in enumerate(runs)
                ],
            )
            numbers = range(first_id, first_id + len(runs))
            self._db.words.add(db, numbers)

    def remove(self, video: int, sense: Sense | None = None) -> None:
        """Forget what one sense found in a video, or all of it; nothing where there is nothing."""
        with self._db.transaction() as db:
            for each in SENSES if sense is None else (sense,):
                self._remove(db, video, each)

    def of(self, video: int, sense: Sense) -> Transcript | None:
        """What one sense found in a video; None where it has not looked."""
        query = "SELECT origin, language FROM transcripts WHERE video = ? AND sense = ?"
        for origin, language in self._db.fetch(query, video, sense):
            return Transcript(sense, origin, language, self.spans(video, sense))
        return None

    def spans(
        self, video: int, sense: Sense, *, first: int = 0, last: int = 1 << 62
    ) -> tuple[TextSpan, ...]:
        """The spans of a transcript by their places, both ends among them."""
        return tuple(span.checked() for span in self.kept(video, sense, first, last))

    def kept(self, video: int, sense: Sense, first: int, last: int) -> tuple[KeptSpan, ...]:
        """As `spans`, as they lie there."""
        query = (
            'SELECT start, "end", text, words, confidence FROM spans '
            "WHERE video = ? AND sense = ? AND place BETWEEN ? AND ? ORDER BY place"
        )
        return tuple(KeptSpan(*row) for row in self._db.fetch(query, video, sense, first, last))

    def between(self, video: int, sense: Sense, start: float, end: float) -> tuple[TextSpan, ...]:
        """The spans that have to do with a part of a video, cut to the words that lie in it by
        more than half, where words have times."""
        query = (
            'SELECT start, "end", text, words, confidence FROM spans '
            'WHERE video = ? AND sense = ? AND start < ? AND "end" > ? ORDER BY place'
        )
        rows = self._db.fetch(query, video, sense, end, start)
        found = (KeptSpan(*row).checked() for row in rows)
        return tuple(span for whole in found for span in _cut(whole, start, end))

    def known(self) -> dict[int, dict[Sense, str]]:
        """Which senses have found words in which video, and where those come from."""
        found: dict[int, dict[Sense, str]] = {}
        query = "SELECT video, sense, origin FROM transcripts WHERE passages > 0"
        for video, sense, origin in self._db.fetch(query):
            found.setdefault(video, {})[sense] = origin
        return found

    def passages(self) -> int:
        """How many passages can be searched."""
        return int(self._db.fetch("SELECT coalesce(sum(passages), 0) FROM transcripts")[0][0])

    def count(self, term: str, sense: Sense | None = None) -> int:
        """In how many passages a term is, at most `COUNTED`.

        Args:
            term: words that follow each other; with a star at its end, the last one begins so.
        """
        match = self._match([term], "AND", sense)
        if not match:
            return 0
        state = self._db.words.state()
        if state != self._counted_at or len(self._counts) > MOST_COUNTS:
            self._counted_at, self._counts = state, {}
        counts = self._counts
        if match not in counts:
            counts[match] = self._db.words.count(match, COUNTED)
        return counts[match]

    def search(
        self,
        terms: Sequence[str],
        scope: Collection[int] | None = None,
        limit: int = 64,
        *,
        sense: Sense | None = None,
    ) -> list[Passage]:
        """Passages with all of these terms, best first (bm25), then such with some of them.

        Args:
            terms: each one or more words that follow each other; "exi*" for all that begin so.
            scope: ids of the videos to look into; all by default.
            sense: what is said or what is written only.
        """
        counts = {term: self.count(term, sense) for term in dict.fromkeys(terms)}
        present = sorted((term for term in counts if counts[term]), key=lambda term: counts[term])
        sums = itertools.accumulate(counts[term] for term in present)
        rare = [term for term, most in zip(present, sums, strict=True) if most <= RANKED]
        if not present:
            return []
        match = self._match(present, "AND", sense)
        ids = dict.fromkeys(self._holding(match, scope, limit, ordered=present == rare))
        if len(ids) < limit and len(present) > 1:
            match = self._match(rare or present[:1], "OR", sense)
            ids |= dict.fromkeys(self._holding(match, scope, limit, ordered=bool(rare)))
        return self._passages(list(ids)[:limit])

    def near(
        self,
        groups: Sequence[Sequence[str]],
        scope: Collection[int] | None = None,
        limit: int = 64,
        *,
        sense: Sense | None = None,
    ) -> list[Passage]:
        """Passages in which all terms of one of these groups stand near each other: those with the
        first group before all others, the rest by bm25 where that costs little.

        Args:
            groups: terms as of `search`, those that tell most first.
            scope: ids of the videos to look into; all by default.
            sense: what is said or what is written only.
        """
        ids: dict[int, None] = {}
        for some in (groups[:1], groups[1:FIRST], groups[FIRST:]):
            if some and len(ids) < limit:
                match = self._joined((self._clump(group) for group in some), "OR", sense)
                terms = {term for group in some for term in group}
                ordered = sum(self.count(term, sense) for term in terms) <= RANKED
                if match:
                    ids |= dict.fromkeys(self._holding(match, scope, limit, ordered=ordered))
        return self._passages(list(ids)[:limit])

    def _holding(
        self, match: str, scope: Collection[int] | None, limit: int, *, ordered: bool
    ) -> list[int]:
        """Ids of passages, best first; of common words in no order: any passage is like any other,
        and ranking all of them would take its time."""
        only = next(iter(scope)) if scope is not None and len(scope) == 1 else None
        first, last = (0, 1 << 62) if only is None else _ids_of(only)
        most = limit if scope is None or only is not None else ALL
        found = self._db.words.holding(match, first, last, most, ordered=ordered)
        return [id for id in found if scope is None or _video_of(id) in scope][:limit]

    def _passages(self, ids: Sequence[int]) -> list[Passage]:
        """Those of them that are there: one may have been removed just now."""
        found: dict[int, tuple[int, Sense, int, list[KeptSpan]]] = {}
        query = (
            'SELECT passages.id, passages.video, passages.sense, first, start, "end", text, words, '
            "confidence FROM passages JOIN spans ON spans.video = passages.video AND "
            "spans.sense = passages.sense AND place BETWEEN first AND last "
            "WHERE passages.id IN ({}) ORDER BY passages.id, place"
        )
        for some in (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)):
            asked = query.format(", ".join("?" * len(some)))
            for id, video, sense, first, *span in self._db.fetch(asked, *some):
                found.setdefault(id, (video, sense, first, []))[3].append(KeptSpan(*span))
        return [
            Passage(video, sense, first, tuple(spans))
            for id in ids
            if id in found
            for video, sense, first, spans in [found[id]]
        ]

    def _match(self, terms: Sequence[str], joined: str, sense: Sense | None) -> str:
        """Terms in the language of the database: phrases of one sense or both; empty where there
        is no word in any of them."""
        return self._joined(self._phrases(terms), joined, sense)

    def _clump(self, terms: Sequence[str]) -> str:
        """Terms near each other, in the language of the database."""
        phrases = self._phrases(terms)
        return self._db.words.near(phrases, NEAR_WORDS) if len(phrases) > 1 else "".join(phrases)

    def _phrases(self, terms: Sequence[str]) -> list[str]:
        told = [term for term in terms if self.stems.of([term])[0]]
        return [self._db.words.phrase(term.rstrip("*"), term.endswith("*")) for term in told]

    def _joined(self, matches: Iterable[str], joined: str, sense: Sense | None) -> str:
        told = [match for match in matches if match]
        return self._db.words.joined(told, joined, sense) if told else ""

    def _remove(self, db: Statements, video: int, sense: Sense) -> None:
        db.execute("DELETE FROM transcripts WHERE video = ? AND sense = ?", (video, sense))


def _runs(spans: Sequence[TextSpan]) -> Iterator[tuple[int, int]]:
    """First and last span of each passage; every two spans that follow each other share one."""
    first = last = 0
    while first < len(spans):
        last = min(first + 1, len(spans) - 1)
        while (
            last + 1 < min(len(spans), first + MOST_SPANS)
            and spans[last + 1].end - spans[first].start <= PASSAGE_SECONDS
        ):
            last += 1
        yield first, last
        if last == len(spans) - 1:
            return
        least = max(first + 1, last - MOST_SPANS // 4)
        repeated = (
            place
            for place in range(least, last)
            if spans[last].end - spans[place].start <= OVERLAP_SECONDS
        )
        first = next(repeated, last)


def _cut(span: TextSpan, start: float, end: float) -> Iterator[TextSpan]:
    """What of a span lies in a part of a video: nothing, or one span."""
    if not span.words:
        yield span
        return
    inside = tuple(word for word in span.words if start <= (word.start + word.end) / 2 < end)
    if len(inside) == len(span.words):
        yield span
    elif inside:
        text = " ".join(word.text for word in inside)
        last = max(word.end for word in inside)
        yield replace(span, start=inside[0].start, end=last, text=text, words=inside)


def _text(spans: Sequence[TextSpan], first: int, last: int) -> str:
    return index_form(" ".join(span.text for span in spans[first : last + 1]))


def _first_id(video: int, sense: Sense) -> int:
    """The ids of passages tell of which video and sense they are, so that a search need not ask."""
    return (video * len(SENSES) + SENSES.index(sense)) * _NUMBERS


def _ids_of(video: int) -> tuple[int, int]:
    """The first and last id that passages of a video may have."""
    return _first_id(video, SENSES[0]), _first_id(video + 1, SENSES[0]) - 1


def _video_of(id: int) -> int:
    return id // _NUMBERS // len(SENSES)


def _as_row(span: TextSpan) -> tuple[float, float, str, str, float | None]:
    words = [[word.start, word.end, word.text] for word in span.words]
    stored = json.dumps(words, ensure_ascii=False, separators=(",", ":")) if words else ""
    return span.start, span.end, span.text, stored, span.confidence

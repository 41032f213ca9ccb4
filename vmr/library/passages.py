"""How passages of transcripts are found by their words: a language of its own in each database.

words = Fts5(db.fetch)
phrases = [words.phrase("thank you", False), words.phrase("exi", True)]
match = words.joined(phrases, "AND", "said")
words.count(match, 5000); words.holding(match, 0, 1 << 62, 64, ordered=True)
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from feature_extract.transcript import Sense
from vmr.library.tokens import index_form

Fetch = Callable[..., list[tuple[Any, ...]]]
ALL: Final = -1
"""As a limit: none."""


class PassageWords(Protocol):
    """The words of a library's passages."""

    def phrase(self, text: str, begins: bool) -> str:
        """Words that follow each other; where it `begins` so, any word that the last one begins."""

    def near(self, phrases: Sequence[str], words: int) -> str:
        """All of these phrases, no more than so many words apart; a database that cannot tell
        takes them wherever they are in the passage."""

    def joined(self, matches: Sequence[str], joined: str, sense: Sense | None) -> str:
        """All of these ("AND") or any of them ("OR"), in one sense or in both."""

    def count(self, match: str, at_most: int) -> int:
        """In how many passages something is, counted up to there."""

    def holding(self, match: str, first: int, last: int, limit: int, *, ordered: bool) -> list[int]:
        """Ids of passages from `first` to `last`, in order the best ones first."""

    def state(self) -> list[tuple[Any, ...]]:
        """Something that differs once a transcript may have changed."""

    def add(self, statements: Any, ids: Iterable[int]) -> None:
        """Have new passages found by their words."""


class Fts5:
    """SQLite's FTS5, ranked by bm25."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def phrase(self, text: str, begins: bool) -> str:
        """As `PassageWords.phrase`."""
        return f'"{index_form(text).replace(chr(34), " ")}"' + " *" * begins

    def near(self, phrases: Sequence[str], words: int) -> str:
        """As `PassageWords.near`."""
        return f"NEAR({' '.join(phrases)}, {words})"

    def joined(self, matches: Sequence[str], joined: str, sense: Sense | None) -> str:
        """As `PassageWords.joined`."""
        match = f" {joined} ".join(matches)
        return f"{{{sense}}} : ({match})" if sense else match

    def count(self, match: str, at_most: int) -> int:
        """As `PassageWords.count`."""
        query = (
            "SELECT count(*) FROM (SELECT 1 FROM passage_words WHERE passage_words MATCH ? LIMIT ?)"
        )
        return int(self._fetch(query, match, at_most)[0][0])

    def holding(self, match: str, first: int, last: int, limit: int, *, ordered: bool) -> list[int]:
        """As `PassageWords.holding`."""
        query = (
            "SELECT rowid FROM passage_words WHERE passage_words MATCH ? "  # noqa: S608  # no part of it comes from outside
            f"AND rowid BETWEEN ? AND ? {'ORDER BY rank' if ordered else ''} LIMIT ?"
        )
        return [id for (id,) in self._fetch(query, match, first, last, limit)]

    def state(self) -> list[tuple[Any, ...]]:
        """Of this connection's own changes, and of those of others."""
        return self._fetch("SELECT total_changes(), data_version FROM pragma_data_version")

    def add(self, statements: Any, ids: Iterable[int]) -> None:
        """Nothing: a trigger of the database does it."""

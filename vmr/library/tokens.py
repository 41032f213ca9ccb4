"""Words as the index of transcripts sees them: without case, accents and English endings.

stems = Stems()
stems.of(["Cafés,", "don't"])           # [("cafe",), ("don", "t")]

SQLite takes both the transcripts and the questions apart, so that they cannot disagree.
"""

import re
import sqlite3
import threading
from collections.abc import Sequence
from typing import Final

from feature_extract.text_form import normal_form

TOKENIZER: Final = "porter unicode61 remove_diacritics 2"
"""Of SQLite's FTS5: letters and digits, accents folded, English endings taken off."""
MOST_KEPT: Final = 100_000
"""Words whose stems are remembered: more than anybody says."""
_ALONE = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f])")
"""Signs of scripts that put no space between words; each is a word, and a word a phrase of them."""


def index_form(text: str) -> str:
    """The text as it is put into the index: in its one form, Chinese and Japanese signs apart."""
    return _ALONE.sub(r" \1 ", normal_form(text))


class Stems:
    """Takes words apart as the index does; remembers them, as most come again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        self._db: sqlite3.Connection | None = None

    def of(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """The stems of each word, or of each text: none of a dash, two of "don't"."""
        with self._lock:
            if len(self._known) > MOST_KEPT:
                self._known.clear()
            unknown = list({word for word in words if word not in self._known})
            if unknown:
                self._learn(unknown)
            return [self._known[word] for word in words]

    def _learn(self, words: list[str]) -> None:
        if self._db is None:
            self._db = sqlite3.connect(":memory:", check_same_thread=False)
            self._db.execute(
                f"CREATE VIRTUAL TABLE words USING fts5 (text, content='', tokenize='{TOKENIZER}')"
            )
            self._db.execute("CREATE VIRTUAL TABLE stems USING fts5vocab (words, 'instance')")
        texts = [(place, index_form(word)) for place, word in enumerate(words)]
        self._db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", texts)
        found: list[list[str]] = [[] for _ in words]
        for place, stem in self._db.execute("SELECT doc, term FROM stems ORDER BY doc, offset"):
            found[place].append(stem)
        self._db.execute("INSERT INTO words (words) VALUES ('delete-all')")
        self._db.commit()
        self._known |= {word: tuple(stems) for word, stems in zip(words, found, strict=True)}

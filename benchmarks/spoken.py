"""Are words found where they were said? Made-up talk with planted sentences, and how fast.

    python -m benchmarks.spoken                     # what is found, and false finds: the table
    python -m benchmarks.spoken --fit               # the constants of `vmr/search/hearing.py`
    python -m benchmarks.spoken --hours 1000        # how long a question takes in so much talk

The talk is synthetic: words of the packaged vocabulary, drawn as often as their rank says (Zipf),
in sentences of 4 to 20. Half of the films have a time for every word and spans that end anywhere,
as speech recognition has; half have subtitles of two lines, without times of words. One sentence of
each film is planted, its words of middle rank, some of them in two forms.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from feature_extract.transcript import TextSpan, TimedWord, Transcript
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.model.text import Words
from vmr.search.hearing import FUNCTION_WORDS, Evidence, Heard, Hearing, TextPart

FILMS: Final = 200
MINUTES: Final = 10.0
WORD_SECONDS: Final = 0.4
VOCABULARY: Final = 30_000
PLANTED: Final = range(1_000, 20_000)
"""Ranks of the telling words of a planted sentence."""
ENDINGS: Final = ("s", "ed", "ing")
SUBTITLE: Final = 60
"""Characters of a subtitle."""


@dataclass(frozen=True)
class Film:
    """A made-up transcript, and what was planted in it."""

    transcript: Transcript
    sentence: tuple[str, ...]
    start: float
    end: float
    other_forms: dict[str, str]
    "words of the sentence -> another form of them"


@dataclass(frozen=True)
class Asked:
    """A question, and what came of it."""

    kind: str
    right: bool
    strength: float
    evidence: Evidence | None


class Talk:
    """Draws talk out of a vocabulary."""

    def __init__(self, words: Words, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        ranked = sorted(
            (rank, word)
            for word in words.common(VOCABULARY)
            if word.isalpha() and word.isascii() and (rank := words.rank(word)) is not None
        )
        self.words = np.array([word for _, word in ranked])
        shares = 1.0 / (1 + np.array([rank for rank, _ in ranked]))
        self.shares = shares / shares.sum()
        known = set(self.words.tolist())
        self.forms = {
            word: [word + ending for ending in ENDINGS if word + ending in known]
            for rank, word in ranked
            if rank in PLANTED
        }
        self.telling = [word for word in self.forms if word not in FUNCTION_WORDS]
        self.inflected = [word for word in self.telling if self.forms[word]]

    def sentence(self) -> list[str]:
        """Any words, as often as they are used."""
        drawn = self.rng.choice(self.words, int(self.rng.integers(4, 21)), p=self.shares)
        return [str(word) for word in drawn]

    def planted(self) -> tuple[list[str], dict[str, str]]:
        """A sentence of four telling words among others, two of which have another form."""
        inflected = self.rng.choice(self.inflected, 2, replace=False).tolist()
        plain = self.rng.choice(self.telling, 2, replace=False).tolist()
        a, b, c, d = self.rng.permutation([*inflected, *plain]).tolist()
        forms = {word: str(self.rng.choice(self.forms[word])) for word in inflected}
        return ["the", a, b, "of", "a", c, "and", d], forms

    def film(self, number: int) -> Film:
        """One planted sentence among others, at any time."""
        count = int(MINUTES * 60 / WORD_SECONDS / 12)
        sentences = [self.sentence() for _ in range(count)]
        place = int(self.rng.integers(2, count - 2))
        planted, forms = self.planted()
        sentences[place] = planted
        timed = list(_timed(sentences))
        spans = list(_recognised(timed, self.rng) if number % 2 else _subtitles(timed))
        first = sum(map(len, sentences[:place]))
        start, end = timed[first].start, timed[first + len(planted) - 1].end
        transcript = Transcript("said", "made up", "en", tuple(spans))
        return Film(transcript, tuple(planted), start, end, forms)


def _timed(sentences: Sequence[Sequence[str]]) -> Iterator[TimedWord]:
    at = 0.0
    for sentence in sentences:
        for place, word in enumerate(sentence):
            mark = "." if place == len(sentence) - 1 else ""
            text = word.capitalize() if place == 0 else word
            yield TimedWord(at, at + WORD_SECONDS, text + mark)
            at += WORD_SECONDS


def _recognised(words: Sequence[TimedWord], rng: np.random.Generator) -> Iterator[TextSpan]:
    """Spans of a few seconds that end anywhere, with a time for every word."""
    first = 0
    while first < len(words):
        held = tuple(words[first : first + int(rng.integers(8, 25))])
        text = " ".join(word.text for word in held)
        yield TextSpan(held[0].start, held[-1].end, text, held, 0.9)
        first += len(held)


def _subtitles(words: Sequence[TimedWord]) -> Iterator[TextSpan]:
    """Two lines at a time, no longer than a sentence."""
    held: list[TimedWord] = []
    for word in words:
        length = sum(len(one.text) + 1 for one in held) + len(word.text)
        if held and (held[-1].text.endswith(".") or length > SUBTITLE):
            yield TextSpan(held[0].start, held[-1].end, " ".join(one.text for one in held))
            held = []
        held.append(word)
    yield TextSpan(held[0].start, held[-1].end, " ".join(one.text for one in held))


def stored(films: Sequence[Film], folder: Path) -> Library:
    """A library of videos with these transcripts, numbered from 1."""
    library = Library(folder / "library")
    for number, film in enumerate(films):
        path = folder / f"{number}.mp4"
        path.write_bytes(b"%d" % number * 99)
        library.transcripts.replace(library.register(path).id, film.transcript)
    return library


def questions(talk: Talk, film: Film) -> Iterator[tuple[str, TextPart, bool]]:
    """(kind, question, whether the film's sentence answers it)."""
    words, forms = film.sentence, film.other_forms
    other = [forms.get(word, word) for word in words]
    telling = [word for word in words if word not in FUNCTION_WORDS]
    absent = talk.rng.choice(talk.telling, 4, replace=False).tolist()
    common = talk.rng.choice(talk.words[100:1000], 2, replace=False).tolist()
    yield "said: exact words", TextPart(" ".join(words[1:6]), "said"), True
    yield "said: other forms", TextPart(" ".join(other[1:6]), "said"), True
    yield "said: absent words", TextPart(" ".join(absent[:2]), "said"), False
    yield "plain: exact words", TextPart(" ".join(words)), True
    yield "plain: part of the sentence", TextPart(" ".join(telling[1:])), True
    yield "plain: other forms, other order", TextPart(" ".join(reversed(other))), True
    yield "plain: absent words", TextPart(" ".join(absent)), False
    yield "plain: one common word of four", TextPart(f"{common[0]} {' '.join(absent[:3])}"), False
    yield "plain: a single common word", TextPart(f"a {common[1]}"), False


def ask(hearing: Hearing, talk: Talk, films: Sequence[Film]) -> list[Asked]:
    """Every question of every film, in all films at once."""
    done = []
    for video, film in enumerate(films, 1):
        for kind, part, there in questions(talk, film):
            found = hearing.find(part)
            best = found[0] if found else None
            right = there and best is not None and _is(best, video, film)
            strength, evidence = (best.strength, best.evidence) if best else (0.0, None)
            done.append(Asked(kind, right, strength, evidence))
    return done


def _is(found: Heard, video: int, film: Film) -> bool:
    overlap = iou([(found.start, found.end)], [(film.start, film.end)]).item()
    return found.video == video and overlap >= 0.5


def fit(plain: Sequence[tuple[Evidence, bool]]) -> list[float]:
    """Log odds of being right by rarity, share and order: logistic regression, by Newton's steps
    with a slight pull towards 0. Bias first."""
    x = np.array([(1.0, e.rarity, e.share, e.as_asked) for e, _ in plain])
    y = np.array([right for _, right in plain], dtype=float)
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        odds = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (odds - y) + 0.1 * weights
        curve = (x.T * (odds * (1 - odds))) @ x + 0.1 * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return weights.tolist()


def speed(hours: float, seed: int) -> None:
    """How long a question takes in so many hours of talk."""
    talk = Talk(Words.load(), seed)
    words = Words.load()
    with tempfile.TemporaryDirectory() as name:
        library = Library(Path(name) / "library")
        began = time.perf_counter()
        for number in range(max(1, round(hours))):
            path = Path(name) / f"{number}.mp4"
            path.write_bytes(b"%d" % number * 99)
            drawn = talk.rng.choice(talk.words, 9000, p=talk.shares).tolist()
            ends = {9 + 12 * place for place in range(750)}
            timed = [
                TimedWord(at * 0.4, at * 0.4 + 0.4, word + "." * (at in ends))
                for at, word in enumerate(drawn)
            ]
            spans = tuple(_recognised(timed, talk.rng))
            transcript = Transcript("said", "made up", "en", spans)
            library.transcripts.replace(library.register(path).id, transcript)
        print(f"written in {time.perf_counter() - began:.0f} s")
        size = (library.folder / "library.db").stat().st_size
        print(f"library.db: {size / 1e6:.0f} MB, {size / hours / 1e3:.0f} kB an hour")
        hearing = Hearing(library.transcripts, rank=words.rank)
        for kind, length in (("plain", 4), ("plain", 8), ("said", 1), ("said", 2)):
            times, worked = [], []
            for _ in range(100):
                drawn = talk.rng.choice(talk.words, length, p=talk.shares).tolist()
                part = TextPart(" ".join(drawn), "said" if kind == "said" else None)
                began, before = time.perf_counter(), time.process_time()
                hearing.find(part)
                times.append(1000 * (time.perf_counter() - began))
                worked.append(1000 * (time.process_time() - before))
            (p50, p99), (cpu50, cpu99) = (np.percentile(t, (50, 99)) for t in (times, worked))
            print(
                f"{kind}, {length} drawn words: p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
                f"of a processor {cpu50:.1f} and {cpu99:.1f} ms"
            )


def main() -> None:
    """Print the table, or the constants, or the times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spoken", description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--hours", type=float, metavar="H")
    parser.add_argument("--films", type=int, default=FILMS)
    parser.add_argument("--seed", type=int, default=1, help="0 is what the constants are fitted on")
    options = parser.parse_args()
    if options.hours:
        return speed(options.hours, options.seed)
    model = RetrievalModel.load()
    talk = Talk(model.words, 0 if options.fit else options.seed)
    films = [talk.film(number) for number in range(options.films)]
    with tempfile.TemporaryDirectory() as name:
        hearing = Hearing(stored(films, Path(name)).transcripts, rank=model.words.rank)
        done = ask(hearing, talk, films)
    if options.fit:
        names = ("BIAS", "BY_RARITY", "BY_SHARE", "BY_PHRASE")
        plain = [(one.evidence, one.right) for one in done if one.evidence]
        for constant, value in zip(names, fit(plain), strict=True):
            print(f"{constant} = {value:.2f}")
    strong = model.calibration.strong
    print("| asked | questions | R@1 at IoU .5, % | called strong, % |\n|---|---:|---:|---:|")
    for kind in dict.fromkeys(one.kind for one in done):
        of_kind = [one for one in done if one.kind == kind]
        right = 100 * np.mean([one.right for one in of_kind])
        sure = 100 * np.mean([one.strength >= strong for one in of_kind])
        print(f"| {kind} | {len(of_kind)} | {right:.1f} | {sure:.1f} |")


if __name__ == "__main__":
    main()

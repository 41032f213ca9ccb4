"""Are moments found by what is said and written in real films? Made, heard, read and asked here.

    python -m benchmarks.talking_films make --films DIR     # half an hour
    python -m benchmarks.talking_films fit --films DIR      # the constants of vmr/search/hearing.py
    python -m benchmarks.talking_films ask --films DIR      # the table

A film is some 10 s: two photographs, one of them with a line of text in it, and two sentences said
by a voice of eSpeak NG. `make` indexes all of them by pictures, speech (Whisper tiny.en) and text.
All films are asked at once, through the product's search. Every word is in many films, and only
the words of one sentence or line together tell where it is; where they stand in the same order in
two films, either is right. The constants are fitted on questions about the first half of the
films, and the table is of those about the second. Synthetic voices are heard worse than people, so
what was misheard is counted apart: "heard right" are questions whose words are all in the
transcript where they were said.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.spoken import Talk, fit, stored
from benchmarks.spoken import ask as ask_talk
from benchmarks.table import ffmpeg
from benchmarks.words_in import VOICES
from feature_extract.files import write_text
from feature_extract.transcript import Sense
from tests.support.speech import RATE, Sound, save_wav, speak
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.search.hearing import FUNCTION_WORDS, Hearing, TextPart
from vmr.search.query import parse
from vmr.search.searcher import Searcher
from vmr.search.senses import part_of
from vmr.training.packaged import PHOTOGRAPHS, picture_of


def listed(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


PEOPLE: Final = listed("""
teacher doctor farmer painter singer driver captain gardener lawyer baker waiter
pilot student brother sister manager soldier sailor hunter dancer tourist carpenter stranger
visitor guest
""")
THINGS: Final = listed("""
mirror blanket ladder window basket bottle carpet candle hammer jacket letter
magazine necklace newspaper pencil pillow ribbon sandwich telephone ticket trumpet umbrella wallet
bicycle suitcase lantern guitar package computer curtain
""")
PLACES: Final = listed("""
station garden kitchen airport museum hospital village forest mountain river
restaurant island desert school office cabin
""")
LOOKS: Final = listed("""
nervous broken yellow purple ancient wooden heavy expensive empty gentle hungry
famous angry silver golden tiny dirty lazy dangerous beautiful
""")
BY: Final = ("near", "behind", "inside", "beside")
DEEDS: Final = {
    "carried": "carrying", "painted": "painting", "cleaned": "cleaning", "repaired": "repairing",
    "dropped": "dropping", "opened": "opening", "moved": "moving", "covered": "covering",
    "borrowed": "borrowing", "collected": "collecting", "delivered": "delivering",
    "washed": "washing", "wanted": "wanting", "returned": "returning", "ordered": "ordering",
    "counted": "counting", "discovered": "discovering", "wrapped": "wrapping",
}  # fmt: skip
"""What people did, and another form of it."""
KINDS: Final = listed("""
Northern Southern Royal Central Grand Little Upper Modern Public Summer Winter
National Private Global
""")
SIGNS: Final = listed("""
Bridge Tower Square Market Valley Avenue Corner Harbor Bakery Theater Ticket
Garden Station Hotel
""")
APART: Final = 0.6
"""Seconds between two sentences."""
SIZE: Final = (640, 360)
NOT_SHOWN: Final = 4
"""Photographs that no film shows: their captions are asked for, with a word that is said."""
MADE_UP: Final = 40
"""Films of made-up talk, ten minutes each, that the constants are fitted on as well."""
BINS: Final = (
    ("less than .27", 0.0, 0.27),
    (".27 to .5", 0.27, 0.5),
    (".5 to .75", 0.5, 0.75),
    (".75 to .95", 0.75, 0.95),
    (".95 and more", 0.95, 1.01),
)
"""Strengths: possible from .27 on, strong from .75 on."""
T = TypeVar("T")


@dataclass(frozen=True)
class Planted:
    """What is said or written in a film, and when; seconds."""

    words: list[str]
    start: float
    end: float


@dataclass(frozen=True)
class Film:
    """A film of the set, in the order of their names."""

    asked: int
    "which of its sentences is asked for"
    said: list[Planted]
    written: Planted


@dataclass(frozen=True)
class Asked:
    """A question, and where its answer is; None where it has none."""

    kind: str
    text: str
    truth: Planted | None
    sense: Sense
    video: int
    answers: tuple[tuple[int, Planted], ...] = ()
    "film and place of all that hold the asked words in their order"


def draw(rng: np.random.Generator, among: Sequence[T], count: int) -> list[T]:
    """Some of them, none twice."""
    return [among[place] for place in rng.permutation(len(among))[:count]]


def sentence(rng: np.random.Generator) -> list[str]:
    """Ten words, such as: the nervous teacher carried the broken mirror near the station."""
    (person,), (thing,), (place,) = (draw(rng, names, 1) for names in (PEOPLE, THINGS, PLACES))
    (deed,), (by,), (one, other) = draw(rng, list(DEEDS), 1), draw(rng, BY, 1), draw(rng, LOOKS, 2)
    return ["the", one, person, deed, "the", other, thing, by, "the", place]


def sound_of(
    rng: np.random.Generator, sentences: list[list[str]], voice: str
) -> tuple[Sound, list[Planted]]:
    """Sentences one after the other, and when each is said."""
    pieces, planted, at = [np.zeros(RATE // 2, np.float32)], [], 0.5
    for words in sentences:
        text = " ".join(words).capitalize() + "."
        samples = speak(text, voice=voice, words_a_minute=int(rng.integers(135, 165))).samples
        planted.append(Planted(words, at, at + len(samples) / RATE))
        pieces += [samples, np.zeros(round(APART * RATE), np.float32)]
        at += len(samples) / RATE + APART
    return np.concatenate(pieces), planted


def still(photograph: Path, line: str | None, rng: np.random.Generator) -> Image.Image:
    """A photograph filling the picture, with a line of text over it where there is one."""
    picture = Image.open(photograph).convert("RGB").resize(SIZE)
    if line is not None:
        place = int(rng.integers(30, 120)), int(rng.integers(30, 290))
        font = ImageFont.load_default(int(rng.integers(24, 40)))
        pen = ImageDraw.Draw(picture)
        pen.text(place, line, "white", font, stroke_width=2, stroke_fill="black")
    return picture


def make(folder: Path, count: int, seed: int) -> None:
    """Films with their truth, and a library of them."""
    rng, films = np.random.default_rng(seed), []
    shown = [picture_of(photograph) for photograph in PHOTOGRAPHS[:-NOT_SHOWN]]
    videos, library = folder / "films", folder / "library"
    videos.mkdir(parents=True)
    for number in range(count):
        voice = VOICES[number % len(VOICES)]
        samples, said = sound_of(rng, [sentence(rng), sentence(rng)], voice)
        length, cut = len(samples) / RATE, round(len(samples) / RATE / 2, 1)
        line = [*draw(rng, KINDS, 1), *draw(rng, SIGNS, 1), str(rng.integers(10, 100))]
        first = bool(rng.integers(2))
        span = (0.0, cut) if first else (cut, length)
        films.append(Film(int(rng.integers(2)), said, Planted(line, *span)))
        sound = save_wav(folder / "sound.wav", samples)
        inputs = []
        for place, photograph in enumerate(draw(rng, shown, 2)):
            text = " ".join(line) if (place == 0) == first else None
            still(photograph, text, rng).save(folder / f"{place}.png")
            seconds = cut if place == 0 else length - cut
            inputs += ["-loop", "1", "-framerate", "10", "-t", f"{seconds}"]
            inputs += ["-i", str(folder / f"{place}.png")]
        joined = "[0:v][1:v]concat=n=2:v=1,format=yuv420p[v]"
        maps = ["-filter_complex", joined, "-map", "[v]", "-map", "2:a", "-c:v", "libx264"]
        coding = ["-preset", "veryfast", "-c:a", "aac"]
        path = videos / f"{number:04}.mp4"
        ffmpeg(*inputs, "-i", str(sound), *maps, *coding, str(path))
    write_text(folder / "films.json", json.dumps([asdict(film) for film in films]))
    total = sum(film.said[-1].end for film in films)
    began = time.monotonic()
    command = [sys.executable, "-m", "vmr", "index", str(videos), "--library", str(library)]
    subprocess.run([*command, "--speech", "tiny.en", "--text"], check=True)
    print(f"{count} films, {total:.0f} s, indexed in {time.monotonic() - began:.0f} s")


def read(folder: Path) -> list[Film]:
    """The truth of films that were made."""

    def planted(fields: dict[str, object]) -> Planted:
        return Planted(**fields)  # type: ignore[arg-type]

    kept = json.loads((folder / "films.json").read_text(encoding="utf-8"))
    return [
        Film(film["asked"], [planted(one) for one in film["said"]], planted(film["written"]))
        for film in kept
    ]


def present(film: Film) -> Iterator[tuple[str, str, Sense, list[str]]]:
    """(kind, question, sense, the asked words as they are said or written) of what a film has."""
    _, look, person, deed, _, other, thing, by, _, place = words = film.said[film.asked].words
    doing, line = DEEDS[deed], film.written.words
    kind, sign, figure = line
    five = [person, deed, other, thing]
    yield "said: five words", f'said:"{person} {deed} the {other} {thing}"', "said", five
    yield "said: other forms", f'said:"{person}s {doing} the {other} {thing}s"', "said", five
    yield "plain: the sentence", " ".join(words), "said", words
    yield "plain: three words of it", f"{person} {other} {thing}", "said", [person, other, thing]
    others = f"{other} {thing}s {doing} {look} {person}s {by} {place}s"
    yield "plain: other forms, other order", others, "said", words
    yield "written: two words", f'written:"{sign} {figure}"', "written", line[1:]
    yield "written: other form", f'written:"{kind} {sign}s {figure}"', "written", line
    yield "plain: the line", " ".join(line), "written", line
    yield "plain: two words of the line", f"{sign} {figure}", "written", line[1:]


def holds(planted: Planted, words: Sequence[str]) -> bool:
    """Whether words are said or written there, in their order."""
    left = iter(planted.words)
    return all(word in left for word in words)


def absent(
    rng: np.random.Generator, together: Sequence[set[str]]
) -> Iterator[tuple[str, str, Sense]]:
    """(kind, question, sense) of what no film has, though its words are said and written.

    `together` has the words of every sentence and line.
    """

    def apart(*groups: Sequence[str]) -> str:
        while True:  # until no two of the words are in one sentence or line
            drawn = [draw(rng, group, 1)[0] for group in groups]
            if all(len(words & set(drawn)) < 2 for words in together):
                return " ".join(drawn)

    captions = [one for photograph in PHOTOGRAPHS[-NOT_SHOWN:] for one in photograph.captions]
    yield "said: two words, apart", f'said:"{apart(PEOPLE, list(DEEDS))}"', "said"
    yield "written: two words, apart", f'written:"{apart(KINDS, SIGNS)}"', "written"
    yield "plain: three words, apart", apart(LOOKS, PEOPLE, THINGS), "said"
    yield "plain: a line and a thing, apart", apart(KINDS, SIGNS, THINGS), "written"
    yield "plain: a single word", f"a {draw(rng, THINGS, 1)[0]}", "said"
    caption, word = draw(rng, captions, 1)[0], draw(rng, PEOPLE, 1)[0]
    yield "plain: a picture not shown, a word", f"{caption} and a {word}", "said"


def questions(films: Sequence[Film], half: slice) -> Iterator[Asked]:
    """Every question of some of the films."""
    rng = np.random.default_rng(0)
    places = [(n, one) for n, film in enumerate(films, 1) for one in (*film.said, film.written)]
    together = [set(one.words) for _, one in places]
    for video, film in list(enumerate(films, 1))[half]:
        for kind, text, sense, words in present(film):
            truth = film.said[film.asked] if sense == "said" else film.written
            answers = tuple(place for place in places if holds(place[1], words))
            yield Asked(kind, text, truth, sense, video, answers)
        for kind, text, sense in absent(rng, together):
            yield Asked(kind, text, None, sense, video)


def right(asked: Asked, video: int, start: float, end: float) -> bool:
    """Whether a moment is one that was asked for."""
    return any(
        video == number and iou([(start, end)], [(one.start, one.end)]).item() >= 0.5
        for number, one in asked.answers
    )


def taken_in(library: Library, asked: Asked) -> bool:
    """Whether all words of a question are in the transcript where they were said or shown."""
    if asked.truth is None:
        return True
    spans = library.transcripts.between(
        asked.video, asked.sense, asked.truth.start, asked.truth.end
    )
    stems = library.transcripts.stems
    found = {stem for held in stems.of([span.text for span in spans]) for stem in held}
    words = [part_of(thing).text for step in parse(asked.text).steps for thing in step]
    wanted = [word for text in words for word in text.split() if word not in FUNCTION_WORDS]
    return all(stem in found for held in stems.of(wanted) for stem in held)


def ask(folder: Path) -> None:
    """The table of the second half of the films."""
    library, films = Library(folder / "library"), read(folder)
    searcher = Searcher(library, RetrievalModel.load())
    table: dict[str, list[tuple[bool, bool, bool, bool]]] = {}
    for asked in questions(films, slice(len(films) // 2, None)):
        answer = searcher.search(asked.text)
        best = answer.moments[0] if answer.moments else None
        found = best is not None and right(asked, best.video, best.start, best.end)
        wrong = best is not None and answer.verdict == "strong" and not found
        by_words = wrong and best is not None and best.sense != ("seen",)
        row = found, taken_in(library, asked), by_words, wrong and not by_words
        table.setdefault(asked.kind, []).append(row)
    print("| asked | questions | R@1 at IoU .5 | heard or read right | R@1 of those |", end="")
    print(" strong and wrong by words | by pictures |\n|---|---:|---:|---:|---:|---:|---:|")
    for kind, rows in table.items():
        clear = [found for found, heard, *_ in rows if heard]
        any_there = not kind.endswith(("apart", "word"))
        found, _, words, pictures = 100 * np.mean(rows, axis=0)
        cells = (
            f"{found:.1f} | {len(clear)} | {100 * np.mean(clear):.1f}" if any_there else "- | - | -"
        )
        print(f"| {kind} | {len(rows)} | {cells} | {words:.1f} | {pictures:.1f} |")


def calibrated(folder: Path) -> None:
    """The constants of plain words, by questions about the first half of the films and about
    made-up talk (spoken.py), and how often finds by sense are right."""
    films, library, model = read(folder), Library(folder / "library"), RetrievalModel.load()
    hearing = Hearing(library.transcripts, rank=model.words.rank, least=0.0)
    evidence, named = [], []
    for asked in questions(films, slice(len(films) // 2)):
        part = _part(asked)
        for best in hearing.find(part)[:1]:
            was = right(asked, best.video, best.start, best.end)
            evidence += [(best.evidence, was)] if best.evidence else []
            named += [] if best.evidence else [(best.strength, was)]
    talk = Talk(model.words, 0)
    made_up = [talk.film(number) for number in range(MADE_UP)]
    with tempfile.TemporaryDirectory() as name:
        transcripts = stored(made_up, Path(name)).transcripts
        done = ask_talk(Hearing(transcripts, rank=model.words.rank, least=0.0), talk, made_up)
    evidence += [(one.evidence, one.right) for one in done if one.evidence]
    print(f"{len(evidence)} finds of plain words, {sum(was for _, was in evidence)} right")
    constants = "BIAS", "BY_RARITY", "BY_SHARE", "BY_PHRASE"
    for constant, value in zip(constants, fit(evidence), strict=True):
        print(f"{constant} = {value:.2f}")
    for label, low, high in BINS:
        of_it = [was for strength, was in named if low <= strength < high]
        if of_it:
            print(f"by sense, strength {label}: {np.mean(of_it):.3f} of {len(of_it)} right")


def _part(asked: Asked) -> TextPart:
    (step,) = parse(asked.text).steps
    (part,) = (part_of(thing) for thing in step)
    return part


def reliable(folder: Path) -> None:
    """How often finds of a strength are right, by questions about the second half."""
    films, library, model = read(folder), Library(folder / "library"), RetrievalModel.load()
    hearing = Hearing(library.transcripts, rank=model.words.rank)
    found = [
        (best.strength, right(asked, best.video, best.start, best.end))
        for asked in questions(films, slice(len(films) // 2, None))
        for best in hearing.find(_part(asked))[:1]
    ]
    for label, low, high in BINS:
        of_it = [(strength, was) for strength, was in found if low <= strength < high]
        if of_it:
            strength, share = np.mean(of_it, axis=0)
            print(f"finds of {label}: {len(of_it)}, strength {strength:.2f}, right {share:.2f}")


def main() -> None:
    """Make the films, or ask them, or fit the constants on them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.talking_films", description=__doc__)
    parser.add_argument("step", choices=("make", "ask", "fit"))
    parser.add_argument("--films", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.step == "make":
        make(options.films, options.count, options.seed)
    elif options.step == "ask":
        ask(options.films)
        reliable(options.films)
    else:
        calibrated(options.films)


if __name__ == "__main__":
    main()

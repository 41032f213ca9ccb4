"""Are moments found by what is said and written in real films? Made, heard, read and asked here.

    python -m benchmarks.talking_films make --films DIR --count 200 --seed 1     # some minutes
    python -m benchmarks.talking_films ask --films DIR                           # the table
    python -m benchmarks.talking_films fit --films DIR         # constants of vmr/search/hearing.py

A film is some 10 s: two photographs, one of them with a line of text in it, and two sentences said
by a voice of eSpeak NG. `make` indexes all of them by pictures, speech (Whisper tiny.en) and text.
All films are asked at once, through the product's search. Every word is in many films, and only
the words of one sentence or line together tell where it is. Synthetic voices are heard worse than
people, so what was misheard is counted apart: "heard right" are questions whose words are all in
the transcript where they were said. Films of another `--seed` share none of their sentences.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.spoken import fit
from benchmarks.table import ffmpeg
from benchmarks.words_in import VOICES
from feature_extract.files import write_text
from feature_extract.transcript import Sense
from tests.support.speech import RATE, Sound, save_wav, speak
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.search.hearing import FUNCTION_WORDS, Hearing
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
    video: int = 0


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


def questions(films: Sequence[Film], seed: int = 0) -> Iterator[Asked]:
    """Every question of every film."""
    rng = np.random.default_rng(seed)
    together = [set(one.words) for film in films for one in (*film.said, film.written)]

    def apart(*groups: Sequence[str]) -> list[str]:
        """A word of each, no two of which are said or written together anywhere."""
        while True:
            drawn = [draw(rng, group, 1)[0] for group in groups]
            if all(len(words & set(drawn)) < 2 for words in together):
                return drawn

    captions = [
        caption for photograph in PHOTOGRAPHS[-NOT_SHOWN:] for caption in photograph.captions
    ]
    for video, film in enumerate(films, 1):
        truth = film.said[film.asked]
        _, look, person, deed, _, other, thing, by, _, place = truth.words
        doing = DEEDS[deed]
        yield Asked(
            "said: five words", f'said:"{person} {deed} the {other} {thing}"', truth, "said", video
        )
        yield Asked(
            "said: other forms",
            f'said:"{person}s {doing} the {other} {thing}s"',
            truth,
            "said",
            video,
        )
        yield Asked("plain: the sentence", " ".join(truth.words), truth, "said", video)
        yield Asked("plain: three words of it", f"{person} {other} {thing}", truth, "said", video)
        yield Asked(
            "plain: other forms and order",
            f"{other} {thing}s {doing} {look} {person}s {by} {place}s",
            truth,
            "said",
            video,
        )
        line = film.written
        kind, sign, figure = line.words
        yield Asked("written: two words", f'written:"{kind} {sign}"', line, "written", video)
        yield Asked("written: other form", f'written:"{kind} {sign}s"', line, "written", video)
        yield Asked("plain: the line", " ".join(line.words), line, "written", video)
        yield Asked("plain: two words of the line", f"{sign} {figure}", line, "written", video)
        one = " ".join(apart(PEOPLE, list(DEEDS)))
        yield Asked("said: absent words", f'said:"{one}"', None, "said")
        yield Asked("plain: absent words", " ".join(apart(LOOKS, PEOPLE, THINGS)), None, "said")
        yield Asked("plain: a single word", f"a {thing}", None, "said")
        yield Asked(
            "plain: a caption and a word",
            f"{draw(rng, captions, 1)[0]} and a {person}",
            None,
            "said",
        )
        two = [str(rng.integers(100, 1000)), draw(rng, SIGNS, 1)[0]]
        yield Asked("written: absent words", f'written:"{two[1]} {two[0]}"', None, "written")
        yield Asked("plain: absent line", " ".join(apart(KINDS, THINGS, [two[0]])), None, "written")


def right(asked: Asked, video: int, start: float, end: float) -> bool:
    """Whether a moment is the one that was asked for."""
    if asked.truth is None or video != asked.video:
        return False
    truth = [(asked.truth.start, asked.truth.end)]
    return bool(iou([(start, end)], truth).item() >= 0.5)


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
    """The table."""
    library = Library(folder / "library")
    searcher = Searcher(library, RetrievalModel.load())
    table: dict[str, list[tuple[bool, bool, str]]] = {}
    for asked in questions(read(folder)):
        answer = searcher.search(asked.text)
        best = answer.moments[0] if answer.moments else None
        found = best is not None and right(asked, best.video, best.start, best.end)
        row = found, taken_in(library, asked), answer.verdict
        table.setdefault(asked.kind, []).append(row)
    print("| asked | questions | R@1 at IoU .5, % | of those heard right | strong | none |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind, rows in table.items():
        clear = [found for found, heard, _ in rows if heard]
        share = 100 * np.array(
            [
                np.mean([found for found, *_ in rows]),
                np.mean(clear),
                *(
                    np.mean([verdict == said for *_, verdict in rows])
                    for said in ("strong", "none")
                ),
            ]
        )
        one, two, strong, none = (f"{value:.1f}" for value in share)
        print(f"| {kind} | {len(rows)} | {one} | {two} ({len(clear)}) | {strong} | {none} |")


def calibrated(folder: Path) -> None:
    """The constants of plain words, and how often other finds are right."""
    library, model = Library(folder / "library"), RetrievalModel.load()
    hearing = Hearing(library.transcripts, rank=model.words.rank)
    evidence, named = [], []
    for asked in questions(read(folder)):
        (step,) = parse(asked.text).steps
        (part,) = (part_of(thing) for thing in step)
        found = hearing.find(part)
        if found:
            best = found[0]
            was = right(asked, best.video, best.start, best.end)
            evidence += [(best.evidence, was)] if best.evidence else []
            named += [] if best.evidence else [(best.strength, was)]
    print(f"{len(evidence)} finds of plain words, {sum(was for _, was in evidence)} right")
    for name, value in zip(
        ("BIAS", "BY_RARITY", "BY_SHARE", "BY_PHRASE"), fit(evidence), strict=True
    ):
        print(f"{name} = {value:.2f}")
    for strength in sorted({strength for strength, _ in named}):
        of_it = [was for other, was in named if other == strength]
        print(f"by sense, strength {strength}: {np.mean(of_it):.3f} of {len(of_it)} right")


def main() -> None:
    """Make the films, or ask them, or fit the constants on them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.talking_films", description=__doc__)
    parser.add_argument("step", choices=("make", "ask", "fit"))
    parser.add_argument("--films", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="0 is what the constants are fitted on")
    options = parser.parse_args()
    if options.step == "make":
        make(options.films, options.count, options.seed)
    elif options.step == "ask":
        ask(options.films)
    else:
        calibrated(options.films)


if __name__ == "__main__":
    main()

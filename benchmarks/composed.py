"""How good search is on composed films: real files, the real extractor, held-out material.

    python -m benchmarks.composed make --data DIR --cache DIR --split test --out DIR
    python -m benchmarks.composed search --films DIR [--weights DIR] [--curve | --pictures]

`make` composes films (vmr/training/compose.py, vmr/training/film.py) of held-out material and
prints its shares: all captioned photographs of the split, photographs of actions, short generated
clips, and clips of people (interactions by whole sequences, street fights by place). Nothing is
trained on them. It indexes the films, and writes down what is where and what to ask. `search` asks:
inside the film, and in all films at once. Besides things, movements and orders are asked for
(vmr/training/questions.py). Movements alone ("something moves left") are asked of every film, in a
table of their own. `--curve` reads moments off the similarity curve instead of the second stage, on
the same features; `--pictures` too, and asks for no movement.
"""

import argparse
import io
import json
import random
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.extract import Extractor
from feature_extract.files import write_text
from feature_extract.networks.appearance import SIZE, Appearance
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.search.moments import Moment, Place
from vmr.search.searcher import Searcher
from vmr.training.compose import MOVES, Pool, Segment, Timeline, compose, pool_of
from vmr.training.film import Clip, Moving, Shot, Still, film
from vmr.training.people import TARS, held_out, members, read_clips, sequence
from vmr.training.pictures import load_pictures
from vmr.training.questions import KINDS, Kind, Question, ask

FILMS: Final = {"dev": 16, "test": 48}
QUESTIONS: Final[dict[Kind, int]] = {"thing": 5, "move": 2, "order": 3}
"""Asked of a film, as many present as absent."""
ACTIONS: Final = 250
"""Pictures of actions in a pool."""
CLIPS: Final = 150
STREET: Final = 40
"""Street clips in a pool; of those without a fight nothing is ever asked."""
SPEEDS: Final = (0.7, 1.4)
"""A clip is played so many times as fast."""
INTERACTIONS: Final = {  # spelt as the set spells them
    "hand shake": ("two people shake hands", "a handshake", "two men greeting each other"),
    "hugging": ("two people hug", "a hug", "two friends embracing"),
    "kick": ("a person kicks another", "a kick", "someone being kicked"),
    "pointting": (
        "a person points with the arm",
        "a man pointing at something",
        "pointing a finger",
    ),
    "punching": ("a person punches another", "a punch", "someone being hit with a fist"),
    "push": ("a person pushes another", "a push", "someone being shoved"),
}
_SAME_AS: Final = {
    "hugging": "har15/hugging",
    "fight": "har15/fighting",
}  # answers the same questions
_ROUGH: Final = {"har15/fighting", "people/kick", "people/punching", "people/push"}
"""May be taken for one another: none is asked for as absent where another is shown."""
SEED: Final = {"dev": 11, "test": 12}


def main() -> None:
    """Make or search."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composed", description=__doc__)
    commands = parser.add_subparsers(required=True)
    make = commands.add_parser("make")
    make.add_argument("--data", type=Path, required=True)
    make.add_argument("--cache", type=Path, required=True)
    make.add_argument("--split", choices=[*FILMS], required=True)
    make.add_argument("--out", type=Path, required=True)
    make.set_defaults(run=make_films)
    search = commands.add_parser("search")
    search.add_argument("--films", type=Path, required=True)
    search.add_argument("--weights", type=Path)
    arms = search.add_mutually_exclusive_group()
    arms.add_argument("--curve", action="store_true")
    arms.add_argument("--pictures", action="store_true")
    search.set_defaults(run=search_films)
    options = parser.parse_args()
    options.run(options)


def make_films(options: argparse.Namespace) -> None:
    """Films, their library, and questions.json."""
    options.out.mkdir(parents=True, exist_ok=True)
    pool, shot = _material(options.data, options.cache, options.split)
    draw = random.Random(SEED[options.split])
    listing = []
    for number in range(FILMS[options.split]):
        timeline, path = compose(pool, draw), options.out / f"film{number:02d}.mp4"
        film(timeline, shot, path)
        questions = [
            question
            for kind, count in QUESTIONS.items()
            for _ in range(count)
            for present in (True, False)
            for question in _ask(timeline, pool, draw, present, kind)
        ]
        listing.append(
            {
                "film": path.name,
                "shots": [[s.start, s.end, s.move] for s in timeline.segments],
                "questions": [
                    {"text": q.text, "spans": q.spans, "group": q.group, "kind": q.kind}
                    for q in questions
                ],
            }
        )
        print(f"\r{path.name}: {timeline.duration:.0f} s, {len(timeline.segments)} shots", end="")
    print()
    write_text(options.out / "questions.json", json.dumps(listing, indent=1))
    with Ingest(Library(options.out / "library"), Extractor) as ingest:
        ingest.add(find_videos([options.out]))
        ingest.wait()


def _ask(
    timeline: Timeline, pool: Pool, draw: random.Random, present: bool, kind: Kind
) -> list[Question]:
    """As questions.ask, or none; a kick that is asked for as absent is in a film without any
    fight."""
    shown = {pool.groups[segment.place] for segment in timeline.segments}
    while True:
        try:
            question = ask(timeline, pool, draw, present=present, kind=kind)
        except ValueError:  # nothing moves, or no two things that have captions follow each other
            return []
        if present or kind != "thing" or question.group not in _ROUGH or not shown & _ROUGH:
            return [question]


def _material(data: Path, cache: Path, split: str) -> tuple[Pool, Callable[[Segment], Shot]]:
    """What films of a split are made of, and how a picture of it is shown."""
    sets = load_pictures(data, cache, views=1)
    draw = random.Random(0)
    rows: list[NDArray[np.float32]] = []
    groups: list[str] = []
    captions: list[tuple[str, ...]] = []
    sources: list[partial[Shot]] = []
    for name, most in (("flickr8k", None), ("har15", ACTIONS)):
        pictures = sets[name]
        places = pictures.of(split).tolist()
        places = sorted(draw.sample(places, most)) if most else places
        contents = _members(data / f"{name}_images.tar", [pictures.names[i] for i in places])
        for i, content in zip(places, contents, strict=True):
            rows.append(pictures.rows[i, 0].astype(np.float32))
            groups.append(f"{name}/{pictures.groups[i]}")
            captions.append(pictures.captions[i])
            sources.append(partial(_still, content))
    network = Appearance()
    for group, asked, clip in _clips(data, split):
        middle = Image.fromarray(clip.frames[len(clip.frames) // 2]).resize((SIZE, SIZE))
        rows.append(network(np.asarray(middle)[None])[0])
        groups.append(group)
        captions.append(asked)
        sources.append(partial(_played, clip))
    print("pool:", dict(Counter(group.split("/")[0] for group in groups)))
    table = np.stack(rows)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    filmed = frozenset(i for i, source in enumerate(sources) if source.func is _played)
    pool = pool_of(np.arange(len(table)), groups, captions, unit, 1, filmed)
    return pool, lambda segment: sources[segment.place](int(1000 * segment.start), segment.move)


def _still(content: bytes, seed: int, move: str) -> Shot:
    picture = Image.open(io.BytesIO(content))
    return Moving(picture, seed, move) if move else Still(picture, seed)


def _played(clip: Clip, seed: int, move: str) -> Shot:
    assert not move
    return replace(clip, fps=clip.fps * random.Random(seed).uniform(*SPEEDS))


def _members(tar: Path, names: list[str]) -> Iterator[bytes]:
    with tarfile.open(tar) as file:
        for name in names:
            part = file.extractfile(name)
            assert part is not None
            yield part.read()


def _clips(data: Path, split: str) -> Iterator[tuple[str, tuple[str, ...], Clip]]:
    """(group, captions, clip) of every clip of a split; dev and test share no prompt or place."""
    turn = ["dev", "test"].index(split)
    listing = json.loads((data / "generated_clips.json").read_text())
    by_prompt = {entry["caption"]: Path(entry["file"]).name for entry in listing}
    prompts = sorted(by_prompt)[turn::2][:CLIPS]
    clips = read_clips(data / "generated_clips.tar", [by_prompt[prompt] for prompt in prompts])
    for prompt, clip in zip(prompts, clips, strict=True):
        yield f"generated/{prompt}", (prompt,), clip
    interactions, streets = (data / tar for tar in TARS)
    files = [name for name in members(interactions) if sequence(name) % 4 == 2 * turn]
    for name, clip in zip(files, read_clips(interactions, files), strict=True):
        action = Path(name).parent.name
        yield _SAME_AS.get(action, f"people/{action}"), INTERACTIONS[action], clip
    files = [name for name in members(streets) if held_out(name)]
    files = random.Random(0).sample(files, 2 * STREET)[turn::2]
    for name, clip in zip(files, read_clips(streets, files), strict=True):
        fight = Path(name).parent.name == "fight"
        group = _SAME_AS["fight"] if fight else f"street/{name}"
        yield group, ("people fighting in the street", "a street fight") if fight else (), clip


@dataclass(frozen=True)
class Found:
    """The answer to a question whose answer is shown."""

    material: str
    kind: Kind
    overlap: float
    "IoU of the first moment inside the film"
    strength: float
    verdict: str
    rank: int
    """Of the first right moment (IoU .3) in all films, from 0; 99 when it is not among ten. One
    that names the right one as the same footage elsewhere is right: films share pictures."""


def search_films(options: argparse.Namespace) -> None:
    """The table of figures of one model."""
    model = RetrievalModel.load(options.weights)
    if options.curve or options.pictures:
        model.second_stage = None
    if options.pictures and model.movements is not None:
        model.movements.share = 0.0
    search_with(model, options.films)


def search_with(model: RetrievalModel, films: Path) -> None:
    """The table of figures of a model on composed films."""
    listing = json.loads((films / "questions.json").read_text())
    library = Library(films / "library")
    ids = {video.path.name: video.id for video in library.videos()}
    searcher = Searcher(library, model)
    present: list[Found] = []
    absent: list[tuple[Kind, str]] = []
    for entry in listing:
        for question in entry["questions"]:
            if question["spans"]:
                present.append(_search(searcher, ids[entry["film"]], question))
            else:
                video = ids[entry["film"]]
                verdict = searcher.search(question["text"], video=video).verdict
                absent.append((question["kind"], verdict))
    report(present, absent)
    if model.movements is not None and model.movements.share:
        report_alone([one for film in listing for one in _alone(searcher, ids, film)])


def _alone(
    searcher: Searcher, ids: dict[str, int], entry: dict[str, Any]
) -> Iterator[tuple[float | None, str]]:
    """IoU and verdict of every movement alone; no IoU where no shot of the film goes that way."""
    for move, phrases in MOVES.items():
        truth = [(start, end) for start, end, way in entry["shots"] if way == move]
        answer = searcher.search(f"something {phrases[0]}", video=ids[entry["film"]])
        spans = [(hit.start, hit.end) for hit in answer.moments[:1]]
        yield float(iou(spans, truth).max()) if truth else None, answer.verdict


def _search(searcher: Searcher, video: int, question: dict[str, Any]) -> Found:
    text, truth = question["text"], question["spans"]
    answer, everywhere = searcher.search(text, video=video), searcher.search(text, top=10)
    first = answer.moments[0]

    def overlap(hit: Moment | Place) -> float:
        return float(iou([(hit.start, hit.end)], truth).max()) if hit.video == video else 0.0

    def anywhere(hit: Moment) -> float:
        places: list[Moment | Place] = [hit, *hit.also]
        return max(map(overlap, places))

    ranks = [rank for rank, hit in enumerate(everywhere.moments) if anywhere(hit) >= 0.3]
    material = question["group"].split("/")[0]
    best = overlap(first)
    return Found(
        material, question["kind"], best, first.strength, answer.verdict, min([*ranks, 99])
    )


def report(present: list[Found], absent: list[tuple[Kind, str]]) -> None:
    """Figures of each kind of question, of each material, and of each strength."""
    print(
        "| asked for | present | IoU .3 | .5 | .7 | mIoU | all films, R@1 | R@10 | called none ",
        end="",
    )
    print("| absent | called none |\n|---" + "|---:" * 10 + "|")
    for kind in (*KINDS, "all"):
        some = [found for found in present if kind in (found.kind, "all")]
        denied = [verdict == "none" for of, verdict in absent if kind in (of, "all")]
        print(f"| {kind} | {_figures(some)} | {len(denied)} | {100 * np.mean(denied):.1f} |")
    print(
        "\n| things of | present | IoU .3 | .5 | .7 | mIoU | all films, R@1 | R@10 | called none |"
    )
    print("|---" + "|---:" * 8 + "|")
    for material in sorted({found.material for found in present if found.kind == "thing"}):
        some = [f for f in present if f.material == material and f.kind == "thing"]
        print(f"| {material} | {_figures(some)} |")
    overlap = np.array([found.overlap for found in present])
    strength = np.array([found.strength for found in present])
    print("\n| strength | present answers | right at IoU .5, % |\n|---|---:|---:|")
    for low in np.arange(0, 1, 0.2):
        at = (strength >= low) & (strength < low + 0.2)
        if at.any():
            share = 100 * (overlap[at] >= 0.5).mean()
            print(f"| {low:.1f} to {low + 0.2:.1f} | {at.sum()} | {share:.0f} |")


def report_alone(answers: list[tuple[float | None, str]]) -> None:
    """Of movements alone. An idle camera's slow zoom and people who move count as absent."""
    overlap = np.array([share for share, _ in answers if share is not None])
    shown = [verdict for share, verdict in answers if share is not None]
    absent = [verdict for share, verdict in answers if share is None]
    print(
        "\n| movement alone | films | IoU .5 | .7 | mIoU | called none | strong |\n|---"
        + "|---:" * 6
        + "|"
    )
    shares = [100 * (overlap >= 0.5).mean(), 100 * (overlap >= 0.7).mean(), 100 * overlap.mean()]
    for name, verdicts, found in (("shown", shown, shares), ("not shown", absent, [])):
        figures = [f"{share:.1f}" for share in found] or ["", "", ""]
        figures += [f"{100 * verdicts.count(v) / len(verdicts):.1f}" for v in ("none", "strong")]
        print(f"| {name} | {len(verdicts)} | {' | '.join(figures)} |")


def _figures(found: list[Found]) -> str:
    """A line of the tables: how many, IoUs, ranks among all films (IoU .3), called none; in %."""
    overlap, rank = np.array([one.overlap for one in found]), np.array([one.rank for one in found])
    none = np.array([one.verdict == "none" for one in found])
    shares = [overlap >= least for least in (0.3, 0.5, 0.7)] + [overlap, rank < 1, rank < 10, none]
    return f"{len(found)} | " + " | ".join(f"{100 * share.mean():.1f}" for share in shares)


if __name__ == "__main__":
    main()

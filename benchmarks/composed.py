"""How good search is on composed films: real files, the real extractor, held-out material.

    python -m benchmarks.composed make --data DIR --cache DIR --split test --out DIR
    python -m benchmarks.composed search --films DIR [--weights DIR] [--curve]

`make` composes films (vmr/compose.py, vmr/film.py) of held-out captioned photographs, photographs
of actions and short generated clips that nothing was trained on, indexes them, and writes down what
is where and what to ask. `search` asks: inside the film, and in all films at once. `--curve` reads
moments off the similarity curve instead of the second stage, on the same features.
"""

import argparse
import io
import json
import random
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.appearance import SIZE, Appearance
from feature_extract.extract import Extractor
from vmr.compose import Pool, Segment, ask, compose, pool_of
from vmr.film import Clip, Shot, Still, film
from vmr.ingest import Ingest, find_videos
from vmr.moments import iou
from vmr.ranker import Ranker
from vmr.search import Searcher
from vmr.stills import load_pictures
from vmr.store import Library
from vmr.text import Words

FILMS: Final = {"dev": 16, "test": 48}
QUESTIONS: Final = 5
"""Of each kind, present and absent, a film."""
ACTIONS: Final = 250
"""Pictures of actions in a pool."""
CLIPS: Final = 150
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
    search.add_argument("--curve", action="store_true")
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
            ask(timeline, pool, draw, present=kind)
            for _ in range(QUESTIONS)
            for kind in (True, False)
        ]
        listing.append(
            {
                "film": path.name,
                "segments": [[s.start, s.end, s.fade] for s in timeline.segments],
                "questions": [{"text": q.text, "spans": q.spans} for q in questions],
            }
        )
        print(f"\r{path.name}: {timeline.duration:.0f} s, {len(timeline.segments)} shots", end="")
    print()
    (options.out / "questions.json").write_text(json.dumps(listing, indent=1))
    with Ingest(Library(options.out / "library"), Extractor) as ingest:
        ingest.add(find_videos([options.out]))
        ingest.wait()


def _material(data: Path, cache: Path, split: str) -> tuple[Pool, Callable[[Segment], Shot]]:
    """What films of a split are made of, and how a picture of it is shown."""
    sets = load_pictures(data, cache, views=1)
    draw = random.Random(0)
    rows: list[NDArray[np.float32]] = []
    groups: list[str] = []
    captions: list[tuple[str, ...]] = []
    sources: list[Callable[[int], Shot]] = []
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
    for caption, clip in _clips(data, split):
        middle = Image.fromarray(clip.frames[len(clip.frames) // 2]).resize((SIZE, SIZE))
        rows.append(network(np.asarray(middle)[None])[0])
        groups.append(f"clip/{caption}")
        captions.append((caption,))
        sources.append(partial(_same, clip))
    table = np.stack(rows)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    pool = pool_of(np.arange(len(table)), groups, captions, unit, 1)
    return pool, lambda segment: sources[segment.place](int(1000 * segment.start))


def _still(content: bytes, seed: int) -> Shot:
    return Still(Image.open(io.BytesIO(content)), seed)


def _same(clip: Clip, seed: int) -> Shot:
    return clip


def _members(tar: Path, names: list[str]) -> Iterator[bytes]:
    with tarfile.open(tar) as file:
        for name in names:
            part = file.extractfile(name)
            assert part is not None
            yield part.read()


def _clips(data: Path, split: str) -> Iterator[tuple[str, Clip]]:
    """One generated clip of every other prompt; dev and test share none."""
    listing = json.loads((data / "generated_clips.json").read_text())
    by_prompt = {entry["caption"]: Path(entry["file"]).name for entry in listing}
    prompts = sorted(by_prompt)[["dev", "test"].index(split) :: 2][:CLIPS]
    files = [by_prompt[prompt] for prompt in prompts]
    with tempfile.TemporaryDirectory() as folder:
        contents = _members(data / "generated_clips.tar", files)
        for prompt, content in zip(prompts, contents, strict=True):
            path = Path(folder) / "clip.mp4"
            path.write_bytes(content)
            yield prompt, Clip.read(path)


def search_films(options: argparse.Namespace) -> None:
    """The table of figures."""
    listing = json.loads((options.films / "questions.json").read_text())
    ranker = Ranker.load(options.weights)
    if options.curve:
        ranker.reader = None
    library = Library(options.films / "library")
    ids = {video.path.name: video.id for video in library.videos()}
    searcher = Searcher(library, ranker, Words.load())
    inside: list[tuple[float, float, str]] = []
    across: list[int] = []
    absent: list[str] = []
    for entry in listing:
        id = ids[entry["film"]]
        for question in entry["questions"]:
            truth = question["spans"]
            answer = searcher.search(question["text"], video=id)
            everywhere = searcher.search(question["text"], top=10)
            if not truth:
                absent.append(answer.verdict)
                continue
            best = answer.moments[0]
            overlap = float(iou([(best.start, best.end)], truth).max())
            inside.append((overlap, best.strength, answer.verdict))
            places = [
                place
                for place, hit in enumerate(everywhere.moments)
                if hit.video == id and float(iou([(hit.start, hit.end)], truth).max()) >= 0.3
            ]
            across.append(places[0] if places else 99)
    _report(inside, across, absent)


def _report(inside: list[tuple[float, float, str]], across: list[int], absent: list[str]) -> None:
    overlap = np.array([o for o, _, _ in inside])
    print(f"{len(overlap)} present and {len(absent)} absent questions")
    print("| measure | % |\n|---|---:|")
    for least in (0.3, 0.5, 0.7):
        print(f"| in the film, R@1 at IoU {least} | {100 * (overlap >= least).mean():.1f} |")
    print(f"| in the film, mIoU | {100 * overlap.mean():.1f} |")
    rank = np.array(across)
    for most in (1, 10):
        print(f"| all films, R@{most} at IoU 0.3 | {100 * (rank < most).mean():.1f} |")
    print(f"| absent, called none | {100 * np.mean([v == 'none' for v in absent]):.1f} |")
    print(f"| present, called none | {100 * np.mean([v == 'none' for _, _, v in inside]):.1f} |")
    strength = np.array([s for _, s, _ in inside])
    print("\n| strength | present answers | right at IoU .5, % |\n|---|---:|---:|")
    for low in np.arange(0, 1, 0.2):
        at = (strength >= low) & (strength < low + 0.2)
        if at.any():
            share = 100 * (overlap[at] >= 0.5).mean()
            print(f"| {low:.1f} to {low + 0.2:.1f} | {at.sum()} | {share:.0f} |")


if __name__ == "__main__":
    main()

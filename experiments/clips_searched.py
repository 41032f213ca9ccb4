"""How sure to be on real files that nobody trained on: short generated clips, by their prompts.

    OMP_NUM_THREADS=1 python -m experiments.clips_searched --data DIR --work DIR [--split test]

The clips of a split (prompts in alphabetical order, every second one) are indexed as the product
does it. Libraries of 20 and 100 clips are drawn of them, and all are one; each is asked prompts of
clips that are in it and of such that are not, none of which means nearly the same as one that is.
Printed is, as by `rows_searched`, what first answers, verdicts and strengths were worth.
"""

import argparse
import json
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.rows_searched import worth
from feature_extract.extract import Extractor
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.sentence import SentenceEncoder
from vmr.search.searcher import Searcher

SIZES: Final = (20, 100)
DRAWS: Final = 240
"""Libraries that are drawn of each size; each is asked two questions."""
NEAR: Final = 0.55
"""Cosine of sentence vectors from which two prompts may be true of the same clip."""


@dataclass(frozen=True)
class Answered:
    """The first answer to one question."""

    present: bool
    right: bool
    score: float
    rows: int


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(prog="python -m experiments.clips_searched")
    parser.add_argument("--data", type=Path, required=True, help="folder of generated_clips.tar")
    parser.add_argument("--work", type=Path, required=True, help="folder for clips and library")
    parser.add_argument("--split", choices=["dev", "test"], default="dev")
    options = parser.parse_args()
    prompts = unpacked(options.data, options.work / "clips", options.split)
    library = Library(options.work / "library")
    with Ingest(library, Extractor) as ingest:
        ingest.add(find_videos([options.work / "clips"]))
        ingest.wait()
    videos = {video.id: prompts[video.path.name] for video in library.videos() if video.searchable}
    model = RetrievalModel.load()
    searcher = Searcher(library, model)
    rows = {video.id: video.rows for video in library.videos()}
    different = list(dict.fromkeys(videos.values()))
    meant = SentenceEncoder.load()(different)
    near = {
        prompt: {different[i] for i in np.flatnonzero(meant @ meant[place] >= NEAR)}
        for place, prompt in enumerate(different)
    }
    for size in (*SIZES, len(videos)):
        draw = random.Random(size)
        done = []
        for _ in range(DRAWS):
            drawn = draw.sample(sorted(videos), size)
            done += _asked(searcher, videos, drawn, near, rows, draw)
        share = f"{sum(one.present for one in done)} present, {len(done)} in all"
        print(f"{size} clips ({share}): {worth(done, model.calibration)}", flush=True)


def unpacked(data: Path, folder: Path, split: str) -> dict[str, str]:
    """The prompt of every clip of a split, by the name of its file in `folder`."""
    listing: list[dict[str, Any]] = json.loads((data / "generated_clips.json").read_text())
    prompts = sorted({entry["caption"] for entry in listing})[["dev", "test"].index(split) :: 2]
    chosen = {Path(e["file"]).name: e["caption"] for e in listing if e["caption"] in set(prompts)}
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(data / "generated_clips.tar") as file:
        for member in file:
            path = folder / Path(member.name).name
            if path.name in chosen and not path.exists():
                content = file.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
    return chosen


def _asked(
    searcher: Searcher,
    videos: dict[int, str],
    drawn: list[int],
    near: dict[str, set[str]],
    rows: dict[int, int],
    draw: random.Random,
) -> list[Answered]:
    """One question about a clip that is there, and one about none, if there is any."""
    shown = {videos[id] for id in drawn}
    absent = [prompt for prompt in sorted(near) if not near[prompt] & shown]
    asked = [videos[draw.choice(drawn)], *([draw.choice(absent)] if absent else [])]
    searched = sum(rows[id] for id in drawn)
    done = []
    for text in asked:
        first = searcher.search(text, among=drawn, top=1).moments[0]
        found = {videos[id] for id in (first.video, *(place.video for place in first.also))}
        done.append(Answered(text in shown, text in found, first.score, searched))
    return done


if __name__ == "__main__":
    main()

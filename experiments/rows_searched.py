"""How sure to be of the best of many rows: measured on timelines and on far longer ones.

    OMP_NUM_THREADS=1 python -m experiments.rows_searched --data DIR --cache DIR [--out CONFIG]

Composed timelines of 5 to 30 shots and of 100 to 200 (vmr/training/calibration.py), as long as a
small library, are searched for what they show and what they do not: of Flickr8k's development
pictures, of COCO photographs with people's captions, which the shipped weights have not seen, and
of both. Printed are the fitted calibrations, and what they and the shipped one are worth: right
first answers, AUC of the best score between present and absent, verdicts, and of the answers of
each fifth of strength the share that is right. `--out` writes the shipped config.json with the
calibration of both. Nothing is trained.
"""

import argparse
import csv
import json
import tarfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.networks.appearance import Appearance
from vmr.model.retrieval import BASE, Mix, RetrievalModel
from vmr.model.strength import Calibration
from vmr.training.calibration import Trial, calibration_of, trials
from vmr.training.compose import MOVES
from vmr.training.pictures import Pictures, squashed_pictures
from vmr.training.trainer import run_record

TIMELINES: Final = 60
SEED: Final = 1
_BATCH: Final = 32


def main() -> None:
    """Print what was measured, and write the configuration where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m experiments.rows_searched")
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--out", type=Path, help="write the config.json of the weights here")
    options = parser.parse_args()
    model = RetrievalModel.load()
    flickr = read(options.data, options.cache, "flickr8k", "dev", "")
    people = read(options.data, options.cache, "coco", "train", "people")
    mix, was = model.mix, model.calibration
    model.second_stage = None  # no question here is in two parts
    calibration = fitted(model, joined(flickr, people), "both")
    if options.out:
        config = json.loads((BASE / "config.json").read_text("utf-8"))
        config["calibration"] = asdict(calibration)
        config["mix"] = asdict(carried_over(mix, was, calibration))
        config["training"]["calibration"] = record(flickr, people)
        options.out.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    for label, pictures in (("Flickr8k dev", flickr), ("COCO, people's captions", people)):
        fitted(model, pictures, label)


def read(data: Path, cache: Path, name: str, split: str, by: str) -> Pictures:
    """The pictures of a split with the captions of one kind of author, all of them "dev" here."""
    captions: dict[str, list[str]] = defaultdict(list)
    with (data / f"{name}_captions.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["split"] == split and line.get("by", "") in ("", by or line.get("by", "")):
                captions[line["image"]].append(line["caption"])
    tar = data / f"{name}_images.tar"
    with tarfile.open(tar) as file:
        listed = tuple(sorted(m.name for m in file if Path(m.name).name in captions))
    cached = cache / f"{name}-{split}-{by or 'all'}.npy"
    if not cached.is_file():
        network, batches = Appearance(), []
        pixels = list[NDArray[np.uint8]]()
        for number, picture in enumerate(squashed_pictures(tar, listed), 1):
            pixels.append(picture)
            if len(pixels) == _BATCH or number == len(listed):
                batches.append(network(np.stack(pixels)).astype(np.float16))
                pixels.clear()
        cached.parent.mkdir(parents=True, exist_ok=True)
        np.save(cached, np.concatenate(batches))
    said = tuple(tuple(captions[Path(name).name]) for name in listed)
    return Pictures(listed, np.load(cached)[:, None], said, listed, ("dev",) * len(listed))


def joined(first: Pictures, second: Pictures) -> Pictures:
    """Two sets in one."""
    return Pictures(
        first.names + second.names,
        np.concatenate([first.rows, second.rows]),
        first.captions + second.captions,
        first.groups + second.groups,
        first.splits + second.splits,
    )


def auc(present: NDArray[np.floating], absent: NDArray[np.floating]) -> float:
    """How often a present question scores higher than an absent one, in %."""
    return float(100 * (present[:, None] > absent[None]).mean())


def fitted(model: RetrievalModel, pictures: Pictures, label: str) -> Calibration:
    """The calibration on timelines of some pictures, and what it and the present one are worth."""
    assert model.movements is not None
    still = np.zeros((1, model.movements.rows), np.float16)
    bank = dict.fromkeys(("", "cut", *MOVES), still)  # no question here asks for a movement
    options: dict[str, Any] = {"seed": SEED, "timelines": TIMELINES}
    done = [
        list(trials(model, pictures, "dev", bank, long=long, **options)) for long in (False, True)
    ]
    calibration = calibration_of(*done)
    print(f"{label}: {calibration}")
    for length, ones in zip(("short", "long"), done, strict=True):
        for name, way in (("as it was", model.calibration), ("fitted", calibration)):
            print(f"{label}, {length}, {name}: {worth(ones, way)}", flush=True)
    return calibration


def worth(done: list[Trial], calibration: Calibration) -> str:
    """Right answers, AUC, verdicts and reliability, in one line."""
    present = np.array([one.present for one in done])
    right = np.array([one.right for one in done])
    score = np.array([one.score for one in done])
    strength = np.array([float(calibration.strength(one.score, one.rows)) for one in done])
    said = np.array([calibration.verdict(one.score, one.rows) for one in done])
    verdicts = ", ".join(
        f"{verdict} {100 * (said[present] == verdict).mean():.0f} / "
        f"{100 * (said[~present] == verdict).mean():.0f}"
        for verdict in ("strong", "none")
    )
    fifths = [(strength >= low) & (strength < low + 0.2) for low in np.arange(0, 1, 0.2)]
    share = " ".join(f"{100 * right[one].mean():.0f}" if one.any() else "-" for one in fifths)
    return (
        f"{np.mean([one.rows for one in done]):.0f} rows, right {100 * right[present].mean():.1f}, "
        f"AUC {auc(score[present], score[~present]):.1f}, present / absent called {verdicts}; "
        f"right by fifths of strength {share}"
    )


def carried_over(mix: Mix, was: Calibration, now: Calibration) -> Mix:
    """The mix by which the second stage's answers stay as strong as they were."""
    slope, offset = mix.slope * was.slope, mix.offset * was.slope + was.offset  # to log odds
    return Mix(slope / now.slope, (offset - now.offset) / now.slope)


def record(flickr: Pictures, people: Pictures) -> dict[str, Any]:
    """How the calibration was made."""
    data = {"flickr8k": {"dev": len(flickr.names)}, "coco": {"people's": len(people.names)}}
    return run_record("experiments.rows_searched", {"timelines": TIMELINES, "seed": SEED}, data)


if __name__ == "__main__":
    main()

"""Does search understand words? Hand-written pairs over Flickr8k's test pictures.

    python -m benchmarks.probes --data DIR --cache DIR [--weights DIR]

probes.tsv has a picture, a phrase that is true of it and one that differs in a single respect and
is not. A probe is right when the true phrase matches the picture better; chance is 50 %. A phrase
is asked as a person would type it, operators included (AND, -word). Order has no still pictures: a
film of two of them is asked for the one THEN the other, and the other way round.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from vmr.model.retrieval import RetrievalModel
from vmr.model.windows import cut_windows, distinct
from vmr.search.moments import Moment, follow_on
from vmr.search.query import WITHIN_SECONDS, QueryStep, parse, understand
from vmr.training.pictures import Pictures, load_pictures

PROBES: Final = Path(__file__).with_name("probes.tsv")
ORDER_SECONDS: Final = 8
"""Of each half of a film for the order of two things."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    options = parser.parse_args()
    model = RetrievalModel.load(options.weights)
    pictures = load_pictures(options.data, options.cache, views=1)["flickr8k"]
    right: dict[str, list[bool]] = defaultdict(list)
    for category, picture, true, false in read_probes():
        clips = model.encode_clips(pictures.rows[_place(pictures, picture)])
        matches = [_match(model, text, clips) for text in (true, false)]
        right[category].append(matches[0] > matches[1])
    right["order"] = _order(model, pictures)
    print("| what differs | probes | right, % |\n|---|---:|---:|")
    for category, done in right.items():
        print(f"| {category} | {len(done)} | {100 * np.mean(done):.0f} |")
    everything = [one for done in right.values() for one in done]
    print(f"| all | {len(everything)} | {100 * np.mean(everything):.0f} |")


def read_probes() -> list[tuple[str, str, str, str]]:
    """(category, picture, true phrase, false phrase) of every line."""
    lines = PROBES.read_text("utf-8").splitlines()
    probes = [tuple(line.split("\t")) for line in lines if line and not line.startswith("#")]
    return [(category, picture, true, false) for category, picture, true, false in probes]


def _place(pictures: Pictures, name: str) -> int:
    """The test picture whose file name begins so."""
    (place,) = (
        i for i in pictures.of("test").tolist() if Path(pictures.names[i]).name.startswith(name)
    )
    return int(place)


def _match(model: RetrievalModel, text: str, clips: np.ndarray) -> float:
    (target,), _ = understand(parse(text), model)
    return float(target.curve(model, clips)[0])


def _order(model: RetrievalModel, pictures: Pictures) -> list[bool]:
    """A film of two neighbours in probes.tsv: the better score has the right order."""
    true = [(picture, text) for category, picture, text, _ in read_probes() if category == "both"]
    done = []
    for (first, before), (second, after) in zip(true[::2], true[1::2], strict=False):
        rows = np.concatenate(
            [
                np.repeat(pictures.rows[_place(pictures, p)], ORDER_SECONDS, axis=0)
                for p in (first, second)
            ]
        )
        clips = model.encode_clips(rows)
        scores = []
        for one, other in ((before, after), (after, before)):
            targets, _ = understand(parse(f"{one} THEN {other}"), model)
            scores.append(_best_chain(model, targets, clips))
        done.append(scores[0] > scores[1])
    return done


def _best_chain(model: RetrievalModel, targets: list[QueryStep], clips: np.ndarray) -> float:
    starts = np.arange(len(clips), dtype=np.float64)
    windows = cut_windows(clips, starts, starts + 1, np.array([float(ORDER_SECONDS)]))
    steps = []
    for target in targets:
        found = distinct(windows, target.propose(model, windows))
        steps.append(
            [Moment(0, "", Path(), m.start, m.end, m.score, 0.0, m.best, "none") for m in found]
        )
    return max((hit.score for hit in follow_on(steps, WITHIN_SECONDS)), default=-np.inf)


if __name__ == "__main__":
    main()

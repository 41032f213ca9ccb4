"""How sure to be of the best of many rows: measured on timelines and on far longer ones.

    OMP_NUM_THREADS=1 python -m experiments.rows_searched --data DIR --cache DIR [--split test]

Composed timelines of 5 to 30 shots and of 100 to 200 (vmr/training/calibration.py), as long as a
small library, are searched for what they show and what they do not: of Flickr8k's held-out pictures
and of COCO's and ADE20K's. Printed is what the shipped weights are worth, and what they are with
one of their columns taken off: right first answers, AUC of the best score between present and
absent, verdicts, and of the answers of each fifth of strength the share that is right. An arm is
judged by a calibration fitted on Flickr8k's development pictures with its own scores. Nothing is
trained.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.additions import rebuilt
from vmr.model.names import Names
from vmr.model.retrieval import RetrievalModel
from vmr.model.strength import Calibration
from vmr.training.assemble import captioned
from vmr.training.calibration import Trial, calibration_of, trials
from vmr.training.compose import MOVES
from vmr.training.pictures import Pictures, load_pictures

TIMELINES: Final = 60
SEED: Final = 1


class Answered(Protocol):
    """The first answer to one question."""

    @property
    def present(self) -> bool:
        """Whether there is a right answer."""

    @property
    def right(self) -> bool:
        """Whether it is one."""

    @property
    def score(self) -> float:
        """Of it."""

    @property
    def rows(self) -> int:
        """How many were searched."""


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m experiments.rows_searched")
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--split", choices=["dev", "test"], default="dev")
    options = parser.parse_args()
    flickr, *others = captioned(load_pictures(options.data, options.cache, views=1))
    joined = others[0]
    for more in others[1:]:
        joined = joined.and_some(more, options.split, len(more.names))
    for name, model in arms(RetrievalModel.load(options.weights)).items():
        model.second_stage = None  # no question here is in two parts
        if name != "as shipped":
            model.calibration = calibration_of(*asked(model, flickr, "dev"))
        for label, pictures in (("Flickr8k", flickr), ("COCO and ADE20K", joined)):
            done = asked(model, pictures, options.split)
            for length, ones in zip(("short", "long"), done, strict=True):
                print(f"{name}: {label}, {length}: {worth(ones, model.calibration)}", flush=True)


def arms(model: RetrievalModel) -> dict[str, RetrievalModel]:
    """The model, and what it is without one of its parts."""
    names = model.names
    assert names is not None
    silent = Names(names.codes, names.words, 0 * names.table)
    return {
        "as shipped": model,
        "read word by word": rebuilt(model, encoder=None),
        "no names": rebuilt(model, names=silent),
        "hubs left on": rebuilt(model, captions=torch.zeros(1, model.towers.config.width)),
    }


def asked(model: RetrievalModel, pictures: Pictures, split: str) -> tuple[list[Trial], list[Trial]]:
    """Answers on short timelines, and on long ones."""
    assert model.movements is not None
    still = np.zeros((1, model.movements.rows), np.float16)
    bank = dict.fromkeys(("", "cut", *MOVES), still)  # no question here asks for a movement
    options: dict[str, Any] = {"seed": SEED, "timelines": TIMELINES}
    short, long = (
        list(trials(model, pictures, split, bank, long=long, **options)) for long in (False, True)
    )
    return short, long


def auc(present: NDArray[np.floating], absent: NDArray[np.floating]) -> float:
    """How often a present question scores higher than an absent one, in %."""
    return float(100 * (present[:, None] > absent[None]).mean())


def worth(done: Sequence[Answered], calibration: Calibration) -> str:
    """Right answers, AUC, verdicts and reliability, in one line."""
    present = np.array([one.present for one in done])
    right = np.array([one.right for one in done])
    score = np.array([one.score for one in done])
    strength = np.array([float(calibration.strength(one.score, one.rows)) for one in done])
    said = np.array([calibration.verdict(one.score, one.rows) for one in done])
    verdicts = ", ".join(
        f"{verdict} {_share(said[present] == verdict)} / {_share(said[~present] == verdict)}"
        for verdict in ("strong", "none")
    )
    fifths = [(strength >= low) & (strength < low + 0.2) for low in np.arange(0, 1, 0.2)]
    apart = "-" if present.all() else f"{auc(score[present], score[~present]):.1f}"
    return (
        f"{np.mean([one.rows for one in done]):.0f} rows, right {100 * right[present].mean():.1f}, "
        f"AUC {apart}, present / absent called {verdicts}; "
        f"right by fifths of strength {' '.join(_share(right[one]) for one in fifths)}"
    )


def _share(true: NDArray[np.bool_]) -> str:
    """In %; - of none."""
    return f"{100 * true.mean():.0f}" if len(true) else "-"


if __name__ == "__main__":
    main()

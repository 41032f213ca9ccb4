"""Trained towers -> a model that can be searched with: names, movements, and what is unrelated.

    model = assemble(towers, captions, sets, moved)       # its calibration is still a blank

Classes that the appearance network names are moved to the sentences that name them; what moves is
fitted on pictures that were moved; and clips of all training sets, some of them moving, become the
background that scores are measured against.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vmr.model.looking import shown
from vmr.model.movements import Movements
from vmr.model.names import Names
from vmr.model.retrieval import RetrievalModel
from vmr.model.sentence import SentenceEncoder
from vmr.model.strength import Calibration
from vmr.model.text import Words
from vmr.model.towers import Towers
from vmr.training.captioned import Captions, Meanings
from vmr.training.concepts import class_captions, class_codes
from vmr.training.movements import Moved, fit_movements
from vmr.training.pictures import Pictures

MAIN: Final = "flickr8k"
CAPTIONED: Final = (MAIN, "coco", "ade")
"""Sets whose captions are sentences about one picture each."""
_BACKGROUND: Final = 2048  # unrelated clips kept with the weights: two megabytes
_ASKED: Final = 1000  # captions kept with them: one megabyte
NAMED: Final = 18.0
"""How far a class is moved towards the sentences that name it. Vectors of rows are some 60 long
before they are made unit vectors. Chosen on development pictures; `python -m experiments.additions`
measures a space without it."""


def assemble(
    towers: Towers,
    captions: Captions,
    sets: dict[str, Pictures],
    moved: Moved,
    *,
    named: float = NAMED,
    movements: Movements | None = None,
) -> RetrievalModel:
    """The model of towers whose classes have not been moved yet: they are changed."""
    name_classes(towers, captions, named)
    told = [text for pictures in captioned(sets) for text in training_captions(pictures)]
    names = class_codes(captions.counts(told))
    return with_movements(towers, names, captions, sets, moved, movements)


def with_movements(
    towers: Towers,
    names: Names | None,
    captions: Captions,
    sets: dict[str, Pictures],
    moved: Moved,
    movements: Movements | None = None,
) -> RetrievalModel:
    """The model of towers and names that are done, with movements fitted to the motion network; or
    with those of other weights, that were."""
    movements = movements or fit_movements(moved)
    unrelated = _background(towers, names, movements, list(sets.values()), moved)
    return RetrievalModel(
        captions.words,
        towers,
        torch.from_numpy(unrelated),
        asked_for(towers, captions, captioned(sets), names.words if names else ()),
        Calibration(1, 0, 0.25, 0.75),
        captions.words.fingerprint,
        names=names,
        movements=movements,
        encoder=captions.meanings.encoder if captions.meanings else None,
    )


def captioned(sets: dict[str, Pictures]) -> list[Pictures]:
    """The sets whose captions are sentences of people about one picture."""
    return [sets[name] for name in CAPTIONED if name in sets]


def training_captions(main: Pictures) -> list[str]:
    """All of the training split."""
    return [text for i in main.of("train") for text in main.captions[i]]


def reader_of(cache: Path, sets: dict[str, Pictures], sentences: bool = True) -> Captions:
    """The reader of captions; their sentence vectors are cached.

    Raises:
        SentenceError: sentences are to be read, but their encoder is not installed.
    """
    if not sentences:
        return Captions(Words.load())
    meanings = Meanings(SentenceEncoder.load(), cache)
    said = [text for said in class_captions() for text in said]
    meanings.learn([text for p in sets.values() for said in p.captions for text in said] + said)
    return Captions(Words.load(), meanings)


@torch.inference_mode()
def name_classes(towers: Towers, captions: Captions, weight: float = NAMED) -> None:
    """Move what the classifier sees towards the sentences that name it: captions say little of most
    classes, so training alone leaves them where they began."""
    classifier = towers.eval().video.classifier
    assert classifier is not None
    named = [
        F.normalize(captions.encoded(towers, [captions[text] for text in said]).mean(0), dim=0)
        for said in class_captions()
    ]
    told = torch.stack(named)  # (1000, E)
    classifier.move(weight * (told - classifier.prior @ told))


def _background(
    towers: Towers, names: Names | None, movements: Movements, sets: list[Pictures], moved: Moved
) -> NDArray[np.float32]:
    """(K, E - 1) clips of training pictures of every set, moving as shots do: what unrelated
    footage looks like."""
    rows = np.concatenate([pictures.rows[pictures.of("train"), 0] for pictures in sets])
    rows = rows[:: max(1, len(rows) // _BACKGROUND)][:_BACKGROUND]
    rng = random.Random(0)
    moving = moved.rows[[rng.randrange(len(moved.rows)) for _ in rows]]
    both = np.concatenate([rows, moving], axis=1).astype(np.float32)
    return shown(towers.eval(), names, movements, both)


@torch.inference_mode()
def asked_for(
    towers: Towers, captions: Captions, sets: Sequence[Pictures], names: Sequence[str]
) -> Tensor:
    """(C, E) what people ask for, to know hubs by: training captions, one a picture, and a bare
    name each, as words that captions seldom use lie elsewhere, where other clips are hubs."""
    first = [pictures.captions[i][0] for pictures in sets for i in pictures.of("train")]
    asked = first[:: max(1, len(first) // _ASKED)][:_ASKED]
    asked += [f"a {name}" for name in names if all(w in captions.words for w in name.split())]
    return captions.encoded(towers.eval(), [captions[text] for text in asked])

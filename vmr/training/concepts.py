"""The thousand ImageNet classes that the appearance network tells apart: their names in words.

    class_captions()[967]       # ("a espresso", ..., "a cup of coffee", ...)
    names = class_codes(times)  # for columns of their own, names.py

The appearance network comes with a classifier, which knows what an espresso looks like although no
caption in the training sets names one. Sentences with a class's name bring what it knows into the
space in which words are searched.
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from vmr.model.names import LONGEST, Names

CLASSES: Final = Path(__file__).with_name("imagenet_classes.txt")
_TEMPLATES: Final = ("a {}", "a photo of a {}", "a close up of a {}", "{}", "there is a {}")
KINDS: Final[dict[str, tuple[Iterable[int], ...]]] = {
    "fish": (range(7), range(389, 398)),
    "bird": (range(7, 25), range(80, 101), range(127, 147)),
    "lizard": (range(38, 49),),
    "snake": (range(52, 69),),
    "spider": (range(72, 78),),
    "crab": (range(118, 122),),
    "wolf": (range(269, 273),),
    "fox": (range(277, 281),),
    "cat": (range(281, 286),),
    "wild cat": (range(286, 294),),
    "bear": (range(294, 298),),
    "insect": (range(300, 321),),
    "butterfly": (range(321, 327),),
    "rabbit": (range(330, 333),),
    "monkey": (range(365, 383),),
    "elephant": (range(385, 387),),
    "fruit": (range(948, 958),),
    "flower": (range(985, 987),),
    "mushroom": (range(991, 998),),
    "man in a suit": ((457, 834, 906),),
    "person in a car": ((785,),),
    "car": ((436, 468, 511, 609, 627, 656, 751, 817),),
    "motorcycle": ((665, 670),),
    "truck": ((569, 717, 864, 867),),
    "bus": ((654, 779, 874),),
    "train": ((466, 547, 820),),
    "plane": ((404, 895, 908),),
    "boat": ((472, 554, 625, 724, 814, 871, 914),),
    "rocket": ((657, 744, 812),),
    "temple": ((442, 663, 668, 832),),
    "palace": ((483, 698),),
    "cup of coffee": ((504, 967, 968),),
}
"""Everyday names for groups of ImageNet's classes, which are given by their index. Dogs have none:
captions name them often enough."""

CODE_COLUMNS: Final = 64
"""Columns of a clip's vector that the names of classes share."""
NAME_WEIGHT: Final = 0.3
"""What a name adds to a cosine where its class is all there is to see. Chosen on development
pictures (docs/EXPERIMENTS.md, the entries on names of classes)."""
OFTEN: Final = 300
"""A word that is in so many training captions is left to the shared space; rarer ones get weight as
names, too. Chosen on development pictures."""
SELDOM: Final = 10
"""A word that is in fewer training captions has no vector of its own in the shared space."""
ALSO: Final[dict[str, tuple[int, ...]]] = {
    "kitten": (281, 282, 283, 284, 285),
    "bicycle": (444, 671),
    "bike": (444, 671),
    "motorbike": (665, 670),
    "airplane": (404, 895),
    "jet": (404, 895),
    "lorry": (569, 717, 864, 867),
    "ship": (403, 510, 628, 724),
    "phone": (487, 528, 707),
    "laptop": (620, 681),
    "computer": (508, 527, 590, 620, 681),
    "tv": (851,),
    "sofa": (831,),
    "gun": (413, 763, 764),
    "wine": (440, 907, 966),
    "tea": (849,),
    "coffee": (504, 505, 550, 967),
    "glasses": (836, 837),
    "beach": (978,),
    "mountain": (970, 980),
}
"""Further words that people use for some classes, which are given by their index."""
_NOT_SO: Final = frozenset(
    {"sea lion", "hot dog", "prairie dog", "hand plane", "space bar", "window screen", "earth star"}
    | {"yellow lady's slipper", "fire screen sheet", "model t", "granny smith", "black widow"}
)
"""Names of classes whose last word alone means something else."""


@functools.cache
def class_names() -> tuple[str, ...]:
    """The names of the 1,000 classes, in the order of the classifier's outputs."""
    lines = CLASSES.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


@functools.cache
def class_captions() -> tuple[tuple[str, ...], ...]:
    """For each class: its name in a few sentences, and the everyday names of its group."""
    captions = []
    for index, name in enumerate(class_names()):
        said = [template.format(name.lower()) for template in _TEMPLATES]
        for kind, ranges in KINDS.items():
            if any(index in part for part in ranges):
                said += [f"a {kind}", f"a photo of a {kind}", f"{kind}s"]
        captions.append(tuple(said))
    return tuple(captions)


def class_codes(times: Mapping[str, int]) -> Names:
    """The classes' names, each with a weight that falls with how many captions have it.

    Args:
        times: in how many training captions each word is.
    """
    classes = _classes_by_name()
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((len(class_names()), CODE_COLUMNS), np.float32)
    codes *= NAME_WEIGHT**0.5 / np.linalg.norm(codes, axis=1, keepdims=True)
    weights = {name: _rarity(name, times) for name in classes}
    words = sorted(name for name, weight in weights.items() if weight > 0)
    told = [weights[name] * codes[sorted(classes[name])].sum(0) for name in words]
    return Names(codes, words, np.stack(told))


def _classes_by_name() -> dict[str, set[int]]:
    """Every name of a class: whole, by its last word, by its kind, and by further words."""
    classes: dict[str, set[int]] = defaultdict(set)
    for index, title in enumerate(class_names()):
        words = re.findall(r"[a-z]+", title.lower())
        if len(words) <= LONGEST:
            classes[" ".join(words)].add(index)
        if title.lower() not in _NOT_SO:
            classes[words[-1]].add(index)
    for kind, ranges in KINDS.items():
        if " " not in kind:
            classes[kind].update(index for part in ranges for index in part)
    for word, listed in ALSO.items():
        classes[word].update(listed)
    return classes


def _rarity(name: str, times: Mapping[str, int]) -> float:
    """0 for a name that OFTEN captions have; more the fewer have it. Below SELDOM it grows three
    times as fast: there the word's place in the shared space is but its word vector's guess."""
    most = min(times.get(word, 0) for word in name.split())
    shares = (1 - math.log1p(most) / math.log1p(limit) for limit in (OFTEN, SELDOM, SELDOM))
    return sum(max(0.0, share) for share in shares)

"""What moves, in columns of its own beside the shared space.

    clips[:, E:] = movements.clip_columns(rows)                 # (T, 4) of motion rows (T, M)
    query[E:] = movements.query_columns(("moves", "left"))      # (4,): less of what goes right

A picture does not tell which way it goes, so the shared space cannot. Four signed columns do: to
the right, down, nearer, clockwise; 1 is fast, -1 is the other way as fast. They are linear in what
the motion network (C3D) sees, and a query asks for them with a verb of motion and a direction.
Ways are those of what is seen: when the camera pans to the right, everything goes to the left.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.text import word_set

COLUMNS: Final = ("right", "down", "nearer", "clockwise")
FAST: Final = (0.15, 0.15, 0.2, 0.3)
"""Rates that count as 1: widths, widths, logarithm of the size and radians a second. A unit,
not a result."""
WEIGHT: Final = 0.3
"""Of a movement that is asked for, beside a cosine; as much as a name has, and not tuned."""
EVEN: Final = 0.224
"""Of fast: what is as likely an answer as not, where a movement alone is asked for. What is misread
stays below it, and most of an idle camera's shake and slow zooms: docs/EXPERIMENTS.md, "slow
movements are noticed where a movement alone is asked for"."""
ODDS: Final = 13.1
"""What the log odds grow by with all of fast there; that entry's .25 and .15 as odds, like EVEN."""

_MOVE: Final = word_set(
    "go goes going move moves moving moved pass passes passing passed drift drifts drifting slide "
    "slides sliding head heads heading scroll scrolls scrolling sweep sweeps sweeping come comes "
    "coming get gets getting"
)
"""Verbs that say no more than that something moves."""
_GO: Final = _MOVE | word_set(
    "glide glides gliding float floats floating fly flies flying run runs running walk walks "
    "walking ride rides riding drive drives driving roll rolls rolling travel travels traveling "
    "travelling swim swims swimming crawl crawls crawling"
)
_CAMERA: Final = word_set("camera pan pans panning panned tilt tilts tilting tilted")
_ZOOM: Final = word_set("zoom zooms zooming zoomed")
_REACH: Final = 4
"""Words from a verb of motion to the way it goes."""
_WAYS: Final = {
    **dict.fromkeys(("right", "rightward", "rightwards"), (0, 1)),
    **dict.fromkeys(("left", "leftward", "leftwards"), (0, -1)),
    **dict.fromkeys(("down", "downward", "downwards"), (1, 1)),
    **dict.fromkeys(("up", "upward", "upwards"), (1, -1)),
    **dict.fromkeys(("nearer", "closer", "towards", "toward", "forward"), (2, 1)),
    **dict.fromkeys(("away", "farther", "further", "backwards"), (2, -1)),
}
"""Word -> its column and sign."""
_ALONE: Final = {
    **dict.fromkeys(("approach", "approaches", "approaching"), (2, 1)),
    "clockwise": (3, 1),
    **dict.fromkeys(("anticlockwise", "counterclockwise"), (3, -1)),
}
"""Words that need no verb of motion before them."""
_SIDES: Final = word_set("hand side arm leg foot eye of")
"""After these words "left" is a side."""
_GOES_ON: Final = word_set("and while then as slowly quickly fast past from")
"""What may follow a way itself: "runs down the street" tells where, "goes down" the way."""
_US: Final = word_set("us me camera viewer")
_FILLING: Final = word_set(
    "a an the it is in out to on and from very fast slowly quickly something everything view "
    "picture scene turn turns turning rotate rotates rotating spin spins spinning"
)


class Movements:
    """A linear map from motion rows to COLUMNS."""

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.weight = weight
        "(4, M)"
        self.bias = bias
        "(4,)"
        self.share = WEIGHT
        """Of a movement in a query's score; 0: queries ask for none."""

    @property
    def rows(self) -> int:
        """M: columns of a motion row."""
        return int(self.weight.shape[1])

    def clip_columns(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, M) -> (T, 4) within -1..1; a row of zeros is of a picture: nothing moves in it."""
        found = np.clip(rows.astype(np.float32) @ self.weight.T + self.bias, -1, 1)
        return np.asarray(found * rows.any(axis=1, keepdims=True), dtype=np.float32)

    def query_columns(self, words: Sequence[str]) -> NDArray[np.float32]:
        """(4,) what a query's words ask of COLUMNS."""
        return np.asarray(self.share * asked_of(words), dtype=np.float32)


def asked_of(words: Sequence[str]) -> NDArray[np.float32]:
    """(4,) -1, 0 or 1: which of COLUMNS a query's words ask for."""
    asked = np.zeros(len(COLUMNS), np.float32)
    for place, word in enumerate(words):
        before, after = words[max(0, place - _REACH) : place], words[place + 1 :]
        if word in ("in", "out") and _ZOOM.intersection(before[-1:]):
            asked[2] = 1 if word == "in" else -1
        elif word in _ALONE:
            column, sign = _ALONE[word]
            asked[column] = sign
        elif word in _WAYS and (_GO | _CAMERA).intersection(before) and _is_a_way(word, after):
            column, sign = _WAYS[word]
            # "from left to right": the last way that is named is the one it goes.
            asked[column] = -sign if column < 2 and _CAMERA.intersection(before) else sign
    return asked


def names_nothing_else(words: Sequence[str]) -> bool:
    """Whether a query speaks of a movement and of no thing: "the camera zooms out"."""
    moves = _MOVE | _CAMERA | _ZOOM | _US | _FILLING | _WAYS.keys() | _ALONE.keys()
    return moves.issuperset(words) and bool(asked_of(words).any())


def _is_a_way(word: str, after: Sequence[str]) -> bool:
    """Whether the word says which way something goes, and not where."""
    if word in ("left", "right"):
        return not _SIDES.intersection(after[:1])
    if word in ("toward", "towards"):
        return not after or bool(_US.intersection(after[:2]))
    return not after or (after[0] in _GOES_ON and (word, after[0]) != ("away", "from"))

"""The same footage in several videos is one moment of an answer, and the others are named with it.

    moments = shown_once(found, clips_of, model.space, top=10)    # best first
    moments[0].also                                               # where else it is shown

A clip that was recompressed, cut out or used again in a compilation looks the same to the model as
where it came from, and would fill an answer with itself. Inside one video nothing is taken for a
copy: a view that returns is another moment.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.library.store import LibraryError
from vmr.model.space import Space
from vmr.search.moments import Moment, Place

logger = logging.getLogger(__name__)

SAME: Final = 0.92
"""Cosine of mean looks from which on two moments are the same footage. Recompressed and smaller
copies are above it, other shots far below (`python -m experiments.copies`)."""

_SMALLEST: Final = 1e-6  # no length is below it, so that nothing is divided by zero

ClipsOf = Callable[[int, float, float], NDArray[np.float32]]
"""A video, start and end in seconds -> its clip vectors (T, E); LibraryError where it is away."""


def shown_once(
    found: Sequence[Moment], clips_of: ClipsOf, space: Space, top: int
) -> tuple[Moment, ...]:
    """Up to `top` of these moments, best first, none of them the copy of a better one in another
    video; each names its copies among those that were weaker, up to the last that is shown."""
    if len({moment.video for moment in found}) < 2:
        return tuple(found[:top])
    kept: list[Moment] = []
    looks: list[list[NDArray[np.float32]]] = []  # of each that is kept, and of its copies
    for moment in found:
        if len(kept) == top:
            break
        own = _look(moment, clips_of, space)
        copied = next((i for i, its in enumerate(looks) if _same(kept[i], its, moment, own)), None)
        if copied is None:
            kept.append(moment)
            looks.append([] if own is None else [own])
        else:
            looks[copied] += [] if own is None else [own]
            place = Place(moment.video, moment.name, moment.path, moment.start, moment.end)
            kept[copied] = replace(kept[copied], also=(*kept[copied].also, place))
    return tuple(kept)


def _look(moment: Moment, clips_of: ClipsOf, space: Space) -> NDArray[np.float32] | None:
    """What a moment looks like on average, (S,) of unit length; None where it cannot be read."""
    try:
        mean = space.shared(clips_of(moment.video, moment.start, moment.end).mean(axis=0))
    except LibraryError as error:
        logger.info("%s: not compared with others: %s", moment.path, error)
        return None
    return np.asarray(mean / max(float(np.linalg.norm(mean)), _SMALLEST), np.float32)


def _same(
    better: Moment,
    looks: list[NDArray[np.float32]],
    moment: Moment,
    own: NDArray[np.float32] | None,
) -> bool:
    """Whether a moment is the footage of a better one, or of a copy of it, and says the same: two
    talks in one room look alike."""
    if moment.video == better.video or own is None:
        return False
    said = [quote.text for quote in moment.words]
    return said == [quote.text for quote in better.words] and any(
        its @ own >= SAME for its in looks
    )

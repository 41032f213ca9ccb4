"""Synthetic timelines: shots of captioned pictures one after the other, whose truth is known.

    timeline = compose(pool, random.Random(7))
    timeline.segments[0].start, timeline.segments[0].end    # seconds
    timeline.rows(vectors)                                  # (T, D), from vectors (N, V, D)

Five to thirty shots of 2 to 40 s, in random order. Some are shown twice, some are look-alikes of
another (nearest neighbours in the space of the model: their captions are the hard negatives), some
fade into the next. What is asked of them is in questions.py.
Pictures of one group answer the same questions (an action that is shown twice has two moments);
one without captions is never asked for. Every picture of a pool is as likely as another, so a
pool's material is mixed as it was gathered. Some shots go one way (MOVES); often the same picture
goes the opposite way elsewhere, and only its movement tells the two apart.

The same timeline comes in two forms: as rows, mixed from the rows of pictures that are known
already, at the sampling of extract.py (fast enough to train on); and as a film (film.py), which the
real extractor reads. A shot moves: in rows from one view of its picture to another.
"""

import bisect
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.extract import RATE, SAMPLE

SHOTS: Final = (5, 30)
"""Least and most shots of a timeline."""
SECONDS: Final = (2.0, 40.0)
"""Least and most seconds of a shot that goes no way."""
REPEATED: Final = 0.1
"""Share of shots that show an earlier picture again."""
ALIKE: Final = 0.25
"""Share of shots that look like an earlier one."""
FADED: Final = 0.2
"""Share of cuts that are fades."""
FADE_SECONDS: Final = 0.8
"""Seconds that a fade takes, half of them on either side of the cut."""
NEIGHBOURS: Final = 20
"""Pictures that count as look-alikes of a picture: its nearest in the space of the model."""
MOVES: Final = {
    "left": ("moves left", "goes to the left", "moving to the left", "while the camera pans right"),
    "right": ("moves right", "goes to the right", "moving to the right", "as the camera pans left"),
    "up": ("moves up", "goes up", "moving upwards", "while the camera tilts down"),
    "down": ("moves down", "goes down", "moving downwards", "while the camera tilts up"),
    "in": ("comes nearer", "while the camera zooms in", "coming closer", "zooming in"),
    "out": ("goes away", "while the camera zooms out", "moving farther away", "zooming out"),
    "clockwise": ("turns clockwise", "turning clockwise", "rotating clockwise"),
    "anticlockwise": ("turns anticlockwise", "turning anticlockwise", "rotating counterclockwise"),
}
"""Ways that a shot can go, and how a question says so: what is seen goes that way."""
OPPOSITE: Final = dict(zip(MOVES, [list(MOVES)[i ^ 1] for i in range(len(MOVES))], strict=True))
MOVING: Final = 0.25
"""Share of the shots of photographs that go one way."""
OPPOSED: Final = 0.5
"""Chance that the picture of such a shot is to be shown again, going the opposite way; and of every
later shot to be the one that does."""
MOVING_SECONDS: Final = (2.5, 8.0)
"""Least and most seconds of a shot that pans or turns."""
ZOOM_SECONDS: Final = (2.5, 4.5)
"""Least and most seconds of a shot that zooms: longer ones would leave the picture's detail."""


@dataclass(frozen=True)
class Pool:
    """Pictures of one split to compose of, by their place in a table of vectors."""

    places: tuple[int, ...]
    "Rows of the table that the pool's pictures have."
    groups: tuple[str, ...]
    "The group of every row of the table. Pictures of a group answer the same questions."
    captions: tuple[tuple[str, ...], ...]
    "The captions of every row of the table; a picture without any is never asked for."
    alike: dict[int, tuple[int, ...]]
    "By row of the table, the rows of its look-alikes in other groups, nearest first."
    views: int
    "Views that the table has of each picture."
    clips: frozenset[int] = frozenset()
    "Rows of the table that are video clips: they move by themselves, and never as one of MOVES."

    @cached_property
    def rarity(self) -> dict[str, float]:
        """For every word of the captions, its inverse document frequency: the logarithm of the
        number of pictures over that of pictures with the word in a caption. Nearly 0 for "a"."""
        times = Counter(word for i in self.places for word in words_of(self.captions[i]))
        return {word: math.log((len(self.places) + 1) / n) for word, n in times.items()}


@dataclass(frozen=True)
class Segment:
    """One showing of a picture."""

    place: int
    start: float
    end: float
    views: tuple[int, int]
    "The views that the shot begins and ends with; rows in between are mixed of both."
    fade: float
    "Seconds over which the next shot takes over, half of them after `end`; 0: a hard cut."
    move: str = ""
    "The one of MOVES that the shot goes; empty: none."


@dataclass(frozen=True)
class Timeline:
    """Shots one after the other, from 0 on."""

    segments: tuple[Segment, ...]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.segments[-1].end

    @property
    def cuts(self) -> NDArray[np.float64]:
        """(S - 1,) seconds at which one shot gives way to the next."""
        return np.array([segment.end for segment in self.segments[:-1]])

    def rows(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, D), one a second: vectors (N, V, D) of pictures mixed as a film would show them."""
        count = max(1, math.ceil(self.duration - 0.04))
        rows = np.zeros((count, vectors.shape[2]), np.float32)
        for row in range(count):
            for segment, share, place in self.shown(row + SAMPLE / RATE):
                first, last = segment.views
                rows[row] += share * (1 - place) * vectors[segment.place, first]
                rows[row] += share * place * vectors[segment.place, last]
        return rows

    def moving(self, bank: Mapping[str, NDArray[np.floating]], seed: int) -> NDArray[np.floating]:
        """(T, M), one a second: what is seen of movements, drawn from windows (K, M) of each kind:
        those of MOVES, "" and "cut" for the two seconds around a row when a cut is among them."""
        rng = np.random.default_rng(seed)
        rows = []
        for row in range(max(1, math.ceil(self.duration - 0.04))):
            segment, _, _ = max(self.shown(row + 0.5), key=lambda part: part[1])
            cut = any(row - 0.5 < seconds < row + 1.5 for seconds in self.cuts)
            kind = bank["cut" if cut else segment.move]
            rows.append(kind[rng.integers(len(kind))])
        return np.stack(rows)

    def shown(self, seconds: float) -> list[tuple[Segment, float, float]]:
        """What is on the screen: (segment, its share of the picture, how far through it is)."""
        starts = [segment.start for segment in self.segments]
        number = min(bisect.bisect_right(starts, seconds), len(starts)) - 1
        found = [(number, 1.0)]
        for earlier in (number - 1, number):  # the cut behind us, and the one ahead
            if 0 <= earlier < len(self.segments) - 1:
                cut, fade = self.segments[earlier].end, self.segments[earlier].fade
                if fade and abs(seconds - cut) < fade / 2:
                    later = 0.5 + (seconds - cut) / fade
                    found = [(earlier, 1 - later), (earlier + 1, later)]
        return [
            (segment, share, min(1.0, max(0.0, (seconds - segment.start) / length)))
            for i, share in found
            for segment in [self.segments[i]]
            for length in [segment.end - segment.start]
        ]


def pool_of(
    places: NDArray[np.intp],
    groups: Sequence[str],
    captions: Sequence[tuple[str, ...]],
    unit: NDArray[np.float32],
    views: int,
    clips: frozenset[int] = frozenset(),
) -> Pool:
    """The pictures at `places` of a table as a pool; vectors (N, E) tell look-alikes."""
    similar = unit[places] @ unit[places].T  # (P, P)
    own = np.asarray(groups)[places]
    similar[own[:, None] == own[None]] = -np.inf
    order = np.argsort(-similar, axis=1)[:, :NEIGHBOURS]
    alike = {
        int(place): tuple(places[near].tolist()) for place, near in zip(places, order, strict=True)
    }
    listed = tuple(places.tolist())
    return Pool(listed, tuple(groups), tuple(captions), alike, views, clips)


def words_of(captions: Iterable[str]) -> frozenset[str]:
    """The words of some captions, in small letters."""
    return frozenset(word for text in captions for word in re.findall(r"\w+", text.lower()))


def compose(pool: Pool, rng: random.Random, shots: tuple[int, int] = SHOTS) -> Timeline:
    """A new timeline; the same one for the same state of `rng`."""
    segments: list[Segment] = []
    owed: list[tuple[int, str]] = []  # pictures to be shown going the opposite way
    start = 0.0
    for _ in range(rng.randint(*shots)):
        if owed and owed[0][0] != segments[-1].place and rng.random() < OPPOSED:
            place, move = owed.pop(0)
        else:
            place, move = _picture(pool, segments, rng), ""
            if place not in pool.clips and rng.random() < MOVING:
                move = rng.choice(list(MOVES))
                if rng.random() < OPPOSED:
                    owed.append((place, OPPOSITE[move]))
        limits = ZOOM_SECONDS if move in ("in", "out") else MOVING_SECONDS if move else SECONDS
        length = math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))
        fade = FADE_SECONDS if rng.random() < FADED else 0.0
        views = rng.randrange(pool.views), rng.randrange(pool.views)
        segments.append(Segment(place, start, start + length, views, fade, move))
        start += length
    return Timeline(tuple(segments))


def _picture(pool: Pool, segments: list[Segment], rng: random.Random) -> int:
    """What the next shot shows: never the same as the one before."""
    kind = rng.random()
    earlier = [segment.place for segment in segments]
    if len(earlier) > 1 and kind < REPEATED:
        return rng.choice(earlier[:-1]) if earlier[-1] not in earlier[:-1] else earlier[-2]
    if earlier and kind < REPEATED + ALIKE:
        return rng.choice(pool.alike[rng.choice(earlier)])
    return rng.choice(pool.places)

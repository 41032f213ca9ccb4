"""Timelines with known truth, composed of captioned pictures.

    timeline = compose(pool, random.Random(7))
    timeline.segments[0].start, timeline.segments[0].end    # seconds
    timeline.rows(vectors)                                  # (T, D), from vectors (N, V, D)
    ask(timeline, pool, draw, present=True)                 # Question("a dog ...", spans)

Five to thirty shots of 2 to 40 s, in random order. Some are shown twice, some are look-alikes of
another (nearest neighbours in the space of the model: their captions are the hard negatives), some
fade into the next. A moment is one showing of a picture; a question may have several, or none.
Pictures of one group answer the same questions (an action that is shown twice has two moments);
one without captions is never asked for. Every picture of a pool is as likely as another, so a
pool's material is mixed as it was gathered.

The same timeline comes in two forms: as rows, mixed from the rows of pictures that are known
already, at the sampling of extract.py (fast enough to train on); and as a film (film.py), which the
real extractor reads. A shot moves: in rows from one view of its picture to another.
"""

import bisect
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.extract import NETWORK_SAMPLES, RATE

SHOTS: Final = (5, 30)
SECONDS: Final = (2.0, 40.0)
REPEATED: Final = 0.1
"""Share of shots that show an earlier picture again."""
ALIKE: Final = 0.25
"""Share of shots that look like an earlier one."""
FADED: Final = 0.2
"""Share of cuts that are fades."""
FADE_SECONDS: Final = 0.8
NEIGHBOURS: Final = 20
_TRIES: Final = 1000


@dataclass(frozen=True)
class Pool:
    """Pictures of one split to compose of, by their place in a table of vectors."""

    places: tuple[int, ...]
    groups: tuple[str, ...]
    "of every place of the table; pictures of a group answer the same questions"
    captions: tuple[tuple[str, ...], ...]
    alike: dict[int, tuple[int, ...]]
    "look-alikes of a place, nearest first; of other groups"
    views: int


@dataclass(frozen=True)
class Segment:
    """One showing of a picture."""

    place: int
    start: float
    end: float
    views: tuple[int, int]
    "moves from one view to the other"
    fade: float
    "seconds over which the next one takes over, half of them after `end`"


@dataclass(frozen=True)
class Question:
    """What is asked of a timeline, and where the answers are."""

    text: str
    spans: tuple[tuple[float, float], ...]
    "seconds; none when nothing shown answers it"
    group: str
    "of the picture whose caption it is"


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
        for sample in NETWORK_SAMPLES:
            for row in range(count):
                for segment, share, place in self.shown(row + sample / RATE):
                    first, last = segment.views
                    weight = share / len(NETWORK_SAMPLES)
                    rows[row] += weight * (1 - place) * vectors[segment.place, first]
                    rows[row] += weight * place * vectors[segment.place, last]
        return rows

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
    return Pool(listed, tuple(groups), tuple(captions), alike, views)


def compose(pool: Pool, draw: random.Random, shots: tuple[int, int] = SHOTS) -> Timeline:
    """A new timeline; the same one for the same state of `draw`."""
    segments: list[Segment] = []
    start = 0.0
    for _ in range(draw.randint(*shots)):
        place = _picture(pool, segments, draw)
        length = math.exp(draw.uniform(math.log(SECONDS[0]), math.log(SECONDS[1])))
        fade = FADE_SECONDS if draw.random() < FADED else 0.0
        views = draw.randrange(pool.views), draw.randrange(pool.views)
        segments.append(Segment(place, start, start + length, views, fade))
        start += length
    return Timeline(tuple(segments))


def ask(timeline: Timeline, pool: Pool, draw: random.Random, *, present: bool) -> Question:
    """A caption of something that is shown, with all its showings; or of something that is not."""
    groups = {pool.groups[segment.place] for segment in timeline.segments}
    if present:
        named = [segment for segment in timeline.segments if pool.captions[segment.place]]
        if not named:
            raise ValueError("nothing that is shown has a caption")
        place = draw.choice(named).place
        spans = [
            (segment.start, segment.end)
            for segment in timeline.segments
            if pool.groups[segment.place] == pool.groups[place]
        ]
        text = draw.choice(pool.captions[place])
        return Question(text, tuple(_joined(spans)), pool.groups[place])
    for _ in range(_TRIES):
        place = draw.choice(pool.places)
        if pool.groups[place] not in groups and pool.captions[place]:
            return Question(draw.choice(pool.captions[place]), (), pool.groups[place])
    raise ValueError("nothing is absent: the timeline shows the whole pool")


def _picture(pool: Pool, segments: list[Segment], draw: random.Random) -> int:
    """What the next shot shows: never the same as the one before."""
    kind = draw.random()
    earlier = [segment.place for segment in segments]
    if len(earlier) > 1 and kind < REPEATED:
        return draw.choice(earlier[:-1]) if earlier[-1] not in earlier[:-1] else earlier[-2]
    if earlier and kind < REPEATED + ALIKE:
        return draw.choice(pool.alike[draw.choice(earlier)])
    return draw.choice(pool.places)


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that touch are one."""
    joined = spans[:1]
    for start, end in spans[1:]:
        if start - joined[-1][1] < 1e-6:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined

"""Words in, ranked moments out: the two stages joined.

Stage one finds the clips of the whole library that are nearest to the query; stage two reads a
window of up to 128 rows around each hit and says where the moment starts and ends.

    searcher = Searcher(library, Ranker.load(), Words.load())
    answer = searcher.search("a dog runs on the beach")
    answer.verdict, answer.moments[0].start, answer.moments[0].end
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.index import ClipIndex
from vmr.localise import Proposal
from vmr.moments import suppress
from vmr.ranker import Ranker
from vmr.store import Library, LibraryError, Video
from vmr.text import Query, Words

WINDOW: Final = 128
"""Rows that stage two reads at once: what the model was trained on."""
STRIDE: Final = 64
"""Rows between windows, so that every moment up to 64 s lies whole in one of them."""
CANDIDATES: Final = 512
"""Clips that stage one returns."""
WINDOWS: Final = 24
"""Windows that stage two reads: enough for recall, few enough for an answer at once."""
OVERLAP: Final = 0.5
"""IoU above which two moments of a video are the same one."""


@dataclass(frozen=True)
class Hit:
    """One moment of an answer; times in seconds."""

    video: int
    name: str
    path: Path
    start: float
    end: float
    score: float
    "of the model; comparable within one answer"
    strength: float
    "0..1, calibrated: comparable between answers"
    best: float
    "the second that matches best"


@dataclass(frozen=True)
class Answer:
    """What a search found, best first."""

    query: str
    unknown_words: tuple[str, ...]
    verdict: str
    "strong, possible, or none: how sure we are that the best moment is what was asked for"
    moments: tuple[Hit, ...]


@dataclass(frozen=True)
class _Timeline:
    """When the rows of a video are, and where its shots change; seconds."""

    starts: NDArray[np.float64]
    "(T,)"
    ends: NDArray[np.float64]
    "(T,)"
    cuts: NDArray[np.float64]
    "(S,)"


class Searcher:
    """Answers queries over one library; follows the library as it grows."""

    def __init__(self, library: Library, ranker: Ranker, words: Words) -> None:
        self.library = library
        self._ranker = ranker
        self._words = words
        self._index = ClipIndex.open(library, ranker)
        self._timelines: dict[tuple[int, str], _Timeline] = {}

    def search(
        self,
        text: str,
        *,
        video: int | None = None,
        among: Collection[int] | None = None,
        top: int = 10,
    ) -> Answer:
        """The moments that match the words, in the whole library or in a part of it.

        Args:
            video: the only video to look into.
            among: ids of the videos to look into; what is not searchable is passed over.

        Raises:
            QueryError: no word of the query is known.
            LibraryError: there is no such video, or it is not searchable.
        """
        if top < 1:
            raise ValueError(f"top must be at least 1, not {top}")
        query = self._words.query(text)
        vector = self._ranker.query_vector(query)
        self._index.sync()
        videos = {video.id: video for video in self.library.videos() if video.searchable}
        chosen = videos.keys() if among is None else videos.keys() & set(among)
        if video is not None:
            chosen = {self._searchable(video).id}
        ids, rows, _ = self._index.nearest(vector, CANDIDATES, videos=chosen)
        moments = [
            hit
            for id, firsts in open_windows(ids, rows, {id: videos[id].rows for id in videos})
            for hit in self._moments(videos[id], firsts, query)
        ]
        moments.sort(key=lambda hit: -hit.score)
        verdict = self._ranker.verdict(moments[0].strength) if moments else "none"
        return Answer(text, query.unknown, verdict, tuple(moments[:top]))

    def strip(self, text: str, video: int) -> NDArray[np.float64]:
        """How strongly every row (T,) of a video matches the words, 0..1."""
        self._index.sync()
        clips = self._index.vectors(self._searchable(video).id)
        vector = self._ranker.query_vector(self._words.query(text))
        curve = self._ranker.curve(clips, vector)
        return self._ranker.strength(curve)

    def _searchable(self, id: int) -> Video:
        video = self.library.video(id)
        if not video.searchable:
            raise LibraryError(f"{video.path} cannot be searched: it is {video.state}")
        return video

    def _moments(self, video: Video, firsts: list[int], query: Query) -> Iterator[Hit]:
        """The moments of one video, from the windows that begin at these rows."""
        try:
            timeline, clips = self._timeline(video), self._index.vectors(video.id)
        except LibraryError:
            return  # removed or found damaged since stage one: the others still answer
        found: list[Proposal] = []
        for first in firsts:
            rows = slice(first, first + WINDOW)
            starts, ends = timeline.starts[rows], timeline.ends[rows]
            for moment in self._ranker.propose(clips[rows], starts, ends, timeline.cuts, query):
                best = int(np.searchsorted(timeline.starts, moment.best, side="right")) - 1
                if window_of(best, len(clips)) == first:  # otherwise it may be cut off here
                    found.append(moment)
        spans = [(proposal.start, proposal.end) for proposal in found]
        scores = [proposal.score for proposal in found]
        for i in suppress(spans, scores, threshold=OVERLAP, keep=len(found)):
            moment = found[i]
            yield Hit(
                video.id,
                video.name,
                video.path,
                moment.start,
                moment.end,
                moment.score,
                float(self._ranker.strength(moment.score)),
                moment.best,
            )

    def _timeline(self, video: Video) -> _Timeline:
        """Kept, because reading a feature file checks every byte of it; 60 kB an hour of video."""
        key = video.id, video.fingerprint
        if key not in self._timelines:
            features = self.library.features(video.id)
            self._timelines[key] = _Timeline(features.starts, features.ends, features.cuts)
        return self._timelines[key]


def window_of(row: int, length: int) -> int:
    """The first row of the window that answers for a row: the one whose middle half it is in."""
    last = max(0, math.ceil((length - WINDOW) / STRIDE))
    return min(max(0, (row - WINDOW // 4) // STRIDE), last) * STRIDE


def open_windows(
    ids: NDArray[np.int64], rows: NDArray[np.int64], lengths: dict[int, int]
) -> list[tuple[int, list[int]]]:
    """The first rows of the windows that answer for the hits, by video; the best windows only."""
    hits = zip(ids.tolist(), rows.tolist(), strict=True)
    chosen = dict.fromkeys((id, window_of(row, lengths[id])) for id, row in hits)
    by_video: dict[int, list[int]] = {}
    for id, first in list(chosen)[:WINDOWS]:
        by_video.setdefault(id, []).append(first)
    return list(by_video.items())

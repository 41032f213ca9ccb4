"""What people said of answers, put to use for later questions of the same library.

A rating moves the vector of every similar question a little: towards the clips of a moment that
was right, away from those of one that was wrong (Rocchio, 1971, in the shared space). How far, goes
with how similar the questions are; questions that are not similar are not touched at all.

    feedback = Feedback.learn(library.ratings(), model, clips_of)
    feedback.adjust(vector)                     # (E,), the same vector where nothing applies
    feedback.edges(vector, video, second)       # corrected edges of a moment, or None
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from feature_extract.files import write_text
from vmr.library.catalogue import Rating, Video
from vmr.library.store import LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Vector
from vmr.model.text import QueryError

logger = logging.getLogger(__name__)


SIMILAR: Final = 0.5
"""Cosine from which two questions have to do with each other: paraphrases lie above it."""
SAME: Final = 0.98
"""Cosine from which they are one question, so that corrected edges are meant for it."""
TOWARDS: Final = 0.8
AWAY: Final = 0.45
"""Steps for the same question, against a vector of length 1; the hub weight of the space takes its
share of the first. What is wrong says less. Set so that tests/search/test_feedback.py holds, and
not measured: there is no public set of ratings."""

ClipsOf = Callable[[int, float, float], Vector]
"""The clip vectors (T, E) of a span of a video, seconds; LibraryError when there are none."""


@dataclass(frozen=True, eq=False)
class _Lesson:
    rating: Rating
    question: Vector
    step: Vector
    "what the rating adds to the vector of the same question"


@dataclass(frozen=True, eq=False)
class Feedback:
    """All ratings of a library, ready to be applied."""

    model: RetrievalModel
    lessons: tuple[_Lesson, ...] = ()

    @classmethod
    def learn(
        cls, ratings: Sequence[Rating], model: RetrievalModel, clips_of: ClipsOf
    ) -> "Feedback":
        """Ratings whose video or words are not there (any more) teach nothing."""
        lessons = []
        for rating in ratings:
            try:
                question = model.encode_query(model.query(rating.query))
                clips = clips_of(rating.video, rating.start, rating.end)
            except (QueryError, LibraryError) as error:
                logger.info("rating of %r is not heeded: %s", rating.query, error)
                continue
            step = model.space.unit(clips.mean(axis=0)) * (TOWARDS if rating.good else -AWAY)
            lessons.append(_Lesson(rating, question, step.astype(np.float32)))
        return cls(model, tuple(lessons))

    def adjust(self, vector: Vector) -> Vector:
        """A question's vector (E,), moved by what was said of similar questions. One for a movement
        alone stays: how a moment looks tells nothing of it."""
        if self.model.space.is_movement_alone(vector):
            return vector
        near = [(self._nearness(lesson, vector), lesson.step) for lesson in self.lessons]
        total = sum(nearness for nearness, _ in near)
        if not total:
            return vector
        # A mean, not a sum: a hundred ratings must not outweigh the words.
        step = sum(nearness * step for nearness, step in near) / max(1.0, total)
        return self.model.as_query(self.model.space.unit(vector + step))

    def edges(self, vector: Vector, video: int, second: float) -> tuple[float, float] | None:
        """The edges that somebody confirmed or corrected for this very question, if any."""
        for lesson in reversed(self.lessons):  # the latest word counts
            said = lesson.rating
            here = said.video == video and said.start <= second < said.end
            if said.good and here and self.model.space.cosine(lesson.question, vector) >= SAME:
                return said.start, said.end
        return None

    def _nearness(self, lesson: _Lesson, vector: Vector) -> float:
        """0..1: from not similar to the same question."""
        cosine = self.model.space.cosine(lesson.question, vector)
        return max(0.0, (cosine - SIMILAR) / (1.0 - SIMILAR))


def save_annotations(ratings: Sequence[Rating], videos: dict[int, Video], target: Path) -> int:
    """The right moments as JSON lines that `train` reads; how many lines."""
    moments: dict[tuple[str, int], list[list[float]]] = {}
    for said in ratings:
        if said.good and said.video in videos:
            moments.setdefault((said.query, said.video), []).append([said.start, said.end])
    lines = [
        {
            "video": videos[id].name,
            "query": query,
            "duration": videos[id].duration,
            "moments": sorted(spans),
        }
        for (query, id), spans in moments.items()
    ]
    write_text(target, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return len(lines)

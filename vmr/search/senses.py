"""A question asked of pictures, speech and writing at once: each by its own strength.

senses = Senses(searcher, hearing, parse('said:"goal" THEN a crowd cheering'), rows)
senses.find(steps, None)            # of each step its moments, whichever sense found them

Scores of one sense are never compared with those of another: both are strengths first, which say
how often such a find is right, and those are put on one scale.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Vector
from vmr.model.strength import Verdict
from vmr.search.hearing import Heard, Hearing, TextPart, together
from vmr.search.moments import TOGETHER_SECONDS, Moment, fuse
from vmr.search.parts import Videos
from vmr.search.query import ParsedQuery, QueryStep, sense_of

AVOIDED_SECONDS: Final = 2.0
"""How near to a moment something that is to be left out may not be said."""


def asks_of_words(parsed: ParsedQuery) -> bool:
    """Whether a question asks what is said or written, by name."""
    things = [*parsed.avoided, *(thing for step in parsed.steps for thing in step)]
    return any(sense_of(thing)[0] is not None for thing in things)


Curve: TypeAlias = Callable[[NDArray[np.floating]], NDArray[np.floating]]
"""Clips (T, E) -> scores (T,)."""


class Pictures(Protocol):
    """The sense of sight, as the others need it: a `Searcher`."""

    @property
    def library(self) -> Library:
        """Whose videos are searched."""

    @property
    def model(self) -> RetrievalModel:
        """What sees."""

    def seen(self, step: QueryStep, chosen: Videos | None) -> list[Moment]:
        """What is found of a step in the pictures alone."""

    def best_seen(
        self, curve: Curve, video: int, start: float, end: float
    ) -> tuple[float, float] | None:
        """Start of the row that matches best from `start` to `end`, and its score."""


class Senses:
    """One question, on its way through all senses."""

    def __init__(
        self,
        pictures: Pictures,
        model: RetrievalModel,
        hearing: Hearing,
        parsed: ParsedQuery,
        rows: int,
    ) -> None:
        """`rows`: how many rows of pictures are searched; `model` measures against them."""
        self._pictures = pictures
        self._model = model
        self._hearing = hearing
        self._rows = rows
        self._steps = [[part_of(thing) for thing in step] for step in parsed.steps]
        self._avoided = [part_of(thing) for thing in parsed.avoided]

    def find(self, steps: Sequence[QueryStep], chosen: Videos | None) -> list[list[Moment]]:
        """Of each step its moments.

        A step that only words can answer says which videos the others have to be looked for in.
        """
        within = None if chosen is None else {int(id) for id in chosen}
        words: list[list[Heard] | None] = []
        for parts in self._steps:
            named = [part for part in parts if part.sense is not None]
            found = self._together(named, within) if named else None
            if found is not None:
                within = {heard.video for heard in found}
            words.append(found)
        narrowed = chosen if within is None or all(w is None for w in words) else sorted(within)
        return [
            self._without(
                step,
                self._by_both(step, parts, narrowed, within)
                if found is None
                else self._by_words(step, found),
            )
            for step, parts, found in zip(steps, self._steps, words, strict=True)
        ]

    def heard_alone(self, chosen: Videos | None) -> list[list[Moment]]:
        """Of each step what is said or written, where the pictures cannot be asked."""
        within = None if chosen is None else {int(id) for id in chosen}
        return [
            self._without(QueryStep(()), self._moments(self._together(parts, within)))
            for parts in self._steps
        ]

    def _together(self, parts: Sequence[TextPart], within: Collection[int] | None) -> list[Heard]:
        return together([self._hearing.find(part, within) for part in parts], TOGETHER_SECONDS)

    def _by_both(
        self,
        step: QueryStep,
        parts: Sequence[TextPart],
        chosen: Videos | None,
        within: Collection[int] | None,
    ) -> list[Moment]:
        """Of plain words: what is seen, and what is said of it."""
        seen = self._pictures.seen(step, chosen)
        return fuse(seen, self._moments(self._together(parts, within)), self._weighed)

    def _by_words(self, step: QueryStep, found: list[Heard]) -> list[Moment]:
        """What is said, and seen at the same time where that is asked for, too."""
        moments = self._moments(found)
        if not step.wanted:
            return moments
        model = self._model

        def curve(clips: NDArray[np.floating]) -> NDArray[np.floating]:
            return replace(step, avoided=()).curve(model, clips)

        both = []
        for moment in moments:
            best = self._pictures.best_seen(
                curve,
                moment.video,
                moment.start - TOGETHER_SECONDS,
                moment.end + TOGETHER_SECONDS,
            )
            if best is None:
                continue
            second, score = best
            seen = float(model.calibration.strength(score, self._rows))
            wider = replace(
                moment,
                start=min(moment.start, second),
                end=max(moment.end, second + 1.0),
                sense=("seen", *moment.sense),
            )
            both.append(self._weighed(wider, min(seen, moment.strength)))
        return both

    def _without(self, step: QueryStep, moments: list[Moment]) -> list[Moment]:
        """Moments in which nothing is said, and nothing seen, that is to be left out."""
        videos = {moment.video for moment in moments}
        places = [place for part in self._avoided for place in self._hearing.said_in(part, videos)]
        kept = [
            moment
            for moment in moments
            if not any(
                video == moment.video
                and start < moment.end + AVOIDED_SECONDS
                and end > moment.start - AVOIDED_SECONDS
                for video, start, end in places
            )
        ]
        return [
            moment for moment in kept if moment.sense == ("seen",) or self._unseen(step, moment)
        ]

    def _unseen(self, step: QueryStep, moment: Moment) -> bool:
        """Whether nothing that is to be left out is seen while words are said."""
        model = self._model
        for vector in step.avoided:
            best = self._pictures.best_seen(
                partial(_curve_of, model, vector), moment.video, moment.start, moment.end
            )
            if best is not None and model.calibration.verdict(best[1], self._rows) != "none":
                return False
        return True

    def _moments(self, found: Sequence[Heard]) -> list[Moment]:
        """What was heard, as moments of videos that can be searched."""
        videos = self._pictures.library.videos_of({heard.video for heard in found})
        return [
            self._weighed(
                Moment(
                    video=heard.video,
                    name=video.name,
                    path=video.path,
                    start=heard.start,
                    end=heard.end,
                    score=0.0,
                    strength=heard.strength,
                    best=heard.best,
                    verdict="none",
                    sense=heard.senses,
                    words=heard.words,
                    recording=video.recording,
                ),
                heard.strength,
            )
            for heard in found
            for video in [videos.get(heard.video)]
            if video is not None and video.searchable
        ]

    def _weighed(self, moment: Moment, strength: float) -> Moment:
        """A moment with a strength, and the score that a picture of that strength has."""
        calibration = self._model.calibration
        verdict: Verdict = "none"
        if strength >= calibration.possible:
            verdict = "strong" if strength >= calibration.strong else "possible"
        score = calibration.score(strength, self._rows)
        return replace(moment, strength=strength, score=score, verdict=verdict)


def _curve_of(
    model: RetrievalModel, vector: Vector, clips: NDArray[np.floating]
) -> NDArray[np.floating]:
    return model.curve(clips, vector)


def part_of(thing: str) -> TextPart:
    """A part of a parsed question as words to be found."""
    sense, words = sense_of(thing)
    return TextPart(words, sense)

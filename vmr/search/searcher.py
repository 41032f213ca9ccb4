"""Words in, ranked moments out: the two stages joined.

Stage one finds the clips of the whole library that are nearest to the query; stage two reads a
window of up to 128 rows around each hit and says where the moment starts and ends.

    searcher = Searcher(library, RetrievalModel.load())
    answer = searcher.search("a dog runs on the beach")
    answer.verdict, answer.moments[0].start, answer.moments[0].end
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.library.locks import AwayError
from vmr.library.scope import Scope
from vmr.library.store import Library, LibraryError, Video
from vmr.model.halves import single
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import QueryError
from vmr.model.windows import Window, distinct_each, window_of
from vmr.search.clips import Index, RowTimes, open_windows, windows_of
from vmr.search.copies import shown_once
from vmr.search.feedback import Feedback
from vmr.search.hearing import Hearing
from vmr.search.indexes import open_index
from vmr.search.languages import language_of
from vmr.search.moments import Answer, Moment, follow_on, moments_of
from vmr.search.partly import judge, partly_found
from vmr.search.parts import Videos, ids_of
from vmr.search.query import ParsedQuery, QueryStep, parse, plain_words, suggestions, understand
from vmr.search.senses import Senses, asks_of_words, part_of
from vmr.search.trust import is_guess, less_sure
from vmr.search.usual import usual_rows

logger = logging.getLogger(__name__)

CANDIDATES: Final = 512
"""Clips that stage one returns."""
PARTS: Final = 16
"""Parts of the library whose ids are remembered."""


class Searcher:
    """Answers queries over one library; follows the library as it grows."""

    def __init__(
        self, library: Library, model: RetrievalModel, *, use_feedback: bool = True
    ) -> None:
        self.library = library
        self.model = model
        self.use_feedback = use_feedback
        self._index: Index = open_index(library, model)
        self._parts: dict[tuple[int, Scope], Videos] = {}
        self._models: dict[tuple[int, bytes | None], RetrievalModel] = {}
        self._learnt: tuple[object, Feedback] = (None, Feedback(model))
        self._hearing = Hearing(library.transcripts, rank=model.words.rank)

    def search(
        self,
        text: str,
        *,
        video: int | None = None,
        among: Scope | Collection[int] | None = None,
        top: int = 10,
    ) -> Answer:
        """The moments that match a question, in the whole library or in a part of it.

        Args:
            text: words, or one of the forms that query.py describes.
            video: the only video to look into.
            among: the videos to look into, or their ids; what is not searchable is passed over.

        Raises:
            QueryError: no word of the query, or of one of its parts, is known, and none is said or
                written; or what is said was asked for where nothing has been heard.
            LibraryError: there is no such video, or it is not searchable.
        """
        parsed = parse(text)
        chosen = self._chosen(video, among)
        found, unknown = self._find_steps(parsed, chosen)
        found, hardly = less_sure(found, parsed, self.model)
        answer = self._answer(text, follow_on(found, parsed.within), top, chosen)
        judged = partial(judge, self._among(chosen), self._index, chosen, self._rows_of(chosen))
        there, missing = partly_found(parsed, answer.verdict, judged)
        offered = tuple(suggestions(text, unknown, self.model))
        return replace(
            answer,
            unknown=unknown,
            suggestions=offered,
            hardly_seen=hardly,
            there=there,
            missing=missing,
            uncalibrated=is_guess(parsed, self.model),
        )

    def like(
        self,
        video: int,
        start: float,
        end: float,
        *,
        among: Scope | Collection[int] | None = None,
        top: int = 10,
    ) -> Answer:
        """Moments that look like one of them; that one itself is left out.

        Raises:
            LibraryError: there is no such video or span, or it is not searchable.
        """
        chosen = self._chosen(None, among)
        seen = self._searchable(video)
        mean = self._clips_of(video, start, end).mean(axis=0)
        vector = self.model.as_query(self.model.space.unit(mean))
        others = [
            hit
            for hit in self._find(QueryStep((vector,)), chosen)
            if hit.video != video or hit.end <= start or hit.start >= end
        ]
        return self._answer(f"like {seen.name} at {start:.1f} s", others, top, chosen)

    def like_picture(
        self,
        row: NDArray[np.float32],
        *,
        video: int | None = None,
        among: Scope | Collection[int] | None = None,
        top: int = 10,
    ) -> Answer:
        """Moments that look like a picture.

        Args:
            row: (D,) the picture's features, from picture.py.

        Raises:
            LibraryError: there is no such video, or it is not searchable.
        """
        vector = self.model.as_query(self.model.encode_clips(row[None])[0])
        chosen = self._chosen(video, among)
        return self._answer("a picture", self._find(QueryStep((vector,)), chosen), top, chosen)

    def strength_curve(self, text: str, video: int) -> NDArray[np.float64]:
        """How strongly every row (T,) of a video matches a question, 0..1; of THEN, any part."""
        steps, _ = understand(parse(text), self.model)
        return self._curve(steps, video)

    def _curve(self, steps: list[QueryStep], video: int) -> NDArray[np.float64]:
        self._index.sync()
        clips = single(self._index.vectors(self._searchable(video).id))
        adjust = self._feedback().adjust
        model = self._among([video])
        curves = [step.moved(adjust).curve(model, clips) for step in steps if step.wanted]
        if not curves:  # nothing is asked of the pictures
            return np.zeros(len(clips))
        best = np.max(curves, axis=0)
        return self.model.calibration.strength(best, len(best))

    def match_curve(self, text: str, video: int) -> NDArray[np.float64]:
        """How strongly every row (T,) of a video matches a question by any sense, 0..1.

        Raises:
            QueryError: as of `search`.
        """
        parsed, times = parse(text), self.row_times(video)
        parts = [part_of(thing) for step in parsed.steps for thing in step]
        found = [heard for part in parts for heard in self._hearing.find(part, [video])]
        try:
            curve = self._curve(self._understand(parsed)[0], video)
        except QueryError:
            if not found:
                raise
            curve = np.zeros(len(times.starts))
        for heard in found:
            inside = (times.starts < heard.end) & (times.ends > heard.start)
            curve[inside] = np.maximum(curve[inside], heard.strength)
        return curve

    def row_times(self, video: int) -> RowTimes:
        """When the rows of a video are, and where its shots change."""
        self._index.sync()
        return self._index.row_times(self._searchable(video).id)

    def window(self, video: int, second: float) -> Window:
        """The window that answers for a second of a video."""
        times = self.row_times(video)
        row = int(np.searchsorted(times.starts, second, side="right")) - 1
        return windows_of(self._index, video, [window_of(max(0, row), len(times.starts))])[0]

    def _answer(self, text: str, found: list[Moment], top: int, chosen: Videos | None) -> Answer:
        if top < 1:
            raise ValueError(f"top must be at least 1, not {top}")
        ranked = sorted(found, key=lambda hit: -hit.score)
        best = shown_once(ranked, self._clips_of, self.model.space, top)
        verdict = best[0].verdict if best else "none"
        count, guessed = self._index.count(chosen), not self.model.calibrated
        return Answer(text, verdict, best, videos=count, uncalibrated=guessed)

    def _chosen(self, video: int | None, among: Scope | Collection[int] | None) -> Videos | None:
        """Ids of the videos to look into, None for all, with the index up to date for them."""
        self._index.sync()
        if video is not None:
            return [self._searchable(video).id]
        return self._within(among) if isinstance(among, Scope) else among

    def _within(self, scope: Scope) -> Videos | None:
        """The ids of a part of the library, kept until something changes in it."""
        if scope == Scope():
            return None
        change = self._index.change
        if (change, scope) not in self._parts:
            if len(self._parts) >= PARTS:
                self._parts.clear()
            self._parts[change, scope] = np.array(self.library.within(scope), np.int64)
        return self._parts[change, scope]

    def _searchable(self, id: int) -> Video:
        video = self.library.video(id)
        if not video.searchable:
            raise LibraryError(f"{video.path} cannot be searched: it is {video.state}")
        return video

    def _clips_of(self, video: int, start: float, end: float) -> NDArray[np.float32]:
        """The clip vectors (T, E) of a span of a video that is searchable."""
        times = self._index.row_times(video)
        inside = np.flatnonzero((times.starts < end) & (times.ends > start))
        if not len(inside):
            raise LibraryError(f"video {video} has nothing from {start:.1f} to {end:.1f} s")
        return single(self._index.vectors(video, int(inside[0]), int(inside[-1]) + 1))

    def _feedback(self) -> Feedback:
        """What can be learnt from the ratings that the library holds now."""
        if not self.use_feedback:
            return Feedback(self.model)
        ratings = self.library.ratings()
        if not ratings:
            return Feedback(self.model)
        # A video that is away teaches nothing, until it is back.
        known = ratings, [rating.video in self._index for rating in ratings]
        if known != self._learnt[0]:
            self._learnt = known, Feedback.learn(ratings, self.model, self._clips_of)
        return self._learnt[1]

    def _find_steps(
        self, parsed: ParsedQuery, chosen: Videos | None
    ) -> tuple[list[list[Moment]], tuple[str, ...]]:
        """What is found of each step, by all the senses that it asks; and the words without a
        vector."""
        if not self.library.transcripts:  # which costs nothing where there are none
            if asks_of_words(parsed):
                raise QueryError(
                    "nothing is known of what is said or written in this library; "
                    "`rescan --speech` or `rescan --text` finds out"
                )
            steps, unknown = self._understand(parsed)
            return [self.seen(step, chosen) for step in steps], unknown
        model = self._among(chosen)
        senses = Senses(self, model, self._hearing, parsed, self._rows_of(chosen))
        try:
            steps, unknown = self._understand(parsed)
        except QueryError as error:  # a name may be said, and have no vector; or all in French
            found = senses.heard_alone(chosen)
            if not all(found):
                raise
            return found, error.unknown
        return senses.find(steps, chosen), unknown

    def _understand(self, parsed: ParsedQuery) -> tuple[list[QueryStep], tuple[str, ...]]:
        """What to look for in the pictures.

        Raises:
            QueryError: a part without a known word, or a question in another language.
        """
        language = language_of(plain_words(parsed), self.model.words.rank)
        if language is not None and self.model.english_only:
            raise QueryError(
                f"this looks like {language}, and pictures are asked for in English only; "
                'what is said is found in any language, as in said:"gracias"'
            )
        return understand(parsed, self.model)

    def best_seen(
        self,
        curve: Callable[[NDArray[np.floating]], NDArray[np.floating]],
        video: int,
        start: float,
        end: float,
    ) -> tuple[float, float] | None:
        """Start of the row that matches best from `start` to `end`, and its score; None where no
        row of the video is there.

        Args:
            curve: clips (T, E) -> scores (T,).
        """
        try:
            times = self._index.row_times(video)
            inside = np.flatnonzero((times.starts < end) & (times.ends > start))
            if not len(inside):
                return None
            clips = self._index.vectors(video, int(inside[0]), int(inside[-1]) + 1)
        except LibraryError as error:
            if isinstance(error, AwayError):
                raise
            logger.info("video %d: skipped: %s", video, error)
            return None
        scores = curve(single(clips))
        best = int(np.argmax(scores))
        return float(times.starts[inside[best]]), float(scores[best])

    def _among(self, chosen: Videos | None) -> RetrievalModel:
        """The model, which measures scores against what is usual in what is searched."""
        key = self._index.change, None if chosen is None else ids_of(chosen).tobytes()
        model = self._models.get(key)
        if model is None:
            if len(self._models) >= PARTS:
                self._models.clear()
            rows = usual_rows(self._index, chosen)
            model = self._models[key] = self.model.among(rows) if len(rows) else self.model
        return model

    def _rows_of(self, chosen: Videos | None) -> int:
        """How many rows are searched."""
        return len(self._index) if chosen is None else int(self._index.lengths(chosen).sum())

    def seen(self, step: QueryStep, chosen: Videos | None) -> list[Moment]:
        """What is found of a step in the pictures alone, as ratings have taught."""
        feedback = self._feedback()
        found = self._find(step.moved(feedback.adjust), chosen)
        if len(step.wanted) > 1 or not feedback.lessons:
            return found
        edges = [feedback.edges(step.wanted[0], hit.video, hit.best) for hit in found]
        return [
            replace(hit, start=known[0], end=known[1]) if known else hit
            for hit, known in zip(found, edges, strict=True)
        ]

    def _find(self, step: QueryStep, chosen: Videos | None) -> list[Moment]:
        """Every moment of these videos, or of all, that the two stages find."""
        directions = step.directions(self.model)
        near = [self._index.nearest(v, CANDIDATES, videos=chosen) for v in directions]
        ids = np.stack([found[0] for found in near], axis=1).ravel()  # the best of each, in turn
        rows = np.stack([found[1] for found in near], axis=1).ravel()
        hit = np.unique(ids)
        lengths = dict(zip(hit.tolist(), self._index.lengths(hit).tolist(), strict=True))
        places = open_windows(ids, rows, lengths)
        videos = self.library.videos_of(id for id, _ in places)
        self._index.prepare(places)
        opened = [
            (videos[id], windows)
            for id, firsts in places
            if id in videos  # else it was removed since stage one
            for windows in [self._windows(videos[id], firsts)]
        ]
        read = step.propose(self._among(chosen), [w for _, windows in opened for w in windows])
        # What moves so is no chance find, however many rows there are.
        movement_alone = any(self.model.space.is_movement_alone(wanted) for wanted in step.wanted)
        searched = None if movement_alone else self._rows_of(chosen)
        own = iter(read)
        moments = distinct_each(
            [(windows, list(islice(own, len(windows)))) for _, windows in opened]
        )
        seen = zip([video for video, _ in opened], moments, strict=True)
        return moments_of(seen, self.model.calibration, searched)

    def _windows(self, video: Video, firsts: list[int]) -> list[Window]:
        """The windows of one video that begin at these rows."""
        try:
            return windows_of(self._index, video.id, firsts)
        except LibraryError as error:
            if isinstance(error, AwayError):
                raise
            logger.info("%s: skipped: %s", video.path, error)
            return []  # removed or found damaged since stage one: the others still answer

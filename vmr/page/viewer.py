"""What visitors see: answers to their questions, and the library, as plain JSON values.

Keeps nothing about any visitor: what a visitor has asked lives in that visitor's browser. Errors
are one line, and none of them names a folder when paths are hidden.

    viewer.search("a dog runs")["moments"][0]["start"]
    viewer.listing()["videos"][0]["name"]
"""

import base64
import binascii
import io
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.library.ingest import Ingest
from vmr.library.store import Library, Rating
from vmr.model.retrieval import RetrievalModel
from vmr.page.access import Access, PageError
from vmr.page.listing import (
    find_video,
    is_shown,
    job_view,
    place_view,
    transcript_view,
    video_view,
)
from vmr.page.requests import LARGEST_PICTURE, LONGEST_TEXT, ScopeRequest
from vmr.page.scopes import read_scope
from vmr.page.uploads import Uploads
from vmr.page.views import (
    AnswerView,
    AttentionView,
    CurveView,
    ExplanationView,
    LibraryView,
    MomentView,
    SuggestionView,
    TranscriptView,
    WordCurveView,
)
from vmr.search.explain import Attention, explain
from vmr.search.moments import Answer, Moment
from vmr.search.picture import PictureReader
from vmr.search.searcher import Searcher

MOST_MOMENTS: Final = 50
CARDS: Final = 24
"""Moments of an answer on the page."""


@dataclass(frozen=True)
class Screen:
    """How the page presents itself."""

    kiosk: bool = False
    "for a screen in public: the best moment plays by itself, and idleness leads back to the start"
    examples: tuple[str, ...] = ()
    "queries offered under the search box"


class Viewer:
    """Reads only: nothing here changes the library."""

    def __init__(
        self,
        library: Library,
        model: RetrievalModel,
        ingest: Ingest,
        uploads: Uploads,
        access: Access,
        screen: Screen,
        *,
        use_feedback: bool = True,
    ) -> None:
        self._library = library
        self._model = model
        self._use_feedback = use_feedback
        self._searcher = Searcher(library, model, use_feedback=use_feedback)
        self._pictures: PictureReader | None = None
        self._picture_lock = threading.Lock()
        self._ingest = ingest
        self._uploads = uploads
        self._access = access
        self._screen = screen

    @property
    def calibrated(self) -> bool:
        """Whether strength and verdict were fitted for the encoder that answers."""
        return self._model.calibrated

    def answer_with(self, model: RetrievalModel) -> None:
        """Answer with another model from now on; questions on their way keep the one before."""
        searcher = Searcher(self._library, model, use_feedback=self._use_feedback)
        with self._picture_lock:
            self._model, self._searcher, self._pictures = model, searcher, None

    def search(
        self,
        query: str,
        video: int | None = None,
        scope: ScopeRequest | None = None,
        top: int = CARDS,
    ) -> AnswerView:
        """The answer to a query, with what the cards need.

        Args:
            video: id of the only video to look into.
            scope: the part of the library to look into.

        Raises:
            QueryError: the query has no known word, or its parts make no sense.
            PageError: the query is too long, or there is no such video.
        """
        if len(query) > LONGEST_TEXT:
            raise PageError(f"the query is longer than {LONGEST_TEXT} characters")
        if video is not None:
            find_video(self._library, video)
        among = read_scope(scope, self._access)
        answer = self._searcher.search(query, video=video, among=among, top=_bounded(top))
        return self._view(answer)

    def near(self, unknown: Iterable[str]) -> list[SuggestionView]:
        """Unknown words of a query, each with the known words that are spelt like it."""
        words = self._model.words
        return [{"word": word, "near": words.near(word)} for word in dict.fromkeys(unknown)]

    def like(
        self,
        video: int,
        start: float,
        end: float,
        inside: int | None = None,
        scope: ScopeRequest | None = None,
        top: int = CARDS,
    ) -> AnswerView:
        """Moments that look like this one.

        Args:
            start: seconds from the beginning of the video, as `end`.
            inside: id of the only video to look into.
            scope: the part of the library to look into.

        Raises:
            PageError: there is no such video.
            LibraryError: nothing of the video lies in this span.
        """
        find_video(self._library, video)
        among = read_scope(scope, self._access) if inside is None else [inside]
        return self._view(self._searcher.like(video, start, end, among=among, top=_bounded(top)))

    def like_picture(
        self,
        picture: str,
        video: int | None = None,
        scope: ScopeRequest | None = None,
        top: int = CARDS,
    ) -> AnswerView:
        """Moments that look like a picture.

        Args:
            picture: the bytes of a JPEG, PNG or similar, in base64.

        Raises:
            PageError: it is too large.
            PictureError: it is no picture.
        """
        if len(picture) > LARGEST_PICTURE:
            raise PageError("the picture is too large")
        with self._picture_lock:  # the network loads once, when the first picture comes
            self._pictures = self._pictures or PictureReader(self._model)
            pictures, searcher = self._pictures, self._searcher
        try:
            content = base64.b64decode(picture, validate=True)
        except binascii.Error as error:
            raise PageError("the picture did not arrive whole") from error
        row = pictures.row(io.BytesIO(content))
        among = read_scope(scope, self._access)
        return self._view(searcher.like_picture(row, video=video, among=among, top=_bounded(top)))

    def _view(self, answer: Answer) -> AnswerView:
        said = [word for word in self._library.ratings() if word.query == answer.query]
        near = {one.word: list(one.instead) for one in answer.suggestions if one.unknown}
        return {
            "query": answer.query,
            "verdict": answer.verdict,
            "uncalibrated": answer.uncalibrated,
            "unknown": [{"word": word, "near": near.get(word, [])} for word in answer.unknown],
            "slips": [
                {"word": one.word, "near": list(one.instead)}
                for one in answer.suggestions
                if not one.unknown
            ],
            "hardly_seen": list(answer.hardly_seen),
            "there": list(answer.there),
            "missing": list(answer.missing),
            "moments": [self._moment(hit, answer, said) for hit in answer.moments],
            "searched": answer.videos,
        }

    def _moment(self, hit: Moment, answer: Answer, said: Iterable[Rating]) -> MomentView:
        # No moment may look surer than the whole answer does.
        judged = [
            word.good
            for word in said
            if word.video == hit.video and word.start < hit.end and word.end > hit.start
        ]
        view: MomentView = {
            "video": hit.video,
            "name": hit.name,
            "start": round(hit.start, 3),
            "end": round(hit.end, 3),
            "best": round(hit.best, 3),
            "score": hit.score,
            "strength": hit.strength,
            "verdict": "none" if answer.verdict == "none" else hit.verdict,
            "rated": judged[-1] if judged else None,
            "sense": list(hit.sense),
            "words": [
                {
                    "sense": quote.sense,
                    "text": quote.text,
                    "matched": [list(place) for place in quote.matched],
                }
                for quote in hit.words
            ],
            "recorded": hit.recording.text,
            "camera": hit.recording.camera,
            "also": [
                {
                    "video": place.video,
                    "name": place.name,
                    "start": round(place.start, 3),
                    "end": round(place.end, 3),
                }
                for place in hit.also
            ],
        }
        if self._access.paths:
            view["place"] = place_view(hit.recording)
        return view

    def transcript(self, video: int) -> TranscriptView:
        """What is said and written in a video.

        Raises:
            PageError: there is no such video.
        """
        find_video(self._library, video)
        return transcript_view(self._library, video)

    def explain(self, query: str, video: int, second: float | None = None) -> ExplanationView:
        """What each word of a query adds, matches alone, and looked at (vmr/search/explain.py).

        Args:
            second: of the video, around which the attention is shown.
        """
        find_video(self._library, video)
        explained = explain(query, video, second, searcher=self._searcher)
        looked = explained.attention
        return {
            "added": _word_curves(explained.added),
            "words": _word_curves(explained.alone),
            "attention": None if looked is None else _attention_view(looked),
            "unread": explained.unread,
        }

    def curve(self, query: str, video: int) -> CurveView:
        """How strongly every row of a video matches, and its shot cuts; no query, no strength."""
        find_video(self._library, video)
        times = self._searcher.row_times(video)
        strength: Iterable[float] = (
            self._searcher.match_curve(query, video) if query.strip() else ()
        )
        return {
            "strength": [round(float(value), 3) for value in strength],
            "cuts": [round(float(cut), 3) for cut in times.cuts],
            "begins": float(times.starts[0]),
            "ends": float(times.ends[-1]),
        }

    def listing(self) -> LibraryView:
        """Every video and every file on its way into the library, and what visitors may do."""
        access, progress = self._access, self._ingest.progress()
        videos = self._library.videos()
        words = self._library.transcripts.known()
        here = {video.id for video in videos}  # what was removed needs no line either
        jobs = [job for job in progress.jobs if is_shown(job) and job.video in here]
        queued = {job.video for job in jobs if job.open}
        return {
            "videos": [
                video_view(
                    video,
                    queued=video.id in queued,
                    access=access,
                    uploads=self._uploads,
                    senses=words.get(video.id, ()),
                )
                for video in videos
            ],
            "jobs": [job_view(job, progress, access) for job in jobs],
            "paused": progress.paused,
            "note": progress.note if access.paths else "",
            "seconds_left": progress.seconds_left,
            "bytes_per_second": progress.bytes_per_second,
            "may_change": access.change,
            "may_name_paths": access.change and access.paths,
            "may_export": access.originals,
            "kiosk": self._screen.kiosk,
            "examples": list(self._screen.examples),
        }


def _word_curves(curves: Mapping[str, NDArray[np.float64]]) -> list[WordCurveView]:
    return [
        {"word": word, "strength": [round(float(value), 3) for value in curve]}
        for word, curve in curves.items()
    ]


def _attention_view(looked: Attention) -> AttentionView:
    return {
        "words": [
            {"word": word, "looked": [round(float(share), 5) for share in shares]}
            for word, shares in looked.shares
        ],
        "begins": looked.begins,
        "ends": looked.ends,
    }


def _bounded(top: int) -> int:
    return max(1, min(top, MOST_MOMENTS))

"""What the page shows and does, as plain JSON values; knows nothing of the web.

One `Page` serves every visitor and keeps nothing about any of them: what a visitor has asked lives
in that visitor's browser. `Rights` says what visitors may do; errors are one line, and none of them
names a folder when paths are hidden.

    page = Page(library, RetrievalModel.load(), ingest, previews)
    page.search("a dog runs")["moments"][0]["start"]
"""

import base64
import binascii
import io
import math
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vmr.library.catalogue import readable
from vmr.library.content import ContentError, FileStamp
from vmr.library.ingest import Ingest, Job, Progress
from vmr.library.store import Library, LibraryError, Rating, Video
from vmr.media.preview import LONGEST_PREVIEW, Previews
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import QueryError
from vmr.search.explain import why
from vmr.search.picture import PictureReader
from vmr.search.query import Suggestion, suggestions
from vmr.search.searcher import Answer, Moment, Searcher

LONGEST_TEXT: Final = 1000  # characters of a query
MOST_MOMENTS: Final = 50
MOST_PICTURES: Final = 30  # of a sprite
LARGEST_PICTURE: Final = 8_000_000  # characters of base64; the page sends far smaller ones
_PREVIEW_MARGIN: Final = 2.0  # seconds around a moment, for the lead-in and for moving its edges
# What every current browser plays by itself.
_PLAYED_CODECS: Final = frozenset(("h264", "vp8", "vp9", "av1"))
_ISO_SUFFIXES: Final = frozenset((".mp4", ".m4v", ".mov"))
_PLAYED_SUFFIXES: Final = _ISO_SUFFIXES | {".webm"}
_LATEST_ISO_CLOCK: Final = 0.5  # seconds


class PageError(ValueError):
    """What a visitor asked for cannot be done; one line for that visitor."""


class UnknownWordsError(PageError):
    """No word of a query is known; `unknown` has each with known words near it."""

    def __init__(self, message: str, unknown: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.unknown = unknown


@dataclass(frozen=True)
class Rights:
    """What visitors may do."""

    change: bool = True
    "add, retry and remove videos"
    paths: bool = True
    "name files and folders of this computer, and see where the videos lie"
    originals: bool = True
    "stream the original files; otherwise only small previews of moments"


@dataclass(frozen=True)
class Screen:
    """How the page presents itself."""

    kiosk: bool = False
    "for a screen in public: the best moment plays by itself, and idleness leads back to the start"
    examples: tuple[str, ...] = ()
    "queries offered under the search box"


class Page:
    """The functions behind the page and its public interface."""

    def __init__(
        self,
        library: Library,
        model: RetrievalModel,
        ingest: Ingest,
        previews: Previews,
        rights: Rights | None = None,
        screen: Screen | None = None,
        *,
        use_feedback: bool = True,
    ) -> None:
        self.store = library
        self.uploads = (library.folder / "uploads").resolve()
        self._model = model
        self._searcher = Searcher(library, model, use_feedback=use_feedback)
        self._pictures: PictureReader | None = None
        self._picture_lock = threading.Lock()
        self.ingest = ingest
        self.previews = previews
        self.rights = rights or Rights()
        self._screen = screen or Screen()

    # Searching

    def search(
        self,
        query: str,
        *,
        video: int | None = None,
        among: Collection[int] | None = None,
        top: int = 24,
    ) -> dict[str, Any]:
        """The answer to a query, with what the cards need; in one video, or among some, if asked.

        Raises:
            QueryError: the query has no words, or its parts make no sense.
            UnknownWordsError: no word of it, or of one of its parts, is known.
            PageError: the query is too long, or there is no such video.
        """
        if len(query) > LONGEST_TEXT:
            raise PageError(f"the query is longer than {LONGEST_TEXT} characters")
        if video is not None:
            self.video(video)
        most = max(1, min(top, MOST_MOMENTS))
        try:
            answer = self._searcher.search(query, video=video, among=among, top=most)
        except QueryError as error:
            if not error.unknown:
                raise
            offered = suggestions(query, error.unknown, self._model)
            raise UnknownWordsError(str(error), _offers(error.unknown, offered)) from error
        slipped = [
            {"word": one.word, "near": list(one.instead)}
            for one in answer.suggestions
            if not one.unknown
        ]
        return self._view(answer) | {"slips": slipped}

    def like(
        self,
        video: int,
        start: float,
        end: float,
        *,
        among: Collection[int] | None = None,
        top: int = 24,
    ) -> dict[str, Any]:
        """Moments that look like this one.

        Raises:
            PageError: there is no such video.
            ValueError: nothing of the video lies in this span.
        """
        self.video(video)
        most = max(1, min(top, MOST_MOMENTS))
        return self._view(self._searcher.like(video, start, end, among=among, top=most))

    def like_picture(
        self,
        picture: str,
        *,
        video: int | None = None,
        among: Collection[int] | None = None,
        top: int = 24,
    ) -> dict[str, Any]:
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
            self._pictures = self._pictures or PictureReader()
        try:
            content = base64.b64decode(picture, validate=True)
        except binascii.Error as error:
            raise PageError("the picture did not arrive whole") from error
        row = self._pictures.row(io.BytesIO(content))
        most = max(1, min(top, MOST_MOMENTS))
        return self._view(self._searcher.like_picture(row, video=video, among=among, top=most))

    def why(self, query: str, video: int, second: float | None = None) -> dict[str, Any]:
        """What each word of a query adds, matches alone, and looked at (vmr/search/explain.py)."""
        self.video(video)
        return why(query, video, second, searcher=self._searcher)

    def _view(self, answer: Answer) -> dict[str, Any]:
        said = [word for word in self.store.ratings() if word.query == answer.query]
        return {
            "query": answer.query,
            "verdict": answer.verdict,
            "unknown": _offers(answer.unknown, answer.suggestions),
            "moments": [self._moment(hit, answer, said) for hit in answer.moments],
        }

    def _moment(self, hit: Moment, answer: Answer, said: Iterable[Rating]) -> dict[str, Any]:
        # No moment may look surer than the whole answer does.
        own = self._model.verdict(hit.strength)
        judged = [
            word.good
            for word in said
            if word.video == hit.video and word.start < hit.end and word.end > hit.start
        ]
        return {
            "video": hit.video,
            "name": hit.name,
            "start": round(hit.start, 3),
            "end": round(hit.end, 3),
            "best": round(hit.best, 3),
            "score": hit.score,
            "strength": hit.strength,
            "verdict": "none" if answer.verdict == "none" else own,
            "judged": judged[-1] if judged else None,
        }

    def strip(self, query: str, video: int) -> dict[str, Any]:
        """Match strength of every row of a video, and its shot cuts; no query, no strength.

        The rows lie evenly between `begins` and `ends`, in seconds.
        """
        self.video(video)
        times = self._searcher.row_times(video)
        strength: Iterable[float] = ()
        if query.strip():
            strength = self._searcher.strength_curve(query, video)
        return {
            "strength": [round(float(value), 3) for value in strength],
            "cuts": [round(float(cut), 3) for cut in times.cuts],
            "begins": float(times.starts[0]),
            "ends": float(times.ends[-1]),
        }

    # The library

    def library(self) -> dict[str, Any]:
        """Every video and every file on its way into the library."""
        progress = self.ingest.progress()
        videos = self.store.videos()
        here = {video.id for video in videos}  # what was removed needs no line either
        jobs = [job for job in progress.jobs if _shown(job) and job.video in here]
        queued = {job.video for job in jobs if job.open}
        return {
            "videos": [self._entry(video, video.id in queued) for video in videos],
            "jobs": [self._job(job, progress) for job in jobs],
            "paused": progress.paused,
            "note": progress.note if self.rights.paths else "",
            "seconds_left": progress.seconds_left,
            "bytes_per_second": progress.bytes_per_second,
            "may_change": self.rights.change,
            "may_name_paths": self.rights.change and self.rights.paths,
            "may_export": self.rights.originals,
            "kiosk": self._screen.kiosk,
            "examples": self._screen.examples,
        }

    def _entry(self, video: Video, queued: bool) -> dict[str, Any]:
        entry = {
            "id": video.id,
            "name": video.name,
            "state": video.state,
            "queued": queued,
            "reason": self._reason(video.reason),
            "progress": video.progress,
            "searchable": video.searchable,
            "duration": video.duration,
            "width": video.width,
            "height": video.height,
            "fps": video.fps,
            "codec": video.codec,
            "origin": max(0.0, video.origin),  # below zero, browsers begin at 0 as we do
            "rows": video.rows,
            "copied": bool(self.copies(video)),
            "added": video.added,
            "modified": video.modified,
            "playable": self.rights.originals and plays_in_browsers(video),
        }
        if self.rights.paths:  # not "path": Gradio's client would try to download that
            entry |= {"file": readable(video.path), "folder": readable(video.path.parent)}
        return entry

    def _job(self, job: Job, progress: Progress) -> dict[str, Any]:
        speed = progress.bytes_per_second
        left = job.size_bytes * (1 - job.fraction) / speed if speed and job.open else None
        return {
            "id": job.video,
            "name": readable(job.path.name),
            "state": job.state,
            "reason": self._reason(job.reason),
            "fraction": job.fraction,
            "seconds_left": left,
        }

    def _reason(self, reason: str) -> str:
        """Why a video is refused; where paths are hidden, nothing that may hold one."""
        hidden = not self.rights.paths and ("/" in reason or "\\" in reason)
        return "it could not be read" if hidden else reason

    def video(self, id: int) -> Video:
        """The video with this id; PageError when there is none."""
        try:
            return self.store.video(id)
        except LibraryError as error:
            raise PageError(f"there is no video {id}") from error

    def copies(self, video: Video) -> list[Path]:
        """Those files of a video that are the library's own, made of uploads."""
        return [path for path in (video.path, *video.also) if path.parent.parent == self.uploads]

    def thumbnail(self, id: int, row: int) -> bytes:
        """The JPEG of one second; PageError when there is none."""
        try:
            return self.store.thumbnails(id, [row])[0]
        except LibraryError as error:
            raise PageError(f"video {id} has no picture {row}") from error

    def sprite(self, id: int, first: int, last: int) -> Path:
        """Pictures of the seconds from `first` to `last` in one file, at most 30, evenly spaced."""
        last = min(last, self.video(id).rows - 1)
        if first > last:
            raise PageError(f"video {id} has no pictures from {first} s on")
        count = min(last - first + 1, MOST_PICTURES)
        rows = [first + place * (last - first + 1) // count for place in range(count)]
        try:
            return self.previews.sprite(self.store.thumbnails(id, rows))
        except LibraryError as error:
            raise PageError(f"video {id} has no such pictures") from error

    def source(self, id: int) -> Path:
        """The file of a video, as it was registered.

        Raises:
            PageError: it is gone, or its name now leads somewhere else.
        """
        video = self.video(id)
        try:
            stamp, linked = FileStamp.of(video.path), video.path.resolve() != video.path
        except ContentError as error:
            raise PageError(f"{video.name}: the file is no longer where it was") from error
        # A library may lie behind links; but behind them must be what was registered.
        same = (stamp.size_bytes, stamp.modified_ns / 1e9) == (video.size_bytes, video.modified)
        if linked and not same:
            raise PageError(f"{video.name}: the file is no longer where it was")
        return video.path

    def moment_preview(self, id: int, start: float, end: float) -> tuple[Path, float]:
        """A small copy of a moment that every browser plays, and the second at which it begins."""
        video = self.video(id)
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise PageError(f"{start} to {end} is no span of time")
        begin = max(0.0, start - _PREVIEW_MARGIN)
        stop = min(end + _PREVIEW_MARGIN, video.duration, begin + LONGEST_PREVIEW)
        if stop <= begin:
            raise PageError(f"{video.name} ends before {start:.1f} s")
        return self.previews.moment(self.source(id), begin, stop), begin

    def preview_address(self, id: int, start: float, end: float) -> dict[str, Any]:
        """Make the preview of a moment; where it is served, and the second at which it begins."""
        _, begins = self.moment_preview(id, start, end)
        return {"url": f"preview/{id}?start={start}&end={end}", "start": begins}

    def plain(self, error: Exception) -> str:
        """What a visitor is told of an error: its one line, unless that could name a folder."""
        if isinstance(error, LibraryError) and not self.rights.paths:
            return "the library cannot do that now"
        return str(error)


def plays_in_browsers(video: Video) -> bool:
    """Whether browsers play this file without help; the page asks for a preview otherwise.

    Chromium takes the end of an MP4 whose clock starts late to be that much too early, and seeks no
    further.
    """
    suffix = video.path.suffix.lower()
    if suffix in _ISO_SUFFIXES and video.origin > _LATEST_ISO_CLOCK:
        return False
    return video.codec in _PLAYED_CODECS and suffix in _PLAYED_SUFFIXES


def _shown(job: Job) -> bool:
    """What is done or was there before needs no line; what was refused does."""
    return job.open or job.state in ("refused", "waiting")


def _offers(unknown: Iterable[str], offered: Iterable[Suggestion]) -> list[dict[str, Any]]:
    """Every unknown word, with the known ones that are spelt like it."""
    instead = {one.word: list(one.instead) for one in offered}
    return [{"word": word, "near": instead.get(word, [])} for word in unknown]

"""The files behind the page, by the id of a video: originals, thumbnails, sprites, previews.

files.thumbnail(3, row=12)                          # a JPEG
path, begins = files.preview(3, 12.0, 19.5)         # a small copy that every browser plays
"""

import math
from pathlib import Path
from typing import Final

from feature_extract.transcript import TextSpan
from vmr.library.blobs import Entry
from vmr.library.catalogue import readable
from vmr.library.content import ContentError, FileStamp
from vmr.library.film_cache import is_kept
from vmr.library.films import BucketPath, entry_of, one_look
from vmr.library.store import Library, LibraryError, Video
from vmr.media.export import write_still
from vmr.media.ffmpeg import FfmpegError
from vmr.media.preview import LONGEST_PREVIEW, Previews
from vmr.page.access import Access, NotFoundError, PageError
from vmr.page.listing import find_video
from vmr.page.views import PreviewView

MOST_PICTURES: Final = 30  # of a sprite
_PREVIEW_MARGIN: Final = 2.0  # seconds around a moment, for the lead-in and for moving its edges


class MediaFiles:
    """A video is named by its id only; no part of a request is ever used as a path."""

    def __init__(self, library: Library, previews: Previews, access: Access) -> None:
        self.access = access
        self.previews = previews
        self._library = library

    def video(self, id: int) -> Video:
        """The video with this id; NotFoundError when there is none."""
        return find_video(self._library, id)

    def read(self, id: int) -> Video:
        """The same, once it has been read; PageError before, as it has no moments then."""
        video = self.video(id)
        if not video.searchable and video.state != "missing":  # of which `source` says more
            why = f": {self.access.reason(video.reason)}" if video.reason else ""
            raise PageError(f"{video.name} has not been read, its state is {video.state}{why}")
        return video

    def original(self, id: int) -> Path:
        """The file of a video, for visitors who may have it.

        Raises:
            AccessError: they may not.
            NotFoundError: there is no such video, or its file is gone.
        """
        self.access.require("originals")
        return self.source(id)

    def source(self, id: int) -> Path:
        """The file of a video, as it was registered: what previews are made of.

        Raises:
            NotFoundError: it is gone, or its name now leads somewhere else.
        """
        video = self.video(id)
        with one_look():
            return self._checked(video)

    def _checked(self, video: Video) -> Path:
        try:
            stamp, linked = FileStamp.of(video.path), video.path.resolve() != video.path
        except ContentError as error:
            inside = isinstance(video.path, BucketPath)
            why = "cannot be read from its bucket now" if inside else "is no longer where it was"
            raise NotFoundError(f"{video.name}: the file {why}") from error
        # A library may lie behind links; but behind them must be what was registered.
        same = (stamp.size_bytes, stamp.modified_ns / 1e9) == (video.size_bytes, video.modified)
        if linked and not same:
            raise NotFoundError(f"{video.name}: the file is no longer where it was")
        if not self._holds(video):
            raise NotFoundError(f"{video.name}: another recording lies there now; look for changes")
        return video.path

    def entry(self, path: BucketPath) -> Entry:
        """What its store says of an object; NotFoundError where it does not answer."""
        try:
            return entry_of(path)
        except OSError as error:
            raise NotFoundError(f"{readable(path.name)}: cannot be read now") from error

    def words(
        self, id: int, start: float, end: float
    ) -> tuple[tuple[TextSpan, ...], tuple[TextSpan, ...]]:
        """What is said and what is written from `start` to `end`."""
        between = self._library.transcripts.between
        return between(id, "said", start, end), between(id, "written", start, end)

    def _holds(self, video: Video) -> bool:
        try:
            return self._library.still_holds(video)
        except ContentError as error:
            raise NotFoundError(f"{video.name}: the file cannot be read now") from error

    def thumbnail(self, id: int, row: int) -> bytes:
        """The JPEG of one second; NotFoundError when there is none."""
        try:
            return self._library.thumbnails(id, [row])[0]
        except LibraryError as error:
            raise NotFoundError(f"video {id} has no picture {row}") from error

    def sprite(self, id: int, first: int, last: int) -> Path:
        """Pictures of the seconds from `first` to `last` in one file, at most 30, evenly spaced."""
        last = min(last, self.video(id).rows - 1)
        if first > last:
            raise NotFoundError(f"video {id} has no pictures from {first} s on")
        count = min(last - first + 1, MOST_PICTURES)
        rows = [first + place * (last - first + 1) // count for place in range(count)]
        try:
            return self.previews.sprite(self._library.thumbnails(id, rows))
        except LibraryError as error:
            raise NotFoundError(f"video {id} has no such pictures") from error

    def still(self, id: int, seconds: float) -> Path | bytes:
        """A sharp picture of the frame at `seconds`, or the stored thumbnail where none can be
        made, as of a film that would have to be fetched for it."""
        try:
            source = self.source(id)
            if isinstance(source, BucketPath) and not is_kept(source):
                raise NotFoundError("it is not here")
            return self.previews.still(source, max(0.0, seconds))
        except (PageError, FfmpegError):
            row = self.video(id).rows - 1
            return self.thumbnail(id, max(0, min(int(seconds), row)))

    def picture(self, id: int, seconds: float, folder: Path) -> Path:
        """The frame at `seconds` in full size, written into `folder`; of originals only."""
        target = folder / "picture.jpg"
        write_still(self.original(id), max(0.0, seconds), target)
        return target

    def preview(self, id: int, start: float, end: float) -> tuple[Path, float]:
        """A small copy of a moment that every browser plays, and the second at which it begins.

        Raises:
            PageError: this is no span of the video, or there is no such video.
            FfmpegError: nothing can be read there.
        """
        video = self.read(id)
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise PageError(f"{start} to {end} is no span of time")
        begin = max(0.0, start - _PREVIEW_MARGIN)
        stop = min(end + _PREVIEW_MARGIN, video.duration, begin + LONGEST_PREVIEW)
        if stop <= begin:
            raise PageError(f"{video.name} ends before {start:.1f} s")
        return self.previews.moment(self.source(id), begin, stop), begin

    def preview_address(self, video: int, start: float, end: float) -> PreviewView:
        """Make the preview of a moment; where it is served, and the second at which it begins."""
        _, begins = self.preview(video, start, end)
        return {"url": f"preview/{video}?start={start}&end={end}", "start": begins}

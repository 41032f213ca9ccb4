"""What visitors change: videos come and go, the queue is steered, moments are rated.

editor = page.editor()              # AccessError where visitors may only look
editor.add_path("/films")
editor.act("pause")
"""

from pathlib import Path
from typing import Final

from vmr.library.films import BucketPath, film_path
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.rescan import rescan
from vmr.library.store import Library, Rating
from vmr.page.access import Access, PageError
from vmr.page.listing import find_video
from vmr.page.requests import LONGEST_TEXT, Action
from vmr.page.setup import Setup
from vmr.page.uploads import Uploads
from vmr.page.views import AddedView, DoneView, RescanView, SetupView

PATIENCE_SECONDS: Final = 5.0
"""How long a rescan waits for files that are being written: somebody is watching."""


class Editor:
    """For visitors who may change the library."""

    def __init__(
        self, library: Library, ingest: Ingest, uploads: Uploads, access: Access, setup: Setup
    ) -> None:
        self.uploads = uploads
        self._setup = setup
        self._library = library
        self._ingest = ingest
        self._access = access

    def add_path(self, path: str) -> AddedView:
        """Queue a file or folder of this computer.

        Raises:
            LibraryError: nothing is there.
            AccessError: visitors may not name files of this computer.
        """
        self._access.require("paths")
        try:
            named = film_path(path.strip().strip('"')).expanduser().resolve()
            found = find_videos([named])
        except (OSError, RuntimeError) as error:  # a name too long, no such user
            raise PageError(f"{path[:LONGEST_TEXT]}: no such file or folder") from error
        if named.is_dir() or (isinstance(named, BucketPath) and found != [named]):
            self._library.remember(named)  # for later rescans
        self._ingest.add(found)
        return {"added": len(found)}

    def rescan(self) -> RescanView:
        """Look again at the folders that were added: queue what is new or changed, and say what is
        back or missing.

        A file that was moved is new until it has been read far enough to be known again.
        """
        before = self._library.videos()
        known = {path for video in before for path in (video.path, *video.also)}
        away = {video.id for video in before if video.state == "missing"}
        found = rescan(self._library, self._ingest, patience_seconds=PATIENCE_SECONDS)
        to_read = {job.path for job in self._ingest.progress().jobs if job.open} & {*found.files}
        missing = {video.id for video in self._library.videos() if video.state == "missing"}
        return {
            "added": len(to_read - known),
            "changed": len(to_read & known),
            "back": len(away - missing),
            "missing": len(missing),
            "growing": len(found.growing),
            "problems": [self._access.reason(line) for line in found.problems],
        }

    def take_upload(self, draft: Path) -> None:
        """Keep an uploaded file that probes as a video, and queue it.

        Raises:
            PageError: it is no video, or another page holds the uploads.
        """
        with self.uploads.keep(draft) as kept:
            self._ingest.add([kept])

    def act(self, what: Action, id: int | None = None) -> DoneView:
        """Pause, resume or cancel the queue, or cancel, retry or remove one video.

        Raises:
            PageError: there is no such video, or none is named where one is needed.
        """
        if what == "pause":
            self._ingest.pause()
        elif what == "resume":
            self._ingest.resume()
        elif what == "cancel":
            self._ingest.cancel(id)
        elif id is None:
            raise PageError(f"{what}: of which video?")
        elif what == "retry":
            self._ingest.add([find_video(self._library, id).path])
        else:
            self._remove(id)
        return {}

    def set_up(
        self, encoder: str | None = None, stop: bool = False, text: bool | None = None
    ) -> SetupView:
        """Change how the library is searched and looked through.

        Args:
            encoder: its name; the one before answers until every video is read with it.
            stop: leave the change that is on its way.
            text: whether text in pictures is read.

        Raises:
            PageError: another change is on its way.
            AccessError: visitors may not name folders and repositories.
        """
        if stop:
            self._setup.encoders.stop()
        if text is not None:
            self._setup.read_text(text)
        if encoder is not None:
            self._setup.encoders.take(encoder)
        return self._setup.view()

    def rate(self, query: str, video: int, start: float, end: float, good: bool | None) -> DoneView:
        """Keep what a visitor says of a moment; later answers to similar queries heed it.

        Args:
            start: seconds from the beginning of the video, as `end`.
            good: None takes back what was said.

        Raises:
            PageError: there is no such video, or this is no span of it.
        """
        known = find_video(self._library, video)
        if not (0 <= start < end <= known.duration + 1) or not query.strip():
            raise PageError("a rating needs a query and a span of the video")
        said = Rating(query[:LONGEST_TEXT], video, start, end, bool(good))
        (self._library.withdraw if good is None else self._library.rate)(said)
        return {}

    def _remove(self, id: int) -> None:
        video = find_video(self._library, id)
        self._ingest.cancel(id)
        self._library.remove(id)
        self.uploads.delete_copies(video)

"""Changing the library from the page: paths and uploads in, retry, remove, pause and cancel.

intake = Intake(page)
with intake.upload_folder() as folder:
    draft = folder / intake.upload_name("my film.mp4")      # a name we made
    ...                                                     # the bytes are written there
    intake.take_upload(draft)                               # kept, if it is a video at all
"""

import re
import secrets
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

from feature_extract.files import scratch_folder, sweep
from feature_extract.video.frames import VideoError, probe, shown_name
from vmr.library.folders import EXTENSIONS, find_videos
from vmr.library.locks import hold_lock
from vmr.library.store import Rating, Video
from vmr.page.page import LONGEST_TEXT, Page, PageError

LONGEST_STEM: Final = 80
"""Bytes of the name that an upload keeps."""
TAKING_SECONDS: Final = 60.0
"""Longest wait for other uploads that have just come in."""


class Intake:
    """What visitors may change, as far as the page's rights go."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._uploads = page.uploads

    def add_path(self, path: str) -> dict[str, Any]:
        """Queue a file or folder of this computer.

        Raises:
            LibraryError: nothing is there.
            PageError: visitors may not.
        """
        if not (self._page.rights.change and self._page.rights.paths):
            raise PageError("files of this computer cannot be added from here")
        try:
            found = find_videos([Path(path.strip().strip('"')).expanduser().resolve()])
        except (OSError, RuntimeError) as error:  # a name too long, no such user
            raise PageError(f"{path[:LONGEST_TEXT]}: no such file or folder") from error
        self._page.ingest.add(found)
        return {"added": len(found)}

    def upload_name(self, name: str) -> str:
        """What an upload called `name` is called here.

        Raises:
            PageError: visitors may not, or the name's ending is not that of a video.
        """
        if not self._page.rights.change:
            raise PageError("videos cannot be added from here")
        suffix = Path(name).suffix.lower()
        if suffix not in EXTENSIONS:
            raise PageError(f"{name}: not the name of a video file")
        stem = re.sub(r"[^\w\- ().,&'!+#[\]@]+", "_", Path(name.replace("\\", "/")).stem).strip(
            " ._"
        )
        short = stem.encode()[:LONGEST_STEM].decode(errors="ignore")
        return f"{short or 'video'}{suffix}"

    def upload_folder(self) -> AbstractContextManager[Path]:
        """A folder for an upload while it comes in: gone afterwards, however that ends."""
        self._uploads.mkdir(parents=True, exist_ok=True)
        return scratch_folder(self._uploads)

    def take_upload(self, draft: Path) -> None:
        """Keep an uploaded file that probes as a video, in a folder of ours, and queue it.

        Raises:
            PageError: it is no video, or another page holds the uploads.
        """
        try:
            probe(draft)
        except VideoError as error:
            raise PageError(str(error).replace(shown_name(draft), draft.name)) from error
        with self._taking() as alone:
            if not alone:
                raise PageError("another page is putting its uploads in order; try again")
            kept = self._uploads / secrets.token_hex(8) / draft.name
            kept.parent.mkdir()
            draft.rename(kept)
            self._page.ingest.add([kept])

    def drop_unfinished(self) -> None:
        """Delete what a killed page left of uploads: no video goes by their names."""
        sweep(self._uploads)
        if not self._uploads.is_dir():
            return
        with self._taking() as alone:
            if not alone:
                return  # an upload is being taken: what looks left over may be it
            for folder in self._uploads.glob("[!.]*/"):
                for file in folder.iterdir():
                    if self._page.store.find(file) is None and not file.is_dir():
                        file.unlink(missing_ok=True)
                with suppress(OSError):  # not empty
                    folder.rmdir()

    def queue_unfinished(self) -> None:
        """Queue what nobody has read yet, such as what was queued when the page was stopped.

        What another process of the same library is reading meanwhile is not read twice.
        """
        if self._page.rights.change:
            videos = self._page.store.videos()
            unread = [video.path for video in videos if video.state in ("new", "indexing")]
            self._page.ingest.add(unread)

    def _taking(self) -> AbstractContextManager[bool]:
        """Held while an upload has come in and is not in the library yet: no other page of the
        same library may take it for a dead one's."""
        return hold_lock(self._uploads / ".lock", wait_seconds=TAKING_SECONDS)

    def act(self, what: str, id: int | None = None) -> dict[str, Any]:
        """Pause, resume or cancel the queue, or retry or remove a video.

        Raises:
            PageError: visitors may not, or there is no such action.
        """
        if not self._page.rights.change:
            raise PageError("this library can be searched here, not changed")
        if what in ("pause", "resume"):
            (self._page.ingest.pause if what == "pause" else self._page.ingest.resume)()
        elif what == "cancel":
            self._page.ingest.cancel(id)
        elif what == "retry" and id is not None:
            self._page.ingest.add([self._page.video(id).path])
        elif what == "remove" and id is not None:
            self._remove(self._page.video(id))
        else:
            raise PageError(f"{what!r} is not something the page can do")
        return {}

    def judge(
        self, query: str, video: int, start: float, end: float, good: bool | None
    ) -> dict[str, Any]:
        """Keep what a visitor says of a moment; later answers to similar queries heed it.

        Args:
            good: None takes back what was said.

        Raises:
            PageError: visitors may not, there is no such video, or this is no span of it.
        """
        if not self._page.rights.change:
            raise PageError("this library can be searched here, not changed")
        known = self._page.video(video)
        if not (0 <= start < end <= known.duration + 1) or not query.strip():
            raise PageError("a judgement needs a query and a span of the video")
        said = Rating(query[:LONGEST_TEXT], video, start, end, bool(good))
        (self._page.store.withdraw if good is None else self._page.store.rate)(said)
        return {}

    def _remove(self, video: Video) -> None:
        self._page.ingest.cancel(video.id)
        self._page.store.remove(video.id)
        for copy in self._page.copies(video):  # the user's own files are never touched
            copy.unlink(missing_ok=True)
            with suppress(OSError):
                copy.parent.rmdir()

"""Changing the library from the page: paths and uploads in, retry, remove, pause and cancel.

intake = Intake(page)
place = intake.upload_place("my film.mp4")     # a fresh folder of ours, a name we made
...                                            # the bytes are written there
intake.take_upload(place)                      # queued, if it is a video at all
"""

import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from feature_extract.video import VideoError, probe
from vmr.ingest import EXTENSIONS, find_videos
from vmr.page import LONGEST_TEXT, Page, PageError
from vmr.store import Judgement, Video

YOUNG_SECONDS: Final = 60.0
"""An upload that has grown since may still be coming in, through another page of the library."""


class Intake:
    """What visitors may change, as far as the page's rights go."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._uploads = (page.store.folder / "uploads").resolve()

    def add_path(self, path: str) -> dict[str, Any]:
        """Queue a file or folder of this computer.

        Raises:
            LibraryError: nothing is there.
            PageError: visitors may not.
        """
        if not (self._page.rights.change and self._page.rights.paths):
            raise PageError("files of this computer cannot be added from here")
        found = find_videos([Path(path.strip().strip('"')).expanduser().resolve()])
        self._page.ingest.add(found)
        return {"added": len(found)}

    def upload_place(self, name: str) -> Path:
        """Where an upload called `name` is written: a fresh folder of ours, a name we made.

        Raises:
            PageError: visitors may not, or the name's ending is not that of a video.
        """
        if not self._page.rights.change:
            raise PageError("videos cannot be added from here")
        suffix = Path(name).suffix.lower()
        if suffix not in EXTENSIONS:
            raise PageError(f"{name}: not the name of a video file")
        stem = re.sub(r"[^\w\- ().,]+", "_", Path(name.replace("\\", "/")).stem).strip(" ._")
        folder = self._uploads / secrets.token_hex(8)
        folder.mkdir(parents=True)
        return folder / f"{stem[:80] or 'video'}{suffix}"

    def drop_unfinished(self) -> None:
        """Delete the uploads that a killed page left half-way: no video goes by their names."""
        for folder in self._uploads.glob("*/"):
            for file in folder.iterdir():
                young = time.time() - file.stat().st_mtime < YOUNG_SECONDS
                if not young and self._page.store.find(file) is None:
                    file.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                folder.rmdir()

    def take_upload(self, path: Path) -> None:
        """Queue an uploaded file that probes as a video; otherwise it is deleted again.

        Raises:
            PageError: it is no video.
        """
        try:
            probe(path)
        except VideoError as error:
            discard_upload(path)
            raise PageError(str(error).replace(str(path), path.name)) from error
        self._page.ingest.add([path])

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

    def judge(self, query: str, video: int, start: float, end: float, good: bool) -> dict[str, Any]:
        """Keep what a visitor says of a moment; later answers to similar queries heed it.

        Raises:
            PageError: visitors may not, there is no such video, or this is no span of it.
        """
        if not self._page.rights.change:
            raise PageError("this library can be searched here, not changed")
        known = self._page.video(video)
        if not (0 <= start < end <= known.duration + 1) or not query.strip():
            raise PageError("a judgement needs a query and a span of the video")
        self._page.store.judge(Judgement(query[:LONGEST_TEXT], video, start, end, good))
        return {}

    def _remove(self, video: Video) -> None:
        self._page.ingest.cancel(video.id)
        self._page.store.remove(video.id)
        if video.path.parent.parent == self._uploads:
            discard_upload(video.path)  # our own copy; the user's own files are never touched


def discard_upload(path: Path) -> None:
    """Delete an upload and the folder made for it."""
    path.unlink(missing_ok=True)
    path.parent.rmdir()

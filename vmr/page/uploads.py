"""Files that visitors send: under a name of ours, in folders of the library's own.

uploads = Uploads(library.folder / "uploads")
with uploads.draft_folder() as folder:
    draft = folder / safe_name("my film.mp4")               # the bytes are written there
    with uploads.keep(draft) as kept:                       # where it stays, if it is a video
        ingest.add([kept])
"""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from feature_extract.files import scratch_folder, sweep
from feature_extract.video.frames import VideoError, probe, shown_name
from vmr.library.folders import EXTENSIONS
from vmr.library.locks import hold_lock
from vmr.library.store import Video
from vmr.page.access import PageError

LONGEST_STEM: Final = 80
"""Bytes of the name that an upload keeps."""
KEEPING_SECONDS: Final = 60.0
"""Longest wait for other uploads that have just come in."""


def safe_name(name: str) -> str:
    """What an upload called `name` is called here: no folders, no signs that any system reads.

    Raises:
        PageError: the name's ending is not that of a video.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in EXTENSIONS:
        raise PageError(f"{name}: not the name of a video file")
    stem = Path(name.replace("\\", "/")).stem
    harmless = re.sub(r"[^\w\- ().,&'!+#[\]@]+", "_", stem).strip(" ._")
    short = harmless.encode()[:LONGEST_STEM].decode(errors="ignore")
    return f"{short or 'video'}{suffix}"


class Uploads:
    """The folder that uploads are kept in, each in a folder of its own."""

    def __init__(self, folder: Path | None) -> None:
        """Takes None where there is no folder that all pages of a library see: none are taken."""
        self._kept = None if folder is None else folder.resolve()

    @property
    def _folder(self) -> Path:
        if self._kept is None:
            raise PageError(
                "this library lies on servers and takes no uploads: put the film where every "
                "machine of it sees it, and index it there"
            )
        return self._kept

    def draft_folder(self) -> AbstractContextManager[Path]:
        """A folder for an upload while it comes in: gone afterwards, however that ends."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return scratch_folder(self._folder)

    @contextmanager
    def keep(self, draft: Path) -> Iterator[Path]:
        """Move an uploaded file to where it stays; the library has to take it within the block.

        Raises:
            PageError: it is no video, or another page holds the uploads.
        """
        try:
            probe(draft)
        except VideoError as error:
            raise PageError(str(error).replace(shown_name(draft), draft.name)) from error
        with self._locked() as alone:
            if not alone:
                raise PageError("another page is putting its uploads in order; try again")
            kept = self._folder / secrets.token_hex(8) / draft.name
            kept.parent.mkdir()
            draft.rename(kept)
            yield kept

    def sweep(self, is_known: Callable[[Path], bool]) -> None:
        """Delete what a killed page left: drafts, and files that are no video of the library."""
        if self._kept is None:
            return
        sweep(self._folder)
        if not self._folder.is_dir():
            return
        with self._locked() as alone:
            if not alone:
                return  # an upload is being taken: what looks left over may be it
            for folder in self._folder.glob("[!.]*/"):
                for file in folder.iterdir():
                    if not is_known(file) and not file.is_dir():
                        file.unlink(missing_ok=True)
                with suppress(OSError):  # not empty
                    folder.rmdir()

    def copies(self, video: Video) -> list[Path]:
        """Those files of a video that lie here: the library's own, made of uploads."""
        return [path for path in (video.path, *video.also) if path.parent.parent == self._kept]

    def delete_copies(self, video: Video) -> None:
        """Delete the library's own files of a video; a visitor's own files are never touched."""
        for copy in self.copies(video):
            copy.unlink(missing_ok=True)
            with suppress(OSError):
                copy.parent.rmdir()

    def _locked(self) -> AbstractContextManager[bool]:
        """Held from the move of an upload until it is in the library: no other page of the same
        library may take it for a dead one's. False when another page holds it too long."""
        return hold_lock(self._folder / ".lock", wait_seconds=KEEPING_SECONDS)

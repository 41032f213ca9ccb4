"""The encoder of a library on the page: which one answers, and how another one takes its place.

encoders = Encoders(library, viewer, access, model_of)
encoders.take("clip-b32")           # comes back at once; the one before answers meanwhile
encoders.view()["taking"]           # "clip-b32", until every video is read with it
encoders.stop()                     # what was read is kept
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from feature_extract.encoders.known import KNOWN
from vmr.library.encoders import DEFAULT, chosen, take
from vmr.library.store import Library, LibraryError, Video
from vmr.model.retrieval import RetrievalModel
from vmr.page.access import Access, PageError
from vmr.page.viewer import Viewer
from vmr.page.views import EncoderView

logger = logging.getLogger(__name__)


class _Stopped(Exception):  # noqa: N818 - not an error: the way out of a running change
    pass


class Encoders:
    """One change at a time, in a thread of its own; safe to use from any thread."""

    def __init__(
        self,
        library: Library,
        viewer: Viewer,
        access: Access,
        make_model: Callable[[Library], RetrievalModel],
    ) -> None:
        """`make_model` gives what the library is searched with once the encoder is another."""
        self._library, self._viewer, self._access = library, viewer, access
        self._make_model = make_model
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._taking = self._note = ""
        self._fraction, self._most = 0.0, 0

    def view(self) -> EncoderView:
        """Which one answers, and how far another one is read in."""
        with self._lock:
            taking, fraction, note = self._taking, self._fraction, self._note
        try:
            choice = chosen(self._library)
        except LibraryError as error:  # the page goes on with what it has
            logger.info("%s", error)
            choice = None
        return {
            "name": self._shown(DEFAULT if choice is None else choice.name),
            "calibrated": self._viewer.calibrated,
            "offered": [DEFAULT, *KNOWN],
            "taking": self._shown(taking),
            "fraction": fraction,
            "note": self._access.reason(note),
        }

    def take(self, name: str) -> None:
        """Begin to have the library searched with another encoder.

        Raises:
            PageError: another change is on its way.
            AccessError: a folder or a repository is named by somebody who may not name files.
        """
        name = name.strip()
        if not name:
            raise PageError("which encoder? a short name, OWNER/NAME of the hub, or a folder")
        if name != DEFAULT and name not in KNOWN:
            self._access.require("paths")
        with self._lock:
            if self._taking:
                raise PageError(f"{self._taking} is still being read in; stop that first")
            self._taking, self._fraction, self._most, self._note = name, 0.0, 0, ""
            self._stopping = False
            self._thread = threading.Thread(
                target=self._work, args=(name,), name="encoder", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Leave the change that is on its way; what was read is kept for the next one."""
        self._stopping = True

    def close(self) -> None:
        """Leave it, and wait until nothing of it runs any more."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _work(self, name: str) -> None:
        note = ""
        try:
            problems = take(
                self._library, name, on_progress=self._report, on_wait=self._stop_if_asked
            )
            if problems is not None:
                self._viewer.answer_with(self._make_model(self._library))
            note = _in_one_line(problems or [])
        except _Stopped:
            logger.info("%s: stopped; what was read is kept", name)
        except Exception as error:  # the one before goes on answering
            logger.info("%s: not taken", name, exc_info=error)
            note = str(error)
        finally:
            with self._lock:
                self._taking, self._note = "", note

    def _report(self, _: Video, fraction: float, left: int) -> None:
        self._stop_if_asked()
        with self._lock:
            self._most = max(self._most, left)
            self._fraction = (self._most - left + fraction) / self._most

    def _stop_if_asked(self) -> None:
        if self._stopping:
            raise _Stopped

    def _shown(self, name: str) -> str:
        """A folder by its last part where visitors may not see where things lie."""
        hidden = not self._access.paths and name not in KNOWN
        return Path(name).name if hidden else name


def _in_one_line(problems: list[str]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""

"""How a library is searched and looked through, as the page shows it.

setup = Setup(library, ingest, access, Encoders(...))
setup.view()["encoder"]["name"]
page.editor().set_up(text=True)     # changes are for those who may
"""

from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError
from vmr.page.access import Access
from vmr.page.encoders import Encoders
from vmr.page.views import FindingView, SetupView


class Setup:
    """Reads and changes the settings of one library."""

    def __init__(
        self, library: Library, ingest: Ingest, access: Access, encoders: Encoders
    ) -> None:
        self.encoders = encoders
        self._library, self._ingest, self._access = library, ingest, access

    def view(self) -> SetupView:
        """What is so now, and how far what was changed has come."""
        return {
            "encoder": self.encoders.view(),
            "finding": self._finding(),
            "may_change": self._access.change,
        }

    def read_text(self, wanted: bool) -> None:
        """Have text in pictures read from now on, or no longer."""
        self._ingest.words.want(text=wanted)

    def _finding(self) -> FindingView:
        wanted, now = self._library.words.wanted(), self._ingest.words.progress()
        name = ""
        if now.video is not None:
            try:
                name = self._library.video(now.video).name
            except LibraryError:  # removed just now
                name = ""
        return {
            "speech": wanted.speech,
            "text": wanted.text,
            "left": now.left,
            "name": name,
            "sense": now.sense,
            "fraction": now.fraction,
            "note": self._access.reason(now.note),
        }

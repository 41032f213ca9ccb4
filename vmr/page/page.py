"""One library on a page: what visitors see, what they change, and the files behind both.

page = Page(library, RetrievalModel.load(), ingest, previews, Access(change=False))
page.viewer.search("a dog runs")
page.editor()                       # AccessError: this library can be searched here, not changed
page.files.thumbnail(3, row=12)
"""

from collections.abc import Callable

from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.media.preview import Previews
from vmr.model.retrieval import RetrievalModel
from vmr.page.access import Access
from vmr.page.editor import Editor
from vmr.page.encoders import Encoders
from vmr.page.files import MediaFiles
from vmr.page.setup import Setup
from vmr.page.uploads import Uploads
from vmr.page.viewer import Screen, Viewer
from vmr.search.model import model_of


class Page:
    """Serves every visitor alike; knows nothing of the web."""

    def __init__(
        self,
        library: Library,
        model: RetrievalModel,
        ingest: Ingest,
        previews: Previews,
        access: Access | None = None,
        screen: Screen | None = None,
        *,
        use_feedback: bool = True,
        make_model: Callable[[Library], RetrievalModel] = model_of,
    ) -> None:
        """`make_model` gives what the library is searched with once its encoder is another."""
        self.access = access = access or Access()
        self.library = library
        self.ingest = ingest
        self.files = MediaFiles(library, previews, access)
        uploads = Uploads(None if library.shared is None else library.shared / "uploads")
        self.viewer = Viewer(
            library,
            model,
            ingest,
            uploads,
            access,
            screen or Screen(),
            use_feedback=use_feedback,
        )
        encoders = Encoders(library, self.viewer, access, make_model)
        self.setup = Setup(library, ingest, access, encoders)
        self._editor = Editor(library, ingest, uploads, access, self.setup)

    def editor(self) -> Editor:
        """What changes the library, for visitors who may.

        Raises:
            AccessError: they may not.
        """
        self.access.require("change")
        return self._editor

    def drop_unfinished_uploads(self) -> None:
        """Delete what a killed page left of uploads: no video goes by their names."""
        self._editor.uploads.sweep(lambda file: self.library.find(file) is not None)

    def queue_unread(self) -> None:
        """Queue what nobody has read yet, such as what was queued when the page was stopped.

        What another process of the same library is reading meanwhile is not read twice.
        """
        if self.access.change:
            videos = self.library.videos()
            self.ingest.add([v.path for v in videos if v.state in ("new", "indexing")])

"""The functions that the page's scripts call: a request in, a view out, or an `error` in one line.

calls = Calls(page, guard)
calls.answer("search", {"query": "a dog"}, headers=request.headers, client="127.0.0.1")
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from vmr.model.text import QueryError
from vmr.page.guard import Guard
from vmr.page.page import Page
from vmr.page.requests import (
    ActRequest,
    AddRequest,
    CurveRequest,
    ExplainRequest,
    LikeRequest,
    NoRequest,
    PictureRequest,
    PreviewRequest,
    RateRequest,
    SearchRequest,
    SetUpRequest,
    TranscriptRequest,
    reader,
)

UNCOUNTED: Final = frozenset(("library", "setup"))
"""What the page asks for by itself, all the time."""
R = TypeVar("R")
View = Mapping[str, Any]
"Any TypedDict of views.py"


class Calls:
    """Looks at every call, reads it, and answers."""

    def __init__(self, page: Page, guard: Guard) -> None:
        self._access = page.access
        self._viewer = page.viewer
        self._guard = guard
        viewer, files, editor = page.viewer, page.files, page.editor
        self._functions: dict[str, Callable[[object], View]] = {
            "search": _reading(SearchRequest, lambda asked: viewer.search(**asked)),
            "like": _reading(LikeRequest, lambda asked: viewer.like(**asked)),
            "picture": _reading(PictureRequest, lambda asked: viewer.like_picture(**asked)),
            "explain": _reading(ExplainRequest, lambda asked: viewer.explain(**asked)),
            "curve": _reading(CurveRequest, lambda asked: viewer.curve(**asked)),
            "transcript": _reading(TranscriptRequest, lambda asked: viewer.transcript(**asked)),
            "library": _reading(NoRequest, lambda _: viewer.listing()),
            "preview": _reading(PreviewRequest, lambda asked: files.preview_address(**asked)),
            "add": _reading(AddRequest, lambda asked: editor().add_path(**asked)),
            "rescan": _reading(NoRequest, lambda _: editor().rescan()),
            "rate": _reading(RateRequest, lambda asked: editor().rate(**asked)),
            "setup": _reading(NoRequest, lambda _: page.setup.view()),
            "set_up": _reading(SetUpRequest, lambda asked: editor().set_up(**asked)),
            "act": _reading(ActRequest, lambda asked: editor().act(**asked)),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Of the functions, as the scripts know them."""
        return tuple(self._functions)

    def answer(self, name: str, asked: object, *, headers: Mapping[str, str], client: str) -> View:
        """What a function answers; an ErrorView in its place where it cannot.

        Args:
            asked: what was sent, which may be anything.
            client: who asks, for counting.
        """
        try:
            self._guard.admit(headers)
            if name not in UNCOUNTED:
                self._guard.count(client)
            return self._functions[name](asked)
        except QueryError as error:
            said = {"error": str(error)}
            return said | {"unknown": self._viewer.near(error.unknown)} if error.unknown else said
        except ValueError as error:
            return {"error": self._access.message(error)}


def _reading(request: type[R], work: Callable[[R], View]) -> Callable[[object], View]:
    read = reader(request)
    return lambda asked: work(read(asked))

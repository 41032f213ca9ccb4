"""What the page's scripts send, key by key.

read = reader(SearchRequest)
asked = read({"query": "a dog", "video": 3})        # or a RequestError

What is answered is in views.py. All seconds count from the beginning of a video.
"""

from collections.abc import Callable
from typing import Annotated, Literal, NotRequired, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from vmr.page.access import PageError

LONGEST_TEXT = 1000
"""Characters of a query."""
LARGEST_PICTURE = 8_000_000
"""Characters of base64; the page sends far smaller pictures."""
R = TypeVar("R")
Action = Literal["pause", "resume", "cancel", "retry", "remove"]
VideoId = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Instant = Annotated[float, Field(allow_inf_nan=False)]


class RequestError(PageError):
    """A request that has not the form the page's scripts send."""


class ScopeRequest(TypedDict):
    """Which part of the library to look into; a folder is for those who may name paths."""

    folder: NotRequired[str | None]
    since: NotRequired[Instant]
    "seconds since 1970, of the file"
    until: NotRequired[Instant]
    min_length: NotRequired[Seconds]
    recorded_since: NotRequired[str]
    "a day such as 2023-05-14, a month or a year, by the clocks of the place"
    recorded_through: NotRequired[str]
    camera: NotRequired[str]
    near: NotRequired[str | None]


class SearchRequest(TypedDict):
    """Moments for words, in one video or in a part of the library."""

    query: str
    video: NotRequired[VideoId | None]
    scope: NotRequired[ScopeRequest | None]


class LikeRequest(TypedDict):
    """Moments that look like a span."""

    video: VideoId
    start: Seconds
    end: Seconds
    inside: NotRequired[VideoId | None]
    scope: NotRequired[ScopeRequest | None]


class PictureRequest(TypedDict):
    """Moments that look like a picture, given in base64."""

    picture: str
    video: NotRequired[VideoId | None]
    scope: NotRequired[ScopeRequest | None]


class ExplainRequest(TypedDict):
    """Why a video matches, around a second of it."""

    query: str
    video: VideoId
    second: NotRequired[Seconds | None]


class CurveRequest(TypedDict):
    """The curve of a whole video; without words, only its shot cuts."""

    query: str
    video: VideoId


class TranscriptRequest(TypedDict):
    """What is said and written in a video."""

    video: VideoId


class PreviewRequest(TypedDict):
    """A small copy of a span."""

    video: VideoId
    start: Seconds
    end: Seconds


class AddRequest(TypedDict):
    """A file or folder of this computer."""

    path: str


class RateRequest(TypedDict):
    """What a visitor says of a span; None takes it back."""

    query: str
    video: VideoId
    start: Seconds
    end: Seconds
    good: bool | None


class ActRequest(TypedDict):
    """Something to do with the queue, or with one video."""

    what: Action
    id: NotRequired[VideoId | None]


class SetUpRequest(TypedDict):
    """What is to be another way from now on; what is left out stays as it is."""

    encoder: NotRequired[Annotated[str, Field(max_length=LONGEST_TEXT)]]
    "a short name, OWNER/NAME of the hub, a folder, or default"
    stop: NotRequired[bool]
    "leave the change of encoder that is on its way"
    text: NotRequired[bool]
    "read text in pictures"


class NoRequest(TypedDict):
    """Nothing has to be said."""


class ExportMoment(TypedDict):
    """A moment that is to be taken out, and what found it."""

    video: VideoId
    start: Seconds
    end: Seconds
    query: NotRequired[str | None]
    strength: NotRequired[float | None]


def reader(request: type[R]) -> Callable[[object], R]:
    """A function that reads what was sent as a request of this type; it drops other keys.

    The function raises RequestError when a key is missing, or a value is not of its type.
    """
    adapter: TypeAdapter[R] = TypeAdapter(request)

    def read(asked: object) -> R:
        try:
            return adapter.validate_python(asked)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "request"
            message = f"the request was not understood: {where}: {first['msg']}"
            raise RequestError(message) from error

    return read

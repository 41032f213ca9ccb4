"""What the page's server answers its scripts, key by key.

A view is what a server function answers; what it is asked is in requests.py. All seconds count from
the beginning of a video. tests/page/test_contract.py compares them with real answers and with what
the scripts read.
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from feature_extract.transcript import Sense

Verdict = Literal["strong", "possible", "none"]


class ErrorView(TypedDict):
    """In the place of any other view: why there is none."""

    error: str
    unknown: NotRequired[list["SuggestionView"]]


class SuggestionView(TypedDict):
    """A word of a query, and known words that may have been meant."""

    word: str
    near: list[str]


class QuoteView(TypedDict):
    """What is said or written where something was found."""

    sense: Sense
    text: str
    matched: list[list[int]]
    "the words that were asked for: first and last place in the text, in characters"


class PlaceView(TypedDict):
    """Where something is."""

    video: int
    name: str
    start: float
    end: float


class MomentView(TypedDict):
    """One moment of an answer."""

    video: int
    name: str
    start: float
    end: float
    best: float
    "the second that matches best"
    score: float
    strength: float
    "calibrated, 0 to 1"
    verdict: Verdict
    rated: bool | None
    "what visitors said of it, if anything"
    sense: list[Literal["seen", "said", "written"]]
    "what found it"
    words: list[QuoteView]
    recorded: str | None
    "when, as in 2023-05-14T12:34:56+02:00; None where the file does not say"
    camera: str
    also: list[PlaceView]
    "the same footage in other videos"
    place: NotRequired[list[float] | None]


class AnswerView(TypedDict):
    """Moments, best first, and what became of the words of the query."""

    query: str
    verdict: Verdict
    uncalibrated: bool
    "strengths and verdict are guesses: nothing was fitted for the encoder that answers"
    unknown: list[SuggestionView]
    slips: list[SuggestionView]
    hardly_seen: list[str]
    there: list[str]
    "parts of the question that are shown by themselves, where others are not"
    missing: list[str]
    moments: list[MomentView]
    searched: int
    "videos that were looked into"


class CurveView(TypedDict):
    """How strongly every row of a video matches; rows lie evenly from `begins` to `ends`."""

    strength: list[float]
    cuts: list[float]
    begins: float
    ends: float


class WordCurveView(TypedDict):
    """A value for every row of a video."""

    word: str
    strength: list[float]


class WordAttentionView(TypedDict):
    """How much a word looked at every row of a window."""

    word: str
    looked: list[float]


class AttentionView(TypedDict):
    """Where each word looked, in the window from `begins` to `ends`."""

    words: list[WordAttentionView]
    begins: float
    ends: float


class ExplanationView(TypedDict):
    """What each word adds to a match, matches alone, and looked at."""

    added: list[WordCurveView]
    words: list[WordCurveView]
    attention: AttentionView | None
    unread: Literal["", "weights", "form"]
    "why there is no attention to show"


class VideoView(TypedDict):
    """One video of the library."""

    id: int
    name: str
    state: str
    queued: bool
    reason: str
    progress: float
    "0 to 1"
    searchable: bool
    duration: float
    width: int
    height: int
    fps: float
    codec: str
    origin: float
    "where the clock of the file begins"
    rows: int
    copied: bool
    "a file of the library's own, made of an upload"
    added: float
    "seconds since 1970"
    modified: float
    "seconds since 1970"
    playable: bool
    "browsers play the file itself; they are given previews otherwise"
    senses: list[Sense]
    "what it has words of"
    recorded: float | None
    "seconds since 1970; None where the file does not say"
    offset: int | None
    "minutes that clocks there were ahead of UTC, where the file says so"
    camera: str
    place: NotRequired[list[float] | None]
    file: NotRequired[str]
    folder: NotRequired[str]


class JobView(TypedDict):
    """One file on its way into the library."""

    id: int
    name: str
    state: str
    reason: str
    fraction: float
    seconds_left: float | None


class LibraryView(TypedDict):
    """Every video, what is being read, and what visitors may do."""

    videos: list[VideoView]
    jobs: list[JobView]
    paused: bool
    note: str
    seconds_left: float | None
    bytes_per_second: float
    may_change: bool
    may_name_paths: bool
    may_export: bool
    kiosk: bool
    examples: list[str]


class EncoderView(TypedDict):
    """Which encoder answers, and how far another one is read in."""

    name: str
    "a short name, OWNER/NAME of the hub, a folder, or default"
    calibrated: bool
    "whether strength and verdict were fitted for it"
    offered: list[str]
    "short names that may be taken"
    taking: str
    "the one that is being read in; empty: none"
    fraction: float
    "0 to 1 of the videos"
    note: str
    "why the last change failed, or what could not be read; empty: nothing to say"


class FindingView(TypedDict):
    """How far what is said and written has been looked for."""

    speech: str
    "the speech model; empty: nobody listens"
    text: bool
    "whether text in pictures is read"
    left: int
    "videos to look through, once for each sense"
    name: str
    "of the video in work; empty: none is"
    sense: Sense
    fraction: float
    "0 to 1 of it"
    note: str
    "why it does not go on; empty: it does, or has nothing to do"


class SetupView(TypedDict):
    """How the library is searched, and what its videos are looked through for."""

    encoder: EncoderView
    finding: FindingView
    may_change: bool


class VideosView(TypedDict):
    """Of the public interface: the videos alone."""

    videos: list[VideoView]


class LineView(TypedDict):
    """One span of a transcript."""

    start: float
    end: float
    text: str


class TrackView(TypedDict):
    """What one sense found in a video."""

    sense: Sense
    origin: str
    "where the words come from, as people say it"
    language: str | None
    lines: list[LineView]


class TranscriptView(TypedDict):
    """Everything that is said and written in a video."""

    tracks: list[TrackView]


class PreviewView(TypedDict):
    """Where the small copy of a moment is served, and the second at which it begins."""

    url: str
    start: float


class AddedView(TypedDict):
    """How many files were queued."""

    added: int


class RescanView(TypedDict):
    """How many videos a second look at the disk found in each state."""

    added: int
    "new files, to be read"
    changed: int
    "known files with new content, to be read again"
    back: int
    "missing before, and found again"
    missing: int
    growing: int
    "still being written, left for the next look"
    problems: list[str]
    "one line for each folder that could not be looked through"


class DoneView(TypedDict):
    """It is done, and there is nothing to say."""


class UploadedView(TypedDict):
    """What an upload is called here."""

    name: str

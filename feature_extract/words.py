"""The words of a video, found in a child process that can be killed: `words_worker.py`.

    with WordFinder() as finder:                        # the process starts when first needed
        found = finder.said(path, end=info.duration, model=find_model("tiny.en"))
        found.transcript, found.reason                  # either may be missing, never both
        found = finder.written(path, end=..., size=(1280, 720), cuts=features.cuts)

Nothing of it is imported or started where nobody asks for words.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feature_extract.transcript import Sense, TextSpan, TimedWord, Transcript, in_order
from feature_extract.video.child import Child, LostError

if TYPE_CHECKING:  # networks are for the child process alone
    from feature_extract.networks.speech import SpeechModel

WAIT_SECONDS: Final = 1800.0
"""Longest wait for one step: a minute of sound with the largest model on a slow machine, or the
next picture with text, at which a long file has to be read up to there."""
MEMORY_BYTES: Final = 3 << 29
"""What the process may write to, beside the weights of a model: it takes a quarter of that."""
MODEL_COPIES: Final = 3
"""How many times the size of its file a model may take."""

_FRUGAL: Final = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "0"}
"""The GNU C library keeps what its threads give back, a hundred megabytes of it, unless told so."""

Report = Callable[[float], None]
"""Told how far it has come, 0..1. What it raises ends the work; while it waits, so does that."""


@dataclass(frozen=True)
class Found:
    """What came of it: a transcript, which may be empty, or why there is none."""

    transcript: Transcript | None
    reason: str
    'one line, such as "no sound"; empty where all is well'
    guessed: bool = False
    "whether it depends on the model: it was listened to, or that failed"
    passing: bool = False
    "whether a disk, a network or a permission was in the way: to be tried again"


class WordFinder:
    """Finds words in one video after the other; safe to close from anywhere."""

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._child: Child | None = None
        self._room = 0

    def __enter__(self) -> "WordFinder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it is at."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def kill(self) -> None:
        """End the process from another thread; whoever waits for it is told that it crashed."""
        child = self._child
        if child is not None:
            child.kill()

    def said(
        self,
        path: Path,
        *,
        end: float,
        model: "SpeechModel | None",
        report: Report = lambda _: None,
    ) -> Found:
        """Subtitles beside or inside a video, else what is said within [0, end) seconds.

        Args:
            model: None listens to nothing: subtitles alone.
        """
        asked: dict[str, Any] = {"end": end, "model": None}
        room = MEMORY_BYTES
        if model is not None:
            asked["model"] = {"name": model.name, "folder": str(model.folder.absolute())}
            room += MODEL_COPIES * (model.folder / "model.bin").stat().st_size
        return self._find("said", path, asked, room, report)

    def written(
        self,
        path: Path,
        *,
        end: float,
        size: tuple[int, int],
        cuts: Sequence[float],
        report: Report = lambda _: None,
    ) -> Found:
        """Text in the pictures of a video.

        Args:
            size: (width, height) of its pictures as shown.
            cuts: seconds at which shots begin, ascending, the first one apart.
        """
        asked = {"end": end, "size": size, "cuts": [float(cut) for cut in cuts]}
        return self._find("written", path, asked, MEMORY_BYTES, report)

    def _find(
        self, sense: Sense, path: Path, asked: dict[str, Any], room: int, report: Report
    ) -> Found:
        request = {"find": sense, "path": os.path.abspath(path), **asked}  # noqa: PTH100  # links stay as named
        spans: list[TextSpan] = []
        try:
            child = self._ready(room)
            child.tell(request)
            while True:
                kind, fields, _ = child.next(WAIT_SECONDS)
                if kind == "spans":
                    spans += map(_span, fields["spans"])
                elif kind == "step":
                    report(fields["fraction"])
                    child.tell({"go": True})
                else:
                    return _found(sense, spans, fields)
        except LostError as lost:
            self.close()
            return Found(None, str(lost), guessed=True)
        except BaseException:
            self.close()  # it is in the middle of something
            raise

    def _ready(self, room: int) -> Child:
        """The process, with room for a model; one with less is ended."""
        if room > self._room:
            self.close()
        if self._child is None:
            settings = {"threads": self._threads, "memory": room}
            program, called = "feature_extract.words_worker", "what looks for words"
            self._child = Child(settings, program=program, called=called, environment=_FRUGAL)
            self._room = room
        return self._child


def _found(sense: Sense, spans: list[TextSpan], fields: dict[str, Any]) -> Found:
    if not fields["origin"]:
        return Found(None, fields["reason"], fields["guessed"], fields["passing"])
    transcript = Transcript(sense, fields["origin"], fields["language"], in_order(spans))
    return Found(transcript, fields["reason"], fields["guessed"])


def _span(fields: dict[str, Any]) -> TextSpan:
    return TextSpan(**fields | {"words": tuple(TimedWord(**word) for word in fields["words"])})

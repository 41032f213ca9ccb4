"""One moment of one file, to be taken out: what every export begins with."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from feature_extract.transcript import TextSpan
from feature_extract.video.frames import shown_name
from feature_extract.video.spans import Facts
from vmr.library.catalogue import readable
from vmr.library.content import ContentError
from vmr.library.film_cache import local_film


class ExportError(ValueError):
    """These moments cannot be exported; the message says which and why."""


@dataclass(frozen=True)
class Cut:
    """One moment of one file, to be taken out."""

    path: Path
    start: float
    "seconds"
    end: float
    "seconds; a picture that begins at this time is no longer part of it"
    fps: float
    "pictures a second of the file, on average"
    query: str = ""
    "what found it"
    strength: float = 0.0
    "0..1"
    facts: Facts | None = None
    "what the file says of itself: exact rate, start timecode, size; lists for editors ask for it"

    said: tuple[TextSpan, ...] = ()
    "what is said in it, at the times of the file"
    written: tuple[TextSpan, ...] = ()
    "what is to be read in it"

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < float("inf"):
            raise ExportError(f"{self.name}: {self.start} to {self.end} s is no span of time")

    @property
    def name(self) -> str:
        """Of the file, as text."""
        return readable(self.path.name)

    @property
    def text(self) -> str:
        """What is said, and written, in it."""
        return " ".join(span.text for span in (*self.said, *self.written))

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end - self.start

    @property
    def span(self) -> tuple[Path, float, float]:
        """File, start, end."""
        return self.path, self.start, self.end


@contextmanager
def source_file(path: Path) -> Iterator[Path]:
    """A file of this computer to take moments from, while the context is open; of a film in a
    bucket, a copy.

    Raises:
        ExportError: it cannot be had now.
    """
    with ExitStack() as held:
        try:
            file = held.enter_context(local_film(path))
        except ContentError as error:
            why = str(error).removeprefix(f"{shown_name(path)}: ")
            raise ExportError(f"{readable(path.name)}: {why}") from error
        yield file

"""Where files are read: in this process, or on other machines (ray_engine.py).

engine = LocalEngine(library, extractor_of(library))
library.adopt(engine.ready())
receipt = engine.read(3, path, report)      # blocks; whoever keeps the catalogue commits it
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from feature_extract.video.frames import VideoError, shown_name
from vmr.library.blobs import Blobs
from vmr.library.encoders import Choice, chosen
from vmr.library.film_cache import local_film
from vmr.library.films import BucketPath
from vmr.library.reading import Report, VideoReader, read_file
from vmr.library.receipts import Receipt, put
from vmr.library.store import Library

FETCH_SHARE: Final = 0.3
"""Of a film in a bucket, of what is told while it is read: it is fetched first."""


class LostWorkerError(Exception):
    """What read a file has died over it, or with its machine; the text says what is known."""


class Engine(Protocol):
    """Reads files, as many at once as it has slots."""

    @property
    def slots(self) -> int:
        """How many files are read at once."""

    def ready(self) -> str:
        """Have what is needed loaded; the fingerprint of the extractor."""

    def read(self, id: int, path: Path, report: Report) -> Receipt:
        """Read the file of a video and put what it holds into the store.

        Args:
            report: told the share that is read, from time to time; what it raises ends it.

        Raises:
            FaultError, VideoError: as `read_file`.
            NotReadError: as `local_film`.
            LostWorkerError: it is not known what became of it.
            LibraryError: the store does not take it, or nothing can be read at all.
        """

    def close(self) -> None:
        """Let go of what was started."""


def work(id: int, path: Path, extractor: VideoReader, blobs: Blobs, report: Report) -> Receipt:
    """What a worker does, on whatever machine: one file into two blobs and a receipt."""
    first = FETCH_SHARE if isinstance(path, BucketPath) else 0.0
    with local_film(path, lambda share: report(first * share)) as file:
        try:
            reading = read_file(file, extractor, lambda share: report(first + (1 - first) * share))
        except VideoError as error:
            if file == path:
                raise
            said = str(error).replace(shown_name(file), shown_name(path))
            raise VideoError(said) from error
    return put(blobs, id, reading.extraction, full=reading.full)


class LocalEngine:
    """Reads one file at a time, here."""

    slots = 1

    def __init__(self, library: Library, make_extractor: Callable[[], VideoReader]) -> None:
        self._library = library
        self._make_extractor = make_extractor
        self._extractor: VideoReader | None = None
        self._read_for: Choice | None = None  # the encoder of the library when it was made

    def ready(self) -> str:
        """As `Engine.ready`."""
        return self._loaded().fingerprint

    def read(self, id: int, path: Path, report: Report) -> Receipt:
        """As `Engine.read`."""
        return work(id, path, self._loaded(), self._library.blobs, report)

    def close(self) -> None:
        """As `Engine.close`."""

    def _loaded(self) -> VideoReader:
        choice = chosen(self._library)
        if self._extractor is None or choice != self._read_for:  # it was changed meanwhile
            self._extractor, self._read_for = self._make_extractor(), choice
        return self._extractor

"""Which encoder a library is searched with, beside or instead of what comes with this project.

    choice = chosen(library)                    # None: what comes with the project
    with Ingest(library, extractor_of(library)) as ingest: ...
    take(library, "clip-b32")                   # reads what lacks its columns, then answers with it

A features file may hold the columns of several encoders. While another one is read in, the one
before answers; it is taken once every video that is there has its columns. Those that could not be
read, such as on a disk that was not there, are remembered, and read by `catch_up`.
"""

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from feature_extract.extract import Extractor, encode
from feature_extract.features import FeaturesError
from feature_extract.video.frames import VideoError
from vmr.library.content import ContentError
from vmr.library.film_cache import local_film
from vmr.library.films import BucketPath
from vmr.library.store import Library, LibraryError, Video

if TYPE_CHECKING:
    from feature_extract.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

DEFAULT: Final = "default"
"""The name of what comes with the project."""
_KEY: Final = "encoder"
READ: Final = "encoder read"
"""The name of the setting that says how far a library is read with its encoder."""
_WAIT_SECONDS: Final = 0.5
OnProgress: TypeAlias = Callable[[Video, float, int], None]
"""Told the video, the fraction of it that is read, and how many are left, it among them."""


@dataclass(frozen=True)
class Choice:
    """The encoder of a library, as its settings have it."""

    name: str
    "as it was asked for: a short name, a repository of the hub, or a folder"
    folder: str
    "where its files were"
    digest: str
    "of its files: another revision is another encoder"
    width: int
    "columns of a row"
    prompt: str = "{}"
    "what a question becomes before it is read"

    @property
    def block(self) -> str:
        """What its columns are called in a features file."""
        return f"encoder-{self.digest}"


def chosen(library: Library) -> Choice | None:
    """The encoder that a library is searched with; None for what comes with the project.

    Raises:
        LibraryError: the setting is damaged.
    """
    said = library.settings.get(_KEY)
    try:
        return Choice(**json.loads(said)) if said else None
    except (TypeError, ValueError) as error:
        raise LibraryError(
            f"{library.name}: its encoder's setting is damaged; `rescan --encoder NAME` sets it"
        ) from error


def choose(library: Library, choice: Choice | None) -> None:
    """Have the library searched with this encoder from now on; None: with what comes with it."""
    library.settings.set(_KEY, json.dumps(asdict(choice)) if choice else "")


def open_chosen(choice: Choice, *, pictures: bool, texts: bool) -> "Encoder":
    """The encoder of a choice, from the place where it was, or the hub's cache; what only sees
    pictures is on the GPU where there is one.

    Raises:
        EncoderError: it is not there any more, or its files are others.
    """
    from feature_extract.encoders.open import open_encoder  # with torch and transformers

    return open_encoder(
        choice.name,
        folder=Path(choice.folder),
        digest=choice.digest,
        device="cpu" if texts else "auto",
        pictures=pictures,
        texts=texts,
        prompt=choice.prompt,
    )


def extractor_of(library: Library) -> Callable[[], Extractor]:
    """What makes the extractor for a library: with the columns of its encoder, if it has one."""

    return lambda: make_extractor(chosen(library))


def make_extractor(choice: Choice | None) -> Extractor:
    """The extractor, with the columns of an encoder if one is chosen."""
    if choice is None:
        return Extractor()
    return Extractor(encoder=open_chosen(choice, pictures=True, texts=False))


def take(
    library: Library,
    name: str,
    *,
    prompt: str = "",
    on_progress: OnProgress | None = None,
    on_wait: Callable[[], None] | None = None,
) -> list[str] | None:
    """Have a library searched with the encoder of this name, once its videos are read with it.

    Args:
        name: a short name, a repository of the hub, a folder, or DEFAULT.
        prompt: what a question becomes before it is read, with {} in its place; empty for what is
            usual with this encoder.
        on_progress, on_wait: as of `change`.

    Returns:
        One line for each video that could not be read with it; None where it is the one in use,
        and every video is read with it.

    Raises:
        EncoderError: there is no such encoder, or it cannot be used; the library is untouched.
        LibraryError: as of `change`.
    """
    before = None
    with suppress(LibraryError):  # a damaged setting is set anew
        before = chosen(library)
    name = name.strip()
    if name == DEFAULT:
        choose(library, None)
        return None if before is None else []
    from feature_extract.encoders.open import open_encoder  # with torch and transformers

    encoder = open_encoder(name, prompt=prompt)  # both towers: a question must be possible, too
    source = encoder.source
    if Path(name).expanduser().is_dir():  # found again from wherever the library is opened
        name = str(source.folder)
    choice = Choice(name, str(source.folder), source.digest, encoder.width, encoder.prompt)
    if before == choice and not _lacking(library, choice).there:
        return None
    return change(library, choice, encoder, on_progress=on_progress, on_wait=on_wait)


def change(
    library: Library,
    choice: Choice,
    encoder: "Encoder",
    *,
    on_progress: OnProgress | None = None,
    on_wait: Callable[[], None] | None = None,
) -> list[str]:
    """Read what lacks the columns of an encoder, then have the library searched with it.

    What was read is kept where this is stopped, and not read again. New files are indexed in
    between, a file at a time.

    Args:
        on_progress: what it raises stops.
        on_wait: called twice a second while another one indexes; what it raises stops. None does
            not wait.

    Returns:
        One line for each video that could not be read: it is not searched until it is.

    Raises:
        LibraryError: the library could not be written, or another process indexes it.
    """
    reading = _Reading.of(library, choice.block)
    problems: dict[int, str] = {}
    while True:
        with library.exclusive(wait_seconds=_WAIT_SECONDS if on_wait else 0.0) as alone:
            if alone:
                reading.heed(library)
                there = reading.there
                if not there:
                    reading.keep(library, [*reading.left, *problems])
                    choose(library, choice)
                    return [*problems.values()]
                video = there[0]
                told = _told(on_progress, video, len(there))
                problem = _read_in(library, reading.left.pop(video.id), choice, encoder, told)
                problems |= {video.id: problem} if problem else {}
        if not alone:
            if on_wait is None:
                raise LibraryError(
                    f"{library.name}: another process indexes it; try when it is done"
                )
            on_wait()


def catch_up(library: Library, *, on_progress: OnProgress | None = None) -> list[str]:
    """Read what lacks the columns of the library's encoder, of the files that are there now.

    Loads nothing where nothing lacks.

    Returns:
        One line for each video that could not be read.

    Raises:
        EncoderError, LibraryError: as of `take`.
    """
    choice = chosen(library)
    if choice is None:
        return []
    reading = _lacking(library, choice)
    if not any(isinstance(v.path, BucketPath) or v.path.is_file() for v in reading.there):
        reading.keep(library, reading.left)
        return []
    encoder = open_chosen(choice, pictures=True, texts=False)
    return change(library, choice, encoder, on_progress=on_progress, on_wait=lambda: None)


def not_read(library: Library) -> list[Video]:
    """The videos that could not be read with the library's encoder, and so are not searched.

    Raises:
        LibraryError: the setting of its encoder is damaged.
    """
    choice = chosen(library)
    if choice is None:
        return []
    return _Reading.of(library, choice.block).there


def _lacking(library: Library, choice: Choice) -> "_Reading":
    reading = _Reading.of(library, choice.block)
    reading.heed(library)
    return reading


@dataclass
class _Reading:
    """How far a library is read with an encoder."""

    block: str
    number: int
    "of the last change of the library that was heeded"
    left: dict[int, Video]
    "videos that lack the columns, by their ids"

    @classmethod
    def of(cls, library: Library, block: str) -> "_Reading":
        """As it was when it was kept; from the beginning where that was for another encoder."""
        try:
            said = json.loads(library.settings.get(READ) or "{}")
            number, left = int(said["number"]), [int(id) for id in said["left"]]
            if said["block"] == block:
                return cls(block, number, library.videos_of(left))
        except (KeyError, TypeError, ValueError) as error:
            logger.info("looked at from the beginning: %r", error)
        return cls(block, 0, {})

    @property
    def there(self) -> list[Video]:
        """Of those, the ones whose files were there when they were last looked for."""
        return [video for video in self.left.values() if video.searchable]

    def heed(self, library: Library) -> None:
        """Follow what has changed since."""
        while changes := library.changes(self.number):
            self.number = changes.number
            for id in (*changes.gone, *(video.id for video in changes.videos)):
                self.left.pop(id, None)
            lacking = (v for v in changes.videos if _lacks(library, v, self.block))
            self.left |= {video.id: video for video in lacking}

    def keep(self, library: Library, left: Iterable[int]) -> None:
        """Remember it, and the ids of videos that still lack the columns."""
        kept = {"block": self.block, "number": self.number, "left": [*left]}
        library.settings.set(READ, json.dumps(kept))


def _lacks(library: Library, video: Video, block: str) -> bool:
    if not video.rows:
        return False
    try:
        return block not in library.features(video.id).blocks
    except LibraryError as error:  # damaged or removed just now: it is to be indexed again
        logger.info("%s: not read with the encoder: %s", video.path, error)
        return False


def _read_in(
    library: Library,
    video: Video,
    choice: Choice,
    encoder: "Encoder",
    on_progress: Callable[[float], None] | None,
) -> str:
    """Add the columns of one video; a line where it cannot be read, else nothing."""
    try:
        rows = None
        if library.still_holds(video):
            with local_film(video.path) as file:
                rows = encode(file, encoder, on_progress=on_progress)
        if rows is None or not library.still_holds(video):  # or no longer
            raise LibraryError("another recording lies there now; `rescan` reads it")
        features = library.features(video.id).with_block(choice.block, rows)
        library.replace_features(video.id, features)
    except (VideoError, ContentError, LibraryError, FeaturesError, OSError) as error:
        logger.info("%s: not read with the encoder", video.path, exc_info=error)
        return f"{video.path}: not read with {choice.name} ({error})"
    return ""


def _told(
    on_progress: OnProgress | None, video: Video, left: int
) -> Callable[[float], None] | None:
    if on_progress is None:
        return None
    return lambda fraction: on_progress(video, fraction, left)

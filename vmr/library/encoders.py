"""Which encoder a library is searched with, beside or instead of what comes with this project.

    choice = chosen(library)                    # None: what comes with the project
    with Ingest(library, extractor_of(library)) as ingest: ...
    take(library, "clip-b32")                   # reads what lacks its columns, then answers with it

A features file may hold the columns of several encoders. While another one is read in, the one
before answers; it is taken once every video that is there has its columns.
"""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from feature_extract.extract import Extractor, encode
from feature_extract.features import FeaturesError
from feature_extract.video.frames import VideoError
from vmr.library.store import Library, LibraryError, Video

if TYPE_CHECKING:
    from feature_extract.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

DEFAULT: Final = "default"
"""The name of what comes with the project."""
_KEY: Final = "encoder"
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
    """The encoder of a choice, from the place where it was, or the hub's cache.

    Raises:
        EncoderError: it is not there any more, or its files are others.
    """
    from feature_extract.encoders.open import open_encoder  # with torch and transformers

    return open_encoder(
        choice.name,
        folder=Path(choice.folder),
        digest=choice.digest,
        pictures=pictures,
        texts=texts,
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
    on_progress: OnProgress | None = None,
    on_wait: Callable[[], None] | None = None,
) -> list[str] | None:
    """Have a library searched with the encoder of this name, once its videos are read with it.

    Args:
        name: a short name, a repository of the hub, a folder, or DEFAULT.
        on_progress, on_wait: as of `change`.

    Returns:
        One line for each video that could not be read with it; None where it is the one in use.

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

    encoder = open_encoder(name)  # both towers: a question must be possible, too
    source = encoder.source
    if Path(name).expanduser().is_dir():  # found again from wherever the library is opened
        name = str(source.folder)
    choice = Choice(name, str(source.folder), source.digest, encoder.width)
    if before == choice:
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
    left: dict[int, Video] = {}
    problems: list[str] = []
    known = 0  # the last change of the library that was heeded
    while True:
        with library.exclusive(wait_seconds=_WAIT_SECONDS if on_wait else 0.0) as alone:
            if alone:
                while changes := library.changes(known):
                    known = changes.number
                    for id in (*changes.gone, *(video.id for video in changes.videos)):
                        left.pop(id, None)
                    lacking = (v for v in changes.videos if _lacks(library, v, choice.block))
                    left |= {video.id: video for video in lacking}
                if not left:
                    choose(library, choice)
                    return problems
                video = next(iter(left.values()))
                told = _told(on_progress, video, len(left))
                problems += _read_in(library, left.pop(video.id), choice, encoder, told)
        if not alone:
            if on_wait is None:
                raise LibraryError(
                    f"{library.name}: another process indexes it; try when it is done"
                )
            on_wait()


def _lacks(library: Library, video: Video, block: str) -> bool:
    if not video.searchable:
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
) -> list[str]:
    """Add the columns of one video; a line where it cannot be read."""
    try:
        rows = encode(video.path, encoder, on_progress=on_progress)
        features = library.features(video.id).with_block(choice.block, rows)
        library.replace_features(video.id, features)
    except (VideoError, LibraryError, FeaturesError, OSError) as error:
        logger.info("%s: not read with the encoder", video.path, exc_info=error)
        return [f"{video.path}: not read with {choice.name} ({error})"]
    return []


def _told(
    on_progress: OnProgress | None, video: Video, left: int
) -> Callable[[float], None] | None:
    if on_progress is None:
        return None
    return lambda fraction: on_progress(video, fraction, left)

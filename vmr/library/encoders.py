"""Which encoder a library is searched with, beside or instead of what comes with this project.

    choice = chosen(library)                    # None: what comes with the project
    with Ingest(library, extractor_of(library)) as ingest: ...
    change(library, source.name, encoder)       # reads what lacks its columns, then answers with it

A features file may hold the columns of several encoders. While another one is read in, the one
before answers; it is taken once every video that is there has its columns.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feature_extract.extract import Extractor, encode
from feature_extract.features import FeaturesError
from feature_extract.video.frames import VideoError
from vmr.library.store import Library, LibraryError, Video

if TYPE_CHECKING:
    from feature_extract.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

_KEY: Final = "encoder"


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
            f"{library.folder}: its encoder's setting is damaged; `rescan --encoder NAME` sets it"
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

    def make() -> Extractor:
        choice = chosen(library)
        if choice is None:
            return Extractor()
        return Extractor(encoder=open_chosen(choice, pictures=True, texts=False))

    return make


def lacking(library: Library, block: str) -> list[Video]:
    """The searchable videos whose features have no columns of this name, oldest first."""
    return [
        video
        for video in library.videos()
        if video.searchable and block not in library.features(video.id).blocks
    ]


def change(
    library: Library,
    choice: Choice,
    encoder: "Encoder",
    *,
    on_progress: Callable[[Video, float], None] | None = None,
) -> list[str]:
    """Read what lacks the columns of an encoder, then have the library searched with it.

    What was read is kept where this is stopped, and not read again.

    Args:
        on_progress: told the video and the fraction of it that is read; what it raises stops.

    Returns:
        One line for each video that could not be read: it is not searched until it is.

    Raises:
        LibraryError: the library could not be written, or another process indexes it.
    """
    problems = []
    with library.exclusive() as alone:
        if not alone:
            raise LibraryError(f"{library.folder}: another process indexes it; try when it is done")
        for video in lacking(library, choice.block):
            try:
                rows = encode(video.path, encoder, on_progress=_told(on_progress, video))
                features = library.features(video.id).with_block(choice.block, rows)
                library.replace_features(video.id, features)
            except (VideoError, LibraryError, FeaturesError, OSError) as error:
                logger.info("%s: not read with the encoder", video.path, exc_info=error)
                problems.append(f"{video.path}: not read with {choice.name} ({error})")
        choose(library, choice)
    return problems


def _told(
    on_progress: Callable[[Video, float], None] | None, video: Video
) -> Callable[[float], None] | None:
    if on_progress is None:
        return None
    return lambda fraction: on_progress(video, fraction)

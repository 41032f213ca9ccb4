"""What the index keeps of a video: a clip vector and the times of every row.

clips, times = rows_of(features, model)                 # (T, E), (T, 2) seconds
known_as(video)                                         # tells these rows from other ones
"""

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.features import Features
from vmr.library.catalogue import Video
from vmr.library.locks import AwayError
from vmr.library.store import Library, LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.search.parts import short

logger = logging.getLogger(__name__)

_UNSEEN: Final = -0.25
"""Score of a second that could not be read, whatever is asked: about what unrelated footage gets,
so that it is never an answer and does not drag down the seconds beside it."""


def features_for(library: Library, video: Video, model: RetrievalModel) -> Features | None:
    """What a model reads of a video; None where it has to be left out of the index for now.

    Raises:
        LibraryError: the library was indexed with other networks than the model reads.
        AwayError: the store does not answer.
    """
    try:
        features = library.features(video.id)
    except LibraryError as error:
        if isinstance(error, AwayError):
            raise  # an answer without it would be a wrong one
        logger.info("%s: left out of the index: %s", video.path, error)
        return None  # damaged, and marked so in the library: the others still answer
    wanted = model.blocks
    if {name: features.blocks.get(name) for name in wanted} == wanted:
        return features
    if model.reads_own_blocks:
        raise LibraryError(
            f"{library.name} was indexed with other networks than the model reads; "
            "`rescan --reindex` brings every video up to date"
        )
    logger.info("%s: not read with the library's encoder yet", video.path)
    return None


def rows_of(
    features: Features, model: RetrievalModel
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Clip vectors (T, E) and times (T, 2) in seconds of every row."""
    clips = model.encode_clips(features.columns(model.blocks))
    clips[_unseen(features)] = np.append(np.zeros(model.width - 1), _UNSEEN)
    return clips, np.stack([features.starts, features.ends], axis=1)


def known_as(video: Video) -> int:
    """What the rows of a video are known by: networks and content."""
    return short(f"{video.fingerprint} {video.full}")


def _unseen(features: Features) -> NDArray[np.bool_]:
    """(T,) which rows lie in a damaged span: they repeat the last picture before it, which is not
    what happened then, and must not be found."""
    unseen = np.zeros(len(features.rows), dtype=bool)
    for start, end in features.unreadable:
        unseen |= (features.starts >= start) & (features.ends <= end)
    return unseen

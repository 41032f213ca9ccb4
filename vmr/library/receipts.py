"""What a worker puts into the store of one video, and what it tells whoever keeps the catalogue.

receipt = put(blobs, 3, reading.extraction, full=reading.full)      # on any machine
library.commit(3, receipt)                                          # where the catalogue is
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_extract.video.frames import VideoInfo
from vmr.library.blobs import Blobs
from vmr.library.catalogue import describe_damage
from vmr.library.locks import plain_errors
from vmr.library.recordings import columns_of
from vmr.library.thumbnails import packed

if TYPE_CHECKING:  # the extractor brings torch, which a library does not need
    from feature_extract.extract import Extraction


@dataclass(frozen=True)
class Receipt:
    """What is known of a video whose features and thumbnails lie in the store."""

    info: VideoInfo
    full: str
    "digest of the whole file"
    fingerprint: str
    "of the extractor"
    rows: int
    duration: float
    unreadable: tuple[tuple[float, float], ...]
    features_bytes: int
    thumbnails_bytes: int

    def columns(self) -> dict[str, Any]:
        """What the catalogue keeps, by the names of its columns."""
        return {
            "state": "partly readable" if self.unreadable else "ready",
            "reason": describe_damage(self.unreadable),
            "progress": 1.0,
            "full": self.full,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "features_bytes": self.features_bytes,
            "thumbnails_bytes": self.thumbnails_bytes,
            "duration": self.duration,
            "width": self.info.width,
            "height": self.info.height,
            "fps": self.info.fps,
            "codec": self.info.codec,
            "origin": self.info.origin,
            "unreadable": json.dumps(self.unreadable),
            **columns_of(self.info.tags),
        }


def keys_of(id: int) -> tuple[str, str]:
    """The keys of a video's features and thumbnails."""
    return f"features/{id}.safetensors", f"thumbnails/{id}.zip"


def put(blobs: Blobs, id: int, extraction: "Extraction", *, full: str) -> Receipt:
    """Keep what was extracted of a video, each part whole or not at all.

    Raises:
        LibraryError: the store does not take it.
    """
    features = extraction.features
    if len(extraction.thumbnails) != len(features.rows):
        raise ValueError(f"{len(extraction.thumbnails)} thumbnails, {len(features.rows)} rows")
    contents = features.content(), packed(extraction.thumbnails)
    with plain_errors(blobs.name):
        for key, content in zip(keys_of(id), contents, strict=True):
            blobs.put(key, content)
    return Receipt(
        info=extraction.info,
        full=full,
        fingerprint=features.fingerprint,
        rows=len(features.rows),
        duration=features.duration,
        unreadable=features.unreadable,
        features_bytes=len(contents[0]),
        thumbnails_bytes=len(contents[1]),
    )

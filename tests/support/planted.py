"""Libraries whose content we chose, so that the right answer of every search is known.

Real files, a real store and the real model class; only the numbers in them are ours.

    library = Library(tmp_path / "library")
    id = plant(library, tmp_path / "a.mp4", rows)      # a file on the disk, indexed
    model = tiny_model()
"""

import functools
import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from feature_extract.extract import Extraction
from feature_extract.features import Features
from feature_extract.video.frames import VideoError, VideoInfo, shown_name
from vmr.library.content import full_digest
from vmr.library.store import Library

if TYPE_CHECKING:
    from vmr.model.retrieval import RetrievalModel
    from vmr.model.text import Words

WIDTH = 24
BLOCKS = {"appearance": WIDTH}
FINGERPRINT = "planted-1"


def random_rows(count: int, seed: int) -> NDArray[np.float16]:
    """(count, WIDTH), a row each second."""
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float16)


def planted_features(rows: NDArray[np.float16], fingerprint: str = FINGERPRINT) -> Features:
    """Rows of one second each, from 0."""
    count, blocks = len(rows), {"appearance": rows.shape[1]}
    if rows.shape[1] > WIDTH:  # of the real network, for the real model
        from feature_extract import motion
        from feature_extract.networks import appearance

        blocks = {**appearance.BLOCKS, "motion": motion.motion_width()}
    return Features(
        rows=rows,
        starts=np.arange(count, dtype=np.float64),
        ends=np.arange(1, count + 1, dtype=np.float64),
        blocks=blocks,
        cuts=np.zeros(0),
        duration=float(count),
        unreadable=(),
        fingerprint=fingerprint,
    )


def planted_extraction(rows: NDArray[np.float16], fingerprint: str = FINGERPRINT) -> Extraction:
    """As if a video had been read: the pictures are their row numbers."""
    features = planted_features(rows, fingerprint)
    info = VideoInfo(features.duration, 320, 180, 25.0, "h264", 0, False, 1000)
    return Extraction(features, info, tuple(b"jpeg %d" % row for row in range(len(rows))))


def write_file(path: Path, content: bytes = b"") -> Path:
    """A file of its own content: its name repeated, unless said otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or path.name.encode() * 50)
    return path


def plant(library: Library, path: Path, rows: NDArray[np.float16]) -> int:
    """Index a file as if these rows had been extracted from it; its id."""
    library.adopt(FINGERPRINT)
    video = library.register(write_file(path))
    library.store(video.id, planted_extraction(rows), full=full_digest(path))
    return video.id


@functools.cache
def packaged_words() -> "Words":
    """The word vectors that come with the product, read once a process: nobody changes them."""
    from vmr.model.text import Words

    return Words.load()


def as_made_by_version(folder: Path, version: int) -> None:
    """Take from a library, which must be closed, what its database got after this version."""
    with closing(sqlite3.connect(folder / "library.db", isolation_level=None)) as db:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'changed_%'"
        changes = [f"TRIGGER {name}" for (name,) in db.execute(triggers)] + ["TABLE changes"]
        spoken = [f"TABLE {name}" for name in ("passage_words", "passages", "spans", "transcripts")]
        recorded = "asked recorded recorded_offset latitude longitude make model"
        undo = {
            8: ["DROP TABLE looked"],
            7: [f"ALTER TABLE videos DROP COLUMN {name}" for name in recorded.split()],
            6: ["ALTER TABLE paths DROP COLUMN inode", "ALTER TABLE paths DROP COLUMN changed_ns"],
            5: [f"DROP {what}" for what in changes],
            4: [f"DROP {what}" for what in spoken],
            3: ["ALTER TABLE videos DROP COLUMN origin"],
        }
        for step in range(max(undo), version, -1):
            for statement in undo[step]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")


def tiny_model(seed: int = 0, *, blocks: dict[str, int] = BLOCKS) -> "RetrievalModel":
    """The real model with small random networks."""
    import torch  # here, so that processes which only index start in no time

    from vmr.model.retrieval import RetrievalModel
    from vmr.model.strength import Calibration
    from vmr.model.towers import Towers, TowersConfig

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    towers = Towers(TowersConfig(blocks=blocks, width=16, hidden=32))
    background, captions = (
        torch.nn.functional.normalize(torch.randn(count, 16), dim=-1) for count in (200, 100)
    )
    name = hashlib.sha256(f"{seed} {blocks}".encode()).hexdigest()[:12]
    calibration = Calibration(1.0, -2.0, 0.4, 0.7)
    return RetrievalModel(packaged_words(), towers, background, captions, calibration, "any", name)


class PlantedExtractor:
    """Stands where the networks stand: rows follow from the file's bytes, in no time.

    A file that begins with "bad" is refused as the real one refuses, one with "bug" fails in a way
    nobody foresaw.
    """

    fingerprint = FINGERPRINT
    blocks = BLOCKS

    def __init__(self, *, steps: int = 4, pause_seconds: float = 0.0) -> None:
        self._steps, self._pause_seconds = steps, pause_seconds

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        """Rows seeded by the content; progress in a few steps."""
        content = path.read_bytes()
        if content.startswith(b"bad"):
            raise VideoError(f"{shown_name(path)}: not a video")
        if content.startswith(b"bug"):
            raise ZeroDivisionError("nobody thought of this")
        for step in range(self._steps):
            time.sleep(self._pause_seconds)
            if on_progress is not None:
                on_progress((step + 1) / self._steps)
        return planted_extraction(random_rows(20, zlib.crc32(content)))

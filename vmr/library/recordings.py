"""When, where and with what the videos of a library were recorded, as their files say.

library.recordings.complete()                   # videos from before, by their headers alone
library.recordings.silent()                     # how many say nothing of time, place and camera
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from feature_extract.video.recording import Recording, read_recordings, recording_of
from vmr.library.catalogue import RECORDING, SEARCHABLE
from vmr.library.connection import Catalogue
from vmr.library.films import BucketPath, read_stored

_BATCH: Final = 256
"""Videos that one transaction keeps."""


@dataclass(frozen=True)
class Silent:
    """How many searchable videos do not say something of their recording."""

    time: int
    place: int
    camera: int


class Recordings:
    """What the files of a library say, kept in its database."""

    def __init__(self, db: Catalogue) -> None:
        self._db = db

    def complete(self) -> int:
        """Ask the files of videos that were read before this was asked; how many have answered.

        A file that cannot be opened now is asked again the next time.
        """
        rows = self._db.fetch(
            f"SELECT id, path FROM videos JOIN paths ON video = id "  # noqa: S608  # no part of it comes from outside
            f"WHERE asked = 0 AND present = 1 AND state IN {SEARCHABLE} ORDER BY id"
        )
        paths = {read_stored(path): int(id) for id, path in rows}
        for film in [path for path in paths if isinstance(path, BucketPath)]:
            del paths[film]  # asked when it was read: none is from before
        done: dict[int, Recording] = {}
        count = 0
        for path, recording in read_recordings(paths):
            done[paths[path]] = recording
            if len(done) == _BATCH:
                count += self.keep(done)
                done = {}
        return count + self.keep(done)

    def keep(self, done: Mapping[int, Recording]) -> int:
        """What the files of these videos say, by their ids; how many there are."""
        columns = ", ".join(f"{name} = ?" for name in RECORDING.split())
        statement = f"UPDATE videos SET {columns}, asked = 1 WHERE id = ?"  # noqa: S608  # no part of it comes from outside
        with self._db.transaction() as db:
            db.executemany(statement, [(*_values(said), id) for id, said in done.items()])
        return len(done)

    def silent(self) -> Silent:
        """Over all videos that can be searched."""
        ((time, place, camera),) = self._db.fetch(
            f"SELECT count(*) FILTER (WHERE recorded IS NULL), "  # noqa: S608  # no part of it comes from outside
            f"count(*) FILTER (WHERE latitude IS NULL), count(*) FILTER (WHERE make || model = '') "
            f"FROM videos WHERE state IN {SEARCHABLE}"
        )
        return Silent(time, place, camera)


def columns_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """What is kept of a video that is read now, by the names of the columns."""
    return dict(zip(RECORDING.split(), _values(recording_of(tags)), strict=True)) | {"asked": 1}


def _values(said: Recording) -> tuple[Any, ...]:
    return said.time, said.offset, said.latitude, said.longitude, said.make, said.model

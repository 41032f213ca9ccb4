"""When, where and with what a film was recorded, as far as its file says.

    recording = recording_of(info.tags)
    recording.text, recording.place, recording.camera   # "2023-05-14T12:34:56+02:00", (52.5, 13.4)
    for path, recording in read_recordings(paths): ...  # of files that were read before

Tags are written by clocks that were never set, and by programs: what cannot be is left out. A place
stays here: it is a pair of numbers, shown as such.
"""

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from feature_extract.video.child import Child, LostError
from feature_extract.video.frames import WAIT_SECONDS
from feature_extract.video.tags import HANDLER

logger = logging.getLogger(__name__)


_TIMES: Final = (
    "com.apple.quicktime.creationdate",  # with the zone of the place
    "date_recorded",
    "creation_time",  # by the standard without a zone, in UTC
    "date",  # of a release, often
)
_PLACES: Final = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_MAKES: Final = ("com.apple.quicktime.make", "com.android.manufacturer", "make")
_MODELS: Final = ("com.apple.quicktime.model", "com.android.model", "model")
_HANDLERS: Final = ("GoPro", "DJI")
"""Makers whose cameras say who they are in the names of their streams only."""
_TIME: Final = re.compile(
    r"(\d{4})[-:]?(\d\d)[-:]?(\d\d)[T ](\d\d):?(\d\d):?(\d\d)?(?:[.,]\d+)?\s*(Z|[+-]\d\d:?\d\d)?"
)
_ISO_6709: Final = re.compile(r"([+-]\d{2,6}(?:\.\d+)?)([+-]\d{3,7}(?:\.\d+)?)(?:[+-]\d+.*)?/?")
_NEVER_SET: Final = (1904, 1970)
"""Years in which the clocks of containers and of systems begin to count."""
_FIRST_YEAR: Final = 1888
_AHEAD: Final = timedelta(days=1)
"""A recording may be as far in the future as zones are apart."""
_EARTH_KM: Final = 6371.0
_REQUEST_BYTES: Final = 16_000
"""Of the names that one child process is given: Windows takes no longer command line."""


@dataclass(frozen=True)
class Recording:
    """What a file says of its recording; nothing by default."""

    time: float | None = None
    "POSIX seconds"
    offset: int | None = None
    "minutes that clocks there were ahead of UTC; None where the file does not say"
    latitude: float | None = None
    "degrees, north is positive"
    longitude: float | None = None
    "degrees, east is positive"
    make: str = ""
    model: str = ""

    @property
    def text(self) -> str | None:
        """The time as in 2023-05-14T12:34:56+02:00; None where it is not known."""
        if self.time is None:
            return None
        zone = UTC if self.offset is None else timezone(timedelta(minutes=self.offset))
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time)
        return moment.astimezone(zone).isoformat(timespec="seconds")

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude

    @property
    def camera(self) -> str:
        """Make and model in one, without saying the make twice."""
        if self.model.lower().startswith(self.make.lower()):
            return self.model
        return f"{self.make} {self.model}".strip()


def recording_of(tags: Mapping[str, str], *, now: datetime | None = None) -> Recording:
    """What the tags of a file say; `now` is the time after which nothing has been recorded."""
    named = {name.lower(): text.strip() for name, text in tags.items()}
    latest = (now or datetime.now(UTC)) + _AHEAD
    times = (_time(named.get(name, ""), latest) for name in _TIMES)
    time, offset = next((found for found in times if found), (None, None))
    places = (_place(named.get(name, "")) for name in _PLACES)
    latitude, longitude = next((found for found in places if found), (None, None))
    make = _first(named, _MAKES)
    if not make:
        written = named.get(HANDLER, "").lstrip("\x00\x0b\x10")
        make = next((maker for maker in _HANDLERS if written.startswith(maker)), "")
    return Recording(time, offset, latitude, longitude, make, _first(named, _MODELS))


def read_recordings(paths: Iterable[Path]) -> Iterator[tuple[Path, Recording]]:
    """What each file says, by its header alone; files that cannot be opened are left out."""
    for group in _groups(paths):
        left = group
        while left:
            read = 0
            for path, recording in _by_one_child(left):
                read += 1
                if recording is not None:
                    yield path, recording
            left = left[read:]


def kilometres(latitude: float, longitude: float, other: float, beyond: float) -> float:
    """Along the earth from one place to another, (`other`, `beyond`); degrees."""
    north, south = math.radians(latitude), math.radians(other)
    across = math.sin((south - north) / 2) ** 2
    across += (
        math.cos(north) * math.cos(south) * math.sin(math.radians(beyond - longitude) / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(across)))


def _by_one_child(paths: list[Path]) -> Iterator[tuple[Path, Recording | None]]:
    """Of these files in order, as far as one process comes: the last one may have ended it."""
    child = Child({"paths": [os.path.abspath(path) for path in paths]})  # noqa: PTH100  # links stay as named
    try:
        for path in paths:
            kind, fields, _ = child.next(WAIT_SECONDS)
            yield path, recording_of(fields["tags"]) if kind == "tags" else None
    except LostError as lost:
        logger.info("%s: what it says of its recording is not known: %s", path, lost)
        yield path, None
    finally:
        child.close()


def _groups(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """As many as fit into one request."""
    group: list[Path] = []
    held = 0
    for path in paths:
        length = len(json.dumps(os.path.abspath(path)))  # noqa: PTH100  # links stay as named
        if group and held + length > _REQUEST_BYTES:
            yield group
            group, held = [], 0
        group.append(path)
        held += length
    if group:
        yield group


def _first(named: Mapping[str, str], names: Iterable[str]) -> str:
    return next((named[name] for name in names if named.get(name)), "")


def _time(text: str, latest: datetime) -> tuple[float, int | None] | None:
    """POSIX seconds, and minutes ahead of UTC where a zone is named; None where it cannot be."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    *parts, zone = found.groups()
    named = None
    if zone not in (None, "Z"):
        minutes = 60 * int(zone[1:3]) + int(zone[-2:])
        named = -minutes if zone[0] == "-" else minutes
    try:
        tzinfo = timezone(timedelta(minutes=named or 0))
        moment = datetime(*(int(part or 0) for part in parts), tzinfo=tzinfo)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    year = moment.astimezone(UTC).year if moment.year > 1 else 1
    if year < _FIRST_YEAR or year in _NEVER_SET or moment > latest:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds(), named


def _place(text: str) -> tuple[float, float] | None:
    """Degrees from ISO 6709, as in +52.5200+013.4050/ or +5231.2+01324.3/; None where it cannot
    be. Exactly 0, 0 is what receivers write that know of no satellite."""
    found = _ISO_6709.fullmatch(text)
    if found is None:
        return None
    latitude, longitude = _degrees(found[1], 2), _degrees(found[2], 3)
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude, longitude) == (0, 0):
        return None
    return latitude, longitude


def _degrees(text: str, digits: int) -> float:
    """From degrees, degrees and minutes, or degrees, minutes and seconds, run together."""
    whole, _, fraction = text[1:].partition(".")
    degrees, rest = whole[:digits], whole[digits:]
    parts = [degrees, *(rest[i : i + 2] for i in range(0, len(rest), 2))]
    parts[-1] += f".{fraction}" if fraction else ""
    value = sum(float(part) / 60.0**place for place, part in enumerate(parts))
    return -value if text[0] == "-" else value

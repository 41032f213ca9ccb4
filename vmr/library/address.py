"""Where a library is: a folder, or the address of a database that several machines share.

place = read_place("postgresql://films@db.local/moments")      # an Address; of a folder, its Path
str(place)                                                     # without what is secret in it
"""

import argparse
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from feature_extract.files import cache_folder
from vmr.library.database import default_library
from vmr.library.locks import plain_errors

SCHEMES: Final = ("postgresql", "postgres")
_SECRET: Final = ("password", "passfile", "sslpassword")
"""Parameters of libpq that are not shown."""


@dataclass(frozen=True)
class Address:
    """A library on a PostgreSQL server."""

    url: str = field(repr=False)
    "as libpq takes it; a password in it is never shown"

    def __str__(self) -> str:
        """The address as people may see it: who, where and which database."""
        parts = urlsplit(self.url)
        user = f"{quote(parts.username)}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        shown = [(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRET]
        host = f"{user}{parts.hostname or ''}{port}"
        return urlunsplit(("postgresql", host, parts.path, urlencode(shown, safe="/:"), ""))

    @property
    def holds_secret(self) -> bool:
        """Whether a password stands in it, which everybody on this computer could read where it
        is an argument of a command."""
        parts = urlsplit(self.url)
        return bool(parts.password) or any(name in _SECRET for name, _ in parse_qsl(parts.query))

    @property
    def cache(self) -> Path:
        """The folder of this computer for what is made of the library, and can be made again."""
        name = hashlib.blake2b(str(self).encode(), digest_size=8).hexdigest()
        return cache_folder() / "libraries" / name

    def make_cache(self) -> None:
        """Make that folder where it is missing; LibraryError where that cannot be."""
        with plain_errors(self.cache):
            self.cache.mkdir(parents=True, exist_ok=True)


Place: TypeAlias = Path | Address


def read_place(text: str) -> Place:
    """A folder, or an address where the text is one.

    Raises:
        ValueError: it is an address of a kind that is not known.
    """
    scheme = re.match(r"([a-z][a-z0-9+]+)://", text)
    if scheme is None:
        return Path(text)
    if scheme[1] not in SCHEMES:
        raise ValueError(f"{text}: a library is a folder or postgresql://USER@HOST/DATABASE")
    return Address(text)


def default_place() -> Place:
    """What $VMR_LIBRARY names, or a folder of the user's data."""
    named = os.environ.get("VMR_LIBRARY", "")
    return read_place(named) if "://" in named else default_library()


def place_option(text: str) -> Place:
    """As `read_place`, for the command line: what stands there everybody can see, so that an
    address with a password is refused."""
    try:
        place = read_place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if isinstance(place, Address) and place.holds_secret:
        raise argparse.ArgumentTypeError(
            "a password on the command line can be read by everybody here; put it into PGPASSWORD "
            "or ~/.pgpass, or the whole address into VMR_LIBRARY"
        )
    return place

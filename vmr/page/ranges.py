"""Films in buckets for players: the bytes that a browser asks for, read from the store as they go.

part = read_range("bytes=0-1023", size)     # None: all of it
for piece in pieces(path, entry, part.start, part.stop): ...

Nobody gets an address that the store would answer to: what is played comes through our server.
"""

import re
from collections.abc import Iterator
from typing import Final

from vmr.library.blobs import Entry
from vmr.library.films import BucketPath, bucket_of

PIECE_BYTES: Final = 1 << 20


def read_range(asked: str, size: int) -> range | None:
    """The bytes of a file of `size` that the header Range asks for; None where it asks for all, or
    for what is not served, such as several parts.

    Raises:
        ValueError: none of them is there.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", asked)
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        part = range(max(0, size - int(last)), size)
    else:
        part = range(int(first), min(int(last) + 1, size) if last else size)
    if not part:
        raise ValueError(f"{asked}: the file has {size} bytes")
    return part


def pieces(path: BucketPath, entry: Entry, start: int, end: int) -> Iterator[bytes]:
    """The bytes of one content from `start` to before `end`.

    Raises:
        OSError: the store does not give them, or it was replaced meanwhile.
    """
    bucket = bucket_of(path)
    for first in range(start, end, PIECE_BYTES):
        last = min(first + PIECE_BYTES, end)
        yield bucket.get_range(path.key, first, last, tag=entry.tag)

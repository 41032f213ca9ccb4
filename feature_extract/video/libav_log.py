"""What libav says on standard error: of some damage that is the only sign.

Runs inside the child process of `decoder.py`, whose standard error nobody else reads.

    complaints = Complaints()
    ...                        # read and decode
    complaints.new()           # what was said since the last look; empty while all is well
"""

import os
import re
import tempfile
from typing import Final

LONGEST: Final = 1 << 16
"""Bytes of complaints that are looked at; a damaged file can make thousands a second."""
FULL: Final = 1 << 24
"""Bytes after which the file of all complaints begins anew."""
_PATCHED: Final = re.compile(
    rb"LZW decode failed|error while decoding MB|error at MB|damaged at \d|error dc|error count"
    rb"|header damaged|first frame is no keyframe",
    re.IGNORECASE,
)
_OF_MATROSKA: Final = re.compile(rb"^\[matroska", re.MULTILINE)


class Complaints:
    """Takes the place of standard error."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115
        self._seen = 0
        os.dup2(self._file.fileno(), 2)

    def new(self) -> bytes:
        """What came since the last call. Decoding threads go on complaining during this one, so the
        file is emptied only once it is long: what came just then would be lost."""
        file = self._file.fileno()
        size = os.fstat(file).st_size
        if size == self._seen:
            return b""
        said = os.pread(file, min(size - self._seen, LONGEST), self._seen)
        self._seen = size
        if size > FULL:
            os.ftruncate(file, 0)  # later ones are appended: they begin at 0 again
            self._seen = 0
        return said


def is_patched(said: bytes) -> bool:
    """Whether a decoder made up a part of a picture. Others of its complaints are of streams that
    are only odd, such as one that was cut in front of a picture that it refers to."""
    return _PATCHED.search(said) is not None


def is_of_matroska(said: bytes) -> bool:
    """Whether the container left something out, and not a decoding thread that spoke meanwhile."""
    return _OF_MATROSKA.search(said) is not None

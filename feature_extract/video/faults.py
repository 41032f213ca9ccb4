"""What a disk, a network or a permission did, told apart from what the bytes of a file say.

A fault passes: the file may be sound, and is to be tried again. Used on both sides of `decoder.py`.

    try: ...
    except OSError as error:
        if is_fault(error):
            raise RefusedError(in_words(error), passing=True) from error
    av.open(DiskFile("/a.mkv"))     # raises what the system says, whatever libav makes of it
"""

import errno
import io
import os
from typing import Final

_NAMES: Final = (
    "EACCES EBUSY ECONNABORTED ECONNREFUSED ECONNRESET EHOSTDOWN EHOSTUNREACH EIO EMFILE "
    "ENETDOWN ENETUNREACH ENFILE ENODEV ENOTCONN ENXIO EPERM EREMOTEIO ESHUTDOWN ESTALE "
    "ETIMEDOUT"
)
FAULTS: Final = frozenset(
    number for name in _NAMES.split() if (number := getattr(errno, name, None)) is not None
)
"""Errors by which a system says that it cannot read now, nothing about what would be read."""


def is_fault(error: BaseException, *, of_libav: bool = False) -> bool:
    """Whether a system's refusal to read is behind this error.

    Args:
        of_libav: it comes from libav, which says EIO of files that are cut short, too: that may be
            the file's.
    """
    number = getattr(error, "errno", None)
    return number in FAULTS and not (of_libav and number == errno.EIO)


class DiskFile(io.FileIO):
    """A file for libav that raises what the system says when it cannot be read.

    By itself libav takes a failed read for the end of most kinds of files, or looks for more behind
    it: half a film would pass for a whole one.
    """

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file; below zero for a place that there is not, which libav may try."""
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if is_fault(error):
                raise
            return -(error.errno or errno.EINVAL)


def in_words(error: BaseException) -> str:
    """What the system says, in small letters, without numbers and names."""
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number else str(error)).lower()

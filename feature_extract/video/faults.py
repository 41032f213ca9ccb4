"""What a disk, a network or a permission did, told apart from what the bytes of a file say.

A fault passes: the file may be sound, and is to be tried again. Used on both sides of `decoder.py`.

    try: ...
    except OSError as error:
        if is_fault(error):
            raise RefusedError(in_words(error), passing=True) from error
"""

import errno
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


def in_words(error: BaseException) -> str:
    """What the system says, in small letters, without numbers and names."""
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number else str(error)).lower()

"""What was done another way than usual, and why: silent unless asked for.

    logger = logging.getLogger(__name__)                # in every file that has something to say
    logger.info("%s: read anew: %s", path, reason)      # never above INFO: Python prints warnings
    with shown(options.verbose): ...                    # such lines on standard error

Whoever uses the packages as a library configures `logging` as usual. Beside `files.py` the lowest
file of all.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OURS: Final = ("feature_extract", "vmr")
HELP: Final = "say on standard error what was done another way than usual, and why"


class _OneLine(logging.Formatter):
    """A file name may hold a line break; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        return "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
        )


@contextmanager
def shown(verbose: bool = True) -> Iterator[None]:
    """Print what our loggers say, while the context is open."""
    if not verbose:
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("log: %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in OURS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)

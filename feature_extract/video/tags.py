"""Which tags of a container say when, where and with what a film was recorded.

Runs inside the child process of `decoder.py`; `recording.py` says what they mean.
"""

import re
from typing import Any, Final

KEPT: Final = re.compile(
    r"creation_time|date|date_recorded|location(-\w+)?|make|model|"
    r"com\.apple\.quicktime\.(creationdate|location\.\w+(\.\w+)*|make|model|software)|"
    r"com\.android\.(manufacturer|model|capture\.fps)",
    re.IGNORECASE,
)
LONGEST_TAG: Final = 1000
HANDLER: Final = "handler_name"
"""What wrote a stream: some cameras name themselves nowhere else."""


def tags_of(container: Any, stream: Any) -> dict[str, str]:
    """The tags of an open file and its video stream, by the container's own names."""
    tags = {**stream.metadata, **container.metadata}
    return {
        name: text[:LONGEST_TAG]
        for name, text in tags.items()
        if KEPT.fullmatch(name) and text.strip()
    }


def told_by(container: Any, stream: Any) -> dict[str, str]:
    """All that `recording.recording_of` reads: the tags, and what wrote the stream."""
    handler = stream.metadata.get(HANDLER, "")[:LONGEST_TAG]
    return tags_of(container, stream) | ({HANDLER: handler} if handler else {})

"""The one kind of error of this room.

raise EncoderError("clip-b99: no such encoder; did you mean clip-b32?")
"""


class EncoderError(ValueError):
    """An encoder that cannot be found, fetched or used; one line that names it and what to do."""

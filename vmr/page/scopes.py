"""Which part of the library a visitor asks for, read from what the scripts send.

read_scope({"camera": "GoPro", "recorded_since": "2023-05"}, access)        # a Scope
"""

from datetime import timedelta

from vmr.library.films import film_path
from vmr.library.scope import Near, Scope, read_day
from vmr.page.access import Access, PageError
from vmr.page.requests import ScopeRequest

_DAY = timedelta(days=1)


def read_scope(asked: ScopeRequest | None, access: Access) -> Scope:
    """The part of the library; all of it where nothing is asked for.

    Raises:
        PageError: a date or a place is none.
        AccessError: a folder is named by somebody who may not see where the videos lie.
    """
    asked = asked or {}
    folder, near = asked.get("folder"), asked.get("near")
    first, last = asked.get("recorded_since"), asked.get("recorded_through")
    if folder:
        access.require("paths")
    try:
        return Scope(
            folder=film_path(folder) if folder else None,
            since=asked.get("since"),
            until=asked.get("until"),
            min_length=asked.get("min_length", 0.0),
            recorded_since=read_day(first) if first else None,
            recorded_until=read_day(last) + _DAY if last else None,
            camera=asked.get("camera", ""),
            near=Near.read(near) if near else None,
        )
    except (ValueError, OverflowError) as error:
        raise PageError(str(error)) from error

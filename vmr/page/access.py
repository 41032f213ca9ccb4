"""What visitors of the page may do: one object knows, and one kind of error says what they may not.

access = Access(change=False)
access.require("change")            # AccessError: this library can be searched here, not changed
"""

from dataclasses import dataclass
from typing import Final, Literal

from vmr.library.store import LibraryError

Right = Literal["change", "paths", "originals"]
_REFUSALS: Final[dict[Right, str]] = {
    "change": "this library can be searched here, not changed",
    "paths": "files and folders of this computer cannot be named from here",
    "originals": "the original videos cannot be had from here, only previews",
}


class PageError(ValueError):
    """What a visitor asked for cannot be done; one line for that visitor."""


class NotFoundError(PageError):
    """What a visitor asked for is not there."""


class AccessError(PageError):
    """Visitors may not do this here."""


@dataclass(frozen=True)
class Access:
    """What every visitor of one page may do; searching is always allowed."""

    change: bool = True
    "add, retry, rate and remove videos"
    paths: bool = True
    "name files and folders of this computer, and see where the videos lie"
    originals: bool = True
    "play and download the original files; without it, only small previews of moments"

    def require(self, *rights: Right) -> None:
        """Do nothing where visitors have all these rights.

        Raises:
            AccessError: they lack one; the message says what cannot be done here.
        """
        for right in rights:
            if not getattr(self, right):
                raise AccessError(_REFUSALS[right])

    def message(self, error: Exception) -> str:
        """The one line of an error; a general one where the line may name a hidden folder."""
        if isinstance(error, LibraryError) and not self.paths:
            return "the library cannot do that now"
        return str(error)

    def reason(self, reason: str) -> str:
        """Why a video was refused; a general reason where this one may name a hidden folder."""
        hidden = not self.paths and ("/" in reason or "\\" in reason)
        return "it could not be read" if hidden else reason

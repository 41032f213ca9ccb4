"""Who may ask the page's server for anything: logged in, from our own page, and not too often.

Gradio guards its own routes with its login, but not routes that are added beside them, and its
login says nothing about where a request comes from. Every route and function of the page asks here.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))


class RateLimit:
    """At most `count` calls in `seconds` for each client."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._calls: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def allows(self, client: str) -> bool:
        """Whether this client may call once more now; if so, the call is counted."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            calls = self._calls.setdefault(client, deque())
            if len(calls) >= self._count:
                return False
            calls.append(now)
            return True

    def _forget(self, now: float) -> None:
        for client, calls in list(self._calls.items()):
            while calls and now - calls[0] >= self._seconds:
                calls.popleft()
            if not calls:
                del self._calls[client]


class OriginError(ValueError):
    """A request that another site's page sent."""


class RateError(ValueError):
    """A request of a visitor who asks too much at a time."""


@dataclass(frozen=True)
class Guard:
    """Looks at every request before it is answered."""

    loopback: bool
    "whether the page is served to this computer only"
    limit: RateLimit | None
    "of searches and previews; None where the only visitor owns the computer"

    def admit(self, headers: Mapping[str, str]) -> None:
        """OriginError, unless the request comes from our own page or from no page at all."""
        if not from_our_page(headers, loopback=self.loopback):
            raise OriginError("this page may only be used from its own address")

    def count(self, client: str) -> None:
        """RateError, when this client asks too much at a time."""
        if self.limit and not self.limit.allows(client):
            raise RateError("too many requests; wait a few seconds")


def is_loopback(host: str) -> bool:
    """Whether a server bound to this host can be reached from this computer only."""
    return host in _LOOPBACK


def from_our_page(headers: Mapping[str, str], *, loopback: bool) -> bool:
    """Whether a request was not sent by another site's page in the visitor's browser.

    A browser names the page's site in `Origin`, but not where it only fetches a picture or a film:
    there `Sec-Fetch-Site` tells. Programs such as curl send neither; a link that is followed is no
    harm. On the loopback address the name in `Host` must be ours too, because a hostile site may
    let its own name point to 127.0.0.1.
    """
    host = headers.get("host", "")
    origin = headers.get("origin")
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if foreign and headers.get("sec-fetch-mode") != "navigate":
        return False
    try:
        if loopback and urlsplit(f"//{host}").hostname not in _LOOPBACK:
            return False
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:  # no address at all
        return False


def logged_in(app: Any, cookies: Mapping[str, str]) -> bool:
    """Whether Gradio's login has been passed, or none is asked for.

    Args:
        app: the Gradio application, which keeps the tokens it gave out.
    """
    if app.auth is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(cookies.get(name) in app.tokens for name in names if cookies.get(name))

"""Who may ask: no other site's page through a visitor's browser, and for the plug nobody from elsewhere."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from flask import Request

_READING = ("GET", "HEAD", "OPTIONS")
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
"""The headers by which a proxy says that it is one."""


def is_cross_site(request: Request) -> bool:
    """Tell whether another site's page sent this to change something. A program that names no origin is no page."""
    if request.method in _READING:
        return False
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and _split(origin).netloc != request.host


def is_from_this_machine(request: Request) -> bool:
    """Tell whether a request was made on this machine, to it by its local name, and passed on by no proxy.

    The name matters: another site's name may be made to lead here. So does a page's `Origin`, which is the visitor's
    address even where a proxy on this machine leaves no other trace and calls us by our local name. What cannot be
    told from a request of this machine: through such a proxy, one that names no origin, as programs' are, and as is a
    browser's that only looks at the page.
    """
    passed_on = any(name in request.headers for name in _PASSED_ON)
    named = [_split(f"//{request.host}").hostname]
    if (origin := request.headers.get("Origin")) is not None:
        named.append(_split(origin).hostname)
    return not passed_on and all(name in _THIS_MACHINE for name in (request.remote_addr, *named))


def _split(address: str) -> SplitResult:
    """Return the parts of an address; a malformed one has none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")

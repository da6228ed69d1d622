"""Who may ask: no other site's page through a visitor's browser, and for the plug nobody from elsewhere."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from flask import Request

_READING = ("GET", "HEAD", "OPTIONS")
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


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

    The name matters: another site's name may be made to lead here.
    """
    passed_on = "Forwarded" in request.headers or "X-Forwarded-For" in request.headers
    named = _split(f"//{request.host}").hostname
    return not passed_on and request.remote_addr in _THIS_MACHINE and named in _THIS_MACHINE


def _split(address: str) -> SplitResult:
    """Return the parts of an address; a malformed one has none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")

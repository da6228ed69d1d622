"""What is answered under the prefix where no route is: 404, or 405 with the methods that the address takes."""

from __future__ import annotations

from typing import NoReturn

from flask import current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "PROPFIND")


def nothing_here(rest: str = "") -> NoReturn:
    """Refuse a request that no other route takes."""
    allowed = [method for method in METHODS if _is_taken(method)]
    if allowed:
        raise MethodNotAllowed([*allowed, *(["HEAD"] if "GET" in allowed else [])])
    raise NotFound()


def _is_taken(method: str) -> bool:
    """Tell whether another route takes the address of this request by `method`."""
    adapter = current_app.create_url_adapter(request)
    if adapter is None:
        return False
    try:
        endpoint, _ = adapter.match(method=method)
    except HTTPException:
        return False
    return bool(endpoint != request.endpoint)

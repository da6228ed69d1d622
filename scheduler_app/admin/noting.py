"""Who makes a request, said to the client: so that each change that an action makes leaves a row in the audit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, request

from ..client import audited

LONGEST_REQUEST_ID = 200


def noted(action: Callable[..., Any]) -> Callable[..., Any]:
    """Return an action whose changes are written down as those of whoever was let in, if anybody was."""

    @wraps(action)
    def act(**arguments: Any) -> Any:
        with audited(g.get("scheduler_actor"), **source()):
            return action(**arguments)

    return act


def source() -> dict[str, str]:
    """Return from where the current request comes: the caller's address, and the id that the request was given."""
    known = {"door": "rest", "address": request.remote_addr, "request_id": _request_id()}
    return {name: value for name, value in known.items() if value}


def _request_id() -> str | None:
    """Return the id that the app or its proxy gave the request, as SCHEDULER_CARRY finds it."""
    found = g.get("request_id") or request.headers.get("X-Request-ID")
    return None if found is None else str(found)[:LONGEST_REQUEST_ID]

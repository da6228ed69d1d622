"""Whether an app can run `async def` functions: by asgiref, or by what it put in the place of Flask's own way."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from flask import Flask


def runs_async(app: Flask) -> bool:
    """Tell whether `app.ensure_sync` can make a coroutine function callable."""
    kind = type(app)
    is_flasks_own = kind.ensure_sync is Flask.ensure_sync and kind.async_to_sync is Flask.async_to_sync
    return not is_flasks_own or _has_asgiref()


@cache
def _has_asgiref() -> bool:
    return find_spec("asgiref") is not None

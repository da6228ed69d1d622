"""Whether a request came through a server, known or not, or was made up by a test."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import BytesIO
from types import FrameType
from typing import Any

from .stacks import slashed


def comes_from_server(environ: Mapping[str, Any]) -> bool:
    """Tell, in its thread, whether a WSGI request came through a server, known or not, rather than a test client.

    Servers need not name themselves (PEP 3333 asks for no `SERVER_SOFTWARE`, and uvicorn's adapters set none), so
    werkzeug's and Flask's test client is recognized instead: by its function on the stack, or, where an environ of its
    making is handled without it (`app.test_request_context`), by what that holds and lacks.
    """
    return not _is_made_up(environ) and not _is_in_test_client(sys._getframe(1))


def _is_made_up(environ: Mapping[str, Any]) -> bool:
    """Whether werkzeug's `EnvironBuilder` made it: its whole body in memory, and nobody at either end of the line."""
    names_someone = any(name in environ for name in ("REMOTE_ADDR", "SERVER_SOFTWARE", "uwsgi.version"))
    return isinstance(environ.get("wsgi.input"), BytesIO) and not names_someone


def _is_in_test_client(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "run_wsgi_app" and slashed(frame.f_code).endswith("/werkzeug/test.py"):
            return True
        frame = frame.f_back
    return False

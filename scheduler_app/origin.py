"""Where a job came from: a line of code, a schedule, or a door that somebody asked at. Shown, never acted on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parent) + os.sep
_said: ContextVar[str | None] = ContextVar("scheduler-origin", default=None)


@contextmanager
def coming_from(door: str) -> Iterator[None]:
    """Have what is scheduled in this block come from a door of this package, which no line of the app's code called."""
    token = _said.set(of_request(door))
    try:
        yield
    finally:
        _said.reset(token)


def line_of_caller() -> str | None:
    """Return the origin of what is called now, as it is stored: the file and line that called into this package."""
    if (said := _said.get()) is not None:
        return said
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return _line(frame.f_code.co_filename, frame.f_lineno)


def of_schedule(name: str) -> str:
    """Return the origin of what a schedule emits, as it is stored."""
    return json.dumps({"schedule": name})


def of_request(door: str, content: str | None = None) -> str:
    """Return the origin of what a person or program asked for at a door, as it is stored.

    `content` tells later whether the same was asked for again. It is stored only.
    """
    return json.dumps({"door": door} if content is None else {"door": door, "content": content})


def content_of(text: str | None) -> str | None:
    """Return the `content` of a stored origin; None where there is none."""
    return _facts(text).get("content")


def read_origin(text: str | None) -> dict[str, str]:
    """Return a stored origin: "at" ("app/views.py:42"), "schedule" or "door"; nothing where it cannot be read."""
    facts = _facts(text)
    return {name: facts[name] for name in ("at", "schedule", "door") if name in facts}


def _facts(text: str | None) -> dict[str, str]:
    try:
        stored: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    facts = stored if isinstance(stored, dict) else {}
    return {name: fact for name, fact in facts.items() if isinstance(fact, str)}


@lru_cache(maxsize=4096)
def _line(file: str, line: int) -> str:
    return json.dumps({"at": f"{_shown(file)}:{line}"})


def _shown(file: str) -> str:
    """Return a file's path from the folder on the import path that it is in, which is the same on every host."""
    within = [entry for entry in sys.path if entry and file.startswith(entry.rstrip(os.sep) + os.sep)]
    here = os.getcwd() + os.sep
    if file.startswith(here):
        within.append(here)
    folder = max(within, key=len, default="")
    return file[len(folder) :].lstrip(os.sep) if folder else file

"""Progress: how far a running job says that it is, as it is stored and shown."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from .errors import ProgressError

LONGEST_MESSAGE = 500
"""Characters of a message that are kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """So much of so much is done; `total` is None where it is not known."""

    done: float
    total: float | None = None
    message: str | None = None

    @property
    def share(self) -> float | None:
        """What part is done, from 0 to 1."""
        return None if not self.total else min(1.0, max(0.0, self.done / self.total))

    def __str__(self) -> str:
        counted = f"{self.done:g}" if self.total is None else f"{self.done:g} of {self.total:g}"
        return f"{counted}: {self.message}" if self.message else counted


def encode_progress(done: Any, total: Any = None, message: Any = None) -> str:
    """Return progress as JSON. Raises `ProgressError` for numbers that are none; a long message is cut."""
    for name, value in (("done", done), ("total", total)):
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number and not (name == "total" and value is None):
            raise ProgressError(name, value)
    facts = {"done": done, "total": total, "message": None if message is None else _clean(str(message))}
    return json.dumps({name: value for name, value in facts.items() if value is not None}, separators=(",", ":"))


def decode_progress(text: str | None) -> Progress | None:
    """Return the progress that was stored; None where there is none, or it cannot be read."""
    try:
        facts: Any = json.loads(text or "null")
        encode_progress(**facts)
        return Progress(**facts)
    except (ValueError, TypeError, ProgressError, RecursionError):
        return None


def _clean(message: str) -> str:
    text = message.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"

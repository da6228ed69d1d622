"""A limit in seconds, as a person writes it: how long a task may run, how late it may start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

LONGEST_LIMIT = 315_360_000.0
"""The most that a limit may be, in seconds: ten years."""

ALLOWED = "a number of seconds above 0, at most ten years, or a timedelta"
"""What `limit_of` takes, for errors."""


def limit_of(value: Any) -> float | None:
    """Return a limit in seconds; None where the value is none: no number or timedelta from above 0 to ten years."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return float(seconds) if 0 < seconds <= LONGEST_LIMIT else None

"""What a running task may wish for by raising it: another run later, to be put off, or no further run."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from .errors import WishError
from .retry import LONGEST_DELAY


class Wish(Exception):
    """The base of what a task raises to say how its job goes on."""

    seconds: float | None = None
    """How long to wait; None leaves that to the job's `RetryPolicy`."""


class Retry(Wish):
    """Run this job again: in `after` seconds (or a timedelta), or when its `RetryPolicy` says.

    It counts as an error: it spends an attempt, and the last one fails. `raise Retry(after=60) from error` keeps the
    error with the attempt.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        self.seconds = None if after is None else _seconds("Retry(after=...)", after)
        super().__init__(reason or "asked to run again")


class Snooze(Wish):
    """Put this job off for some seconds (or a timedelta), as if it had not been started: no attempt is spent."""

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        self.seconds: float = _seconds("Snooze(seconds)", seconds)
        super().__init__(reason or f"put off by {self.seconds:g} s")


class GiveUp(Wish):
    """Fail this job now, whatever attempts it has left. `raise GiveUp("why") from error` keeps the error."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "gave up")


def _seconds(what: str, delay: Any) -> float:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_DELAY:
        raise WishError(what, delay)
    return float(seconds)

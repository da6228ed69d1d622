"""RetryPolicy: attempt number and error -> delay, or stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType

from scheduler_app.errors import RetryPolicyError

LONGEST_DELAY = 315_360_000.0
"""The most that `max_delay` may be, in seconds: ten years."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Say how often a job is run, and how long it waits after an error.

    The wait is ``backoff * factor ** (attempt - 1)`` seconds, at most `max_delay`, times a random number from
    ``1 - jitter`` to ``1 + jitter``. Raises `RetryPolicyError`, a `ValueError`, for a value that cannot be used.
    """

    attempts: int = 1
    """Runs in all, the first included."""

    backoff: float = 5.0
    """Seconds to wait after the first error."""

    factor: float = 2.0
    """What each further error multiplies the wait by; 1 keeps it the same."""

    max_delay: float = 3600.0
    """The longest wait in seconds, before jitter."""

    jitter: float = 0.2
    """The part of the wait, 0 to 1, by which it varies up and down, so that failed jobs do not return together."""

    def __post_init__(self) -> None:
        _require("attempts", self.attempts, 1, math.inf, "a whole number of 1 or more: runs in all", int)
        _require("backoff", self.backoff, 0, LONGEST_DELAY, "seconds from 0 to ten years")
        _require("factor", self.factor, 1, math.inf, "a finite number of 1 or more")
        _require("max_delay", self.max_delay, 0, LONGEST_DELAY, "seconds from 0 to ten years")
        _require("jitter", self.jitter, 0, 1, "a number from 0 to 1")

    def delay(
        self, attempt: int, error: BaseException | None = None, *, random: Callable[[], float]
    ) -> timedelta | None:
        """Return how long to wait before the next run, or None to stop.

        `attempt` is how many attempts have ended in an error so far, this one included, so 1 after the first.
        `error` is what ended it; this policy treats all alike. `random` answers a number from 0 to 1.
        """
        if attempt < 1:
            raise ValueError(f"delay() counts attempts from 1, but was given {attempt}.")
        if attempt >= self.attempts:
            return None
        vary = 1 + self.jitter * (2 * random() - 1)
        return timedelta(seconds=self._planned_seconds(attempt) * vary)

    def _planned_seconds(self, attempt: int) -> float:
        try:
            return min(self.max_delay, self.backoff * self.factor ** (attempt - 1))
        except OverflowError:
            return self.max_delay if self.backoff else 0.0


def _require(
    name: str, value: object, low: float, high: float, allowed: str, kind: type[int] | UnionType = int | float
) -> None:
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
        raise RetryPolicyError(name, value, allowed)

"""RetryPolicy: attempt number and error -> delay, or stop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from types import UnionType
from typing import Any

from scheduler_app.errors import RetryPolicyError

LONGEST_DELAY = 315_360_000.0
"""The most that `max_delay` may be, in seconds: ten years."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Say how often a job is run, after which errors, and how long it waits.

    The wait is ``backoff * factor ** (attempt - 1)`` seconds, at most `max_delay`, times a random number from
    ``1 - jitter`` to ``1 + jitter``. Raises `RetryPolicyError`, a `ValueError`, for a value that cannot be used.

    Exceptions are given as classes, or by their names ("requests.exceptions:Timeout"), and are kept as names: a
    stored policy imports nothing. One counts for its subclasses, too.
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

    retry_on: Sequence[str | type[BaseException]] = ()
    """The exceptions after which it runs again; none named: any."""

    give_up_on: Sequence[str | type[BaseException]] = ()
    """The exceptions after which it does not, also where `retry_on` names them."""

    def __post_init__(self) -> None:
        _require("attempts", self.attempts, 1, math.inf, "a whole number of 1 or more: runs in all", int)
        _require("backoff", self.backoff, 0, LONGEST_DELAY, "seconds from 0 to ten years")
        _require("factor", self.factor, 1, math.inf, "a finite number of 1 or more")
        _require("max_delay", self.max_delay, 0, LONGEST_DELAY, "seconds from 0 to ten years")
        _require("jitter", self.jitter, 0, 1, "a number from 0 to 1")
        object.__setattr__(self, "retry_on", _names("retry_on", self.retry_on))
        object.__setattr__(self, "give_up_on", _names("give_up_on", self.give_up_on))

    def delay(self, attempt: int, kinds: Sequence[str] = (), *, random: Callable[[], float]) -> timedelta | None:
        """Return how long to wait before the next run, or None to stop.

        `attempt` is how many attempts have ended in an error so far, this one included, so 1 after the first.
        `kinds` names the exception that ended it and its base classes, as `kinds_of` does; none: a timeout.
        `random` answers a number from 0 to 1.
        """
        if attempt < 1:
            raise ValueError(f"delay() counts attempts from 1, but was given {attempt}.")
        if attempt >= self.attempts or not self.repeats(kinds):
            return None
        return self.wait(attempt, random=random)

    def wait(self, attempt: int, *, random: Callable[[], float]) -> timedelta:
        """Return how long to wait after so many errors, whatever they were."""
        vary = 1 + self.jitter * (2 * random() - 1)
        return timedelta(seconds=self._planned_seconds(attempt) * vary)

    def repeats(self, kinds: Sequence[str]) -> bool:
        """Whether an error of these kinds is worth another run."""
        if any(kind in self.give_up_on for kind in kinds):
            return False
        return not self.retry_on or any(kind in self.retry_on for kind in kinds)

    def _planned_seconds(self, attempt: int) -> float:
        try:
            return min(self.max_delay, self.backoff * self.factor ** (attempt - 1))
        except OverflowError:
            return self.max_delay if self.backoff else 0.0


def kinds_of(error: BaseException) -> tuple[str, ...]:
    """Return the names of an exception's class and of those that it is derived from: "module:QualifiedName"."""
    return tuple(_name(kind) for kind in type(error).__mro__ if issubclass(kind, BaseException))


# -- as it is stored -------------------------------------------------------------------------------
# `attempts` has a column of its own; what is as by default is left out.

_STORED = tuple(part for part in fields(RetryPolicy) if part.name != "attempts")


@lru_cache(maxsize=1024)
def encode_policy(policy: RetryPolicy) -> str | None:
    """Return a policy, but for its `attempts`, as JSON; None for one that is as by default."""
    given = {part.name: getattr(policy, part.name) for part in _STORED if getattr(policy, part.name) != part.default}
    return json.dumps(given, separators=(",", ":")) if given else None


def decode_policy(text: str | None, attempts: int) -> RetryPolicy:
    """Return the policy that was stored, with its `attempts`. Raises `RetryPolicyError` for a damaged one."""
    try:
        given: Any = {} if text is None else json.loads(text)
        known = {part.name for part in _STORED}
        if not isinstance(given, dict) or not known.issuperset(given):
            raise ValueError
    except (ValueError, RecursionError):
        raise RetryPolicyError("...", str(text)[:80], "as it was stored") from None
    return RetryPolicy(attempts=attempts, **given)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _names(field: str, given: Any) -> tuple[str, ...]:
    listed = (given,) if isinstance(given, str | type) else given
    if not isinstance(listed, Iterable):
        raise RetryPolicyError(field, given, "exception classes, or names such as 'requests.exceptions:Timeout'")
    return tuple(_name_of(field, one) for one in listed)


def _name_of(field: str, one: Any) -> str:
    if isinstance(one, type) and issubclass(one, BaseException):
        return _name(one)
    module, colon, name = one.partition(":") if isinstance(one, str) else ("", "", "")
    parts = [*module.split("."), *name.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise RetryPolicyError(field, one, "exception classes, or names such as 'requests.exceptions:Timeout'")
    return f"{module}:{name}"


def _require(
    name: str, value: object, low: float, high: float, allowed: str, kind: type[int] | UnionType = int | float
) -> None:
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
        raise RetryPolicyError(name, value, allowed)

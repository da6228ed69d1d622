"""The one seam of time: what a store calls "now". Nothing else in the package reads a clock.

The host's clocks are read by `time.clock_gettime`, which `freezegun` leaves alone: a test that freezes the time of an
app must not stop the scheduler's leases and deadlines. What `freezegun` does move is `shown_now`, for tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from . import signals

STEP_SECONDS = 1.0
"""A host clock that moved this much against the monotonic clock has been stepped, not slewed."""


_EPOCH: datetime = next(kind for kind in datetime.__mro__ if kind.__module__ == "datetime")(1970, 1, 1, tzinfo=UTC)
"""Of the real class, even if this module is imported while `freezegun` stands in for it."""


def host_now() -> datetime:
    """Return the host's wall clock in UTC."""
    return _EPOCH + timedelta(microseconds=time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000)


def shown_now() -> datetime:
    """Return the time in UTC that the app's own code sees: frozen where a test froze it. Only for tests."""
    return _EPOCH + (datetime.now(UTC) - _EPOCH)


def monotonic() -> float:
    """Return seconds that only grow; no step of the wall clock moves them. For waits and leases."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def lasting() -> float:
    """Return seconds that only grow, and grow while this host sleeps, too. For how old a lease is."""
    at = monotonic()
    return at + _suspended(at)


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def _suspended(at: float) -> float:
    """Return the seconds that this host has slept between boot and `at` (0 where the platform cannot tell)."""
    return 0.0 if _BOOTTIME is None else time.clock_gettime(_BOOTTIME) - at


@dataclass(frozen=True, slots=True)
class _Mark:
    """One synchronization: the database's time, and the host's own clocks when its reply came."""

    time: datetime
    monotonic: float
    suspended: float
    wall_offset: float


class Clock:
    """The store's time: the database's at the last synchronization plus the monotonic time since.

    `read` asks the database. Because it answers before its reply arrives, `now()` is never ahead of
    the database, so nothing fires early; hosts with skewed clocks agree, and a stepped host clock
    changes nothing. Where the database's time is the host's (`local=True`: SQLite), a step is noticed
    against the monotonic clock, told (`clock_stepped`), and followed.
    """

    def __init__(self, read: Callable[[], datetime], *, local: bool = False, max_age: float = 30.0) -> None:
        self._read = read
        self._local = local
        self._max_age = max_age
        self._mark: _Mark | None = None

    def now(self) -> datetime:
        """Return the store's time (aware, UTC). Synchronizes first when that is overdue."""
        mark, at = self._mark, monotonic()
        if mark is None or self._is_stale(mark, at):
            mark, at = self._synchronize(), monotonic()
        return mark.time + timedelta(seconds=at - mark.monotonic)

    def reckon(self) -> datetime:
        """Return the store's time as `now()` does, without asking the database again, however long ago it was asked.

        For code that must not fail or wait: a runner in the middle of an outage.
        """
        mark = self._mark
        if mark is None:
            return self.now()
        return mark.time + timedelta(seconds=monotonic() - mark.monotonic)

    def synchronize(self) -> float:
        """Ask the database for its time; return how far it is ahead of the host's, in seconds."""
        mark = self._synchronize()
        return (mark.time - host_now()).total_seconds() + (monotonic() - mark.monotonic)

    def forget(self) -> None:
        """Drop what is known, so that the next `now()` asks again (after a fork or a reconnect)."""
        self._mark = None

    def _is_stale(self, mark: _Mark, at: float) -> bool:
        if at - mark.monotonic > self._max_age:
            return True
        if _suspended(at) - mark.suspended > STEP_SECONDS:
            return True
        return self._local and abs(_wall_offset(at) - mark.wall_offset) > STEP_SECONDS

    def _synchronize(self) -> _Mark:
        before = self._mark
        now = self._read()
        mark = _Mark(now, monotonic(), _suspended(monotonic()), _wall_offset(monotonic()))
        if self._local and before is not None:
            self._tell_step(before, mark)
        self._mark = mark
        return mark

    def _tell_step(self, before: _Mark, mark: _Mark) -> None:
        slept = mark.suspended - before.suspended
        step = mark.wall_offset - before.wall_offset - slept
        if abs(step) > STEP_SECONDS:
            signals.clock_stepped.send(self, seconds=step)


def _wall_offset(at: float) -> float:
    return time.clock_gettime(time.CLOCK_REALTIME) - at

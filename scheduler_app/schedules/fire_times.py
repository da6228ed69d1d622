"""When a schedule fires: the first time, what is due now, what comes next. Pure; all instants are UTC.

Intervals and dates are arithmetic on instants: a change of clocks does not touch them.

Cron follows the wall clock of its time zone:

- a wall time that comes twice (clocks go back) fires twice, once in each pass;
- a wall time that does not come (clocks go forward) fires as much later as the clocks jumped: 02:30 becomes
  03:30. If that is the instant of another fire time, both are one.

So the fire times of a trigger are one fixed, strictly increasing set of instants, whichever instant one asks
from. APScheduler 3.11 agrees on a time that comes twice and on the first one that a jump skips. It drops the
further ones of that jump, and, because it adds wall-clock differences to instants, a time soon after midnight of
the first day after the month with the jump. Therefore its cron fields are evaluated here on a clock without
jumps, and the result is set into the time zone afterwards.

Jitter is added to the next fire time only. A late schedule is reckoned without it.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Protocol

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import TriggerError

TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
LOOK_BACK = timedelta(hours=25)
"""Longer than any jump of a time zone: the longest left out a whole day (Apia, 2011)."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One fire time that is due, and what follows it."""

    fire_time: datetime
    """The planned instant, never later than the `now` that was asked with."""

    following: datetime | None
    """The next fire time after this one; None when the trigger is exhausted."""

    skipped: bool
    """Whether at least one earlier fire time was passed over for this one."""


def first_fire_time(
    trigger: BaseTrigger, now: datetime, *, random: Callable[[], float] = _random.random
) -> datetime | None:
    """Return when a new schedule fires first, at or after `now`; None when it never does.

    A date in the past is returned as it is: it is due at once. Jitter is included.
    """
    if type(trigger) is DateTrigger:
        return _utc(trigger.run_date)
    times = _fire_times(trigger)
    return _jittered(trigger, times.at_or_after(_utc(now)), random)


def latest_due(
    trigger: BaseTrigger, next_run_time: datetime, now: datetime, *, random: Callable[[], float] = _random.random
) -> Fire:
    """Return the latest fire time from `next_run_time` to `now`, and the first one after `now`.

    Costs the same however long the schedule was down: no missed fire time is walked through. `next_run_time` itself
    counts as a fire time, even if a person chose it. An interval without jitter goes on from it; with jitter it stays
    on the grid of its start, so that jitter does not add up. Raises `ValueError` when nothing is due.
    """
    since, now = _due_span(next_run_time, now)
    if type(trigger) is DateTrigger:
        return Fire(since, None, skipped=False)
    times = _fire_times(trigger, since)
    latest = times.latest(since, now)
    following = _jittered(trigger, times.at_or_after(now + TICK), random)
    return Fire(latest, following, skipped=latest > since)


def all_due(
    trigger: BaseTrigger,
    next_run_time: datetime,
    now: datetime,
    limit: int = 100,
    *,
    random: Callable[[], float] = _random.random,
) -> tuple[Fire, ...]:
    """Return every fire time from `next_run_time` to `now`: the first `limit` of them, then the latest.

    At most `limit` + 1, oldest first, never empty. Each one's `following` is the next of the answer; the last one's is
    the first after `now`. Only the last can have `skipped`, when there were more. Raises `ValueError` when nothing is
    due.
    """
    last = latest_due(trigger, next_run_time, now, random=random)
    if not last.skipped:
        return (last,)
    since = _utc(next_run_time)
    earlier = list(islice(_between(_fire_times(trigger, since), since, last.fire_time), max(0, limit) + 1))
    missed, skipped = earlier[: max(0, limit)], len(earlier) > limit
    fires = [Fire(at, then, skipped=False) for at, then in pairwise([*missed, last.fire_time])]
    return (*fires, Fire(last.fire_time, last.following, skipped))


class _FireTimes(Protocol):
    """A strictly increasing set of instants."""

    def at_or_after(self, at: datetime) -> datetime | None:
        """Return the earliest fire time that is not before `at`."""

    def latest(self, since: datetime, now: datetime) -> datetime:
        """Return the latest fire time in (`since`, `now`], or `since` when there is none."""


class _Grid:
    """The fire times of an interval: `anchor` and every `interval` after it, to `end` inclusive."""

    def __init__(self, trigger: IntervalTrigger, anchor: datetime) -> None:
        self.anchor, self.interval, self.end = anchor, trigger.interval, _end(trigger)

    def at_or_after(self, at: datetime) -> datetime | None:
        steps = max(0, -((self.anchor - at) // self.interval))
        try:
            found = self.anchor + steps * self.interval
        except OverflowError:  # past the year 9999
            return None
        return found if self.end is None or found <= self.end else None

    def latest(self, since: datetime, now: datetime) -> datetime:
        until = min(now, self.end) if self.end else now
        steps = (until - self.anchor) // self.interval
        return max(since, self.anchor + steps * self.interval) if steps >= 0 else since


class _WallClock:
    """The fire times of a cron trigger: matching wall times, each set into the time zone."""

    def __init__(self, trigger: CronTrigger) -> None:
        self.zone, self.end = trigger.timezone, _end(trigger)
        self.start = _utc(trigger.start_date) if trigger.start_date else None
        self.fields = _without_zone(trigger)

    def at_or_after(self, at: datetime) -> datetime | None:
        if self.start and at < self.start:
            at = self.start
        candidates = (self._in_this_pass(at), self._in_second_pass(at), self._left_by_a_jump(at))
        found = min((c for c in candidates if c is not None), default=None)
        return found if found is None or self.end is None or found <= self.end else None

    def latest(self, since: datetime, now: datetime) -> datetime:
        """Leap back from `now` in doubling steps until a fire time is met, then halve the rest."""
        high, back, whole = now, SECOND, now - since - TICK
        while (low := self._due(now - min(back, whole), now)) is None:
            if back >= whole:
                return since
            high, back = now - back, back * 2
        while high - low > SECOND:  # cron knows no part of a second
            middle = low + (high - low) / 2
            found = self._due(middle, now)
            low, high = (low, middle) if found is None else (found, high)
        return low

    def _due(self, at: datetime, now: datetime) -> datetime | None:
        found = self.at_or_after(at)
        return found if found is not None and found <= now else None

    def _in_this_pass(self, at: datetime) -> datetime | None:
        wall = self._next_wall(_naive(at.astimezone(self.zone)))
        return None if wall is None else next((t for t in self._instants(wall) if t >= at), None)

    def _in_second_pass(self, at: datetime) -> datetime | None:
        """While a wall hour passes for the first time of two: its wall times before `at` come once more."""
        local = at.astimezone(self.zone)
        again = self._offset(local) - self._offset(local.replace(fold=1))
        if local.fold or again <= timedelta(0):
            return None
        turn = self._turn(at.replace(microsecond=0), again)
        wall = self._next_wall(_naive(turn.astimezone(self.zone)))
        return None if wall is None else next((t for t in self._instants(wall) if t >= turn), None)

    def _left_by_a_jump(self, at: datetime) -> datetime | None:
        """Soon after clocks went forward: wall times that the jump left out, still to come by the old offset."""
        try:
            old = self._offset((at - LOOK_BACK).astimezone(self.zone))
        except OverflowError:
            return None
        if old >= self._offset(at.astimezone(self.zone)):
            return None
        wall = self._next_wall(_naive(at + old))
        if wall is None or self._exists(wall):
            return None
        return next((t for t in self._instants(wall) if t >= at), None)

    def _next_wall(self, wall: datetime) -> datetime | None:
        try:
            found: datetime | None = self.fields.get_next_fire_time(None, wall.replace(tzinfo=UTC))
        except OverflowError:  # past the year 9999
            return None
        return None if found is None else _naive(found)

    def _instants(self, wall: datetime) -> tuple[datetime, ...]:
        """Return the instants of a wall time: two when it comes twice, else one."""
        try:
            first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        except OverflowError:
            return ()
        return (first, second) if second > first else (first,)

    def _exists(self, wall: datetime) -> bool:
        return all(_naive(t.astimezone(self.zone)) == wall for t in self._instants(wall))

    def _offset(self, local: datetime) -> timedelta:
        return local.utcoffset() or timedelta(0)

    def _turn(self, low: datetime, within: timedelta) -> datetime:
        """Return the second, in (`low`, `low` + `within`], at which clocks go back. Both are whole seconds."""
        high = low + within
        before = self._offset(low.astimezone(self.zone))
        while high - low > SECOND:
            middle = low + (high - low) // SECOND // 2 * SECOND
            same = self._offset(middle.astimezone(self.zone)) == before
            low, high = (middle, high) if same else (low, middle)
        return high


def _fire_times(trigger: BaseTrigger, since: datetime | None = None) -> _FireTimes:
    if type(trigger) is CronTrigger:
        return _WallClock(trigger)
    if type(trigger) is IntervalTrigger:
        return _Grid(trigger, _utc(trigger.start_date) if trigger.jitter or since is None else since)
    raise TriggerError(type(trigger).__name__)


def _between(times: _FireTimes, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield `since` and each fire time after it, up to but without `until`."""
    at: datetime | None = since
    while at is not None and at < until:
        yield at
        at = times.at_or_after(at + TICK)


def _without_zone(trigger: CronTrigger) -> CronTrigger:
    """Return the bare fields on a clock without jumps (UTC): no start, no end, no jitter."""
    bare = CronTrigger(timezone=UTC)
    bare.fields = trigger.fields
    return bare


def _jittered(trigger: BaseTrigger, planned: datetime | None, random: Callable[[], float]) -> datetime | None:
    """Delay `planned` by up to the trigger's jitter, never past its end."""
    if planned is None or not trigger.jitter:
        return planned
    end = _end(trigger)
    late = planned + timedelta(seconds=trigger.jitter * random())
    return min(late, end) if end else late


def _due_span(next_run_time: datetime, now: datetime) -> tuple[datetime, datetime]:
    since, now = _utc(next_run_time), _utc(now)
    if since > now:
        raise ValueError(f"Nothing is due at {now.isoformat()}: the next fire time is {since.isoformat()}.")
    return since, now


def _end(trigger: CronTrigger | IntervalTrigger) -> datetime | None:
    return _utc(trigger.end_date) if trigger.end_date else None


def _naive(at: datetime) -> datetime:
    return at.replace(tzinfo=None, fold=0)


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)

"""When a schedule fires: the first time, what is due now, what comes next. Pure; all instants are UTC.

Intervals and dates are arithmetic on instants: a change of clocks does not touch them. What cron does where clocks
change is said in `wall_clock`, and what several triggers together do in `combined`.

Jitter is added to the next fire time only. A late schedule is reckoned without it.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, BaseCombiningTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import TriggerError
from scheduler_app.schedules.calendar_dates import CalendarDates
from scheduler_app.schedules.combined import COMBINATIONS, FireTimes, Once, combined
from scheduler_app.schedules.wall_clock import SECOND, TICK, WallClock


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

    A date in the past is returned as it is, if it stands alone: it is due at once. Jitter is included. Raises
    `NeverMeetError` for an `AndTrigger` whose triggers fire at no common instant that could be found, and
    `TriggerError` for a combination with a cron trigger whose days no calendar has.
    """
    if type(trigger) is DateTrigger:
        return _utc(trigger.run_date)
    if isinstance(trigger, BaseCombiningTrigger):
        _refuse_impossible(trigger, _utc(now))
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
    """Return the newest fire times from `next_run_time` to `now`, at most `limit` (1 or more), the oldest first.

    Never empty. Each one's `following` is the next of the answer; the last one's is the first after `now`. Only the
    first can have `skipped`, when there were more. Costs the same however long the schedule was down. Raises
    `ValueError` when nothing is due.
    """
    last = latest_due(trigger, next_run_time, now, random=random)
    if not last.skipped:
        return (last,)
    since = _utc(next_run_time)
    times = _fire_times(trigger, since)
    found = [since, *_from(times, since + TICK, last.fire_time, limit)]  # a person may have chosen `since`
    skipped = len(found) > limit
    if skipped:
        found = _newest(times, since, last.fire_time, limit)
    fires = [Fire(at, then, skipped=False) for at, then in pairwise(found)]
    fires.append(Fire(found[-1], last.following, skipped=False))
    return (replace(fires[0], skipped=skipped), *fires[1:])


def _newest(times: FireTimes, low: datetime, last: datetime, limit: int) -> list[datetime]:
    """Halve the time from which there are more than `limit` fire times, up to `last`, until there are not."""
    high, found = last, [last]
    while high - low > SECOND and len(found) < limit:
        middle = low + (high - low) / 2
        fires = _from(times, middle, last, limit + 1)
        low, high, found = (middle, high, found) if len(fires) > limit else (low, middle, fires)
    return found


def _from(times: FireTimes, since: datetime, last: datetime, limit: int) -> list[datetime]:
    """Return the first `limit` fire times from `since` to `last`."""
    return list(islice(_between(times, since, last), limit))


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


def _fire_times(trigger: BaseTrigger, since: datetime | None = None) -> FireTimes:
    if type(trigger) in COMBINATIONS:
        return combined(trigger, _fire_times)
    if type(trigger) is DateTrigger:
        return Once(trigger)
    if type(trigger) is CronTrigger:
        return WallClock(trigger)
    if type(trigger) is CalendarIntervalTrigger:
        return CalendarDates(trigger)
    if type(trigger) is IntervalTrigger:
        return _Grid(trigger, _utc(trigger.start_date) if trigger.jitter or since is None else since)
    raise TriggerError(type(trigger).__name__)


def _refuse_impossible(trigger: BaseCombiningTrigger, now: datetime) -> None:
    """Raise `TriggerError` for one in it that no date matches: each fire time would look through all years for it."""
    for number, child in enumerate(trigger.triggers, 1):
        if isinstance(child, BaseCombiningTrigger):
            _refuse_impossible(child, now)
        elif type(child) is CronTrigger and _is_impossible(child, now):
            error = TriggerError("CronTrigger", f"{child} never fires, for there is no such day. Leave it out")
            raise error.within(type(trigger).__name__, number)


def _is_impossible(trigger: CronTrigger, now: datetime) -> bool:
    years = next(str(field) for field in trigger.fields if field.name == "year")
    return years == "*" and not trigger.end_date and WallClock(trigger).at_or_after(now) is None


def fires_at(trigger: BaseTrigger, at: datetime) -> bool:
    """Whether an instant is a fire time of a trigger."""
    return _fire_times(trigger).at_or_after(_utc(at)) == at


def _between(times: FireTimes, since: datetime, last: datetime) -> Iterator[datetime]:
    """Yield each fire time from `since` to `last`."""
    at = times.at_or_after(since)
    while at is not None and at <= last:
        yield at
        at = times.at_or_after(at + TICK)


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


def _end(trigger: BaseTrigger) -> datetime | None:
    """Return the last instant at which a trigger may fire, where it says one."""
    if isinstance(trigger, BaseCombiningTrigger):
        ends = [_end(child) for child in trigger.triggers]
        given = [end for end in ends if end is not None]
        if isinstance(trigger, AndTrigger):
            return min(given, default=None)
        return max(given) if len(given) == len(ends) else None
    end = trigger.end_date if isinstance(trigger, CronTrigger | IntervalTrigger) else None  # a calendar's is no instant
    return _utc(end) if end else None


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)

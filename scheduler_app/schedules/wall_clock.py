"""When a cron trigger fires where clocks change: the rule, in one place. Pure; all instants are UTC.

Cron follows the wall clock of its time zone. Where clocks go forward, a stretch of wall times does not come (a gap);
where they go back, one comes twice (a fold).

- A trigger that names hours of the day (`30 2 * * *`) fires once for each wall time that it names: one in a gap at the
  instant at which the gap ends, together with whatever else fires then; one in a fold at its first occurrence only.
- A trigger of every hour (the hour field is `*`, as in `*/5 * * * *`) names no time of the day, and fires whenever the
  clock shows a matching time: never for one in a gap, and at both occurrences of one in a fold.

So a nightly job runs once each night, and one of every five minutes runs every five minutes. The fire times of a
trigger are one fixed, strictly increasing set of instants, whichever instant one asks from.

APScheduler 3.11 fires every wall time of a fold twice, fires the first wall time of a gap as much later as the clocks
jumped and drops the others, and may leave out a time soon after midnight of the first day after the month with the
jump, because it adds wall-clock differences to instants. Therefore its cron fields are evaluated here on a clock
without jumps, and the result is set into the time zone afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

from apscheduler.triggers.cron import CronTrigger

TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
EVERY_HOUR = ("*", "*/1", "0-23")


class ZoneClock:
    """The wall clock of a time zone: at which instants it shows what."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone

    def occurrences(self, wall: datetime) -> tuple[datetime, ...]:
        """Return the instants at which the clock shows a wall time: none, one or two."""
        first, second = self._readings(wall)
        if first == second:
            return (first,)
        return () if second < first else (first, second)

    def gap_end(self, wall: datetime) -> datetime | None:
        """Return the instant at which the gap ends that a wall time is in; None when it is in none."""
        late, early = self._readings(wall)
        return self.change(early, late) if early < late else None

    def once(self, wall: datetime) -> datetime:
        """Return the one instant at which what names a wall time fires: at the end of a gap, first in a fold."""
        return self.gap_end(wall) or self.occurrences(wall)[0]

    def change(self, low: datetime, high: datetime) -> datetime:
        """Return the second, in (`low`, `high`], at which the offset changes. It changes once between them."""
        low, after = low.replace(microsecond=0), _offset(high.astimezone(self.zone))
        high = high.replace(microsecond=0)
        while high - low > SECOND:
            middle = low + (high - low) // SECOND // 2 * SECOND
            changed = _offset(middle.astimezone(self.zone)) == after
            low, high = (low, middle) if changed else (middle, high)
        return high

    def _readings(self, wall: datetime) -> tuple[datetime, datetime]:
        """Return a wall time read by the offset before a change and by that after it; the same where none is near."""
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return first, second


class WallClock(ZoneClock):
    """The fire times of a cron trigger: matching wall times, each set into the time zone by the rule."""

    def __init__(self, trigger: CronTrigger) -> None:
        super().__init__(trigger.timezone)
        self.start = _utc(trigger.start_date) if trigger.start_date else None
        self.end = _utc(trigger.end_date) if trigger.end_date else None
        self._fields = _without_zone(trigger)
        hours = next(str(field) for field in trigger.fields if field.name == "hour")
        self.every_hour = hours in EVERY_HOUR

    def at_or_after(self, at: datetime) -> datetime | None:
        """Return the earliest fire time that is not before `at`."""
        if self.start and at < self.start:
            at = self.start
        try:
            found = self._whenever_shown(at) if self.every_hour else self._once_each(at)
        except OverflowError:  # past the year 9999
            return None
        return found if found is None or self.end is None or found <= self.end else None

    def latest(self, since: datetime, now: datetime) -> datetime:
        """Return the latest fire time in (`since`, `now`], or `since` when there is none."""
        return latest_of(self.at_or_after, since, now)

    # -- the rule ----------------------------------------------------------------------------------

    def _once_each(self, at: datetime) -> datetime | None:
        """Return the first fire time of a trigger that names hours: each of its wall times comes to one instant.

        Those instants never run back while the wall times run forward, so the first wall time whose instant is not
        before `at` is the answer.
        """
        wall = self._next_wall(self._first_wall_to_ask(at))
        return None if wall is None else self.once(wall)

    def _first_wall_to_ask(self, at: datetime) -> datetime:
        """Return a wall time before which no wall time comes at `at` or later."""
        local = at.astimezone(self.zone)
        if local.fold:  # the second occurrence: all wall times of the fold have been
            first_pass = _naive(local).replace(tzinfo=self.zone).astimezone(UTC)
            return _naive(self.change(first_pass, at) + _offset(first_pass.astimezone(self.zone)))
        before = _offset((at - TICK).astimezone(self.zone))
        if before < _offset(local):  # a gap ends at this instant: its wall times come now
            return _naive(at + before)
        return _naive(local)

    def _whenever_shown(self, at: datetime) -> datetime | None:
        """Return the first fire time of a trigger of every hour."""
        local = at.astimezone(self.zone)
        candidates = [self._shown(_naive(local), at)]
        again = _offset(local) - _offset(local.replace(fold=1))
        if not local.fold and again > timedelta(0):  # its wall times before `at` come once more
            turn = self.change(at.replace(microsecond=0), at.replace(microsecond=0) + again)
            candidates.append(self._shown(_naive(turn.astimezone(self.zone)), turn))
        return min((found for found in candidates if found is not None), default=None)

    def _shown(self, wall: datetime, at: datetime) -> datetime | None:
        """Return when the clock first shows a matching time that is not before `wall`, at `at` or later."""
        found = self._next_wall(wall)
        while found is not None:
            gap_end = self.gap_end(found)
            if gap_end is None:
                return next((instant for instant in self.occurrences(found) if instant >= at), None)
            found = self._next_wall(_naive(gap_end.astimezone(self.zone)))
        return None

    # -- wall times and instants -------------------------------------------------------------------

    def next_wall_in_gap(self, at: datetime) -> datetime | None:
        """Return the first matching wall time of the gap that ends at `at`; None where none ends, or none matches."""
        wall = None if self.every_hour else self._next_wall(self._first_wall_to_ask(at))
        return wall if wall is not None and self.gap_end(wall) == at else None

    def _next_wall(self, wall: datetime) -> datetime | None:
        """Return the first matching wall time that is not before `wall`, on a clock without jumps."""
        found: datetime | None = self._fields.get_next_fire_time(None, wall.replace(tzinfo=UTC))
        return None if found is None else _naive(found)


def latest_of(
    at_or_after: Callable[[datetime], datetime | None], since: datetime, now: datetime, apart: timedelta = SECOND
) -> datetime:
    """Return the latest of a set of instants in (`since`, `now`], or `since` when there is none.

    They are no less than `apart` from each other. Leaps back from `now` in doubling steps until one is met, then halves
    the rest until no other follows. `at_or_after` need not tell of any after `now`.
    """

    def due(at: datetime) -> datetime | None:
        found = at_or_after(at)
        return found if found is not None and found <= now else None

    high, back, whole = now + TICK, SECOND, now - since - TICK
    while (low := due(now - min(back, whole))) is None:
        if back >= whole:
            return since
        high, back = now - back, back * 2
    while high - low > apart and (following := due(low + TICK)) is not None:
        low = following
        middle = low + (high - low) / 2
        found = due(middle)
        low, high = (low, middle) if found is None else (found, high)
    return low


def _without_zone(trigger: CronTrigger) -> CronTrigger:
    """Return the bare fields on a clock without jumps (UTC): no start, no end, no jitter."""
    bare = CronTrigger(timezone=UTC)
    bare.fields = trigger.fields
    return bare


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


def _naive(at: datetime) -> datetime:
    return at.replace(tzinfo=None, fold=0)


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)

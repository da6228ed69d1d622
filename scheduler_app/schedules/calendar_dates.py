"""When a calendar interval fires: every so many days, weeks, months or years at one time of the day. Pure.

It names a time of the day, and follows the rule of `wall_clock` for that: once on each of its dates. APScheduler leaves
out a date on which the time does not come.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger

from scheduler_app.schedules.wall_clock import ZoneClock, latest_of

SLACK = timedelta(days=3)
"""More than a date's instant can lie away from that date in UTC, gaps of a whole day included."""


class CalendarDates:
    """The fire times of a calendar interval: the trigger's time of the day on each of its dates."""

    def __init__(self, trigger: CalendarIntervalTrigger) -> None:
        self.clock = ZoneClock(trigger.timezone)
        self.start, self.end = trigger.start_date, trigger.end_date
        self.months, self.days = 12 * trigger.years + trigger.months, 7 * trigger.weeks + trigger.days
        self.time = time_of_day(trigger)

    def at_or_after(self, at: datetime) -> datetime | None:
        """Return the earliest fire time that is not before `at`."""
        try:
            instants = (self.clock.once(datetime.combine(day, self.time)) for day in self._dates(at.date() - SLACK))
            return next((instant for instant in instants if instant >= at), None)
        except OverflowError:  # past the year 9999
            return None

    def latest(self, since: datetime, now: datetime) -> datetime:
        """Return the latest fire time in (`since`, `now`], or `since` when there is none."""
        return latest_of(self.at_or_after, since, now)

    def _dates(self, first: date) -> Iterator[date]:
        """Yield its dates, from `first` on, as APScheduler counts them: months, then days, from one to the next."""
        at: date | None = self.start
        if not self.months and first > self.start:
            at = self.start + -((self.start - first).days // self.days) * timedelta(days=self.days)
        while at is not None and (self.end is None or at <= self.end):
            if at >= first:
                yield at
            at = self._following(at)

    def _following(self, at: date) -> date | None:
        """Return the next date; a month in which the day is missing is passed over."""
        month = 12 * at.year + at.month - 1
        while (month := month + self.months) // 12 <= date.max.year:
            try:
                return date(month // 12, month % 12 + 1, at.day) + timedelta(days=self.days)
            except ValueError:
                continue
        return None


def time_of_day(trigger: CalendarIntervalTrigger) -> time:
    """Return the wall time at which a calendar interval fires, without its zone."""
    hour, minute, second = trigger.__getstate__()["time"]
    return time(hour, minute, second)

"""Looking ahead: the next fire times of a trigger, and what a change of clocks does to each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, tzinfo
from itertools import islice
from typing import Literal

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, BaseCombiningTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.schedules.calendar_dates import time_of_day
from scheduler_app.schedules.fire_times import fires_at, first_fire_time, latest_due
from scheduler_app.schedules.wall_clock import WallClock, ZoneClock

Change = Literal["gap", "fold"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One fire time to come, as the wall clock of the schedule's time zone shows it. Jitter is not in it."""

    fire_time: datetime
    """The instant, in the schedule's time zone."""
    change: Change | None = None
    """`gap`: moved to the end of a gap of the wall clock. `fold`: at a wall time that comes twice. None: neither."""
    note: str | None = None
    """The same in words."""


def preview(trigger: BaseTrigger, next_run_time: datetime | None, now: datetime, count: int) -> tuple[Planned, ...]:
    """Return the next `count` fire times, at most: `next_run_time` (None: what the trigger says), then what follows.

    A `next_run_time` that has come and gone is the first of them: it fires at once. Raises `TriggerError` for a trigger
    that is not ours to fire.
    """
    zone = zone_of_trigger(trigger)
    return tuple(_planned(trigger, at, zone) for at in islice(_times(trigger, next_run_time, now), count))


def zone_of_trigger(trigger: BaseTrigger) -> tzinfo:
    """Return the time zone in which a trigger is meant; of a combination, that of its first trigger."""
    if isinstance(trigger, BaseCombiningTrigger):
        return zone_of_trigger(trigger.triggers[0]) if trigger.triggers else UTC
    if isinstance(trigger, DateTrigger):
        return trigger.run_date.tzinfo or UTC
    zone: tzinfo = getattr(trigger, "timezone", UTC)
    return zone


def _times(trigger: BaseTrigger, next_run_time: datetime | None, now: datetime) -> Iterator[datetime]:
    if next_run_time is None:
        at = first_fire_time(trigger, now, random=_no_jitter)
    else:
        at = next_run_time.astimezone(UTC)
    while at is not None:
        yield at
        at = latest_due(trigger, at, max(at, now), random=_no_jitter).following


def _no_jitter() -> float:
    return 0.0


def _planned(trigger: BaseTrigger, at: datetime, zone: tzinfo) -> Planned:
    local = at.astimezone(zone)
    if isinstance(trigger, BaseCombiningTrigger):
        return _planned_together(trigger, at, local)
    if isinstance(trigger, IntervalTrigger | DateTrigger):
        return Planned(local)
    if isinstance(trigger, CronTrigger):
        clock = WallClock(trigger)
        moved, every_hour = clock.next_wall_in_gap(at), clock.every_hour
    else:
        assert isinstance(trigger, CalendarIntervalTrigger)
        moved, every_hour = _moved_time(local, time_of_day(trigger)), False
    if moved is not None:
        return Planned(local, "gap", f"{_shown(moved)} does not come: clocks go forward to {_shown(local)}")
    occurrences = ZoneClock(zone).occurrences(local.replace(tzinfo=None, fold=0))
    if len(occurrences) == 2:
        return Planned(local, "fold", _fold_note(every_hour, local, at == occurrences[0]))
    return Planned(local)


def _planned_together(trigger: BaseCombiningTrigger, at: datetime, local: datetime) -> Planned:
    """Mark a fire time of a combination as the first of its triggers does that is marked and makes it fire then."""
    for one in _firing(trigger, at):
        zone = zone_of_trigger(one)
        marked = _planned(one, at, zone)
        if marked.change == "fold":
            first, second = ZoneClock(zone).occurrences(marked.fire_time.replace(tzinfo=None, fold=0))
            twice = fires_at(trigger, first) and fires_at(trigger, second)
            marked = replace(marked, note=_fold_note(twice, marked.fire_time, at == first))
        if marked.change is not None:
            return replace(marked, fire_time=local)
    return Planned(local)


def _firing(trigger: BaseTrigger, at: datetime) -> list[BaseTrigger]:
    """Return the triggers of a combination that make it fire at an instant."""
    if not isinstance(trigger, BaseCombiningTrigger):
        return [trigger] if fires_at(trigger, at) else []
    each = [_firing(child, at) for child in trigger.triggers]
    if isinstance(trigger, AndTrigger) and not all(each):
        return []
    return [one for firing in each for one in firing]


def _moved_time(local: datetime, wanted: time) -> datetime | None:
    """Return the time of a calendar interval if it does not come on that day."""
    wall = datetime.combine(local.date(), wanted)
    return None if local.replace(tzinfo=None, fold=0) == wall else wall


def _fold_note(every_hour: bool, local: datetime, is_first: bool) -> str:
    comes = f"{_shown(local)} comes twice, because clocks go back"
    if not every_hour:
        return f"{comes}; it fires the first time only"
    return f"{comes}; this is the {'first' if is_first else 'second'} time, and it fires both times"


def _shown(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"

"""An oracle of what cron does where clocks change: it watches a wall clock, minute by minute, and knows no other rule.

It is generated from the time zone database alone: no `fold` is asked for, and no offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

MINUTE = timedelta(minutes=1)
Matches = Callable[[datetime], bool]
Reading = tuple[datetime, datetime]
"""An instant, and what the wall clock shows then."""


@cache
def changes(zone: tzinfo, first_year: int, last_year: int) -> tuple[datetime, ...]:
    """Return the whole hours, each the last one before the clocks of a zone change."""
    at, end, found = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC), []
    while at < end:
        if (at + 60 * MINUTE).astimezone(zone).utcoffset() != at.astimezone(zone).utcoffset():
            found.append(at)
        at += 60 * MINUTE
    return tuple(found)


@cache
def watched(zone: tzinfo, start: datetime, until: datetime) -> tuple[Reading, ...]:
    """Look at the clock each minute, from `start` up to `until`."""
    minutes = (start + n * MINUTE for n in range((until - start) // MINUTE + 1))
    return tuple((at, at.astimezone(zone).replace(tzinfo=None, fold=0)) for at in minutes)


@cache
def passed(readings: Sequence[Reading]) -> tuple[tuple[datetime, tuple[datetime, ...]], ...]:
    """Return, for each instant, the wall times that the clock gets to for the first time, or leaps over."""
    latest, found = readings[0][1] - MINUTE, []
    for at, wall in readings:
        found.append((at, tuple(latest + n * MINUTE for n in range(1, (wall - latest) // MINUTE + 1))))
        latest = max(latest, wall)
    return tuple(found)


def fires_of_hours(readings: Sequence[Reading], matches: Matches) -> Iterator[datetime]:
    """Fire when the clock gets to a matching time that it has not shown before, or leaps over one."""
    return (at for at, walls in passed(readings) if any(map(matches, walls)))


def fires_of_every_hour(readings: Sequence[Reading], matches: Matches) -> Iterator[datetime]:
    """Fire whenever the clock shows a matching time."""
    return (at for at, wall in readings if matches(wall))

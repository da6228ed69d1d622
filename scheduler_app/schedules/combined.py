"""When several triggers together fire: an `OrTrigger` when any of them does, an `AndTrigger` when all do. Pure; UTC.

Each trigger in a combination is a set of instants of its own, by its own rules where clocks change: an `OrTrigger` is
their union, an `AndTrigger` their intersection. So an interval stays on the grid of its start, whatever else fires, and
a date is a set of one instant, which does not fire when it has passed. APScheduler asks each trigger from the last fire
time of all, which moves an interval and forgets a date, and looks for ever for an instant that does not come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import Protocol

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import AndTrigger, BaseCombiningTrigger, OrTrigger
from apscheduler.triggers.date import DateTrigger

from scheduler_app.errors import NeverMeetError
from scheduler_app.schedules.wall_clock import TICK, latest_of

COMBINATIONS = (AndTrigger, OrTrigger)

MOST_STEPS = 1_000
"""How often the triggers of an `AndTrigger` are asked in one search for an instant that all have."""


class FireTimes(Protocol):
    """A strictly increasing set of instants."""

    def at_or_after(self, at: datetime) -> datetime | None:
        """Return the earliest fire time that is not before `at`."""

    def latest(self, since: datetime, now: datetime) -> datetime:
        """Return the latest fire time in (`since`, `now`], or `since` when there is none."""


def combined(trigger: BaseCombiningTrigger, single: Callable[[BaseTrigger], FireTimes]) -> FireTimes:
    """Return the fire times of a combination, of triggers whose own `single` tells.

    An `OrTrigger` asks each of its triggers once. An `AndTrigger` asks its own in turn, each from the answer of the one
    before, until all give one instant: about as often as the one that fires least does until then, times their number.
    The search for the latest asks so a few dozen times, whatever the length of a downtime. After `MOST_STEPS` a search
    ends with `NeverMeetError`.
    """
    return _set_of(trigger, single, None)


def _set_of(trigger: BaseTrigger, single: Callable[[BaseTrigger], FireTimes], steps: _Steps | None) -> FireTimes:
    if type(trigger) is OrTrigger:
        return _Any([_set_of(child, single, steps) for child in trigger.triggers])
    if type(trigger) is AndTrigger:
        shared = steps or _Steps()
        return _All([_set_of(child, single, shared) for child in trigger.triggers], shared, is_within=steps is not None)
    return _Remembered(single(trigger))


class _Any:
    """The union of several sets."""

    def __init__(self, sets: Sequence[FireTimes]) -> None:
        self._sets = sets

    def at_or_after(self, at: datetime) -> datetime | None:
        return min((found for one in self._sets if (found := one.at_or_after(at)) is not None), default=None)

    def latest(self, since: datetime, now: datetime) -> datetime:
        return max((one.latest(since, now) for one in self._sets), default=since)


class _Steps:
    """How many steps a search may still take."""

    _since: datetime
    _left: int

    def begin(self, since: datetime) -> None:
        self._since, self._left = since, MOST_STEPS

    def take(self) -> None:
        if not self._left:
            raise NeverMeetError(self._since, MOST_STEPS)
        self._left -= 1


class _All:
    """The intersection of several sets. One within another spends the steps of that one's search."""

    def __init__(self, sets: Sequence[FireTimes], steps: _Steps, *, is_within: bool) -> None:
        self._sets, self._steps, self._is_within = sets, steps, is_within

    def at_or_after(self, at: datetime) -> datetime | None:
        return self._first(at, None)

    def latest(self, since: datetime, now: datetime) -> datetime:
        return latest_of(lambda at: self._first(at, now), since, now, TICK)

    def _first(self, at: datetime, until: datetime | None) -> datetime | None:
        """Return the earliest instant that all sets have, not before `at`; None if it is after `until`."""
        if not self._is_within:
            self._steps.begin(at)
        agreed = 0
        for one in cycle(self._sets):
            self._steps.take()
            found = one.at_or_after(at)
            if found is None or (until is not None and found > until):
                return None
            at, agreed = found, agreed + 1 if found == at else 1
            if agreed == len(self._sets):
                return at
        return None  # there is no set


class Once:
    """The one instant of a date."""

    def __init__(self, trigger: DateTrigger) -> None:
        self._instant: datetime = trigger.run_date.astimezone(UTC)

    def at_or_after(self, at: datetime) -> datetime | None:
        return self._instant if at <= self._instant else None

    def latest(self, since: datetime, now: datetime) -> datetime:
        return self._instant if since < self._instant <= now else since


class _Remembered:
    """A set whose last answer is remembered: one that fires seldom, or no more, is not asked anew for each instant."""

    def __init__(self, times: FireTimes) -> None:
        self._times = times
        self._asked: datetime | None = None
        self._found: datetime | None = None

    def at_or_after(self, at: datetime) -> datetime | None:
        if self._asked is None or at < self._asked or (self._found is not None and at > self._found):
            self._asked, self._found = at, self._times.at_or_after(at)
        return self._found

    def latest(self, since: datetime, now: datetime) -> datetime:
        return self._times.latest(since, now)

"""Declaration: one schedule as code writes it down, checked where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger

from ..clock import host_now
from ..errors import (
    IntervalError,
    NaiveDatetimeError,
    OptionError,
    ScheduleNameError,
    TimezoneError,
    TriggerError,
    did_you_mean,
)
from ..schedules import (
    CatchUp,
    Overlap,
    cron_trigger,
    encode_trigger,
    every_trigger,
    given_starts,
)
from ..schedules.triggers import LONGEST_JITTER
from .calls import check_callable
from .options import LONGEST_NAME, NONE, Options, make_options

BEGAN = host_now()
"""When this process began, near enough: the start of an interval made later was not written down by anyone."""

_TAKEN = ("queue", "priority", "attempts", "retry", "tags", "max_lateness")
"""What a schedule takes of the options of a call."""

_REFUSED = {
    "key": "its jobs are unique by the schedule and the fire time already; leave it out.",
    "session": "it is stored in a transaction of its own; only calls can join one.",
    "even_on_error": "only after_response takes this.",
    "timeout": "give it to the task, whose every run it limits.",
}

UNITS = ("weeks", "days", "hours", "minutes", "seconds")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What may be said of a schedule besides its trigger: `catch_up=`, `overlap=`, `jitter=`, `start=`, `end=`."""

    catch_up: CatchUp = CatchUp.LATEST
    overlap: Overlap = Overlap.SKIP
    jitter: float | None = None
    """Seconds that a fire time is delayed by at random, at most."""
    start: datetime | None = None
    """The first instant at which it may fire; naive: in the schedule's time zone."""
    end: datetime | None = None
    """The last instant at which it may fire; naive: in the schedule's time zone."""

    @property
    def limits_trigger(self) -> str | None:
        """Return the name of the first thing said that is part of a trigger, if any."""
        return next((name for name in ("jitter", "start", "end") if getattr(self, name) is not None), None)


ALWAYS = Recurrence()


@dataclass(frozen=True, slots=True)
class Declaration:
    """One schedule as code writes it down: a function, when it fires, and under which name (None: the task's)."""

    function: Any
    cron: str | None = None
    every: Mapping[str, float] | None = None
    timezone: str | tzinfo | None = None
    name: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    options: Options = NONE
    on: BaseTrigger | None = None
    recurrence: Recurrence = ALWAYS

    def __post_init__(self) -> None:
        for field in fields(Options):
            value = getattr(self.options, field.name)
            if field.name not in _TAKEN and value and value != field.default:
                raise OptionError(field.name, _REFUSED.get(field.name, "it takes no such option."), of_schedule=True)

    def check(self) -> None:
        """Refuse what can be known to be unusable before there is an app, or a name for the function.

        Raises `TimezoneError`, `CronError`, `IntervalError`, `TriggerError`, `OptionError`, `ScheduleNameError`,
        `NotSchedulableError`, and `ArgumentsError` where the function cannot be called with the arguments.
        """
        self.trigger(zone_of(self.timezone, UTC), host_now())
        if self.name is not None:
            checked_name(self.name)
        if self.function is not None:
            check_callable(self.function, self.args, self.kwargs or {})

    def trigger(self, zone: tzinfo, now: datetime) -> BaseTrigger:
        """Return the trigger, in `zone` unless it is given as one.

        An interval fires first when it has passed once, or at its start. Raises `CronError`, `IntervalError`,
        `TriggerError`, and `OptionError` for a start, end or jitter that cannot be used.
        """
        if self.on is not None:
            return self._given(self.on)
        start, end = (_instant(at, zone) for at in (self.recurrence.start, self.recurrence.end))
        if start is not None and end is not None and end < start:
            raise OptionError("end", f"{end.isoformat()} is before its start, {start.isoformat()}.", of_schedule=True)
        jitter = self.recurrence.jitter
        if self.cron is not None:
            return cron_trigger(self.cron, zone, start=start, end=end, jitter=jitter)
        every: dict[str, Any] = dict(self.every or {})
        if unknown := [name for name in every if name not in UNITS]:
            raise IntervalError(f"there is no unit {unknown[0]!r}; use {', '.join(UNITS)}")
        first = start or now + every_trigger(**every, start=now, timezone=zone).interval
        return every_trigger(**every, start=first, timezone=zone, end=end, jitter=jitter)

    def refuse_naive(self) -> None:
        """Raise `NaiveDatetimeError` for a start or end without a time zone where the schedule names none either."""
        for at in (self.recurrence.start, self.recurrence.end):
            if at is not None and at.tzinfo is None and self.timezone is None:
                raise NaiveDatetimeError(at)

    def _given(self, trigger: BaseTrigger) -> BaseTrigger:
        if not isinstance(trigger, BaseTrigger):
            raise TriggerError(type(trigger).__name__, "it is no trigger of APScheduler, such as CronTrigger(hour=4)")
        said = "timezone" if self.timezone is not None else self.recurrence.limits_trigger
        if said is not None:
            raise OptionError(said, f"the {type(trigger).__name__} says that itself; give it there.", of_schedule=True)
        encode_trigger(trigger)
        return trigger

    def facts(self, trigger: BaseTrigger, zone: tzinfo, now: datetime) -> dict[str, Any]:
        """Return what of it neither the trigger nor the call tells: a change of it is a change of the schedule."""
        if self.on is None:
            instant = _instant(self.recurrence.start, zone)
            start = None if instant is None else instant.astimezone(UTC).isoformat()
        else:
            start = given_starts(trigger, since=BEGAN, now=max(now, host_now()))
        return {
            "catch_up": self.recurrence.catch_up.value,
            "overlap": self.recurrence.overlap.value,
            "start": start,
        }


def declaration_of(function: Any, given: Mapping[str, Any], **when: Any) -> Declaration:
    """Return a declaration, of options as a person wrote them. Raises `OptionError` for the first that is unusable."""
    known = {name for name in given if name in _CHECKS}
    for name in given:
        if name not in known and not hasattr(NONE, name):
            raise OptionError(name, f"there is no such option.{did_you_mean(name, _NAMES)}", of_schedule=True)
    said = {name: _CHECKS[name](given[name]) for name in known if given[name] is not None}
    options = make_options(**{name: value for name, value in given.items() if name not in known})
    return Declaration(function, options=options, recurrence=Recurrence(**said), **when)


def checked_name(name: Any) -> str:
    """Return the name of a schedule. Raises `ScheduleNameError` for one that cannot be stored."""
    if not isinstance(name, str) or not name:
        raise ScheduleNameError(name, "it must be a non-empty string")
    if len(name) > LONGEST_NAME:
        raise ScheduleNameError(name, f"it has {len(name)} characters; {LONGEST_NAME} is the most")
    return name


def zone_of(given: str | tzinfo | None, default: tzinfo) -> tzinfo:
    """Return the time zone that was given, by its name or itself; else the default. Raises `TimezoneError`."""
    if given is None:
        return default
    if isinstance(given, tzinfo):
        return given
    try:
        return ZoneInfo(given)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise TimezoneError(given) from error


def _instant(at: datetime | None, zone: tzinfo) -> datetime | None:
    return at.replace(tzinfo=zone) if at is not None and at.tzinfo is None else at


def _word(option: str, words: type[StrEnum]) -> Callable[[Any], StrEnum]:
    names = [word.value for word in words]

    def check(value: Any) -> StrEnum:
        if value not in names:
            hint = did_you_mean(value, names) if isinstance(value, str) else ""
            allowed = ", ".join(map(repr, names))
            raise OptionError(option, f"it must be one of {allowed}, not {value!r}.{hint}", of_schedule=True)
        return words(value)

    return check


def _jitter(value: Any) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_JITTER:
        wanted = f"seconds from 0 to {LONGEST_JITTER}, or a timedelta"
        raise OptionError("jitter", f"it must be {wanted}, not {value!r}.", of_schedule=True)
    return seconds or None


def _datetime(option: str) -> Callable[[Any], datetime]:
    def check(value: Any) -> datetime:
        if not isinstance(value, datetime):
            raise OptionError(option, f"it must be a datetime, not {value!r}.", of_schedule=True)
        return value

    return check


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "catch_up": _word("catch_up", CatchUp),
    "overlap": _word("overlap", Overlap),
    "jitter": _jitter,
    "start": _datetime("start"),
    "end": _datetime("end"),
}
_NAMES = {*_CHECKS, *_TAKEN, "name", "timezone"}

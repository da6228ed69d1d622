"""A trigger as text: JSON of APScheduler's date, interval, calendar interval, cron, and and or triggers.

One text for one behaviour, so that texts can be compared. `stored_triggers` reads it back.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, BaseCombiningTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.cron.fields import DEFAULT_VALUES
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.util import astimezone

from scheduler_app.errors import TriggerError
from scheduler_app.schedules.calendar_dates import time_of_day
from scheduler_app.schedules.combined import COMBINATIONS

LONGEST_TEXT = 10_000
"""Characters of JSON that a trigger may have."""

LONGEST_JITTER = 366 * 86_400
"""Seconds that a fire time may be delayed at random."""

CALENDAR_PARTS = ("years", "months", "weeks", "days")
MOST_PARTS = 100_000
"""How many of its unit a part of a calendar interval may be."""

DEEPEST = 3
"""How many combinations may be within each other."""
MOST_COMBINED = 20
"""How many triggers a combination may have in all."""
TOO_DEEP = f"more than {DEEPEST} combinations are within each other"
TOO_MANY = f"it combines more than {MOST_COMBINED} triggers"
OWN_JITTER = "it has a jitter of its own, and only that of the whole combination counts"


def encode_trigger(trigger: BaseTrigger) -> str:
    """Return `trigger` as JSON text; triggers that behave alike field by field give the same text.

    A combination keeps the order of its triggers: it is shown in the time zone of the first. Raises `TriggerError` for
    a class that is none of APScheduler's own, for a time zone that has neither an IANA name nor a fixed offset, and for
    a combination that is empty, too deep or too large, or in which a trigger has a jitter or cannot be stored.
    """
    text = _json(trigger_facts(trigger))
    if len(text) > LONGEST_TEXT:
        raise TriggerError(type(trigger).__name__, f"it is longer than {LONGEST_TEXT} characters")
    return text


def trigger_facts(trigger: BaseTrigger) -> dict[str, Any]:
    """Return what `encode_trigger` writes, as plain data. Raises `TriggerError` as it does."""
    facts = _facts(trigger, 0)
    if _count(facts) > MOST_COMBINED:
        raise TriggerError(type(trigger).__name__, TOO_MANY)
    return facts


def says_the_same(trigger: BaseTrigger, other: BaseTrigger, *, since: datetime, now: datetime) -> bool:
    """Whether two triggers say the same, so that a schedule need not start anew.

    The start of an interval that was not given but counted from when the trigger was made, between `since` (when this
    process began) and `now`, says nothing. Raises `TriggerError` as `encode_trigger` does.
    """
    one, two = trigger_facts(trigger), trigger_facts(other)
    _drop_counted_starts(trigger, one, two, since, now)
    return one == two


def _drop_counted_starts(
    trigger: BaseTrigger, one: dict[str, Any], two: dict[str, Any], since: datetime, now: datetime
) -> None:
    if isinstance(trigger, BaseCombiningTrigger):
        for child, this, that in zip(trigger.triggers, one["of"], two.get("of", ()), strict=False):
            _drop_counted_starts(child, this, that, since, now)
    elif counts_from_its_making(trigger, since=since, now=now):
        one.pop("start", None)
        two.pop("start", None)


def counts_from_its_making(trigger: BaseTrigger, *, since: datetime, now: datetime) -> bool:
    """Whether an interval's start was not given, but counted by APScheduler from when the trigger was made."""
    if isinstance(trigger, CalendarIntervalTrigger):
        began, today = (at.astimezone(trigger.timezone).date() for at in (since, now))
        return bool(began <= trigger.start_date <= today)
    return isinstance(trigger, IntervalTrigger) and since <= trigger.start_date - trigger.interval <= now


def without_starts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a trigger without the starts of intervals, which may tell when it was made."""
    if "of" in facts:
        return {**facts, "of": [without_starts(child) for child in facts["of"]]}
    return {name: value for name, value in facts.items() if name != "start" or facts["kind"] == "cron"}


def given_starts(trigger: BaseTrigger, *, since: datetime, now: datetime) -> Any:
    """Return the start that a trigger was given, as text or None; of a combination, a list of its triggers'."""
    if isinstance(trigger, BaseCombiningTrigger):
        return [given_starts(child, since=since, now=now) for child in trigger.triggers]
    start = getattr(trigger, "start_date", None)
    if start is None or counts_from_its_making(trigger, since=since, now=now):
        return None
    return _instant(start) if isinstance(start, datetime) else start.isoformat()


def _facts(trigger: BaseTrigger, depth: int) -> dict[str, Any]:
    if type(trigger) is DateTrigger:
        return {"kind": "date", "at": _instant(trigger.run_date), "timezone": _zone_name(trigger.run_date.tzinfo)}
    if type(trigger) is IntervalTrigger:
        return _interval_facts(trigger)
    if type(trigger) is CronTrigger:
        return _cron_facts(trigger)
    if type(trigger) is CalendarIntervalTrigger:
        return _calendar_facts(trigger)
    if type(trigger) in COMBINATIONS:
        return _combination_facts(trigger, depth)
    raise TriggerError(type(trigger).__name__)


def _combination_facts(trigger: BaseCombiningTrigger, depth: int) -> dict[str, Any]:
    name, children = type(trigger).__name__, trigger.triggers
    if not isinstance(children, list | tuple) or not children:
        raise TriggerError(name, f"it combines no triggers. Give it a list of some: {name}([CronTrigger(hour=4), ...])")
    if len(children) > MOST_COMBINED:
        raise TriggerError(name, TOO_MANY)
    if depth == DEEPEST:
        raise TriggerError(name, TOO_DEEP)
    of = [_child_facts(child, depth + 1, name, number) for number, child in enumerate(children, 1)]
    jitter = {"jitter": _jitter(trigger)} if trigger.jitter else {}
    return {"kind": "and" if type(trigger) is AndTrigger else "or", "of": of, **jitter}


def _child_facts(trigger: BaseTrigger, depth: int, combination: str, number: int) -> dict[str, Any]:
    try:
        facts = _facts(trigger, depth)
        if "jitter" in facts:
            raise TriggerError(type(trigger).__name__, f"{OWN_JITTER}. Give the outermost one jitter={trigger.jitter}")
    except TriggerError as error:
        raise error.within(combination, number) from None
    return facts


def _count(facts: dict[str, Any]) -> int:
    """Return how many triggers there are that are no combinations."""
    return sum(map(_count, facts["of"])) if "of" in facts else 1


def _interval_facts(trigger: IntervalTrigger) -> dict[str, Any]:
    seconds = trigger.interval.total_seconds()
    if seconds <= 0:
        raise TriggerError("IntervalTrigger", f"its interval is {seconds:g} seconds, but must be more than 0")
    every = int(seconds) if seconds == int(seconds) else seconds
    return {"kind": "interval", "seconds": every, **_common_facts(trigger)}


def _cron_facts(trigger: CronTrigger) -> dict[str, Any]:
    """Leave out the fields that APScheduler fills in by itself: '*' before the first one, the least after the last."""
    fields = [(field.name, str(field)) for field in trigger.fields]
    while len(fields) > 1 and fields[-1][1] == str(DEFAULT_VALUES[fields[-1][0]]):
        fields.pop()
    given = [*(pair for pair in fields[:-1] if pair[1] != "*"), fields[-1]]
    return {"kind": "cron", "fields": dict(given), **_common_facts(trigger)}


def _calendar_facts(trigger: CalendarIntervalTrigger) -> dict[str, Any]:
    parts = {name: getattr(trigger, name) for name in CALENDAR_PARTS}
    for name, value in parts.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_PARTS:
            wanted = f"a whole number from 0 to {MOST_PARTS}"
            raise TriggerError("CalendarIntervalTrigger", f"its {name} is {value!r}, but must be {wanted}")
    facts: dict[str, Any] = {name: value for name, value in parts.items() if value}
    facts |= {"at": time_of_day(trigger).isoformat(), "start": trigger.start_date.isoformat()}
    if trigger.end_date:
        facts["end"] = trigger.end_date.isoformat()
    if trigger.jitter:
        facts["jitter"] = _jitter(trigger)
    return {"kind": "calendar", "timezone": _zone_name(trigger.timezone), **facts}


def _common_facts(trigger: IntervalTrigger | CronTrigger) -> dict[str, Any]:
    facts: dict[str, Any] = {"timezone": _zone_name(trigger.timezone)}
    if trigger.start_date:
        facts["start"] = _instant(trigger.start_date)
    if trigger.end_date:
        facts["end"] = _instant(trigger.end_date)
    if trigger.jitter:
        facts["jitter"] = _jitter(trigger)
    return facts


def _jitter(trigger: BaseTrigger) -> float:
    jitter = trigger.jitter
    if not isinstance(jitter, int | float) or not 1e-6 <= jitter <= LONGEST_JITTER:
        wanted = f"a number of seconds from 0 to {LONGEST_JITTER}"
        raise TriggerError(type(trigger).__name__, f"its jitter is {jitter!r}, but must be {wanted}")
    return int(jitter) if jitter == int(jitter) else float(jitter)


def _zone_name(zone: tzinfo | None) -> str:
    """Return the IANA name or the offset ``+02:00`` of a time zone."""
    known = astimezone(zone)  # turns pytz zones into their IANA ones
    if isinstance(known, timezone):
        return _offset_name(known)
    key = getattr(known, "key", None)
    if isinstance(key, str) and is_iana(key):
        return key
    raise TriggerError(
        "in the time zone " + repr(zone), "it has neither an IANA name nor a fixed offset. Use ZoneInfo('Europe/Oslo')"
    )


def _offset_name(zone: timezone) -> str:
    offset = zone.utcoffset(None)
    if offset % timedelta(seconds=1):
        raise TriggerError("in the time zone " + repr(zone), "its offset has parts of a second")
    if not offset:
        return "UTC"
    minutes, seconds = divmod(int(abs(offset).total_seconds()), 60)
    sign = "-" if offset < timedelta(0) else "+"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")


def is_iana(key: str) -> bool:
    """Whether a name is one of a time zone that this machine knows."""
    try:
        ZoneInfo(key)
    except (LookupError, ValueError, OSError):
        return False
    return True


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

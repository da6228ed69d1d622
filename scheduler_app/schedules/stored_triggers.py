"""A trigger that was stored as text, read back.

Reading executes nothing: the text names one of six kinds and gives plain values, which are checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, BaseCombiningTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import MalformedTriggerError
from scheduler_app.schedules.triggers import (
    CALENDAR_PARTS,
    DEEPEST,
    LONGEST_JITTER,
    LONGEST_TEXT,
    MOST_COMBINED,
    MOST_PARTS,
    OWN_JITTER,
    TOO_DEEP,
    TOO_MANY,
    is_iana,
    trigger_facts,
    without_starts,
)

T = TypeVar("T")

OFFSET = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])(?::([0-5][0-9]))?")


def decode_trigger(text: str) -> BaseTrigger:
    """Return the trigger that `encode_trigger` wrote as `text`; nothing in it is executed.

    Raises `MalformedTriggerError` for anything else, and for a time zone that this machine does not know.
    """
    try:
        facts = _parsed(text)
        if _count(facts) > MOST_COMBINED:
            raise ValueError(TOO_MANY)
        trigger = _read(facts, 0)
    except (ValueError, OverflowError, RecursionError) as error:
        raise MalformedTriggerError(str(text), str(error)) from error
    return trigger


def is_same_but_for_starts(stored: str, other: str) -> bool:
    """Whether two stored triggers say the same, wherever their intervals begin; False where one cannot be read."""
    try:
        facts, others = (without_starts(trigger_facts(decode_trigger(text))) for text in (stored, other))
    except MalformedTriggerError:
        return False
    return facts == others


def _parsed(text: object) -> dict[str, Any]:
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise ValueError(f"it is not text of at most {LONGEST_TEXT} characters")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(facts, dict):
        raise ValueError("it is not a JSON object")
    return facts


def _count(facts: object) -> int:
    """Return how many triggers are read that are no combinations."""
    of = facts.get("of") if isinstance(facts, dict) else None
    return sum(map(_count, of)) if isinstance(of, list) else 1


def _read(facts: object, depth: int) -> BaseTrigger:
    if not isinstance(facts, dict):
        raise ValueError("what it combines is no JSON object")
    kind = _kind(facts)
    trigger = _read_combination(_COMBINED[kind], facts, depth) if kind in _COMBINED else _READERS[kind](facts)
    if facts:
        raise ValueError(f"it has an unknown part {min(facts)!r}")
    return trigger


def _read_combination(
    combination: type[BaseCombiningTrigger], facts: dict[str, Any], depth: int
) -> BaseCombiningTrigger:
    of = facts.pop("of", None)
    if not isinstance(of, list) or not of:
        raise ValueError("it combines no list of triggers")
    if depth == DEEPEST:
        raise ValueError(TOO_DEEP)
    jitter = _read_jitter(facts)
    triggers = [_read(child, depth + 1) for child in of]
    if any(getattr(child, "jitter", None) for child in triggers):
        raise ValueError(f"a trigger in it: {OWN_JITTER}")
    return combination(triggers, jitter=jitter)


def _kind(facts: dict[str, Any]) -> str:
    kind = facts.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"its kind is none of {', '.join(_KINDS)}")
    return kind


def _read_date(facts: dict[str, Any]) -> DateTrigger:
    return DateTrigger(run_date=_read_instant(facts, "at").astimezone(_read_zone(facts)))


def _read_interval(facts: dict[str, Any]) -> IntervalTrigger:
    seconds = _read_number(facts, "seconds", timedelta.max.total_seconds())
    if "start" not in facts:  # APScheduler would read the clock
        raise ValueError("its start is missing")
    return IntervalTrigger(seconds=seconds, **_read_common(facts))


def _read_cron(facts: dict[str, Any]) -> CronTrigger:
    fields = facts.pop("fields", None)
    if not isinstance(fields, dict) or not fields or not all(isinstance(value, str) for value in fields.values()):
        raise ValueError("its fields are not an object of texts")
    unknown = fields.keys() - set(CronTrigger.FIELD_NAMES)
    if unknown:
        raise ValueError(f"it has an unknown field {min(unknown)!r}")
    return CronTrigger(**fields, **_read_common(facts))


def _read_calendar(facts: dict[str, Any]) -> CalendarIntervalTrigger:
    parts = {name: _read_part(facts, name) for name in CALENDAR_PARTS if name in facts}
    at = _read_as(time.fromisoformat, facts, "at")
    if at.tzinfo is not None or at.microsecond:
        raise ValueError("its at is not a time of the day in whole seconds")
    start, end = (_read_as(date.fromisoformat, facts, name) if name in facts else None for name in ("start", "end"))
    if start is None:  # APScheduler would read the clock
        raise ValueError("its start is missing")
    return CalendarIntervalTrigger(
        **parts, hour=at.hour, minute=at.minute, second=at.second,
        start_date=start, end_date=end, timezone=_read_zone(facts), jitter=_read_jitter(facts),
    )  # fmt: skip


def _read_part(facts: dict[str, Any], name: str) -> int:
    value = facts.pop(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_PARTS:
        raise ValueError(f"its {name} is not a whole number from 0 to {MOST_PARTS}")
    return value


def _read_as(read: Callable[[str], T], facts: dict[str, Any], name: str) -> T:
    try:
        return read(facts.pop(name, None))
    except (TypeError, ValueError):
        raise ValueError(f"its {name} is not in the form of ISO 8601") from None


_READERS: dict[str, Callable[[dict[str, Any]], BaseTrigger]] = {
    "date": _read_date,
    "interval": _read_interval,
    "cron": _read_cron,
    "calendar": _read_calendar,
}
_COMBINED: dict[str, type[BaseCombiningTrigger]] = {"and": AndTrigger, "or": OrTrigger}
_KINDS = (*_READERS, *_COMBINED)


def _read_common(facts: dict[str, Any]) -> dict[str, Any]:
    zone = _read_zone(facts)
    return {
        "timezone": zone,
        "start_date": _read_instant(facts, "start").astimezone(zone) if "start" in facts else None,
        "end_date": _read_instant(facts, "end").astimezone(zone) if "end" in facts else None,
        "jitter": _read_jitter(facts),
    }


def _read_jitter(facts: dict[str, Any]) -> float | None:
    return _read_number(facts, "jitter", LONGEST_JITTER) if "jitter" in facts else None


def _read_number(facts: dict[str, Any], name: str, most: float) -> float:
    value = facts.pop(name, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-6 <= value <= most:
        raise ValueError(f"its {name} is not a number from 0.000001 to {most:g}")
    return value


def _read_instant(facts: dict[str, Any], name: str) -> datetime:
    value = facts.pop(name, None)
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"its {name} is not an ISO 8601 time") from None
    if at.tzinfo is None:
        raise ValueError(f"its {name} has no UTC offset")
    return at


def _read_zone(facts: dict[str, Any]) -> tzinfo:
    name = facts.pop("timezone", None)
    if not isinstance(name, str):
        raise ValueError("its timezone is not a text")
    if name == "UTC":
        return UTC
    match = OFFSET.fullmatch(name)
    if match:
        return _read_offset(match)
    if not is_iana(name):
        raise ValueError(f"its time zone {name!r} is not known on this machine")
    return ZoneInfo(name)


def _read_offset(match: re.Match[str]) -> tzinfo:
    sign, hours, minutes, seconds = match.groups(default="0")
    offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    return timezone(-offset if sign == "-" else offset)

"""A trigger as text and back: JSON of APScheduler's date, interval and cron triggers.

One text for one behaviour, so that texts can be compared. Reading executes nothing: the text names one of three kinds
and gives plain values, which are checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.cron.fields import DEFAULT_VALUES
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.util import astimezone

from scheduler_app.errors import MalformedTriggerError, TriggerError

LONGEST_TEXT = 10_000
"""Characters of JSON that a trigger may have."""

LONGEST_JITTER = 366 * 86_400
"""Seconds that a fire time may be delayed at random."""

OFFSET = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])(?::([0-5][0-9]))?")


def encode_trigger(trigger: BaseTrigger) -> str:
    """Return `trigger` as JSON text; triggers that behave alike field by field give the same text.

    Raises `TriggerError` for a kind other than date, interval and cron, for a subclass of one, and for a time zone
    that has neither an IANA name nor a fixed offset.
    """
    text = _json(trigger_facts(trigger))
    if len(text) > LONGEST_TEXT:
        raise TriggerError(type(trigger).__name__, f"it is longer than {LONGEST_TEXT} characters")
    return text


def trigger_facts(trigger: BaseTrigger) -> dict[str, Any]:
    """Return what `encode_trigger` writes, as plain data. Raises `TriggerError` as it does."""
    if type(trigger) is DateTrigger:
        return {"kind": "date", "at": _instant(trigger.run_date), "timezone": _zone_name(trigger.run_date.tzinfo)}
    if type(trigger) is IntervalTrigger:
        return _interval_facts(trigger)
    if type(trigger) is CronTrigger:
        return _cron_facts(trigger)
    raise TriggerError(type(trigger).__name__)


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


def _common_facts(trigger: IntervalTrigger | CronTrigger) -> dict[str, Any]:
    facts: dict[str, Any] = {"timezone": _zone_name(trigger.timezone)}
    if trigger.start_date:
        facts["start"] = _instant(trigger.start_date)
    if trigger.end_date:
        facts["end"] = _instant(trigger.end_date)
    if trigger.jitter:
        facts["jitter"] = _jitter(trigger)
    return facts


def _jitter(trigger: IntervalTrigger | CronTrigger) -> float:
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
    if isinstance(key, str) and _is_iana(key):
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


def _is_iana(key: str) -> bool:
    try:
        ZoneInfo(key)
    except (LookupError, ValueError, OSError):
        return False
    return True


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


# -- reading ---------------------------------------------------------------------------------------


def decode_trigger(text: str) -> BaseTrigger:
    """Return the trigger that `encode_trigger` wrote as `text`; nothing in it is executed.

    Raises `MalformedTriggerError` for anything else, and for a time zone that this machine does not know.
    """
    try:
        facts = _parsed(text)
        trigger = _READERS[_kind(facts)](facts)
        if facts:
            raise ValueError(f"it has an unknown part {min(facts)!r}")
    except (ValueError, OverflowError, RecursionError) as error:
        raise MalformedTriggerError(str(text), str(error)) from error
    return trigger


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


def _kind(facts: dict[str, Any]) -> str:
    kind = facts.pop("kind", None)
    if not isinstance(kind, str) or kind not in _READERS:
        raise ValueError("its kind is not date, interval or cron")
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


_READERS: dict[str, Callable[[dict[str, Any]], BaseTrigger]] = {
    "date": _read_date,
    "interval": _read_interval,
    "cron": _read_cron,
}


def _read_common(facts: dict[str, Any]) -> dict[str, Any]:
    zone = _read_zone(facts)
    return {
        "timezone": zone,
        "start_date": _read_instant(facts, "start").astimezone(zone) if "start" in facts else None,
        "end_date": _read_instant(facts, "end").astimezone(zone) if "end" in facts else None,
        "jitter": _read_number(facts, "jitter", LONGEST_JITTER) if "jitter" in facts else None,
    }


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
    if not _is_iana(name):
        raise ValueError(f"its time zone {name!r} is not known on this machine")
    return ZoneInfo(name)


def _read_offset(match: re.Match[str]) -> tzinfo:
    sign, hours, minutes, seconds = match.groups(default="0")
    offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    return timezone(-offset if sign == "-" else offset)

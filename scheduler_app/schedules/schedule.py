"""Schedule: a recurring definition with a name, which emits one job per fire time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import IntervalError
from scheduler_app.schedules.triggers import trigger_facts


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring definition. A snapshot of its row; instants are UTC."""

    uid: str
    name: str
    """Unique: APScheduler's job id, any string up to 191 characters."""
    title: str
    """What a person reads: APScheduler's job name."""
    task: str
    payload: str
    trigger: str
    signature: str
    queue: str
    priority: int
    next_run_time: datetime | None
    """None while the schedule is paused."""
    generation: int
    """Rises by 1 with each `next_run_time` that a person chose, so that one instant can fire anew."""
    misfire_grace_time: int | None
    coalesce: bool
    max_instances: int
    max_attempts: int = 1
    at_most_once: bool = False
    declared: bool = False
    tags: tuple[str, ...] = ()
    last_fire_time: datetime | None = None
    error: str | None = None
    created_at: datetime | None = None


def definition(
    *, task: str, payload: str, trigger: BaseTrigger, queue: str, priority: int, options: Mapping[str, Any]
) -> str:
    """Return a fingerprint that differs when a declaration of a schedule was changed, and only then.

    The start of an interval is left out: it tells when the schedule was declared, not what. `options` must be plain
    data that JSON can carry. 64 hexadecimal digits, stable over processes and versions of Python.
    """
    facts = trigger_facts(trigger)
    if facts["kind"] == "interval":
        del facts["start"]
    whole = [task, payload, facts, queue, int(priority), dict(options)]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def every_trigger(
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    start: datetime,
    timezone: tzinfo,
) -> IntervalTrigger:
    """Return an interval trigger that fires at `start` (aware) and then every so often.

    The interval is time that passes, so a change of clocks does not touch it. Raises `IntervalError` for less than 1
    second, and for a number that is not finite or too large.
    """
    parts = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    for name, value in parts.items():
        _require_finite(name, value)
    try:
        interval = timedelta(**parts)
    except OverflowError:
        raise IntervalError("it is too long") from None
    if interval < timedelta(seconds=1):
        raise IntervalError(f"it is {interval.total_seconds():g} seconds")
    if start.tzinfo is None:
        raise IntervalError(f"its start {start.isoformat()} has no time zone")
    return IntervalTrigger(seconds=interval.total_seconds(), start_date=start, timezone=timezone)


def _require_finite(name: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):  # type: ignore[arg-type]
        raise IntervalError(f"{name}={value!r} is not a finite number")

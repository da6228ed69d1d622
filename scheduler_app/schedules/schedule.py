"""Schedule: a recurring definition with a name, which emits one job per fire time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import IntervalError
from scheduler_app.schedules.triggers import trigger_facts, without_starts


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring definition. A snapshot of its row; instants are UTC."""

    uid: str
    name: str
    """Unique: APScheduler's job id, any string up to 191 characters."""
    title: str
    """What a person reads: APScheduler's job name."""
    task: str
    payload: str = field(repr=False)
    trigger: str
    signature: str = field(repr=False)
    queue: str
    priority: int
    next_run_time: datetime | None
    """None while the schedule is paused."""
    generation: int
    """Rises by 1 with each `next_run_time` that a person chose, so that one instant can fire anew."""
    misfire_grace_time: int | None
    coalesce: bool
    """Whether the latest of several missed fire times stands for all, unless `catch_up` says otherwise."""
    max_instances: int
    """How many of its jobs may be unfinished at once."""
    max_attempts: int = 1
    retry: str | None = None
    """The retry policy, as `encode_policy` writes it."""
    at_most_once: bool = False
    declared: bool = False
    tags: tuple[str, ...] = ()
    last_fire_time: datetime | None = None
    error: str | None = None
    created_at: datetime | None = None
    catch_up: str | None = None
    """`none`, which APScheduler has no word for; None: as `coalesce` says. See `policy`."""
    overlap: str | None = None
    """`queue`, which APScheduler has no word for; None: as `max_instances` says."""
    orphaned_at: datetime | None = None
    """Since when code that declared it does so no longer; None while it does, and for one that no code declared."""


def definition(
    *, task: str, payload: str, trigger: BaseTrigger, queue: str, priority: int, options: Mapping[str, Any]
) -> str:
    """Return a fingerprint that differs when a declaration of a schedule was changed, and only then.

    The start of an interval is left out: it tells when the schedule was declared, not what. `options` must be plain
    data that JSON can carry. 64 hexadecimal digits, stable over processes and versions of Python.
    """
    facts = without_starts(trigger_facts(trigger))
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
    end: datetime | None = None,
    jitter: float | None = None,
) -> IntervalTrigger:
    """Return an interval trigger that fires at `start` (aware) and then every so often, until `end`, which is included.

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
    seconds = interval.total_seconds()
    return IntervalTrigger(seconds=seconds, start_date=start, timezone=timezone, end_date=end, jitter=jitter)


def _require_finite(name: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):  # type: ignore[arg-type]
        raise IntervalError(f"{name}={value!r} is not a finite number")

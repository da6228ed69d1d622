"""What a job of APScheduler's becomes here: a job for a date, a schedule for everything else. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from apscheduler.triggers.date import DateTrigger

from scheduler_app.adoption.facts import LONGEST_NAME, Found
from scheduler_app.schedules import decode_trigger

DEFAULT = "default"
"""The executor of a job that names none, in APScheduler, too."""


class Kind(StrEnum):
    """What a job of APScheduler's becomes."""

    JOB = "job"
    """A call that runs once."""
    SCHEDULE = "schedule"
    """A recurring definition, whose name is the old id."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one job is to be stored."""

    kind: Kind
    queue: str | None
    """None: the one of its task."""
    run_at: datetime | None
    """When it runs, of a job; when it fires next, of a schedule: None while that is paused."""
    paused: bool
    job_id: str
    """Of a job: made of its old id, so that it is found again whenever it is adopted again."""
    key: str | None
    """Of a job: its old id, if that can be a key."""
    remarks: tuple[str, ...]
    """What a person should know before that is stored, in sentences."""


def plan_of(found: Found, executors: Collection[str], now: datetime) -> Plan:
    """Decide how a job is to be stored in an app that has these executors and queues."""
    trigger = decode_trigger(found.trigger)
    once = isinstance(trigger, DateTrigger)
    known = found.executor in executors
    at = found.next_run_time
    if once and at is None:
        at = trigger.run_date.astimezone(UTC)
    key = found.id if found.id.isprintable() and 0 < len(found.id) <= LONGEST_NAME else None
    return Plan(
        kind=Kind.JOB if once else Kind.SCHEDULE,
        queue=found.executor if known and found.executor != DEFAULT else None,
        run_at=at,
        paused=found.next_run_time is None,
        job_id=job_id_of(found.id),
        key=key if once else None,
        remarks=tuple(_remarks(found, once, known, once and key is None, now)),
    )


def job_id_of(aps_id: str) -> str:
    """Return the id of the job that an APScheduler job of this id becomes: always the same.

    It has the shape of this package's ids and the time 0 in it, for ids are in the order of making: it stands first.
    """
    digits = hashlib.sha256(f"apscheduler:{aps_id}".encode(errors="surrogatepass")).hexdigest()
    return f"00000000-0000-7{digits[:3]}-8{digits[3:6]}-{digits[6:18]}"


def _remarks(found: Found, once: bool, known: bool, keyless: bool, now: datetime) -> Iterator[str]:
    if not known:
        yield f"Its executor {found.executor!r} is none of this app's, so it goes to the queue of its task."
    if keyless:
        yield "Its id cannot be a key."
    at, grace = found.next_run_time, found.misfire_grace_time
    if at is None or at >= now:
        return
    due = f"It was due at {at:%Y-%m-%d %H:%M:%S} UTC"
    if once and grace is not None and now - at > timedelta(seconds=grace):
        yield f"{due}, longer ago than its misfire_grace_time of {grace} s, so it will be missed."
    elif grace is not None and not once:
        yield f"{due}: only fire times of the last {grace} s are made up for, as its misfire_grace_time says."
    else:
        yield f"{due}, and will run at once."

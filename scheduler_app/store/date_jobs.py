"""Waiting jobs as APScheduler sees them: date jobs, read whole, changed, paused and cancelled.

What a schedule emitted is not among them: to APScheduler a schedule and its runs are one job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal_column, select, update

from ..jobs import JobState
from .tables import jobs
from .types import Instant

_FIELDS = ("id", "task", "payload", "signature", "queue", "state", "run_at", "max_lateness")
_SCHEDULED: ColumnElement[bool] = literal_column("state = 'scheduled'")
_WAITING = jobs.c.state.in_((JobState.SCHEDULED.value, JobState.PAUSED.value))
_DATE_JOB = select(*(jobs.c[name] for name in _FIELDS)).where(jobs.c.schedule_uid.is_(None))


@dataclass(frozen=True, slots=True)
class DateJob:
    """A call that waits for its time, or, paused, for a person. A snapshot of its row; `run_at` is UTC."""

    id: str
    task: str
    payload: str
    signature: str
    queue: str
    state: str
    run_at: datetime
    max_lateness: float | None

    @property
    def next_run_time(self) -> datetime | None:
        """When it will run; None while it is paused."""
        return None if self.state == JobState.PAUSED.value else self.run_at


def _all(connection: Connection, statement: Select[Any], **parameters: Any) -> list[DateJob]:
    return [DateJob(**row._mapping) for row in connection.execute(statement, parameters)]


_EVERY = _DATE_JOB.where(_WAITING).order_by(jobs.c.run_at, jobs.c.id)
_DUE = _DATE_JOB.where(_SCHEDULED, jobs.c.run_at <= bindparam("now", type_=Instant)).order_by(jobs.c.run_at, jobs.c.id)
_ONE = _DATE_JOB.where(_WAITING, jobs.c.id == bindparam("job_id"))
_NEXT = select(func.min(jobs.c.run_at, type_=Instant)).where(_SCHEDULED, jobs.c.schedule_uid.is_(None))


def every(connection: Connection) -> list[DateJob]:
    """Return all waiting jobs by their time, paused ones among them. Reads every one of them."""
    return _all(connection, _EVERY)


def due(connection: Connection, now: datetime) -> list[DateJob]:
    """Return the waiting jobs that are due, the longest due first. Claims nothing."""
    return _all(connection, _DUE, now=now)


def by_id(connection: Connection, job_id: str, *, lock: bool = False) -> DateJob | None:
    """Return the waiting job of this id, or None."""
    found = _all(connection, _ONE.with_for_update() if lock else _ONE, job_id=job_id)
    return found[0] if found else None


def next_run_time(connection: Connection) -> datetime | None:
    """Return when the first waiting job is due, or None. Reads every scheduled one."""
    return connection.execute(_NEXT).scalar()


def change_if_waiting(connection: Connection, job_id: str, columns: Mapping[str, Any]) -> bool:
    """Give a waiting job other columns: its time, its state of the two, or its call, signed."""
    statement = update(jobs).where(jobs.c.id == job_id, _WAITING)
    return bool(connection.execute(statement.values(**columns, version=jobs.c.version + 1)).rowcount)

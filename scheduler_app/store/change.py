"""Changing jobs on a person's word: each verb has its guard in its name and answers whether it happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ..jobs import JobState, Outcome
from .claim import KEY_PREFIX
from .dialect import Dialect
from .tables import jobs
from .types import Instant, bumped


def cancel_if_waiting(connection: Connection, job_id: str, now: datetime) -> bool:
    """Cancel a job that has not started: True means that it will not start."""
    waiting = jobs.c.state.in_((JobState.SCHEDULED.value, JobState.PAUSED.value, JobState.QUARANTINED.value))
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, waiting)
        .values(
            state=JobState.CANCELLED.value,
            outcome=Outcome.CANCELLED.value,
            finished_at=now,
            cancel_requested_at=now,
            live_key=None,
            version=jobs.c.version + 1,
        )
    )
    return bool(connection.execute(statement).rowcount)


_HELD: ColumnElement[bool] = literal_column("state IN ('claimed', 'running')")


def request_cancel_if_held(connection: Connection, job_id: str, now: datetime) -> bool:
    """Ask for a job that is held by a worker to stop; neither rescue nor retry revives it."""
    statement = (
        update(jobs).where(jobs.c.id == job_id, _HELD).values(cancel_requested_at=now, version=jobs.c.version + 1)
    )
    return bool(connection.execute(statement).rowcount)


_ASKED = select(jobs.c.id).where(
    _HELD, jobs.c.worker_id == bindparam("worker"), jobs.c.cancel_requested_at.is_not(None)
)


def cancel_requested_of(connection: Connection, worker_id: str) -> set[str]:
    """Return the ids of a worker's jobs that were asked to stop."""
    return {row.id for row in connection.execute(_ASKED, {"worker": worker_id})}


def reschedule_if_waiting(connection: Connection, job_id: str, run_at: datetime) -> bool:
    """Give a job that has not started another time."""
    waiting = jobs.c.state.in_((JobState.SCHEDULED.value, JobState.PAUSED.value))
    statement = update(jobs).where(jobs.c.id == job_id, waiting).values(run_at=run_at, version=jobs.c.version + 1)
    return bool(connection.execute(statement).rowcount)


def quarantine_if_scheduled(connection: Connection, job_id: str, reason: str) -> bool:
    """Put a job that cannot run aside, with the reason; it keeps its row and all it holds."""
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, literal_column("state = 'scheduled'"))
        .values(state=JobState.QUARANTINED.value, live_key=None, error=reason, version=bumped(jobs.c.version))
    )
    return bool(connection.execute(statement).rowcount)


def quarantine_if_held(connection: Connection, job_id: str, fence: int, reason: str) -> bool:
    """Put a job aside whose claim still holds and of which no end can be written, with the reason."""
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.claim_seq == fence, _HELD)
        .values(state=JobState.QUARANTINED.value, worker_id=None, error=reason, version=bumped(jobs.c.version))
    )
    return bool(connection.execute(statement).rowcount)


def quarantine_unreadable(connection: Connection, dialect: Dialect, now: datetime) -> list[tuple[str, str]]:
    """Put aside every scheduled job whose `run_at` cannot be read; return each one's id and reason.

    The reason keeps what stood there, and `run_at` becomes `now`, so that the row can be shown and mended. Reads all
    scheduled jobs: for when a peek has failed.
    """
    unreadable = (
        select(jobs.c.id, dialect.shown(jobs.c.run_at).label("stood"))
        .where(literal_column("state = 'scheduled'"), dialect.unreadable(jobs.c.run_at))
        .with_for_update()
    )
    aside = [(row.id, f"its run_at cannot be read: {row.stood}") for row in connection.execute(unreadable)]
    for job_id, why in aside:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id)
            .values(
                state=JobState.QUARANTINED.value, live_key=None, error=why, run_at=now, version=bumped(jobs.c.version)
            )
        )
    return aside


UNSERVED = "no live worker knows its task: "
"""How the reason of a job begins that was put aside because nobody could serve it."""

UNKNOWN_KEY = "no live worker knows its signing key: "


def unserved_jobs(connection: Connection, after: str, limit: int) -> list[Any]:
    """Return jobs that were put aside because nobody could serve them, as rows of id, task, key, signature.

    In the order of their ids, from behind `after`, so that one page after another sees them all.
    """
    aside = (
        select(jobs.c.id, jobs.c.task, jobs.c.key, jobs.c.signature)
        .where(
            jobs.c.state == JobState.QUARANTINED.value,
            jobs.c.id > after,
            or_(jobs.c.error.like(f"{UNSERVED}%"), jobs.c.error.like(f"{UNKNOWN_KEY}%")),
        )
        .order_by(jobs.c.id)
        .limit(limit)
    )
    return list(connection.execute(aside))


_MEND = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.state == JobState.QUARANTINED.value)
    .values(state=JobState.SCHEDULED.value, live_key=jobs.c.key, error=None, version=jobs.c.version + 1)
)


def release_if_quarantined(connection: Connection, job_id: str) -> bool:
    """Take a mended job out of quarantine. False, changing nothing, when a newer job holds its key."""
    try:
        with connection.begin_nested():
            return bool(connection.execute(_MEND, {"job_id": job_id}).rowcount)
    except IntegrityError:
        return False


_DUE_OF_TASK = select(jobs.c.id).where(
    literal_column("state = 'scheduled'"),
    jobs.c.task == bindparam("task"),
    jobs.c.run_at <= bindparam("before", type_=Instant),
)


def overdue_of_task(connection: Connection, task: str, before: datetime, limit: int) -> list[str]:
    """Return the ids of a task's scheduled jobs that were due at `before`."""
    found = connection.execute(_DUE_OF_TASK.limit(limit), {"task": task, "before": before})
    return [row.id for row in found]


_DUE_OF_KEY = select(jobs.c.id).where(
    literal_column("state = 'scheduled'"),
    func.substr(jobs.c.signature, 1, KEY_PREFIX) == bindparam("prefix"),
    jobs.c.run_at <= bindparam("before", type_=Instant),
)


def overdue_of_key(connection: Connection, prefix: str, before: datetime, limit: int) -> list[str]:
    """Return the ids of scheduled jobs signed with a key, by its signatures' prefix, that were due at `before`."""
    found = connection.execute(_DUE_OF_KEY.limit(limit), {"prefix": prefix, "before": before})
    return [row.id for row in found]

"""Reading jobs and attempts. Every list is paged by key, so its cost does not grow with the table."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, func, select

from ..jobs import Attempt, Job, JobState, Outcome
from .tables import attempts, jobs

_FIELDS = (
    "id", "task", "payload", "queue", "priority", "state", "run_at", "key", "attempt", "max_attempts", "crashes",
    "claim_seq", "worker_id", "created_at", "cancel_requested_at", "started_at", "finished_at", "outcome", "result",
    "error", "tags", "schedule_uid", "fire_time", "at_most_once", "version",
)  # fmt: skip
_JOB = select(*(jobs.c[name] for name in _FIELDS))


def _job(row: Any) -> Job:
    fields = dict(row._mapping)
    try:
        fields["state"] = JobState(fields["state"])
        fields["outcome"] = None if fields["outcome"] is None else Outcome(fields["outcome"])
        fields["tags"] = tuple(json.loads(fields["tags"])) if fields["tags"] else ()
    except ValueError as error:  # one such row must not hide the others of its page
        fields |= {
            "state": JobState.QUARANTINED,
            "outcome": None,
            "tags": (),
            "error": f"its row is malformed: {error}",
        }
    return Job(**fields)


def job(connection: Connection, job_id: str) -> Job | None:
    """Return the job of this id, or None."""
    row = connection.execute(_JOB.where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def job_by_live_key(connection: Connection, key: str) -> Job | None:
    """Return the job that holds this key and has not started yet, or None."""
    row = connection.execute(_JOB.where(jobs.c.live_key == key)).one_or_none()
    return None if row is None else _job(row)


def page_of_jobs(
    connection: Connection,
    *,
    states: Collection[JobState] = (),
    queue: str | None = None,
    task: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return up to `limit` jobs, the newest first, older than the id `before`."""
    statement = _JOB.order_by(jobs.c.id.desc()).limit(limit)
    return [_job(row) for row in connection.execute(_narrow(statement, states, queue, task, before))]


def _narrow(
    statement: Select[Any], states: Collection[JobState], queue: str | None, task: str | None, before: str | None
) -> Select[Any]:
    if states:
        statement = statement.where(jobs.c.state.in_(sorted(state.value for state in states)))
    if queue is not None:
        statement = statement.where(jobs.c.queue == queue)
    if task is not None:
        statement = statement.where(jobs.c.task == task)
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    return statement


def attempts_of(connection: Connection, job_id: str) -> list[Attempt]:
    """Return the recorded attempts of a job, the first one first."""
    rows = connection.execute(select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.claim_seq))
    return [Attempt(**(dict(row._mapping) | {"outcome": Outcome(row.outcome)})) for row in rows]


def count_of(connection: Connection, state: JobState, cap: int) -> int:
    """Return how many jobs are in a state, counting no further than `cap`."""
    some = select(jobs.c.id).where(jobs.c.state == state.value).limit(cap).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()

"""Reading jobs and attempts. Every list is paged by key, so its cost does not grow with the table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from ..jobs import HELD, Attempt, Job, JobState, Outcome
from ..origin import read_origin
from .dialect import PLAIN, Dialect
from .tables import attempts, is_in, jobs

_FIELDS = (
    "id", "task", "payload", "queue", "priority", "state", "run_at", "key", "attempt", "max_attempts", "crashes",
    "claim_seq", "worker_id", "created_at", "cancel_requested_at", "started_at", "finished_at", "outcome", "result",
    "error", "progress", "tags", "origin", "schedule_uid", "fire_time", "at_most_once", "timeout",
    "max_lateness", "version",
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


def job(connection: Connection, job_id: str, *, lock: bool = False) -> Job | None:
    """Return the job of this id, or None. Under `lock` it is read as it is now, whatever the transaction saw before."""
    wanted = _JOB.where(jobs.c.id == job_id)
    row = connection.execute(wanted.with_for_update() if lock else wanted, execution_options=PLAIN).one_or_none()
    return None if row is None else _job(row)


def job_by_live_key(connection: Connection, key: str) -> Job | None:
    """Return the job that holds this key and has not started yet, or None."""
    row = connection.execute(_JOB.where(jobs.c.live_key == key)).one_or_none()
    return None if row is None else _job(row)


def job_by_key(connection: Connection, key: str) -> Job | None:
    """Return the job that holds this key and has not started yet; else the newest of it that is held or put aside."""
    waiting = job_by_live_key(connection, key)
    if waiting is not None:
        return waiting
    others = [row for is_there in _KEYLESS for row in connection.execute(_JOB.where(is_there, jobs.c.key == key))]
    return _job(max(others, key=lambda row: row.id)) if others else None


_KEYLESS: tuple[ColumnElement[bool], ...] = (
    literal_column("state IN ('claimed', 'running')"),
    is_in(JobState.QUARANTINED.value),
)
"""The states of jobs that have not ended and hold no key, each with an index of its own."""


def jobs_of(connection: Connection, dialect: Dialect, ids: Sequence[str]) -> dict[str, Job]:
    """Return the jobs of these ids that are there, by id."""
    if not ids:
        return {}
    rows = connection.execute(_JOB.where(dialect.among(jobs.c.id, "ids")), {"ids": dialect.pack(ids)})
    return {row.id: _job(row) for row in rows}


def attempts_of(connection: Connection, job_id: str) -> list[Attempt]:
    """Return the recorded attempts of a job, the first one first."""
    rows = connection.execute(select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.claim_seq))
    return [Attempt(**(dict(row._mapping) | {"outcome": Outcome(row.outcome)})) for row in rows]


def count_of(connection: Connection, state: JobState, cap: int) -> int:
    """Return how many jobs are in a state, counting no further than `cap`."""
    some = select(jobs.c.id).where(_COUNTED.get(state, is_in(state.value))).limit(cap).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


class Told(NamedTuple):
    """What a job tells of itself to whoever looks for a text, a tag or an argument."""

    id: str
    task: str
    queue: str
    key: str | None
    tags: tuple[str, ...]
    error: str | None
    payload: str


_TOLD = select(*(jobs.c[name] for name in Told._fields))


def told_of(connection: Connection, dialect: Dialect, ids: Sequence[str]) -> list[Told]:
    """Return what the jobs of these ids tell of themselves."""
    if not ids:
        return []
    rows = connection.execute(_TOLD.where(dialect.among(jobs.c.id, "ids")), {"ids": dialect.pack(ids)})
    return [Told(*row)._replace(tags=_tags(row.tags)) for row in rows]


def _tags(stored: str | None) -> tuple[str, ...]:
    try:
        return tuple(json.loads(stored)) if stored else ()
    except (ValueError, TypeError):
        return ()


def states_of(connection: Connection, dialect: Dialect, ids: Sequence[str]) -> dict[str, str]:
    """Return the states of the jobs of these ids that are there, by id."""
    rows = connection.execute(
        select(jobs.c.id, jobs.c.state).where(dialect.among(jobs.c.id, "ids")), {"ids": dialect.pack(ids)}
    )
    return {row.id: row.state for row in rows}


_COUNTED: dict[JobState, ColumnElement[bool]] = {
    **{state: literal_column(f"state IN ('claimed', 'running') AND state = '{state.value}'") for state in HELD},
    JobState.SUCCEEDED: literal_column("finished_at IS NOT NULL AND state = 'succeeded'"),
}
"""How states are asked for whose jobs stand in an index by other words."""


def schedule_names(connection: Connection, dialect: Dialect, ids: Sequence[str]) -> dict[str, str]:
    """Return, by uid, the names of the schedules that emitted these jobs, also of those that have ended."""
    statement = select(jobs.c.schedule_uid, jobs.c.origin).where(
        dialect.among(jobs.c.id, "ids"), jobs.c.schedule_uid.is_not(None), jobs.c.origin.is_not(None)
    )
    rows = connection.execute(statement, {"ids": dialect.pack(ids)})
    names = {row.schedule_uid: read_origin(row.origin).get("schedule") for row in rows}
    return {uid: name for uid, name in names.items() if name is not None}

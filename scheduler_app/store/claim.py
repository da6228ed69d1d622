"""Claiming due jobs: peek at which ranges are due, then take rows range by range.

A claim never reads a row that is not due, so its cost grows neither with the future nor with history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError
from sqlalchemy.sql.selectable import TextualSelect

from ..jobs import JobState, Outcome
from .dialect import Dialect
from .tables import jobs
from .types import Instant

KEY_PREFIX = len("v1:01234567")
"""The part of a signature that names its key."""


class Unserved(NamedTuple):
    """What this process found that it cannot run, and leaves to others: task names, and signatures' key prefixes."""

    tasks: Collection[str] = ()
    keys: Collection[str] = ()


class Range(NamedTuple):
    """The scheduled jobs of one queue and priority: the instants that decide what to claim and when to look again."""

    queue: str
    priority: int
    first: datetime
    """When the first of them is due."""
    following: datetime | None
    """When the first one after now is due."""
    crashed: datetime | None
    """When the first of those that outlived a worker is due."""


@dataclass(slots=True, eq=False)
class Claim:
    """A job that this process holds, with the fence of the claim. What an executor carries."""

    id: str
    task: str
    payload: str
    signature: str
    queue: str
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    crashes: int
    at_most_once: bool
    fence: int
    key: str | None
    schedule_uid: str | None
    fire_time: datetime | None
    max_lateness: float | None
    claimed_at: float = 0.0
    """When it was claimed, on this process's monotonic clock."""
    cancelled: bool = False
    """Whether its cancellation was requested while it ran."""


RANGES = """
    names(queue) AS (
      SELECT (SELECT min(queue) FROM scheduler_jobs WHERE state = 'scheduled')
      UNION ALL
      SELECT (SELECT min(queue) FROM scheduler_jobs WHERE state = 'scheduled' AND queue > names.queue)
      FROM names WHERE names.queue IS NOT NULL
    ), levels(priority) AS (SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)
"""
"""The queues that have scheduled jobs, one step of an index each, and the four priorities: two tables of a WITH."""

_PEEK = """
    WITH RECURSIVE {ranges},
    ranges AS {materialized} (
      SELECT names.queue, levels.priority,
        (SELECT min(run_at) FROM scheduler_jobs
         WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority) AS first,
        (SELECT min(run_at) FROM scheduler_jobs
         WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority
           AND run_at > :now) AS following,
        (SELECT min(run_at) FROM scheduler_jobs
         WHERE state = 'scheduled' AND crashes > 0
           AND queue = names.queue AND priority = levels.priority) AS crashed
      FROM names CROSS JOIN levels WHERE names.queue IS NOT NULL
    )
    SELECT ranges.queue, ranges.priority, ranges.first, ranges.following, ranges.crashed,
      (SELECT min(next_run_time) FROM scheduler_schedules) AS next_fire
    FROM (SELECT 1 AS one) AS always LEFT JOIN ranges ON ranges.first IS NOT NULL
"""


@cache
def _peek(dialect: Dialect) -> TextualSelect:
    """Return a peek's statement: a few steps of an index per queue and priority, however many jobs stand in each."""
    statement = text(_PEEK.format(ranges=RANGES, materialized=dialect.materialized)).bindparams(
        bindparam("now", type_=Instant)
    )
    return statement.columns(
        jobs.c.queue, jobs.c.priority, first=Instant, following=Instant, crashed=Instant, next_fire=Instant
    )


def peek(connection: Connection, dialect: Dialect, now: datetime) -> tuple[list[Range], datetime | None]:
    """Return the ranges that have scheduled jobs, and when the next schedule fires. Locks nothing, and reads no row."""
    rows = connection.execute(_peek(dialect), {"now": now}).all()
    return [Range(*row[:5]) for row in rows if row.queue is not None], rows[0].next_fire


def peek_ranges(connection: Connection, dialect: Dialect, now: datetime) -> list[Range]:
    """Return the ranges that have scheduled jobs."""
    return peek(connection, dialect, now)[0]


_COLUMNS = (
    jobs.c.id,
    jobs.c.task,
    jobs.c.payload,
    jobs.c.signature,
    jobs.c.queue,
    jobs.c.priority,
    jobs.c.run_at,
    jobs.c.attempt,
    jobs.c.max_attempts,
    jobs.c.crashes,
    jobs.c.at_most_once,
    jobs.c.claim_seq + 1,
    jobs.c.key,
    jobs.c.schedule_uid,
    jobs.c.fire_time,
    jobs.c.max_lateness,
)
_IS_SCHEDULED: ColumnElement[bool] = literal_column("state = 'scheduled'")


def _due(columns: Iterable[Any], crashed: str) -> Select[Any]:
    return (
        select(*columns)
        .where(
            _IS_SCHEDULED,
            jobs.c.queue == bindparam("queue"),
            jobs.c.priority == bindparam("priority"),
            jobs.c.run_at <= bindparam("now", type_=Instant),
            literal_column(crashed),
        )
        .order_by(jobs.c.run_at)
        .limit(bindparam("limit"))
    )


_FRESH = _due(_COLUMNS, "crashes = 0")
_CRASHED = _due(_COLUMNS, "crashes > 0")
_served = and_(
    jobs.c.task.not_in(bindparam("tasks", expanding=True)),
    func.substr(jobs.c.signature, 1, KEY_PREFIX).not_in(bindparam("keys", expanding=True)),
)
_FRESH_SERVED = _FRESH.where(_served)
_CRASHED_SERVED = _CRASHED.where(_served)


def lock_due(
    connection: Connection,
    dialect: Dialect,
    due: Range,
    now: datetime,
    limit: int,
    unserved: Unserved,
    *,
    crashed: bool,
) -> list[Claim]:
    """Lock up to `limit` due jobs of a range that no other process has locked, and return them.

    `crashed` asks for jobs that were in flight when a worker died; the two kinds are claimed apart,
    because only one such job may be in flight in a process.
    """
    parameters: dict[str, Any] = {"queue": due.queue, "priority": due.priority, "now": now, "limit": limit}
    statement = _CRASHED if crashed else _FRESH
    if unserved.tasks or unserved.keys:
        statement = _CRASHED_SERVED if crashed else _FRESH_SERVED
        parameters |= {"tasks": sorted(unserved.tasks), "keys": sorted(unserved.keys)}
    return [Claim(*row) for row in dialect.lock_due(connection, statement, parameters, limit)]


@cache
def _take(dialect: Dialect) -> Update:
    return (
        update(jobs)
        .where(dialect.among(jobs.c.id, "ids"))
        .values(
            state=JobState.RUNNING.value,
            worker_id=bindparam("worker"),
            claim_seq=jobs.c.claim_seq + 1,
            started_at=bindparam("now", type_=Instant),
            live_key=None,
            version=jobs.c.version + 1,
        )
    )


def take(connection: Connection, dialect: Dialect, claims: Sequence[Claim], worker_id: str, now: datetime) -> None:
    """Give locked jobs to a worker: running, under the next fence. Their keys are free from here on."""
    ids = dialect.pack([c.id for c in claims])
    connection.execute(_take(dialect), {"ids": ids, "worker": worker_id, "now": now})


def try_to_take(connection: Connection, dialect: Dialect, job_id: str, now: datetime) -> None:
    """Take a job and undo that at once: raises what a claim of it would raise."""
    savepoint = connection.begin_nested()
    connection.execute(_take(dialect), {"ids": dialect.pack([job_id]), "worker": "", "now": now})
    savepoint.rollback()


def miss(connection: Connection, dialect: Dialect, claims: Sequence[Claim], now: datetime) -> None:
    """Close locked jobs that are later than they allow: missed, with the reason."""
    statement = (
        update(jobs)
        .where(dialect.among(jobs.c.id, "ids"))
        .values(
            state=JobState.MISSED.value,
            outcome=Outcome.MISSED.value,
            finished_at=bindparam("now", type_=Instant),
            live_key=None,
            error="not started: it was due for longer than its max_lateness",
            version=jobs.c.version + 1,
        )
    )
    connection.execute(statement, {"ids": dialect.pack([c.id for c in claims]), "now": now})


def due_ids(connection: Connection, due: Range, now: datetime, limit: int) -> list[str]:
    """Return the ids of a range's due jobs, reading nothing else of them."""
    fresh = _due((jobs.c.id,), "crashes >= 0")
    parameters = {"queue": due.queue, "priority": due.priority, "now": now, "limit": limit}
    return [row.id for row in connection.execute(fresh, parameters)]


def is_readable(connection: Connection, job_id: str) -> bool:
    """Whether the job's row can be read at all; a value that no type can take makes it False."""
    try:
        row: Any = connection.execute(select(*_COLUMNS).where(jobs.c.id == job_id)).one()
    except (ValueError, TypeError, ArithmeticError, DataError):
        return False
    return isinstance(row.max_lateness, int | float | None)

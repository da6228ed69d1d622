"""Claiming due jobs: peek at which ranges are due, then take rows range by range.

A claim never reads a row that is not due, so its cost grows neither with the future nor with history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from math import inf
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
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
from ..outcomes import why_missed
from ..queues import is_paused
from .dialect import Dialect
from .schedules import FIRING_PARAMETERS, FOREIGN, WAITING, Firer
from .tables import jobs
from .types import Instant

KEY_PREFIX = len("v1:01234567")
"""The part of a signature that names its key."""


class Unserved(NamedTuple):
    """What this process found that it cannot run, and leaves to others.

    Task names, the key prefixes of signatures, and the ids of jobs whose arguments do not fit their task here.
    """

    tasks: Collection[str] = ()
    keys: Collection[str] = ()
    jobs: Collection[str] = ()


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
    limit: int | None = None
    """How many of the queue's jobs may run at once across all processes; None: any number."""
    held: int = 0
    """How many of them are claimed or running, where there is such a limit."""
    paused_at: datetime | None = None
    """When the queue was paused."""
    paused_until: datetime | None = None
    """When its pause ends by itself."""

    def is_open(self, now: datetime) -> bool:
        """Whether its queue is neither paused nor, as it was seen, full."""
        return not is_paused(self.paused_at, self.paused_until, now) and (self.limit is None or self.held < self.limit)


@dataclass(slots=True, eq=False)
class Claim:
    """A job that this process holds, with the fence of the claim. What an executor carries."""

    id: str
    task: str
    payload: str = field(repr=False)
    signature: str = field(repr=False)
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
    retry: str | None = None
    timeout: float | None = None
    """How long this attempt may run, in seconds; None in the row: the runner puts its task's own here."""
    claimed_at: float = 0.0
    """When it was claimed, on this process's monotonic clock."""
    cancelled: bool = False
    """Whether its cancellation was requested while it ran."""
    deadline: float = inf
    """When its timeout is over, on this process's monotonic clock; set when it starts."""
    saw_timeout: bool = False
    """Whether its function has asked, and heard, that its timeout is over."""
    progress: str | None = None
    """How far it last said that it is; the loop stores it, and takes it away here."""

    def tell_progress(self, progress: str) -> None:
        """Have the loop store how far the job is."""
        self.progress = progress


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
    standing AS {materialized} (
      SELECT names.queue, q.concurrency, q.paused_at, q.paused_until,
        CASE WHEN q.concurrency IS NULL THEN 0 ELSE
          (SELECT count(*) FROM scheduler_jobs WHERE state IN ('claimed', 'running') AND queue = q.name)
        END AS held
      FROM names LEFT JOIN scheduler_queues q ON q.name = names.queue WHERE names.queue IS NOT NULL
    ),
    ranges AS {materialized} (
      SELECT names.*, levels.priority,
        (SELECT min(run_at) FROM scheduler_jobs
         WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority) AS first,
        (SELECT min(run_at) FROM scheduler_jobs
         WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority
           AND run_at > :now) AS following,
        (SELECT min(run_at) FROM scheduler_jobs
         WHERE state = 'scheduled' AND crashes > 0
           AND queue = names.queue AND priority = levels.priority) AS crashed
      FROM standing AS names CROSS JOIN levels
    )
    SELECT ranges.queue, ranges.priority, ranges.first, ranges.following, ranges.crashed,
      ranges.concurrency, ranges.held, ranges.paused_at, ranges.paused_until,
      (SELECT next_run_time FROM scheduler_schedules
       WHERE next_run_time IS NOT NULL AND NOT ({waiting}) AND NOT ({foreign})
       ORDER BY next_run_time LIMIT 1) AS next_fire
    FROM (SELECT 1 AS one) AS always LEFT JOIN ranges ON ranges.first IS NOT NULL
"""


@cache
def _peek(dialect: Dialect) -> TextualSelect:
    """Return a peek's statement: a few steps of an index per queue and priority, however many jobs stand in each."""
    words = {"ranges": RANGES, "materialized": dialect.materialized, "waiting": WAITING, "foreign": FOREIGN}
    statement = text(_PEEK.format(**words)).bindparams(bindparam("now", type_=Instant), *FIRING_PARAMETERS)
    return statement.columns(
        jobs.c.queue,
        jobs.c.priority,
        first=Instant,
        following=Instant,
        crashed=Instant,
        paused_at=Instant,
        paused_until=Instant,
        next_fire=Instant,
    )


def peek(connection: Connection, dialect: Dialect, now: datetime, firer: Firer) -> tuple[list[Range], datetime | None]:
    """Return the ranges that have scheduled jobs, and when the next schedule fires. Locks nothing, and reads no job.

    A schedule that waits for its own jobs fires when they have ended; one of another's key is for others to fire.
    """
    rows = connection.execute(_peek(dialect), {"now": now, **firer.facts(now)}).all()
    return [Range(*row[:9]) for row in rows if row.queue is not None], rows[0].next_fire


def peek_ranges(connection: Connection, dialect: Dialect, now: datetime) -> list[Range]:
    """Return the ranges that have scheduled jobs."""
    return peek(connection, dialect, now, Firer())[0]


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
    jobs.c.retry,
    jobs.c.timeout,
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
    jobs.c.id.not_in(bindparam("unfit", expanding=True)),
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
    if any(unserved):
        statement = _CRASHED_SERVED if crashed else _FRESH_SERVED
        parameters |= {"tasks": sorted(unserved.tasks), "keys": sorted(unserved.keys), "unfit": sorted(unserved.jobs)}
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


def take_if_scheduled(
    connection: Connection, dialect: Dialect, job_id: str, worker_id: str, now: datetime
) -> Claim | None:
    """Give one job to a worker, whatever its time; None where it does not wait any more. At most one caller gets it."""
    waiting = select(*_COLUMNS).where(jobs.c.id == job_id, _IS_SCHEDULED).with_for_update()
    row: Sequence[Any] | None = connection.execute(waiting).one_or_none()
    if row is None:
        return None
    taken = Claim(*row)
    take(connection, dialect, [taken], worker_id, now)
    return taken


def try_to_take(connection: Connection, dialect: Dialect, job_id: str, now: datetime) -> None:
    """Take a job and undo that at once: raises what a claim of it would raise."""
    savepoint = connection.begin_nested()
    connection.execute(_take(dialect), {"ids": dialect.pack([job_id]), "worker": "", "now": now})
    savepoint.rollback()


_MISS = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(
        state=JobState.MISSED.value,
        outcome=Outcome.MISSED.value,
        finished_at=bindparam("now", type_=Instant),
        live_key=None,
        error=bindparam("why", type_=Text),
        version=jobs.c.version + 1,
    )
)


def miss(connection: Connection, claims: Sequence[Claim], now: datetime) -> None:
    """Close locked jobs that are later than they allow: missed, with the reason."""
    why = {c.id: why_missed(c.run_at, c.max_lateness, now) for c in claims}
    connection.execute(_MISS, [{"job_id": c.id, "now": now, "why": why[c.id]} for c in claims])


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
    return all(isinstance(limit, int | float | None) for limit in (row.max_lateness, row.timeout))

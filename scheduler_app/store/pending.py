"""The jobs that wait, page by page in the order of their time, with what tells whether they could run.

A page is a range of an index, so a walk through all that wait reads nothing that has finished.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal_column, or_, select

from ..jobs import JobState
from .dialect import Dialect
from .tables import is_in, jobs


class Pending(NamedTuple):
    """What of a waiting job says whether it could run."""

    id: str
    task: str
    payload: str
    signature: str
    queue: str
    run_at: datetime


_SCHEDULED: ColumnElement[bool] = literal_column("state = 'scheduled'")
_PAUSED: ColumnElement[bool] = is_in(JobState.PAUSED.value)
_PENDING = select(jobs.c.id, jobs.c.task, jobs.c.payload, jobs.c.signature, jobs.c.queue, jobs.c.run_at)


def page_of_scheduled(
    connection: Connection, dialect: Dialect, queue: str, priority: int, after: Pending | None, limit: int
) -> list[Pending]:
    """Return up to `limit` scheduled jobs of a queue and priority that come after one, the first due first."""
    dialect.before_claim(connection)  # it walks the same index in the same order
    statement = _PENDING.where(*_range(queue, priority)).order_by(jobs.c.run_at, jobs.c.id).limit(limit)
    if after is not None:
        is_later = or_(jobs.c.run_at > after.run_at, jobs.c.id > after.id)
        statement = statement.where(jobs.c.run_at >= after.run_at, is_later)
    return [Pending(*row) for row in connection.execute(statement)]


def page_of_paused(connection: Connection, after: Pending | None, limit: int) -> list[Pending]:
    """Return up to `limit` paused jobs that come after one, by id."""
    statement = _PENDING.where(_PAUSED).order_by(jobs.c.id).limit(limit)
    if after is not None:
        statement = statement.where(jobs.c.id > after.id)
    return [Pending(*row) for row in connection.execute(statement)]


def tasks_of_first(connection: Connection, queue: str, priority: int, limit: int) -> dict[str, datetime]:
    """Return the tasks of the first `limit` scheduled jobs of a queue and priority, and when each is due first."""
    first = (
        select(jobs.c.task, jobs.c.run_at)
        .where(*_range(queue, priority))
        .order_by(jobs.c.run_at)
        .limit(limit)
        .subquery()
    )
    earliest = func.min(first.c.run_at, type_=jobs.c.run_at.type)
    return {row[0]: row[1] for row in connection.execute(select(first.c.task, earliest).group_by(first.c.task))}


def _range(queue: str, priority: int) -> tuple[Any, ...]:
    return (_SCHEDULED, jobs.c.queue == queue, jobs.c.priority == priority)

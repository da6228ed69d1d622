"""Deleting finished jobs: those older than their retention, in small batches along the primary key; or one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, or_, select

from ..jobs import FINISHED, JobState, first_id_of
from .dialect import Dialect
from .tables import attempts, jobs

Retention = Mapping[JobState, float | None]
"""For how many seconds a finished job is kept, by its state; None: for good."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one batch deleted, and where the next one begins: None when there is nothing further."""

    count: int
    after: str | None


_SOME = (
    select(jobs.c.id)
    .where(jobs.c.id > bindparam("after"), jobs.c.id < bindparam("end"))
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
)


_state: ColumnElement[str] = func.coalesce(jobs.c.state, "")
"""The state, by which no index can be searched: SQLite would go through all that have ended for a few ids of them."""


def prune_some(
    connection: Connection, dialect: Dialect, retention: Retention, now: datetime, after: str, limit: int
) -> Pruned:
    """Look at up to `limit` jobs behind the id `after`, the oldest first, and delete those whose time is over.

    A job was made before it finished, and ids are in the order of making: so only ids of before the shortest
    retention are looked at, whatever else there is.
    """
    bounds = {state: now - timedelta(seconds=kept) for state, kept in retention.items() if kept is not None}
    if not bounds:
        return Pruned(0, None)
    looked = {"after": after, "end": first_id_of(max(bounds.values())), "limit": limit}
    ids = [row.id for row in connection.execute(_SOME, looked)]
    count = _delete(connection, dialect, ids, _is_over(bounds)) if ids else 0
    return Pruned(count, ids[-1] if len(ids) == limit else None)


def delete_if_finished(connection: Connection, dialect: Dialect, ids: Sequence[str]) -> int:
    """Delete those of the jobs that have ended, with their attempts; return how many."""
    has_ended = _state.in_([state.value for state in FINISHED])
    return _delete(connection, dialect, [*ids], has_ended) if ids else 0


def _is_over(bounds: Mapping[JobState, datetime]) -> ColumnElement[bool]:
    return or_(*(and_(_state == state.value, jobs.c.finished_at < bound) for state, bound in bounds.items()))


def _delete(connection: Connection, dialect: Dialect, ids: list[str], is_over: ColumnElement[bool]) -> int:
    """Delete those of the jobs that are over at this very moment, for a person may retry one, and their attempts."""
    among = {"ids": dialect.pack(ids)}
    count = connection.execute(delete(jobs).where(dialect.among(jobs.c.id, "ids"), is_over), among).rowcount
    if count:
        left = select(jobs.c.id).where(dialect.among(jobs.c.id, "ids"))
        of_gone = delete(attempts).where(dialect.among(attempts.c.job_id, "ids"), attempts.c.job_id.not_in(left))
        connection.execute(of_gone, among)
    return count

"""The queues' rows: made where a limit or a pause stands, or at first use; and locked by who claims under a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal_column, null, or_, select, update

from ..jobs import Priority
from ..queues import Queue
from .dialect import Dialect
from .tables import jobs, queues
from .types import bumped

_COLUMNS = (
    queues.c.name, queues.c.concurrency, queues.c.paused_at, queues.c.paused_until, queues.c.pause_reason
)  # fmt: skip
_QUEUE = select(*_COLUMNS)


def every(connection: Connection) -> list[Queue]:
    """Return all queues that have a row, by name."""
    return [Queue(*row) for row in connection.execute(_QUEUE.order_by(queues.c.name))]


def by_name(connection: Connection, name: str, *, lock: bool = False) -> Queue | None:
    """Return the queue of this name, or None where it has no row."""
    statement = _QUEUE.where(queues.c.name == name)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else Queue(*row)


def make_if_absent(connection: Connection, dialect: Dialect, names: Sequence[str], now: datetime) -> None:
    """Make the rows of queues that have none; harmless to repeat."""
    if names:
        connection.execute(dialect.insert(queues), [{"name": name, "created_at": now} for name in sorted(names)])


def limit(connection: Connection, dialect: Dialect, limits: Mapping[str, int | None], now: datetime) -> None:
    """Set how many jobs of each queue may run at once across all processes (None: any), making rows that are missing.

    In the order of the names, so that processes that start at once wait for one another, and never in a circle.
    """
    make_if_absent(connection, dialect, [*limits], now)
    for name, most in sorted(limits.items()):
        changed = update(queues).where(queues.c.name == name, queues.c.concurrency.is_distinct_from(most))
        connection.execute(changed.values(concurrency=most, version=bumped(queues.c.version)))


def pause(
    connection: Connection, dialect: Dialect, name: str, reason: str | None, until: datetime | None, now: datetime
) -> None:
    """Pause a queue, or give its pause another reason and end; a queue without a row gets one."""
    make_if_absent(connection, dialect, [name], now)
    connection.execute(
        update(queues)
        .where(queues.c.name == name)
        .values(paused_at=now, paused_until=until, pause_reason=reason, version=bumped(queues.c.version))
    )


def resume_if_paused(connection: Connection, name: str) -> bool:
    """Open a queue again; False where no pause stood in its row, one that is over included."""
    paused = update(queues).where(queues.c.name == name, queues.c.paused_at.is_not(None))
    resumed = paused.values(
        paused_at=null(), paused_until=null(), pause_reason=null(), version=bumped(queues.c.version)
    )
    return bool(connection.execute(resumed).rowcount)


@cache
def _lock(dialect: Dialect) -> Select[Any]:
    named = _QUEUE.where(dialect.among(queues.c.name, "names"))
    return named.order_by(queues.c.name).with_for_update(skip_locked=True)


def lock_free(connection: Connection, dialect: Dialect, names: Sequence[str]) -> list[Queue]:
    """Lock, until the transaction ends, those of these queues' rows that nobody else has locked; return them.

    Waits for nobody, so it is part of no deadlock. Who has a row locked is the only one that may claim under its limit.
    """
    return [Queue(*row) for row in connection.execute(_lock(dialect), {"names": dialect.pack(names)})]


_HELD: ColumnElement[bool] = literal_column("state IN ('claimed', 'running')")

_IS_WAITING: ColumnElement[bool] = literal_column("state = 'scheduled'")


@cache
def _held(dialect: Dialect) -> Select[Any]:
    counted = select(jobs.c.queue, func.count()).where(_HELD, dialect.among(jobs.c.queue, "names"))
    return counted.group_by(jobs.c.queue)


def held_in(connection: Connection, dialect: Dialect, names: Sequence[str]) -> dict[str, int]:
    """Return how many jobs of these queues are claimed or running, in all processes; 0 is left out.

    Counted from the jobs' own rows: nothing to leak when a process dies, and none comes back before its rescue.
    """
    return {row[0]: row[1] for row in connection.execute(_held(dialect), {"names": dialect.pack(names)})}


def held_by_worker(connection: Connection, name: str) -> dict[str, int]:
    """Return how many jobs of a queue each worker holds."""
    counted = select(jobs.c.worker_id, func.count()).where(_HELD, jobs.c.queue == name).group_by(jobs.c.worker_id)
    return {row[0]: row[1] for row in connection.execute(counted)}


def first_of(connection: Connection, name: str) -> datetime | None:
    """Return when the first of a queue's waiting jobs is or was due; None where none waits."""
    found = [
        connection.execute(
            select(func.min(jobs.c.run_at)).where(_IS_WAITING, jobs.c.queue == name, jobs.c.priority == priority)
        ).scalar()
        for priority in Priority
    ]
    return min((one for one in found if one is not None), default=None)


_FEW_WAITING = (
    select(literal_column("1"))
    .where(_IS_WAITING, jobs.c.queue == bindparam("queue"))
    .limit(bindparam("cap"))
    .subquery()
)
_COUNT_WAITING = select(func.count()).select_from(_FEW_WAITING)


def waiting_in(connection: Connection, name: str, cap: int) -> int:
    """Return how many jobs of a queue wait, counting no further than `cap`."""
    return connection.execute(_COUNT_WAITING, {"queue": name, "cap": cap}).scalar_one()


def mend_unreadable(connection: Connection, dialect: Dialect, now: datetime) -> int:
    """Have queues whose pause cannot be read stay paused, from now on, with what stood there as the reason."""
    shown = func.coalesce(dialect.shown(queues.c.paused_until), dialect.shown(queues.c.paused_at))
    damaged = or_(
        queues.c.paused_at.is_not(None) & dialect.unreadable(queues.c.paused_at),
        queues.c.paused_until.is_not(None) & dialect.unreadable(queues.c.paused_until),
    )
    found = connection.execute(select(queues.c.name, shown.label("stood")).where(damaged).with_for_update()).all()
    for row in found:
        pause(connection, dialect, row.name, f"its pause cannot be read: {row.stood}", None, now)
    return len(found)

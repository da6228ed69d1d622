"""The live processes: one row each, bumped by its heartbeat; and taking back what a dead one held."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    delete,
    literal_column,
    null,
    select,
    type_coerce,
    update,
)

from ..jobs import JobState, Outcome
from ..outcomes import Transition, decide_stop
from .dialect import Dialect
from .give_back import GiveBack, cancelled_instead, give_back_if_held
from .tables import attempts, jobs, workers
from .types import Instant, bumped


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as its row tells: where it lives, how often its heart has beaten, what it serves."""

    id: str
    host: str
    pid: int
    boot_id: str | None
    pid_namespace: str | None
    pid_started: int | None
    beat: int
    state: str
    queues: str | None
    executors: str | None
    tasks: str | None
    key_ids: str | None
    started_at: datetime
    seen_at: datetime
    package_version: str | None


ASKED = "?"
"""What stands, in a worker's list of tasks, before the name of one that it does not know and has jobs of."""


def listed(stored: str | None) -> list[str]:
    """Return a list of names that stands in a worker's row; one that is damaged names nothing."""
    try:
        found: Any = json.loads(stored or "[]")
    except (TypeError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def served_by(rows: Iterable[WorkerRow]) -> set[str]:
    """Return the names of the tasks that these workers know."""
    return {task for row in rows for task in listed(row.tasks)}


def asked_by(rows: Iterable[WorkerRow]) -> set[str]:
    """Return the names of the tasks that some of these workers met and do not know."""
    return {task.removeprefix(ASKED) for task in served_by(rows) if task.startswith(ASKED)}


def keys_of(rows: Iterable[WorkerRow]) -> set[str]:
    """Return the ids of the signing keys that these workers believe."""
    return {key for row in rows for key in listed(row.key_ids)}


def register_if_absent(connection: Connection, dialect: Dialect, row: Mapping[str, Any]) -> None:
    """Add a worker's row; harmless to repeat."""
    connection.execute(dialect.insert(workers), dict(row))


_BEAT = (
    update(workers)
    .where(workers.c.id == bindparam("worker"))
    .values(
        beat=workers.c.beat + 1,
        seen_at=bindparam("now", type_=Instant),
        state=bindparam("new_state"),
        tasks=bindparam("new_tasks"),
    )
)


def beat_if_registered(connection: Connection, worker_id: str, now: datetime, state: str, tasks: str) -> bool:
    """Bump a worker's beat; False when its row is gone, because it was declared dead."""
    facts = {"worker": worker_id, "now": now, "new_state": state, "new_tasks": tasks}
    return bool(connection.execute(_BEAT, facts).rowcount)


def remove_if_unchanged(connection: Connection, worker_id: str, beat: int) -> bool:
    """Remove a worker's row unless its heart has beaten since; at most one caller gets True."""
    unchanged = delete(workers).where(workers.c.id == worker_id, workers.c.beat == beat)
    return bool(connection.execute(unchanged).rowcount)


def remove(connection: Connection, worker_id: str) -> None:
    """Remove a worker's own row when it stops."""
    connection.execute(delete(workers).where(workers.c.id == worker_id))


def all_workers(connection: Connection) -> list[WorkerRow]:
    """Return every worker that has a row, the eldest first."""
    return [WorkerRow(*row) for row in connection.execute(select(workers).order_by(workers.c.started_at))]


def all_for_sure(connection: Connection, dialect: Dialect) -> list[WorkerRow]:
    """Return the same where rows may be damaged: an instant that cannot be read is shown as the epoch."""
    columns = [_for_sure(column, dialect) if isinstance(column.type, Instant) else column for column in workers.c]
    rows = connection.execute(select(*columns).order_by(workers.c.started_at)).mappings()
    return [
        WorkerRow(**{**row, "started_at": row["started_at"] or _EPOCH, "seen_at": row["seen_at"] or _EPOCH})
        for row in rows
    ]


_EPOCH = datetime.fromtimestamp(0, UTC)


def _for_sure(instant: Column[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Return an instant as far as it can be read, else nothing."""
    readable = case((dialect.unreadable(instant), null()), else_=instant)
    return type_coerce(readable, Instant).label(instant.name)


_HELD: ColumnElement[bool] = literal_column("state IN ('claimed', 'running')")
_OF_WORKER: ColumnElement[bool] = jobs.c.worker_id == bindparam("worker")
_HELD_IDS = select(jobs.c.id, jobs.c.claim_seq).where(_HELD, _OF_WORKER).order_by(jobs.c.id)
_HELD_BY = select(
    jobs.c.id, jobs.c.claim_seq, jobs.c.key, jobs.c.attempt, jobs.c.crashes, jobs.c.at_most_once,
    jobs.c.cancel_requested_at.is_not(None).label("asked"), jobs.c.task,
).where(_HELD, _OF_WORKER).order_by(jobs.c.id)  # fmt: skip


def held_ids(connection: Connection, worker_id: str) -> list[tuple[str, int]]:
    """Return the id and the fence of every job that a worker holds, whatever else stands in their rows."""
    return [(row.id, row.claim_seq) for row in connection.execute(_HELD_IDS, {"worker": worker_id})]


def held_by(connection: Connection, worker_id: str, only: str | None = None) -> list[Any]:
    """Return the id, fence and key of every job that a worker holds, or of one, as rows.

    None of their instants is read: one that is damaged keeps no job from being given back.
    """
    return list(connection.execute(_just(only), {"worker": worker_id}))


def _just(only: str | None) -> Select[Any]:
    return _HELD_BY if only is None else _HELD_BY.where(jobs.c.id == only)


def _begun(dialect: Dialect, only: str | None) -> Select[Any]:
    """Add when each began, as far as that can be read."""
    return _just(only).add_columns(_for_sure(jobs.c.started_at, dialect))


def orphan_holders(connection: Connection) -> list[str]:
    """Return the ids of workers that hold jobs but have no row any more."""
    gone = select(jobs.c.worker_id).distinct().where(_HELD, jobs.c.worker_id.not_in(select(workers.c.id)))
    return [row[0] for row in connection.execute(gone)]


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job taken back from a dead worker, and what became of it."""

    job_id: str
    task: str
    crashes: int
    state: JobState
    error: str | None


Decide = Callable[[int, bool, bool], Transition]


def rescue_held(
    connection: Connection, dialect: Dialect, worker_id: str, now: datetime, decide: Decide, only: str | None = None
) -> list[Rescued]:
    """Take back what a dead worker held, or one job of it: `decide(crashes, at_most_once, cancel_requested)` says how.

    Each abandoned attempt gets a row. The fence rises, so whatever the dead one still writes changes
    nothing.
    """
    held = connection.execute(_begun(dialect, only).with_for_update(), {"worker": worker_id}).all()
    if not held:
        return []
    decisions = [(row, decide(row.crashes + 1, row.at_most_once, row.asked)) for row in held]
    abandon(connection, dialect, worker_id, decisions, now, f"worker {worker_id} died or did not renew its lease")
    back = [row.id for row, d in decisions if d.state is JobState.SCHEDULED and row.key is not None]
    yielded = cancelled_instead(connection, dialect, back) if back else {}
    return [_rescued(row, d, yielded) for row, d in decisions]


def _rescued(row: Any, decided: Transition, yielded: Mapping[str, str | None]) -> Rescued:
    if row.id in yielded:
        return Rescued(row.id, row.task, row.crashes + 1, JobState.CANCELLED, yielded[row.id])
    return Rescued(row.id, row.task, row.crashes + 1, decided.state, decided.error)


def abandon(
    connection: Connection,
    dialect: Dialect,
    worker_id: str,
    decisions: Sequence[tuple[Any, Transition]],
    now: datetime,
    why: str,
) -> None:
    """Write what becomes of jobs (rows of `held_by`) whose attempts were abandoned, and a row for each attempt."""
    back = [_given_back(row) for row, d in decisions if d.state is JobState.SCHEDULED]
    give_back_if_held(connection, back, now)
    closing = [_closed(row, d, now) for row, d in decisions if d.state is not JobState.SCHEDULED]
    if closing:
        connection.execute(_ABANDON, closing)
    if decisions:
        connection.execute(dialect.insert(attempts), [_attempt(row, worker_id, now, why) for row, _d in decisions])


def let_go(
    connection: Connection,
    dialect: Dialect,
    worker_id: str,
    started: Collection[str],
    now: datetime,
    only: str | None = None,
) -> list[Rescued]:
    """Give back what a stopping worker holds, or one job of it, nothing spent; return what became of each.

    An at-most-once job that has `started` here ends instead: it may not start a second time.
    """
    held = connection.execute(_begun(dialect, only), {"worker": worker_id}).all()
    over = [row for row in held if row.at_most_once and row.id in started]
    decisions = [(row, decide_stop(cancel_requested=row.asked)) for row in over]
    abandon(connection, dialect, worker_id, decisions, now, f"worker {worker_id} stopped before it had ended")
    ended = {row.id for row in over}
    rest = [row for row in held if row.id not in ended]
    back = [GiveBack(r.id, r.claim_seq, r.key, r.attempt, r.crashes) for r in rest]
    give_back_if_held(connection, back, now)
    return [_rescued(row, decided, {}) for row, decided in decisions] + given_back(connection, dialect, rest)


def given_back(connection: Connection, dialect: Dialect, rows: Sequence[Any]) -> list[Rescued]:
    """Return what became of jobs (rows of `held_by`) that were just given back: some were cancelled instead."""
    cancelled = cancelled_instead(connection, dialect, [row.id for row in rows]) if rows else {}
    states = dict.fromkeys(cancelled, JobState.CANCELLED)
    return [
        Rescued(row.id, row.task, row.crashes, states.get(row.id, JobState.SCHEDULED), cancelled.get(row.id))
        for row in rows
    ]


_ABANDON = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.claim_seq == bindparam("fence"), _HELD)
    .values(
        state=bindparam("new_state"),
        outcome=bindparam("new_outcome"),
        error=bindparam("new_error"),
        crashes=jobs.c.crashes + 1,
        claim_seq=jobs.c.claim_seq + 1,
        finished_at=bindparam("now", type_=Instant),
        live_key=null(),
        version=bumped(jobs.c.version),
    )
)


def _given_back(row: Any) -> GiveBack:
    return GiveBack(
        job_id=row.id,
        fence=row.claim_seq,
        key=row.key,
        attempt=row.attempt,
        crashes=row.crashes + 1,
        outcome=Outcome.ABANDONED,
    )


def _closed(row: Any, transition: Transition, now: datetime) -> dict[str, Any]:
    assert transition.outcome is not None
    return {
        "job_id": row.id,
        "fence": row.claim_seq,
        "new_state": transition.state.value,
        "new_outcome": transition.outcome.value,
        "new_error": transition.error,
        "now": now,
    }


def _attempt(row: Any, worker_id: str, now: datetime, why: str) -> dict[str, Any]:
    return {
        "job_id": row.id,
        "claim_seq": row.claim_seq,
        "attempt": row.attempt + 1,
        "outcome": Outcome.ABANDONED.value,
        "worker_id": worker_id,
        "started_at": row.started_at,
        "finished_at": now,
        "error": why,
        "traceback": None,
    }

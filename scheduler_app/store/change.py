"""Changing jobs on a person's word: each verb has its guard in its name and answers whether it happened."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import Update

from ..asking import RULES, Verb
from ..errors import DuplicateKeyError
from ..jobs import JobState, Outcome
from .claim import KEY_PREFIX
from .dialect import Dialect
from .tables import is_in, jobs
from .types import Instant, bumped

_NOT_STARTED = RULES[Verb.CANCEL].sources


def cancelled_at(now: datetime) -> Update:
    """Return the UPDATE that cancels jobs which have not started; whoever takes it says which."""
    return update(jobs).values(
        state=JobState.CANCELLED.value,
        outcome=Outcome.CANCELLED.value,
        finished_at=now,
        cancel_requested_at=now,
        live_key=None,
        version=bumped(jobs.c.version),
    )


def cancel_if_waiting(connection: Connection, job_id: str, now: datetime) -> bool:
    """Cancel a job that has not started: True means that it will not start."""
    waiting = jobs.c.state.in_([state.value for state in _NOT_STARTED])
    return bool(connection.execute(cancelled_at(now).where(jobs.c.id == job_id, waiting)).rowcount)


def cancel_waiting(connection: Connection, dialect: Dialect, created: datetime, now: datetime, limit: int) -> list[str]:
    """Cancel up to `limit` jobs that have not started and were made at `created` or before; return their ids."""
    for state in _NOT_STARTED:  # one by one: each has an index of its own
        is_there: ColumnElement[bool] = is_in(state.value)
        some = select(jobs.c.id).where(is_there, jobs.c.created_at <= created).order_by(jobs.c.id).limit(limit)
        found = [row.id for row in connection.execute(some.with_for_update())]
        if found:
            connection.execute(
                cancelled_at(now).where(is_there, dialect.among(jobs.c.id, "ids")), {"ids": dialect.pack(found)}
            )
            return found
    return []


_HELD: ColumnElement[bool] = literal_column("state IN ('claimed', 'running')")


def request_cancel_if_held(connection: Connection, job_id: str, now: datetime) -> bool:
    """Ask for a job that is held by a worker to stop; neither rescue nor retry revives it."""
    asking = update(jobs).where(jobs.c.id == job_id, _HELD)
    asked = asking.values(cancel_requested_at=now, version=bumped(jobs.c.version))
    return bool(connection.execute(asked).rowcount)


_ASKED = select(jobs.c.id).where(
    _HELD, jobs.c.worker_id == bindparam("worker"), jobs.c.cancel_requested_at.is_not(None)
)


def cancel_requested_of(connection: Connection, worker_id: str) -> set[str]:
    """Return the ids of a worker's jobs that were asked to stop."""
    return {row.id for row in connection.execute(_ASKED, {"worker": worker_id})}


_RETRY = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("job_id"),
        jobs.c.state.in_([state.value for state in RULES[Verb.RETRY].sources]),
    )
    .values(
        state=JobState.SCHEDULED.value,
        run_at=bindparam("now", type_=Instant),
        live_key=jobs.c.key,
        attempt=0,
        crashes=0,
        outcome=null(),
        result=null(),
        error=null(),
        progress=null(),
        cancel_requested_at=null(),
        started_at=null(),
        finished_at=null(),
        worker_id=null(),
        version=bumped(jobs.c.version),
    )
)


def retry_if_finished(connection: Connection, job_id: str, now: datetime) -> bool:
    """Put a job that failed, was cancelled or missed back to `scheduled`, due now, with all of its attempts.

    Raises `DuplicateKeyError`, changing nothing, when a newer job holds its key.
    """
    return _with_its_key(connection, _RETRY, {"job_id": job_id, "now": now})


def _with_its_key(connection: Connection, statement: Update, parameters: Mapping[str, Any]) -> bool:
    """Change a job so that it holds its key again. Raises `DuplicateKeyError` when a newer job does."""
    try:
        with connection.begin_nested():
            return bool(connection.execute(statement, parameters).rowcount)
    except IntegrityError:
        held = jobs.alias("held")
        standing = select(held.c.key, held.c.id).where(
            held.c.live_key == select(jobs.c.key).where(jobs.c.id == parameters["job_id"]).scalar_subquery()
        )
        row = connection.execute(standing).one()
        raise DuplicateKeyError(row.key, row.id) from None


def change_if_waiting(connection: Connection, job_id: str, columns: Mapping[str, Any]) -> bool:
    """Give a job that has not started another time, priority or tags: `run_at`, `priority`, `tags`."""
    waiting = jobs.c.state.in_([state.value for state in RULES[Verb.CHANGE].sources])
    changed = dict(columns)
    if "tags" in changed:
        changed["tags"] = json.dumps(changed["tags"]) if changed["tags"] else None
    statement = update(jobs).where(jobs.c.id == job_id, waiting).values(**changed, version=bumped(jobs.c.version))
    return bool(connection.execute(statement).rowcount)


_PROGRESS = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.claim_seq == bindparam("fence"), _HELD)
    .values(progress=bindparam("said"), version=bumped(jobs.c.version))
)


def progress_if_held(connection: Connection, said: Sequence[tuple[str, int, str]]) -> None:
    """Store how far running jobs say that they are, as (id, fence, progress); a stale claim changes nothing."""
    connection.execute(_PROGRESS, [{"job_id": job_id, "fence": fence, "said": text} for job_id, fence, text in said])


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
UNFIT = "no live worker takes its arguments: "


def unserved_jobs(connection: Connection, after: str, limit: int) -> list[Any]:
    """Return jobs that were put aside because nobody could serve them: id, task, key, signature, payload, error.

    In the order of their ids, from behind `after`, so that one page after another sees them all.
    """
    aside = (
        select(jobs.c.id, jobs.c.task, jobs.c.key, jobs.c.signature, jobs.c.payload, jobs.c.error)
        .where(
            jobs.c.state == JobState.QUARANTINED.value,
            jobs.c.id > after,
            or_(*(jobs.c.error.like(f"{reason}%") for reason in (UNSERVED, UNKNOWN_KEY, UNFIT))),
        )
        .order_by(jobs.c.id)
        .limit(limit)
    )
    return list(connection.execute(aside))


_MEND = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.state == JobState.QUARANTINED.value)
    .values(state=JobState.SCHEDULED.value, live_key=jobs.c.key, error=None, version=bumped(jobs.c.version))
)


def release_if_quarantined(connection: Connection, job_id: str) -> bool:
    """Take a mended job out of quarantine. Raises `DuplicateKeyError`, changing nothing, for a key held by another."""
    return _with_its_key(connection, _MEND, {"job_id": job_id})


def release_if_free(connection: Connection, job_id: str) -> bool:
    """Take a mended job out of quarantine. False, changing nothing, when a newer job holds its key."""
    try:
        return release_if_quarantined(connection, job_id)
    except DuplicateKeyError:
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


_DUE_OF_IDS = select(jobs.c.id, jobs.c.error).where(
    literal_column("state = 'scheduled'"),
    jobs.c.id.in_(bindparam("ids", expanding=True)),
    jobs.c.run_at <= bindparam("before", type_=Instant),
)


def overdue_of_ids(connection: Connection, ids: Sequence[str], before: datetime) -> dict[str, str | None]:
    """Return, of the jobs of these ids, those that are scheduled and were due at `before`; each with its error."""
    return {row.id: row.error for row in connection.execute(_DUE_OF_IDS, {"ids": list(ids), "before": before})}


_DUE_OF_KEY = select(jobs.c.id).where(
    literal_column("state = 'scheduled'"),
    func.substr(jobs.c.signature, 1, KEY_PREFIX) == bindparam("prefix"),
    jobs.c.run_at <= bindparam("before", type_=Instant),
)


def overdue_of_key(connection: Connection, prefix: str, before: datetime, limit: int) -> list[str]:
    """Return the ids of scheduled jobs signed with a key, by its signatures' prefix, that were due at `before`."""
    found = connection.execute(_DUE_OF_KEY.limit(limit), {"prefix": prefix, "before": before})
    return [row.id for row in found]

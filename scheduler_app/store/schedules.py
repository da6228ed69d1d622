"""Recurring definitions: which are due, and moving them on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.exc import DataError, IntegrityError

from ..schedules import Schedule
from .dialect import Dialect
from .tables import jobs, schedules
from .types import Instant, bumped

_FIELDS = (
    "uid", "name", "title", "task", "payload", "trigger", "signature", "queue", "priority", "next_run_time",
    "generation", "misfire_grace_time", "coalesce", "max_instances", "max_attempts", "at_most_once", "declared", "tags",
    "last_fire_time", "error", "created_at",
)  # fmt: skip
_SCHEDULE = select(*(schedules.c[name] for name in _FIELDS))


def _schedule(row: Any) -> Schedule:
    fields = dict(row._mapping)
    fields["tags"] = tuple(json.loads(fields["tags"])) if fields["tags"] else ()
    return Schedule(**fields)


_DUE = (
    _SCHEDULE.where(schedules.c.next_run_time <= bindparam("now", type_=Instant))
    .order_by(schedules.c.next_run_time)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def lock_due(connection: Connection, now: datetime, limit: int) -> list[Schedule]:
    """Lock up to `limit` due schedules that no other process has locked, the longest due first."""
    return [_schedule(row) for row in connection.execute(_DUE, {"now": now, "limit": limit})]


def lock_if_due(connection: Connection, uid: str, now: datetime) -> list[Schedule]:
    """Lock one schedule if it is due and no other process has locked it; return it, or nothing."""
    one = _DUE.where(schedules.c.uid == uid)
    return [_schedule(row) for row in connection.execute(one, {"now": now, "limit": 1})]


_NEXT = select(func.min(schedules.c.next_run_time, type_=Instant))


def next_fire_time(connection: Connection) -> datetime | None:
    """Return when the first schedule is due, or None."""
    return connection.execute(_NEXT).scalar()


_ADVANCE = (
    update(schedules)
    .where(schedules.c.uid == bindparam("schedule"), schedules.c.generation == bindparam("seen"))
    .values(
        next_run_time=bindparam("following", type_=Instant),
        last_fire_time=bindparam("fired", type_=Instant),
        version=schedules.c.version + 1,
    )
)


def advance_if_unchanged(connection: Connection, schedule: Schedule, fired: datetime, following: datetime) -> bool:
    """Move a schedule on to its `following` fire time, unless a person gave it another meanwhile."""
    facts = {"schedule": schedule.uid, "seen": schedule.generation, "following": following, "fired": fired}
    return bool(connection.execute(_ADVANCE, facts).rowcount)


def end(connection: Connection, uid: str) -> bool:
    """Remove a schedule: its trigger is exhausted, or a person said so. Its jobs stay."""
    return bool(connection.execute(delete(schedules).where(schedules.c.uid == uid)).rowcount)


def pause_with_error(connection: Connection, uid: str, reason: str) -> bool:
    """Pause a schedule that cannot fire, with the reason."""
    statement = (
        update(schedules)
        .where(schedules.c.uid == uid)
        .values(next_run_time=null(), error=reason, version=bumped(schedules.c.version))
    )
    return bool(connection.execute(statement).rowcount)


def pause_unreadable(connection: Connection, dialect: Dialect) -> int:
    """Pause every schedule whose next run time cannot be read, with what stood there as the reason."""
    unreadable = (
        select(schedules.c.uid, dialect.shown(schedules.c.next_run_time).label("stood"))
        .where(schedules.c.next_run_time.is_not(None), dialect.unreadable(schedules.c.next_run_time))
        .with_for_update()
    )
    found = connection.execute(unreadable).all()
    return sum(pause_with_error(connection, row.uid, f"its next_run_time cannot be read: {row.stood}") for row in found)


def due_uids(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Return the uids of due schedules, reading nothing else of them."""
    due = (
        select(schedules.c.uid).where(schedules.c.next_run_time <= now).order_by(schedules.c.next_run_time).limit(limit)
    )
    return [row.uid for row in connection.execute(due)]


def is_readable(connection: Connection, uid: str) -> bool:
    """Whether the schedule's row can be read at all."""
    try:
        connection.execute(_SCHEDULE.where(schedules.c.uid == uid)).one_or_none()
    except (ValueError, TypeError, ArithmeticError, DataError):
        return False
    return True


_LIVE = (
    select(func.count())
    .select_from(jobs)
    .where(
        jobs.c.schedule_uid == bindparam("schedule"),
        literal_column("schedule_uid IS NOT NULL AND state IN ('scheduled', 'paused', 'claimed', 'running')"),
    )
)


def live_jobs_of(connection: Connection, uid: str) -> int:
    """Return how many jobs of a schedule have not finished."""
    return connection.execute(_LIVE, {"schedule": uid}).scalar_one()


# -- for people and programs -----------------------------------------------------------------------


def by_name(connection: Connection, name: str, *, lock: bool = False) -> Schedule | None:
    """Return the schedule of this name, or None."""
    statement = _SCHEDULE.where(schedules.c.name == name)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _schedule(row)


def every(connection: Connection) -> list[Schedule]:
    """Return all schedules: by next run time, the paused ones last, as APScheduler orders them."""
    order = (schedules.c.next_run_time.is_(None), schedules.c.next_run_time, schedules.c.name)
    return [_schedule(row) for row in connection.execute(_SCHEDULE.order_by(*order))]


def _row(schedule: Schedule, definition: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(schedule, name) for name in _FIELDS}
    row["tags"] = json.dumps(schedule.tags) if schedule.tags else None
    row["definition"] = definition
    return row


def insert_if_absent(connection: Connection, schedule: Schedule, definition: str | None = None) -> bool:
    """Store a new schedule; False, changing nothing, when its name is taken."""
    try:
        with connection.begin_nested():
            connection.execute(insert(schedules), _row(schedule, definition))
    except IntegrityError:
        return False
    return True


def definition_of(connection: Connection, name: str) -> str | None:
    """Return the fingerprint under which a schedule was last stored, or None."""
    found: str | None = connection.execute(
        select(schedules.c.definition).where(schedules.c.name == name)
    ).scalar_one_or_none()
    return found


def replace_if_present(connection: Connection, schedule: Schedule, definition: str | None = None) -> bool:
    """Give the schedule of this name another definition; its uid and creation stay."""
    row = _row(schedule, definition)
    for kept in ("uid", "name", "created_at", "last_fire_time"):
        row.pop(kept)
    statement = (
        update(schedules).where(schedules.c.name == schedule.name).values(**row, version=schedules.c.version + 1)
    )
    return bool(connection.execute(statement).rowcount)


def mark_declared(connection: Connection, names: Mapping[str, bool], now: datetime) -> None:
    """Tell which declared schedules are still in the code (True) and which are orphaned (False)."""
    for name, present in names.items():
        statement = update(schedules).where(schedules.c.name == name)
        connection.execute(statement.values(orphaned_at=null() if present else now))


def declared_names(connection: Connection) -> set[str]:
    """Return the names of the schedules that code declared."""
    return {row.name for row in connection.execute(select(schedules.c.name).where(schedules.c.declared))}


def remove_all(connection: Connection) -> int:
    """Remove every schedule; return how many there were."""
    return connection.execute(delete(schedules)).rowcount

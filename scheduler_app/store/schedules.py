"""Recurring definitions: which are due, and moving them on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError, IntegrityError

from ..schedules import ON_TIME, Schedule
from .dialect import Dialect
from .tables import jobs, schedules, workers
from .types import Instant, bumped
from .workers import listed

_FIELDS = (
    "uid", "name", "title", "task", "payload", "trigger", "signature", "queue", "priority", "next_run_time",
    "generation", "misfire_grace_time", "coalesce", "max_instances", "max_attempts", "retry", "at_most_once",
    "declared", "tags", "last_fire_time", "error", "created_at", "catch_up", "overlap", "orphaned_at",
)  # fmt: skip
_SCHEDULE = select(*(schedules.c[name] for name in _FIELDS))


def _schedule(row: Any) -> Schedule:
    fields = dict(row._mapping)
    fields["tags"] = tuple(json.loads(fields["tags"])) if fields["tags"] else ()
    return Schedule(**fields)


WAITING = """
    (coalesce(scheduler_schedules.overlap, '') = 'queue'
       OR (NOT scheduler_schedules.coalesce AND scheduler_schedules.next_run_time < :on_time))
    AND (SELECT count(*) FROM scheduler_jobs
         WHERE schedule_uid = scheduler_schedules.uid AND schedule_uid IS NOT NULL
           AND state IN ('scheduled', 'paused', 'claimed', 'running')) >= scheduler_schedules.max_instances
"""
"""Whether a due schedule waits for its own jobs to end: what `policy.decide` calls so, in SQL."""

FOREIGN = """
    length(scheduler_schedules.signature) = 76
    AND (substr(scheduler_schedules.signature, 1, 11) IN :served_keys
      OR (scheduler_schedules.next_run_time > :patient
          AND substr(scheduler_schedules.signature, 1, 11) NOT IN :own_keys))
"""
"""Whether a schedule is for others to fire: it is signed with a key that is unknown here, and either was not due for
long, or a live worker knows that key. What does not look like a signature is for anybody, who pauses it."""

FIRING_PARAMETERS: tuple[BindParameter[Any], ...] = (
    bindparam("on_time", type_=Instant),
    bindparam("patient", type_=Instant),
    bindparam("own_keys", expanding=True),
    bindparam("served_keys", expanding=True),
)


class Firer(NamedTuple):
    """Who fires: the key prefixes of signatures that it knows, and for how long it leaves the others' to them."""

    keys: Collection[str] = ()
    patience: timedelta = timedelta(0)
    served: Collection[str] = ()
    """Those that live workers know, and it does not: they are left to those for however long it takes."""

    def facts(self, now: datetime) -> dict[str, Any]:
        """Return the parameters of `WAITING` and `FOREIGN`."""
        keys = {"own_keys": ["", *sorted(self.keys)], "served_keys": ["", *sorted(self.served)]}  # typed, if empty
        return {"on_time": now - ON_TIME, "patient": now - self.patience, **keys}


_DUE = (
    _SCHEDULE.where(schedules.c.next_run_time <= bindparam("now", type_=Instant))
    .where(text(f"NOT ({WAITING}) AND NOT ({FOREIGN})").bindparams(*FIRING_PARAMETERS))
    .order_by(schedules.c.next_run_time)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def lock_due(connection: Connection, firer: Firer, now: datetime, limit: int) -> list[Schedule]:
    """Lock up to `limit` due schedules that are not for others and not locked by them, the longest due first."""
    facts = {"now": now, "limit": limit, **firer.facts(now)}
    return [_schedule(row) for row in connection.execute(_DUE, facts)]


def lock_if_due(connection: Connection, firer: Firer, uid: str, now: datetime) -> list[Schedule]:
    """Lock one schedule if it is due, not for others and not locked by them; return it, or nothing."""
    one = _DUE.where(schedules.c.uid == uid)
    return [_schedule(row) for row in connection.execute(one, {"now": now, "limit": 1, **firer.facts(now)})]


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


def due_uids(connection: Connection, firer: Firer, now: datetime, limit: int) -> list[str]:
    """Return the uids of due schedules that are not for others, reading nothing else of them."""
    due = (
        select(schedules.c.uid)
        .where(schedules.c.next_run_time <= now)
        .where(text(f"NOT ({FOREIGN})").bindparams(*FIRING_PARAMETERS[1:]))
        .order_by(schedules.c.next_run_time)
        .limit(limit)
    )
    facts = firer.facts(now)
    facts.pop("on_time")
    return [row.uid for row in connection.execute(due, facts)]


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


_LAST_END = (
    select(jobs.c.finished_at)
    .where(jobs.c.schedule_uid == bindparam("schedule"))
    .where(jobs.c.schedule_uid.is_not(None))
    .order_by(jobs.c.generation.desc(), jobs.c.fire_time.desc())
    .limit(1)
)


def last_end_of(connection: Connection, uid: str) -> datetime | None:
    """Return when the job of a schedule's newest fire time ended; None while it has not, or where there is none."""
    return connection.execute(_LAST_END, {"schedule": uid}).scalar_one_or_none()


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


def due(connection: Connection, now: datetime) -> list[Schedule]:
    """Return the due schedules, the longest due first. Locks nothing."""
    statement = _SCHEDULE.where(schedules.c.next_run_time <= now).order_by(schedules.c.next_run_time)
    return [_schedule(row) for row in connection.execute(statement)]


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


def stored_words(connection: Connection, name: str) -> Any | None:
    """Return, as a row, under which fingerprint a schedule was last stored, what is signed of it, and its error.

    None where there is no such schedule. No instant of it is read, which a damaged row may not have.
    """
    names = ("definition", "uid", "task", "queue", "payload", "trigger", "signature", "error")
    return connection.execute(
        select(*(schedules.c[each] for each in names)).where(schedules.c.name == name)
    ).one_or_none()


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


def pause_if_present(connection: Connection, name: str) -> bool:
    """Pause a schedule: it has no next run time. The reason why it was paused by itself stays, if it was."""
    statement = update(schedules).where(schedules.c.name == name)
    return bool(connection.execute(statement.values(next_run_time=null(), version=schedules.c.version + 1)).rowcount)


def resume_if_paused(connection: Connection, name: str, at: datetime) -> bool:
    """Give a paused schedule a next run time, under a new generation, and forget why it was paused."""
    statement = update(schedules).where(schedules.c.name == name, schedules.c.next_run_time.is_(None))
    changed = {"next_run_time": at, "error": null(), "generation": schedules.c.generation + 1}
    return bool(connection.execute(statement.values(**changed, version=schedules.c.version + 1)).rowcount)


def move_if_active(connection: Connection, name: str, at: datetime) -> bool:
    """Give a schedule that is not paused another next run time, under a new generation."""
    statement = update(schedules).where(schedules.c.name == name, schedules.c.next_run_time.is_not(None))
    changed = {"next_run_time": at, "generation": schedules.c.generation + 1}
    return bool(connection.execute(statement.values(**changed, version=schedules.c.version + 1)).rowcount)


def remove_if_present(connection: Connection, name: str) -> bool:
    """Remove the schedule of this name. Its jobs stay."""
    return bool(connection.execute(delete(schedules).where(schedules.c.name == name)).rowcount)


def has_worker_of(connection: Connection, task: str) -> bool:
    """Whether a worker that has a row lists a task among those that it knows."""
    rows = connection.execute(select(workers.c.tasks).where(workers.c.tasks.is_not(None)))
    return any(task in listed(row.tasks) for row in rows)


def mark_declared(connection: Connection, names: Mapping[str, bool], now: datetime) -> None:
    """Tell which declared schedules are still in the code (True), and which are orphaned (False) from now on."""
    for name, present in names.items():
        statement = update(schedules).where(schedules.c.name == name)
        if present:
            connection.execute(statement.values(orphaned_at=null()))
        else:
            connection.execute(statement.where(schedules.c.orphaned_at.is_(None)).values(orphaned_at=now))


def declared_names(connection: Connection) -> set[str]:
    """Return the names of the schedules that code declared."""
    return {row.name for row in connection.execute(select(schedules.c.name).where(schedules.c.declared))}


def remove_all(connection: Connection) -> int:
    """Remove every schedule; return how many there were."""
    return connection.execute(delete(schedules)).rowcount

"""The six tables, as one metadata. Alembic owns the schema; a test holds the two equal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    literal_column,
    text,
)

from .types import MYSQL, Instant, identifier, long_text

VERSION_TABLE = "scheduler_alembic_version"
"""Alembic's own table, named apart so that these tables can live beside an app's own migrations."""

metadata = MetaData()

jobs = Table(
    "scheduler_jobs",
    metadata,
    Column("id", identifier(64), primary_key=True),
    Column("task", identifier(), nullable=False),
    Column("payload", long_text(), nullable=False),
    Column("signature", identifier(), nullable=False),
    Column("queue", identifier(), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("state", identifier(16), nullable=False),
    Column("run_at", Instant, nullable=False),
    Column("key", identifier()),
    Column("live_key", identifier()),
    Column("schedule_uid", identifier(64)),
    Column("generation", Integer),
    Column("fire_time", Instant),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("retry", long_text()),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("at_most_once", Boolean, nullable=False, server_default=text("false")),
    Column("claim_seq", BigInteger, nullable=False, server_default="0"),
    Column("worker_id", identifier(64)),
    Column("cancel_requested_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("outcome", identifier(16)),
    Column("result", long_text()),
    Column("error", long_text()),
    Column("progress", long_text()),
    Column("tags", long_text()),
    Column("origin", long_text()),
    Column("parent_id", identifier(64)),
    Column("concurrency_key", identifier()),
    Column("max_lateness", Double),
    Column("timeout", Double),
    Column("version", Integer, nullable=False, server_default="0"),
    # What no claim would find, or no end could be written of, cannot be stored, by whatever hand.
    CheckConstraint("priority BETWEEN 0 AND 3", name="scheduler_jobs_priority"),
    CheckConstraint("attempt BETWEEN 0 AND 2147483646", name="scheduler_jobs_attempt"),
    CheckConstraint("max_attempts BETWEEN 1 AND 2147483647", name="scheduler_jobs_max_attempts"),
    CheckConstraint("crashes BETWEEN 0 AND 2147483646", name="scheduler_jobs_crashes"),
)

_scheduled = text("state = 'scheduled'")
_crashed = text("state = 'scheduled' AND crashes > 0")
_held = text("state IN ('claimed', 'running')")
_live_fire = text("schedule_uid IS NOT NULL AND state IN ('scheduled', 'paused', 'claimed', 'running')")
_rare = text("state IN ('paused', 'failed', 'cancelled', 'missed', 'quarantined')")
_emitted = text("schedule_uid IS NOT NULL")
_ended = text("finished_at IS NOT NULL")
_keyed = text("key IS NOT NULL")


WHOLE = "whole"
"""In an index's `info`: whether it is for databases without partial indexes (MySQL, MariaDB), or for the others."""


_is_wanted: Any = lambda _ddl, index, *_, dialect, **__: is_for(index, dialect.name)  # noqa: E731 - SQLAlchemy's shape


def _partial(name: str, *columns: Column[object], where: object, unique: bool = False) -> Index:
    """An index of the rows of some states."""
    index = Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where, info={WHOLE: False})
    return index.ddl_if(callable_=_is_wanted)


def _whole(name: str, *columns: Column[object]) -> Index:
    """What stands for it where no index can be partial: led by the state, and so read as narrowly."""
    return Index(name, *columns, info={WHOLE: True}).ddl_if(callable_=_is_wanted)


def is_for(index: Index, dialect: str) -> bool:
    """Whether an index is one of those that a database of this name has."""
    return WHOLE not in index.info or index.info[WHOLE] is (dialect in MYSQL)


_partial("scheduler_jobs_due", jobs.c.queue, jobs.c.priority, jobs.c.run_at, where=_scheduled)
_partial("scheduler_jobs_due_crashed", jobs.c.queue, jobs.c.priority, jobs.c.run_at, where=_crashed)
_partial("scheduler_jobs_held", jobs.c.worker_id, where=_held)
_partial("scheduler_jobs_rare", jobs.c.state, jobs.c.id, where=_rare)
_partial("scheduler_jobs_live_fire", jobs.c.schedule_uid, where=_live_fire)
Index(
    "scheduler_jobs_fire", jobs.c.schedule_uid, jobs.c.generation, jobs.c.fire_time,
    unique=True, sqlite_where=_emitted, postgresql_where=_emitted,
)  # fmt: skip
_partial("scheduler_jobs_waiting", jobs.c.id, where=_scheduled)
_partial("scheduler_jobs_next", jobs.c.run_at, jobs.c.id, where=_scheduled)
_partial("scheduler_jobs_ended", jobs.c.state, jobs.c.finished_at, jobs.c.id, where=_ended)
_partial("scheduler_jobs_key", jobs.c.key, jobs.c.id, where=_keyed)
_whole("scheduler_jobs_state_due", jobs.c.state, jobs.c.queue, jobs.c.priority, jobs.c.run_at)
_whole("scheduler_jobs_state_crashed", jobs.c.state, jobs.c.queue, jobs.c.priority, jobs.c.crashes, jobs.c.run_at)
_whole("scheduler_jobs_state_held", jobs.c.state, jobs.c.worker_id)
_whole("scheduler_jobs_state_id", jobs.c.state, jobs.c.id)
_whole("scheduler_jobs_schedule_state", jobs.c.schedule_uid, jobs.c.state)
Index("scheduler_jobs_live_key", jobs.c.live_key, unique=True)

attempts = Table(
    "scheduler_attempts",
    metadata,
    Column("job_id", identifier(64), primary_key=True),
    Column("claim_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("outcome", identifier(16), nullable=False),
    Column("worker_id", identifier(64)),
    Column("started_at", Instant),
    Column("finished_at", Instant, nullable=False),
    Column("error", long_text()),
    Column("traceback", long_text()),
    Column("superseded", long_text()),
)

schedules = Table(
    "scheduler_schedules",
    metadata,
    Column("uid", identifier(64), primary_key=True),
    Column("name", identifier(), nullable=False),
    Column("title", long_text(), nullable=False),
    Column("task", identifier(), nullable=False),
    Column("payload", long_text(), nullable=False),
    Column("trigger", long_text(), nullable=False),
    Column("signature", identifier(), nullable=False),
    Column("queue", identifier(), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("next_run_time", Instant),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("misfire_grace_time", Integer),
    Column("coalesce", Boolean, nullable=False, server_default=text("true")),
    Column("max_instances", Integer, nullable=False, server_default="1"),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("at_most_once", Boolean, nullable=False, server_default=text("false")),
    Column("retry", long_text()),
    Column("catch_up", identifier(16)),
    Column("overlap", identifier(16)),
    Column("declared", Boolean, nullable=False, server_default=text("false")),
    Column("orphaned_at", Instant),
    Column("definition", identifier(64)),
    Column("tags", long_text()),
    Column("last_fire_time", Instant),
    Column("created_at", Instant, nullable=False),
    Column("error", long_text()),
    Column("version", Integer, nullable=False, server_default="0"),
)
Index("scheduler_schedules_name", schedules.c.name, unique=True)
Index("scheduler_schedules_next", schedules.c.next_run_time)

queues = Table(
    "scheduler_queues",
    metadata,
    Column("name", identifier(), primary_key=True),
    Column("concurrency", Integer),
    Column("paused_at", Instant),
    Column("paused_until", Instant),
    Column("pause_reason", long_text()),
    Column("created_at", Instant, nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),
)

workers = Table(
    "scheduler_workers",
    metadata,
    Column("id", identifier(64), primary_key=True),
    Column("host", long_text(), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("boot_id", identifier(64)),
    Column("pid_namespace", identifier(64)),
    Column("pid_started", BigInteger),
    Column("beat", BigInteger, nullable=False, server_default="0"),
    Column("state", identifier(16), nullable=False),
    Column("queues", long_text()),
    Column("executors", long_text()),
    Column("tasks", long_text()),
    Column("key_ids", long_text()),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("package_version", identifier(32)),
)

audit = Table(
    "scheduler_audit",
    metadata,
    Column("id", identifier(64), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", identifier(), nullable=False),
    Column("role", identifier(16), nullable=False),
    Column("source", long_text(), nullable=False),
    Column("action", identifier(), nullable=False),
    Column("target", identifier()),
    Column("before", long_text()),
    Column("after", long_text()),
)
# Its rows are few, and made by people: an index for each way to look for them costs nobody anything.
Index("scheduler_audit_actor", audit.c.actor, audit.c.id)
Index("scheduler_audit_action", audit.c.action, audit.c.id)
Index("scheduler_audit_target", audit.c.target, audit.c.id)


def is_in(state: str) -> Any:
    """Return whether a job is in a state, in the words of that state's partial index: SQLite recognises no others."""
    rare = f"{_rare.text} AND " if f"'{state}'" in _rare.text else ""
    return literal_column(f"{rare}state = '{state}'")


def include_name(name: str | None, type_: str, parent_names: object) -> bool:
    """Tell Alembic's autogenerate of the *app* to leave the scheduler's tables alone.

    Pass it to ``context.configure(include_name=...)`` in the app's own ``env.py`` when both live in
    one database.
    """
    return not (type_ == "table" and (name in metadata.tables or name == VERSION_TABLE))

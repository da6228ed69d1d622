"""The six tables, as one metadata. Alembic owns the schema; a test holds the two equal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

from .types import Instant, identifier

VERSION_TABLE = "scheduler_alembic_version"
"""Alembic's own table, named apart so that these tables can live beside an app's own migrations."""

metadata = MetaData()

jobs = Table(
    "scheduler_jobs",
    metadata,
    Column("id", identifier(64), primary_key=True),
    Column("task", identifier(), nullable=False),
    Column("payload", Text, nullable=False),
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
    Column("retry", Text),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("at_most_once", Boolean, nullable=False, server_default=text("false")),
    Column("claim_seq", BigInteger, nullable=False, server_default="0"),
    Column("worker_id", identifier(64)),
    Column("cancel_requested_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("outcome", identifier(16)),
    Column("result", Text),
    Column("error", Text),
    Column("progress", Text),
    Column("tags", Text),
    Column("origin", Text),
    Column("parent_id", identifier(64)),
    Column("concurrency_key", identifier()),
    Column("max_lateness", Float),
    Column("timeout", Float),
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


def _partial(name: str, *columns: Column[object], where: object, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_partial("scheduler_jobs_due", jobs.c.queue, jobs.c.priority, jobs.c.run_at, where=_scheduled)
_partial("scheduler_jobs_due_crashed", jobs.c.queue, jobs.c.priority, jobs.c.run_at, where=_crashed)
_partial("scheduler_jobs_held", jobs.c.worker_id, where=_held)
_partial("scheduler_jobs_rare", jobs.c.state, jobs.c.id, where=_rare)
_partial("scheduler_jobs_live_fire", jobs.c.schedule_uid, where=_live_fire)
_partial("scheduler_jobs_fire", jobs.c.schedule_uid, jobs.c.generation, jobs.c.fire_time, where=_emitted, unique=True)
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
    Column("error", Text),
    Column("traceback", Text),
    Column("superseded", Text),
)

schedules = Table(
    "scheduler_schedules",
    metadata,
    Column("uid", identifier(64), primary_key=True),
    Column("name", identifier(), nullable=False),
    Column("title", Text, nullable=False),
    Column("task", identifier(), nullable=False),
    Column("payload", Text, nullable=False),
    Column("trigger", Text, nullable=False),
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
    Column("retry", Text),
    Column("catch_up", identifier(16)),
    Column("overlap", identifier(16)),
    Column("declared", Boolean, nullable=False, server_default=text("false")),
    Column("orphaned_at", Instant),
    Column("definition", identifier(64)),
    Column("tags", Text),
    Column("last_fire_time", Instant),
    Column("created_at", Instant, nullable=False),
    Column("error", Text),
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
    Column("pause_reason", Text),
    Column("created_at", Instant, nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),
)

workers = Table(
    "scheduler_workers",
    metadata,
    Column("id", identifier(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("boot_id", identifier(64)),
    Column("pid_namespace", identifier(64)),
    Column("pid_started", BigInteger),
    Column("beat", BigInteger, nullable=False, server_default="0"),
    Column("state", identifier(16), nullable=False),
    Column("queues", Text),
    Column("executors", Text),
    Column("tasks", Text),
    Column("key_ids", Text),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("package_version", identifier(32)),
)

audit = Table(
    "scheduler_audit",
    metadata,
    Column("id", identifier(64), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text),
    Column("source", Text),
    Column("action", identifier(), nullable=False),
    Column("target", Text),
    Column("before", Text),
    Column("after", Text),
)
Index("scheduler_audit_at", audit.c.at, audit.c.id)


def include_name(name: str | None, type_: str, parent_names: object) -> bool:
    """Tell Alembic's autogenerate of the *app* to leave the scheduler's tables alone.

    Pass it to ``context.configure(include_name=...)`` in the app's own ``env.py`` when both live in
    one database.
    """
    return not (type_ == "table" and (name in metadata.tables or name == VERSION_TABLE))

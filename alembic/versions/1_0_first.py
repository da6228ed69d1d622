"""The first schema: jobs, attempts, schedules, queues, workers, audit.

Revision: 1_0, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from scheduler_app.store.types import Instant, identifier, long_text

revision = "1_0"
down_revision = None
branch_labels = None
depends_on = None


def _knows_partial_indexes() -> bool:
    return op.get_context().dialect.name not in ("mysql", "mariadb")


def _partial(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "scheduler_jobs", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _index_by_state() -> None:
    """Add what stands for the partial indexes on MySQL and MariaDB, which have none."""
    for name, columns in {
        "scheduler_jobs_state_due": ["state", "queue", "priority", "run_at"],
        "scheduler_jobs_state_crashed": ["state", "queue", "priority", "crashes", "run_at"],
        "scheduler_jobs_state_held": ["state", "worker_id"],
        "scheduler_jobs_state_id": ["state", "id"],
        "scheduler_jobs_schedule_state": ["schedule_uid", "state"],
    }.items():
        op.create_index(name, "scheduler_jobs", columns)


def _index_some_states() -> None:
    _partial("scheduler_jobs_due", ["queue", "priority", "run_at"], "state = 'scheduled'")
    _partial("scheduler_jobs_due_crashed", ["queue", "priority", "run_at"], "state = 'scheduled' AND crashes > 0")
    _partial("scheduler_jobs_held", ["worker_id"], "state IN ('claimed', 'running')")
    _partial(
        "scheduler_jobs_live_fire",
        ["schedule_uid"],
        "schedule_uid IS NOT NULL AND state IN ('scheduled', 'paused', 'claimed', 'running')",
    )
    _partial(
        "scheduler_jobs_rare", ["state", "id"], "state IN ('paused', 'failed', 'cancelled', 'missed', 'quarantined')"
    )
    _index_lists()


def _index_lists() -> None:
    """Index what lists are in the order of, each kind of jobs apart, so that a claim or an end writes to few."""
    _partial("scheduler_jobs_waiting", ["id"], "state = 'scheduled'")
    _partial("scheduler_jobs_next", ["run_at", "id"], "state = 'scheduled'")
    _partial("scheduler_jobs_ended", ["state", "finished_at", "id"], "finished_at IS NOT NULL")
    _partial("scheduler_jobs_key", ["key", "id"], "key IS NOT NULL")


def _vacuum_often(table: str) -> None:
    """Have PostgreSQL clear dead rows early: a busy queue makes many, and a claim steps over each."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)"
        )


def upgrade() -> None:
    op.create_table(
        "scheduler_attempts",
        sa.Column("job_id", identifier(64), nullable=False),
        sa.Column("claim_seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("outcome", identifier(16), nullable=False),
        sa.Column("worker_id", identifier(64)),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant, nullable=False),
        sa.Column("error", long_text()),
        sa.Column("traceback", long_text()),
        sa.Column("superseded", long_text()),
        sa.PrimaryKeyConstraint("job_id", "claim_seq"),
    )
    op.create_table(
        "scheduler_audit",
        sa.Column("id", identifier(64), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", identifier(), nullable=False),
        sa.Column("role", identifier(16), nullable=False),
        sa.Column("source", long_text(), nullable=False),
        sa.Column("action", identifier(), nullable=False),
        sa.Column("target", identifier()),
        sa.Column("before", long_text()),
        sa.Column("after", long_text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("scheduler_audit_actor", "scheduler_audit", ["actor", "id"])
    op.create_index("scheduler_audit_action", "scheduler_audit", ["action", "id"])
    op.create_index("scheduler_audit_target", "scheduler_audit", ["target", "id"])
    op.create_table(
        "scheduler_jobs",
        sa.Column("id", identifier(64), nullable=False),
        sa.Column("task", identifier(), nullable=False),
        sa.Column("payload", long_text(), nullable=False),
        sa.Column("signature", identifier(), nullable=False),
        sa.Column("queue", identifier(), nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("state", identifier(16), nullable=False),
        sa.Column("run_at", Instant, nullable=False),
        sa.Column("key", identifier()),
        sa.Column("live_key", identifier()),
        sa.Column("schedule_uid", identifier(64)),
        sa.Column("generation", sa.Integer),
        sa.Column("fire_time", Instant),
        sa.Column("attempt", sa.Integer, server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer, server_default="1", nullable=False),
        sa.Column("retry", long_text()),
        sa.Column("crashes", sa.Integer, server_default="0", nullable=False),
        sa.Column("at_most_once", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("claim_seq", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("worker_id", identifier(64)),
        sa.Column("cancel_requested_at", Instant),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("outcome", identifier(16)),
        sa.Column("result", long_text()),
        sa.Column("error", long_text()),
        sa.Column("progress", long_text()),
        sa.Column("tags", long_text()),
        sa.Column("origin", long_text()),
        sa.Column("parent_id", identifier(64)),
        sa.Column("concurrency_key", identifier()),
        sa.Column("max_lateness", sa.Double),
        sa.Column("timeout", sa.Double),
        sa.Column("version", sa.Integer, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("priority BETWEEN 0 AND 3", name="scheduler_jobs_priority"),
        sa.CheckConstraint("attempt BETWEEN 0 AND 2147483646", name="scheduler_jobs_attempt"),
        sa.CheckConstraint("max_attempts BETWEEN 1 AND 2147483647", name="scheduler_jobs_max_attempts"),
        sa.CheckConstraint("crashes BETWEEN 0 AND 2147483646", name="scheduler_jobs_crashes"),
    )
    _index_some_states() if _knows_partial_indexes() else _index_by_state()
    _partial(
        "scheduler_jobs_fire", ["schedule_uid", "generation", "fire_time"], "schedule_uid IS NOT NULL", unique=True
    )
    op.create_index("scheduler_jobs_live_key", "scheduler_jobs", ["live_key"], unique=True)
    op.create_table(
        "scheduler_queues",
        sa.Column("name", identifier(), nullable=False),
        sa.Column("concurrency", sa.Integer),
        sa.Column("paused_at", Instant),
        sa.Column("paused_until", Instant),
        sa.Column("pause_reason", long_text()),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("version", sa.Integer, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "scheduler_schedules",
        sa.Column("uid", identifier(64), nullable=False),
        sa.Column("name", identifier(), nullable=False),
        sa.Column("title", long_text(), nullable=False),
        sa.Column("task", identifier(), nullable=False),
        sa.Column("payload", long_text(), nullable=False),
        sa.Column("trigger", long_text(), nullable=False),
        sa.Column("signature", identifier(), nullable=False),
        sa.Column("queue", identifier(), nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("next_run_time", Instant),
        sa.Column("generation", sa.Integer, server_default="0", nullable=False),
        sa.Column("misfire_grace_time", sa.Integer),
        sa.Column("coalesce", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("max_instances", sa.Integer, server_default="1", nullable=False),
        sa.Column("max_attempts", sa.Integer, server_default="1", nullable=False),
        sa.Column("at_most_once", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("retry", long_text()),
        sa.Column("catch_up", identifier(16)),
        sa.Column("overlap", identifier(16)),
        sa.Column("declared", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("orphaned_at", Instant),
        sa.Column("definition", identifier(64)),
        sa.Column("tags", long_text()),
        sa.Column("last_fire_time", Instant),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("error", long_text()),
        sa.Column("version", sa.Integer, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_index("scheduler_schedules_name", "scheduler_schedules", ["name"], unique=True)
    op.create_index("scheduler_schedules_next", "scheduler_schedules", ["next_run_time"])
    op.create_table(
        "scheduler_workers",
        sa.Column("id", identifier(64), nullable=False),
        sa.Column("host", long_text(), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("boot_id", identifier(64)),
        sa.Column("pid_namespace", identifier(64)),
        sa.Column("pid_started", sa.BigInteger),
        sa.Column("beat", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("state", identifier(16), nullable=False),
        sa.Column("queues", long_text()),
        sa.Column("executors", long_text()),
        sa.Column("tasks", long_text()),
        sa.Column("key_ids", long_text()),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.Column("package_version", identifier(32)),
        sa.PrimaryKeyConstraint("id"),
    )
    _vacuum_often("scheduler_jobs")
    _vacuum_often("scheduler_workers")


def downgrade() -> None:
    for table in (
        "scheduler_workers",
        "scheduler_schedules",
        "scheduler_queues",
        "scheduler_jobs",
        "scheduler_audit",
        "scheduler_attempts",
    ):
        op.drop_table(table)

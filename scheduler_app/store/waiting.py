"""Whether a worker has anything left to do.

Asked in one statement: between two, a job may slip from state to state.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Boolean, Connection, Text, bindparam, column, text

from .claim import KEY_PREFIX, RANGES, Unserved
from .tables import jobs
from .types import Instant

_LEFT = (
    text(
        f"""
        WITH RECURSIVE {RANGES}
        SELECT names.queue AS queue, EXISTS (
          SELECT 1 FROM scheduler_jobs
          WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority AND run_at <= :due
            AND (created_at <= :due OR schedule_uid IS NOT NULL)
            AND task NOT IN :tasks AND substr(signature, 1, {KEY_PREFIX}) NOT IN :keys
        ) AS is_left
        FROM names CROSS JOIN levels
        WHERE names.queue IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM scheduler_queues
          WHERE name = names.queue AND paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :due)
        )
        UNION ALL
        SELECT NULL, EXISTS (
          SELECT 1 FROM scheduler_jobs
          WHERE state IN ('claimed', 'running') AND worker_id = :worker AND run_at <= :due
            AND (created_at <= :due OR schedule_uid IS NOT NULL)
        )
        """  # noqa: S608 - what is put into it is this code's own
    )
    .bindparams(
        bindparam("due", type_=Instant),
        bindparam("tasks", type_=Text, expanding=True),
        bindparam("keys", type_=Text, expanding=True),
    )
    .columns(jobs.c.queue, column("is_left", Boolean))
)
"""A few steps of an index per queue and priority, and the worker's own jobs; beyond that it reads due jobs only."""


def is_anything_left(
    connection: Connection, due: datetime, worker_id: str, serves: Callable[[str], bool], unserved: Unserved
) -> bool:
    """Whether a worker holds a job, or could claim one, that was there and due at an instant.

    What other workers hold counts as little as what this one may not claim: a queue that is paused or that it does
    not serve, or a task or key that it does not know.
    """
    parameters = {"due": due, "worker": worker_id, "tasks": sorted(unserved.tasks), "keys": sorted(unserved.keys)}
    rows = connection.execute(_LEFT, parameters).all()
    return any(row.is_left and (row.queue is None or serves(row.queue)) for row in rows)

"""`flask scheduler workers`: the processes that run jobs, where they are, and whether they are alive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..client import current_scheduler
from ..client.liveness import state_of
from ..store.workers import WorkerRow, listed
from .group import scheduler_commands
from .instants import span
from .options import format_option
from .output import note, write_list
from .table import Column

WORKER_FACTS = ("id", "host", "pid", "state", "beat_seconds_ago", "queues", "executors", "version")
"""The names of what `worker_facts` returns, in order."""


@scheduler_commands.command("workers", short_help="List the processes that run jobs.")
@format_option("table", "json", "jsonl", "csv", "ids")
def list_workers(shape: str) -> None:
    """List the processes that run jobs: where each is, whether it is alive, what it serves, and its version.

    One whose heart has not beaten for SCHEDULER_LEASE_SECONDS is silent: it is dead or cut off, and soon swept.
    One that is paused lives, and starts nothing until scheduler.aps.resume() is called in its process.
    """
    scheduler = current_scheduler()
    found = scheduler.client.workers()
    write_workers(found, shape, scheduler.client.store.clock.now(), scheduler.settings.lease_seconds)
    if not found:
        note("No worker is alive. Start the app, or 'flask scheduler run'.")


def write_workers(found: Sequence[WorkerRow], shape: str, now: datetime, lease_seconds: float) -> None:
    """Write workers as they are at an instant."""
    columns = _columns(now, lease_seconds)
    write_list(found, shape, columns, lambda row: worker_facts(row, now, lease_seconds), WORKER_FACTS)


def worker_facts(row: WorkerRow, now: datetime, lease_seconds: float) -> dict[str, Any]:
    """Return what programs get of a worker."""
    return {
        "id": row.id,
        "host": row.host,
        "pid": row.pid,
        "state": state_of(row, now, lease_seconds),
        "beat_seconds_ago": (now - row.seen_at).total_seconds(),
        "queues": listed(row.queues) or None,
        "executors": _sizes(row),
        "version": row.package_version or None,
    }


def _columns(now: datetime, lease_seconds: float) -> Sequence[Column]:
    return [
        Column("worker", lambda row: row.id, leave_out=1),
        Column("host", lambda row: row.host, least=8),
        Column("pid", lambda row: str(row.pid)),
        Column("state", lambda row: state_of(row, now, lease_seconds)),
        Column("beat", lambda row: f"{span(max(0.0, (now - row.seen_at).total_seconds()))} ago"),
        Column("queues", lambda row: ", ".join(listed(row.queues) or ["all"]), least=6),
        Column("executors", lambda row: ", ".join(f"{a}={n}" for a, n in _sizes(row).items()), least=10),
        Column("version", lambda row: row.package_version or "-", leave_out=2),
    ]


def _sizes(row: WorkerRow) -> dict[str, int]:
    return dict(json.loads(row.executors or "{}"))

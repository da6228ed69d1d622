"""Whether a worker lives, as far as its row tells: the one rule for the status and for "why has it not run yet"."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ..store.workers import WorkerRow

SILENT = "silent"
"""The state of a worker whose heart has not beaten for its lease: it is dead or cut off, and soon swept."""


PAUSED = "paused"
"""The state of a worker that is alive and, since `scheduler.aps.pause()` there, starts no job."""

NOBODY = "No worker is alive: start the app, or 'flask scheduler run'."
ALL_PAUSED = (
    "Those that are alive are paused: call scheduler.aps.resume() in their process, or start 'flask scheduler run'."
)


def is_any_running(rows: Iterable[WorkerRow], now: datetime, lease_seconds: float) -> bool:
    """Whether one of these workers is alive and takes jobs."""
    return any(state_of(row, now, lease_seconds) == "running" for row in rows)


def what_helps(rows: Iterable[WorkerRow], now: datetime, lease_seconds: float) -> str:
    """Return, in words, what to do where none of these workers takes jobs: `ALL_PAUSED` or `NOBODY`."""
    return ALL_PAUSED if any(state_of(row, now, lease_seconds) == PAUSED for row in rows) else NOBODY


def state_of(row: WorkerRow, now: datetime, lease_seconds: float) -> str:
    """Return a worker's state: "running", `PAUSED`, "draining" or `SILENT`. By the store's clock."""
    return SILENT if now - row.seen_at > timedelta(seconds=lease_seconds) else row.state

"""Whether a worker lives, as far as its row tells: the one rule for the status and for "why has it not run yet"."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..store.workers import WorkerRow

SILENT = "silent"
"""The state of a worker whose heart has not beaten for its lease: it is dead or cut off, and soon swept."""


def state_of(row: WorkerRow, now: datetime, lease_seconds: float) -> str:
    """Return a worker's state: "running", "draining" or `SILENT`. By the store's clock."""
    return SILENT if now - row.seen_at > timedelta(seconds=lease_seconds) else row.state

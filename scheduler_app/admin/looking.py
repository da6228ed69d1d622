"""The actions that look at the whole: the workers, and how many jobs are in each state."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Response

from ..client import current_scheduler
from ..client.liveness import state_of
from ..client.queueing import COUNT_CAP
from ..store.workers import WorkerRow
from .answering import conditional, listed
from .json_shapes import instant
from .params import no_parameters


def list_workers() -> Response:
    """Answer the processes that run jobs; one that is `silent` for its lease is dead or cut off, and soon swept.

    One that is `paused` lives, and starts nothing until `scheduler.aps.resume()` is called in its process.
    """
    no_parameters()
    scheduler = current_scheduler()
    now, lease = scheduler.client.store.clock.now(), scheduler.settings.lease_seconds
    return listed([worker_json(row, now, lease) for row in scheduler.client.workers()])


def show_stats() -> Response:
    """Answer how many jobs are in each state, counted no further than 10,000: `capped` names those that have more."""
    no_parameters()
    counts = current_scheduler().client.stats()
    capped = [state for state, count in counts.items() if count >= COUNT_CAP]
    return conditional({"jobs": counts, "counted_to": COUNT_CAP, "capped": capped})


def worker_json(row: WorkerRow, now: datetime, lease_seconds: float) -> dict[str, Any]:
    """Return a worker as JSON; `queues` is null for one that serves all."""
    return {
        "id": row.id,
        "host": row.host,
        "pid": row.pid,
        "state": state_of(row, now, lease_seconds),
        "started_at": instant(row.started_at),
        "seen_at": instant(row.seen_at),
        "queues": _stored(row.queues, list) or None,
        "executors": _stored(row.executors, dict),
        "version": row.package_version,
    }


def _stored(text: str | None, kind: Callable[[], Any]) -> Any:
    try:
        found = json.loads(text or "null")
    except ValueError:
        found = None
    return found if isinstance(found, type(kind())) else kind()

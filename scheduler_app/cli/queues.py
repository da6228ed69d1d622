"""`flask scheduler queues`: what waits and runs in each queue, and which are paused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from ..client import QueueStatus, current_client
from ..client.queueing import COUNT_CAP
from .group import scheduler_commands
from .instants import iso, plain, span, zone_or_app
from .options import format_option, zone_options
from .output import write_list
from .table import Column

QUEUE_FACTS = (
    "name", "waiting", "running", "oldest_due_seconds", "concurrency", "concurrency_per_process", "paused", "paused_at",
    "paused_until", "pause_reason",
)  # fmt: skip
"""The names of what `queue_facts` returns, in order."""


@scheduler_commands.command("queues", short_help="List queues: what waits, runs and is paused.")
@format_option("table", "json", "jsonl", "csv", "ids")
@zone_options
def list_queues(shape: str, zone: tzinfo | None) -> None:
    """List the queues: how many jobs wait and run in each, how many may at once, and which are paused, and why.

    Those that SCHEDULER_QUEUES names, those that jobs have named, and 'default'.
    """
    zone = zone_or_app(zone)
    client = current_client()
    found, now = client.queues(), client.store.clock.now()
    write_list(found, shape, queue_columns(now, zone), lambda status: queue_facts(status, now, zone), QUEUE_FACTS)


def queue_facts(status: QueueStatus, now: datetime, zone: tzinfo) -> dict[str, Any]:
    """Return what programs get of a queue. `waiting` is counted to 10,000."""
    queue = status.queue
    return {
        "name": queue.name,
        "waiting": status.waiting,
        "running": status.running,
        "oldest_due_seconds": None if status.oldest is None else (now - status.oldest).total_seconds(),
        "concurrency": queue.concurrency,
        "concurrency_per_process": status.concurrency_per_process,
        "paused": status.paused,
        "paused_at": iso(queue.paused_at, zone) if status.paused else None,
        "paused_until": iso(queue.paused_until, zone) if status.paused else None,
        "pause_reason": queue.pause_reason if status.paused else None,
    }


def queue_columns(now: datetime, zone: tzinfo) -> Sequence[Column]:
    """Return what a table tells of a queue."""
    return [
        Column("queue", lambda status: status.queue.name, least=8),
        Column("waiting", _waiting),
        Column("oldest due", lambda status: "-" if status.oldest is None else span(_late(status, now)), leave_out=3),
        Column("running", lambda status: str(status.running)),
        Column("at once", _at_once, leave_out=2),
        Column("paused", lambda status: pause_of(status, zone), least=10),
    ]


def pause_of(status: QueueStatus, zone: tzinfo) -> str:
    """Return until when a queue is paused, and why: ``until 2026-11-22 07:21:03: the relay is down``."""
    if not status.paused:
        return "-"
    queue = status.queue
    end = "until resumed" if queue.paused_until is None else f"until {plain(queue.paused_until, zone)}"
    return f"{end}: {queue.pause_reason}" if queue.pause_reason else end


def _waiting(status: QueueStatus) -> str:
    return f"{status.waiting:,}+" if status.waiting >= COUNT_CAP else f"{status.waiting:,}"


def _late(status: QueueStatus, now: datetime) -> float:
    return 0.0 if status.oldest is None else (now - status.oldest).total_seconds()


def _at_once(status: QueueStatus) -> str:
    """Return how many may run at once: in all processes, in each one."""
    here = "" if status.concurrency_per_process is None else f"{status.concurrency_per_process} per process"
    across = "" if status.queue.concurrency is None else str(status.queue.concurrency)
    return ", ".join(filter(None, (across, here))) or "-"

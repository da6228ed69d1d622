"""`flask scheduler status`: is everything well?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from ..client import Client, current_scheduler
from ..client.client import COUNT_CAP
from ..client.liveness import state_of
from ..store import claim, schema
from ..store.workers import WorkerRow
from .exits import Exit
from .group import scheduler_commands
from .instants import span
from .options import format_option
from .output import note, write_facts, write_json, write_list
from .table import Column
from .words import coloured


@dataclass(frozen=True)
class _Status:
    """What was found, all at one time by the store's clock."""

    store: str
    revision: str | None
    now: datetime
    oldest: datetime | None
    """When the first of the jobs that are due was due."""
    counts: dict[str, int]
    workers: Sequence[WorkerRow]
    lease_seconds: float

    @property
    def lag(self) -> float | None:
        """For how many seconds the oldest due job has waited; None when nothing is due."""
        return None if self.oldest is None else (self.now - self.oldest).total_seconds()

    def state_of(self, row: WorkerRow) -> str:
        """Return a worker's state; see `state_of`."""
        return state_of(row, self.now, self.lease_seconds)


@scheduler_commands.command("status", short_help="Show the database, the workers and the counts.")
@click.option(
    "--max-lag",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Exit with 1 when a job has been due for longer than this.",
)
@format_option("table", "json")
@click.pass_context
def show_status(ctx: click.Context, max_lag: float | None, shape: str) -> None:
    """Show the database, the live workers, how many jobs are in each state, and how late the latest is.

    Exits with 69 when the database cannot be used, so it serves as a health check:

    \b
    flask scheduler status --max-lag 60
    """
    scheduler = current_scheduler()
    found = _look(scheduler.client, scheduler.settings.lease_seconds)
    write_json(_facts(found)) if shape == "json" else _write(found)
    _warn(found)
    if max_lag is not None and found.lag is not None and found.lag > max_lag:
        note(f"Late: the oldest due job has waited {span(found.lag)}, longer than {span(max_lag)}.")
        ctx.exit(Exit.ERROR)


def _look(client: Client, lease_seconds: float) -> _Status:
    def look(connection: Any) -> tuple[str | None, datetime, datetime | None]:
        now = client.store.clock.now()
        ranges = claim.peek_ranges(connection, client.store.dialect, now)
        due = [range_.first for range_ in ranges if range_.first <= now]
        return schema.revision(connection), now, min(due, default=None)

    revision, now, oldest = client.store.read(look)
    return _Status(client.store.url, revision, now, oldest, client.stats(), client.workers(), lease_seconds)


def _warn(found: _Status) -> None:
    if any(found.state_of(row) == "running" for row in found.workers):
        return
    waiting = "" if found.lag is None else " Jobs are due, and nobody runs them."
    note(f"No worker is alive.{waiting} Start the app, or 'flask scheduler run'.")


# -- for people ------------------------------------------------------------------------------------


def _write(found: _Status) -> None:
    lag = "nothing is due" if found.lag is None else f"the oldest due job has waited {span(found.lag)}"
    write_facts([("store", found.store), ("schema", found.revision or "none"), ("due", lag)])
    click.echo()
    write_facts(((state, _counted(count)) for state, count in found.counts.items()), paint=_paint_count)
    if found.workers:
        click.echo()
        write_list(found.workers, "table", _columns(found), lambda row: _worker_facts(found, row), ("id",))


def _counted(count: int) -> str:
    return f"{count:,}+" if count >= COUNT_CAP else f"{count:,}"


def _paint_count(state: str, text: str) -> str:
    return text if text == "0" else coloured(state, text)


def _columns(found: _Status) -> Sequence[Column]:
    return [
        Column("worker", lambda row: row.id, leave_out=1),
        Column("host", lambda row: row.host, least=8),
        Column("pid", lambda row: str(row.pid)),
        Column("state", found.state_of),
        Column("beat", lambda row: f"{span(max(0.0, (found.now - row.seen_at).total_seconds()))} ago"),
        Column("queues", lambda row: ", ".join(_listed(row.queues) or ["all"]), least=6),
        Column("executors", lambda row: ", ".join(f"{a}={n}" for a, n in _sizes(row).items()), least=10),
    ]


def _listed(text: str | None) -> list[str]:
    return list(json.loads(text)) if text else []


def _sizes(row: WorkerRow) -> dict[str, int]:
    return dict(json.loads(row.executors or "{}"))


# -- for programs ----------------------------------------------------------------------------------


def _facts(found: _Status) -> dict[str, Any]:
    return {
        "store": found.store,
        "schema": found.revision,
        "oldest_due_seconds": found.lag,
        "jobs": found.counts,
        "jobs_counted_to": COUNT_CAP,
        "workers": [_worker_facts(found, row) for row in found.workers],
    }


def _worker_facts(found: _Status, row: WorkerRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "host": row.host,
        "pid": row.pid,
        "state": found.state_of(row),
        "beat_seconds_ago": (found.now - row.seen_at).total_seconds(),
        "queues": _listed(row.queues) or None,
        "executors": _sizes(row),
        "version": row.package_version or None,
    }

"""`flask scheduler status`: is everything well?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

import click

from ..client import Client, QueueStatus, current_scheduler
from ..client.liveness import ALL_PAUSED, is_any_running, state_of, what_helps
from ..client.queueing import COUNT_CAP
from ..store import claim, schema
from ..store.workers import WorkerRow
from .exits import Exit
from .group import scheduler_commands
from .instants import iso, span, zone_or_app
from .options import format_option, zone_options
from .output import echo, note, write_facts, write_json, write_list
from .queues import QUEUE_FACTS, queue_columns, queue_facts
from .spans import Seconds
from .watching import keep_looking
from .words import coloured
from .workers import worker_facts, write_workers


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
    queues: Sequence[QueueStatus]
    """Those that are paused, or limited across processes."""
    lease_seconds: float
    zone: tzinfo
    """The zone to show times in."""

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
    type=Seconds(0),
    metavar="SECONDS",
    help="Exit with 1 when a job has been due for longer than this.",
)
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=Seconds(0.05),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it rests between two looks of --watch.",
)
@format_option("table", "json")
@zone_options
@click.pass_context
def show_status(
    ctx: click.Context, max_lag: float | None, watch: bool, every: float, shape: str, zone: tzinfo | None
) -> None:
    """Show the database, the live workers, how many jobs are in each state, and how late the latest is.

    Queues that are paused or limited are shown, too; all of them by `flask scheduler queues`.

    Exits with 69 when the database cannot be used, so it serves as a health check:

    \b
    flask scheduler status --max-lag 60

    With --watch it is drawn anew on a terminal; where stdout is none, each look is a line (or one of JSON). A database
    that is away meanwhile is told, and looked for again.
    """
    if watch and max_lag is not None:
        raise click.UsageError("--max-lag says how to exit, and --watch ends only at Ctrl-C: choose one.")
    scheduler = current_scheduler()
    look = partial(_look, scheduler.client, scheduler.settings.lease_seconds, zone_or_app(zone))
    if watch:
        keep_looking(lambda: _tell(look(), shape), lambda: _line(look(), shape), every)
    found = look()
    _tell(found, shape)
    if max_lag is not None and found.lag is not None and found.lag > max_lag:
        note(f"Late: the oldest due job has waited {span(found.lag)}, longer than {span(max_lag)}.")
        ctx.exit(Exit.ERROR)


def _tell(found: _Status, shape: str) -> None:
    write_json(_facts(found)) if shape == "json" else _write(found)
    _warn(found)


def _look(client: Client, lease_seconds: float, zone: tzinfo) -> _Status:
    def look(connection: Any) -> tuple[str | None, datetime, datetime | None]:
        now = client.store.clock.now()
        ranges = claim.peek_ranges(connection, client.store.dialect, now)
        due = [range_.first for range_ in ranges if range_.first <= now]
        return schema.revision(connection), now, min(due, default=None)

    revision, now, oldest = client.store.read(look)
    queues = [one for one in client.queues() if one.paused or one.queue.concurrency is not None]
    return _Status(
        client.store.url, revision, now, oldest, client.stats(), client.workers(), queues, lease_seconds, zone
    )


def _warn(found: _Status) -> None:
    if is_any_running(found.workers, found.now, found.lease_seconds):
        return
    waiting = "" if found.lag is None else " Jobs are due, and nobody runs them."
    if what_helps(found.workers, found.now, found.lease_seconds) == ALL_PAUSED:
        note(f"No worker takes jobs.{waiting} {ALL_PAUSED}")
    else:
        note(f"No worker is alive.{waiting} Start the app, or 'flask scheduler run'.")


# -- for people ------------------------------------------------------------------------------------


def _write(found: _Status) -> None:
    lag = "nothing is due" if found.lag is None else f"the oldest due job has waited {span(found.lag)}"
    write_facts([("store", found.store), ("schema", found.revision or "none"), ("due", lag)])
    echo()
    write_facts(((state, _counted(count)) for state, count in found.counts.items()), paint=_paint_count)
    if found.queues:
        echo()
        columns = queue_columns(found.now, found.zone)
        write_list(found.queues, "table", columns, lambda one: queue_facts(one, found.now, found.zone), QUEUE_FACTS)
    if found.workers:
        echo()
        write_workers(found.workers, "table", found.now, found.lease_seconds)


def _line(found: _Status, shape: str) -> str:
    """Return a look as one line, for a log or a program."""
    if shape == "json":
        return json.dumps(_facts(found), ensure_ascii=False)
    running = sum(found.state_of(row) == "running" for row in found.workers)
    lag = "-" if found.lag is None else f"{found.lag:.3f}"
    counts = " ".join(f"{state}={count}" for state, count in found.counts.items())
    return f"{iso(found.now, found.zone)} lag={lag} workers={running} {counts}"


def _counted(count: int) -> str:
    return f"{count:,}+" if count >= COUNT_CAP else f"{count:,}"


def _paint_count(state: str, text: str) -> str:
    return text if text == "0" else coloured(state, text)


# -- for programs ----------------------------------------------------------------------------------


def _facts(found: _Status) -> dict[str, Any]:
    return {
        "store": found.store,
        "schema": found.revision,
        "oldest_due_seconds": found.lag,
        "jobs": found.counts,
        "jobs_counted_to": COUNT_CAP,
        "queues": [queue_facts(one, found.now, found.zone) for one in found.queues],
        "workers": [worker_facts(row, found.now, found.lease_seconds) for row in found.workers],
    }

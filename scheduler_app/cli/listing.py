"""`flask scheduler list`: the newest jobs first, a page at a time."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from itertools import islice
from typing import Any

import click

from ..client import Client, current_scheduler
from ..jobs import Job, JobState
from . import completion
from .facts import JOB_FACTS, job_facts
from .group import scheduler_commands
from .instants import plain, short, zone_or_app
from .options import Cursor, State, format_option, zone_options
from .output import note, write_list
from .table import Column
from .words import coloured

DEFAULT_LIMIT = 50


@scheduler_commands.command("list", short_help="List jobs, the newest first.")
@click.option("--state", "states", type=State(), multiple=True, help="Only jobs in this state; may be repeated.")
@click.option("--queue", shell_complete=completion.queues, help="Only jobs of this queue.")
@click.option("--task", shell_complete=completion.tasks, help="Only jobs of this task.")
@click.option("--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True, help="How many at most.")
@click.option("--cursor", type=Cursor(), help="Go on after the job of this id: the last one that was shown.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many there are.")
@format_option("table", "json", "jsonl", "csv", "ids")
@zone_options
def list_jobs(limit: int, cursor: str | None, everything: bool, shape: str, zone: tzinfo | None, **wanted: Any) -> None:
    """List jobs, the newest first.

    \b
    flask scheduler list --state failed
    flask scheduler list --queue mail --format ids | flask scheduler cancel -
    flask scheduler list --all --format jsonl > jobs.jsonl
    """
    zone = zone_or_app(zone)
    found = _Shown(islice(_walk(cursor, limit, wanted), None if everything else limit + 1), limit, everything)
    write_list(found, shape, columns(zone), lambda job: job_facts(job, zone), JOB_FACTS)
    if found.more:
        note(f"There are more: {_next_page(found.last, limit, shape, wanted)}")
    elif found.last is None:
        note("No job matches." if cursor or any(wanted.values()) else "There are no jobs yet.")


class _Shown:
    """The jobs to show, one by one; afterwards it knows the last one shown, and whether there is another."""

    def __init__(self, jobs: Iterator[Job], limit: int, everything: bool) -> None:
        self._jobs, self._limit = jobs, None if everything else limit
        self.last: str | None = None
        self.more = False

    def __iter__(self) -> Iterator[Job]:
        for job in islice(self._jobs, self._limit):
            self.last = job.id
            yield job
        self.more = next(self._jobs, None) is not None


def _walk(cursor: str | None, limit: int, wanted: dict[str, Any]) -> Iterator[Job]:
    """Go through all matching jobs, page by page; each page is read when it is needed."""
    scheduler = current_scheduler()
    size = min(limit + 1, scheduler.settings.max_page)
    while True:
        page = _page(scheduler.client, cursor, size, **wanted)
        yield from page
        if len(page) < size:
            return
        cursor, size = page[-1].id, scheduler.settings.max_page


def _page(
    client: Client, cursor: str | None, size: int, states: Sequence[JobState], queue: str | None, task: str | None
) -> list[Job]:
    return client.list(states=states, queue=queue, task=task, before=cursor, limit=size)


def _next_page(last: str | None, limit: int, shape: str, wanted: dict[str, Any]) -> str:
    """Return the command that shows the next page."""
    words = ["flask", "scheduler", "list", *(f"--state={state}" for state in wanted["states"])]
    words += [f"--{name}={wanted[name]}" for name in ("queue", "task") if wanted[name]]
    words += [f"--limit={limit}"] if limit != DEFAULT_LIMIT else []
    words += [f"--format={shape}"] if shape != "table" else []
    return shlex.join([*words, f"--cursor={last}"])


def columns(zone: tzinfo) -> list[Column]:
    """Return what a table tells of a job."""
    return [
        Column("id", lambda job: job.id),
        Column("state", lambda job: job.state.value, paint=coloured),
        Column("task", lambda job: job.task, least=12, keep_end=True, leave_out=1),
        Column("queue", lambda job: job.queue, least=7, leave_out=3),
        Column("run at", lambda job: plain(job.run_at, zone), brief=lambda job: short(job.run_at, zone), leave_out=2),
        Column("attempt", lambda job: f"{_begun(job)}/{job.max_attempts}", leave_out=4),
    ]


def _begun(job: Job) -> int:
    """Return how many attempts have begun: those that ended in an error, and the one that runs or succeeded."""
    return job.attempt + (job.state in (JobState.RUNNING, JobState.SUCCEEDED))

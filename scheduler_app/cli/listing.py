"""`flask scheduler list`: the newest jobs first, a page at a time."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any
from uuid import UUID

import click

from ..client import Page, current_scheduler, shown_job
from ..filters import JobFilter, Sort, filter_of_words
from ..jobs import Job, JobState
from . import completion
from .facts import JOB_FACTS, job_facts
from .group import scheduler_commands
from .instants import plain, short, zone_or_app
from .options import State, format_option, zone_options
from .output import note, write_list
from .table import Column
from .words import coloured

DEFAULT_LIMIT = 50


@scheduler_commands.command("list", short_help="List jobs, the newest first.")
@click.argument("words", metavar="FILTER...", nargs=-1, shell_complete=completion.filters)
@click.option("--state", "states", type=State(), multiple=True, help="Only jobs in this state; may be repeated.")
@click.option("--queue", shell_complete=completion.queues, help="Only jobs of this queue.")
@click.option("--task", shell_complete=completion.tasks, help="Only jobs of this task.")
@click.option("--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True, help="How many at most.")
@click.option(
    "--sort",
    type=click.Choice([sort.value for sort in Sort]),
    default=Sort.NEWEST.value,
    show_default=True,
    help="In which order.",
)
@click.option("--cursor", help="Go on after the job of this id, the last one that was shown, or at a cursor.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many there are.")
@format_option("table", "json", "jsonl", "csv", "ids")
@zone_options
def list_jobs(
    words: tuple[str, ...], states: tuple[JobState, ...], queue: str | None, task: str | None, limit: int, sort: str,
    cursor: str | None, everything: bool, shape: str, zone: tzinfo | None,
) -> None:  # fmt: skip
    """List jobs, the newest first. A FILTER is state=, task=, queue=, tag=, key=, schedule=, priority=, id=, args.NAME=
    or error~TEXT, or a time such as created_after=2026-01-31 (also run_at, started, finished; and _before); any other
    word is a text that is looked for. All of them hold at once.

    \b
    flask scheduler list state=failed 'task=mail.*' error~timeout
    flask scheduler list queue=mail args.user=42 --sort run_at
    flask scheduler list tag=order:42 --format ids | flask scheduler cancel -
    flask scheduler list --all --format jsonl > jobs.jsonl
    """
    zone = zone_or_app(zone)
    said = [*words, *(f"state={state.value}" for state in states)]
    said += [f"{name}={value}" for name, value in (("queue", queue), ("task", task)) if value is not None]
    found = _Found(filter_of_words(said), Sort(sort), cursor, None if everything else limit)
    write_list(found, shape, columns(zone), lambda job: job_facts(job, zone), JOB_FACTS)
    if found.cursor is not None:
        note(f"{found.why_more}: {_next_page(found, limit, shape)}")
    elif found.last is None:
        note("No job matches." if cursor or said else "There are no jobs yet.")


class _Found:
    """The jobs to show, each page read when it is needed; afterwards it knows where the next page begins."""

    def __init__(self, wanted: JobFilter, sort: Sort, cursor: str | None, limit: int | None) -> None:
        self.wanted, self.sort = wanted, sort
        self._limit = limit
        self._begin: dict[str, Any] = {"before" if _is_id(cursor) else "after": cursor}
        self.last: str | None = None
        self.cursor: str | None = None
        self.why_more = "There are more"

    def __iter__(self) -> Iterator[Job]:
        scheduler, left = current_scheduler(), self._limit
        where, most = self._begin, scheduler.settings.max_page
        while left is None or left > 0:
            page = scheduler.client.list(
                self.wanted, sort=self.sort, limit=most if left is None else min(left, most), **where
            )
            for job in page:
                self.last = job.id
                yield shown_job(job, scheduler.client.calls.registry)
            self._note_end(page)
            if page.after is None or (left is not None and not page.complete):
                return
            where, left = {"after": page.after}, None if left is None else left - len(page)

    def _note_end(self, page: Page) -> None:
        self.cursor = page.after
        if not page.complete:
            self.why_more = f"{page.searched:,} jobs were looked at, and there are more"
        elif page.after is not None and self.sort in (Sort.NEWEST, Sort.OLDEST) and _is_id(self.last):
            self.cursor = self.last


def _is_id(cursor: str | None) -> bool:
    try:
        return str(UUID(cursor)) == cursor
    except (ValueError, TypeError):
        return False


def _next_page(found: _Found, limit: int, shape: str) -> str:
    """Return the command that shows the next page."""
    words = ["flask", "scheduler", "list", *found.wanted.words()]
    words += [f"--limit={limit}"] if limit != DEFAULT_LIMIT else []
    words += [f"--sort={found.sort.value}"] if found.sort is not Sort.NEWEST else []
    words += [f"--format={shape}"] if shape != "table" else []
    return shlex.join([*words, f"--cursor={found.cursor}"])


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

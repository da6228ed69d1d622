"""`flask scheduler show`: everything about one job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

import click

from ..client import current_scheduler, shown_attempts, shown_job
from ..jobs import Attempt, Job, Outcome
from ..origin import read_origin
from ..progress import decode_progress
from . import completion
from .facts import Carried, attempt_facts, job_facts, priority_name
from .group import scheduler_commands
from .instants import exact, relative, span, zone_or_app
from .options import format_option, zone_options
from .output import echo, note, write_facts, write_json
from .words import coloured, printable


@scheduler_commands.command("show", short_help="Show everything about a job.")
@click.argument("job_id", metavar="ID", shell_complete=completion.ids)
@format_option("table", "json")
@zone_options
def show_job(job_id: str, shape: str, zone: tzinfo | None) -> None:
    """Show everything about a job: its arguments, times, result, and each attempt that failed.

    With --format json, values that JSON has no type for stand under the key "$", as they are stored.
    """
    scheduler, zone = current_scheduler(), zone_or_app(zone)
    stored, registry = scheduler.client.get(job_id), scheduler.client.calls.registry
    job, carried = shown_job(stored, registry), Carried(stored, registry)
    attempts = shown_attempts(stored, scheduler.client.attempts(job_id), registry)
    if shape == "json":
        facts = job_facts(job, zone) | carried.stored_call() | {"result": carried.stored_result()}
        write_json(facts | {"attempts": [attempt_facts(attempt, zone) for attempt in attempts]})
        return
    write_facts(_facts(job, carried, zone, scheduler.client.store.clock.now()), paint=_paint)
    for attempt in attempts:
        _write_attempt(attempt, zone)
    if not job.finished:
        note(f"Why has it not ended yet? flask scheduler why {job.id}")


def _paint(name: str, text: str) -> str:
    return coloured(text) if name == "state" else text


def _facts(job: Job, carried: Carried, zone: tzinfo, now: datetime) -> Iterator[tuple[str, str]]:
    yield "id", job.id
    yield "task", job.task
    yield "arguments", carried.call()
    yield "state", job.state.value
    yield from _times(job, zone, now)
    yield "queue", job.queue
    yield "priority", priority_name(job)
    yield "attempts", f"{job.attempt} of {job.max_attempts} ended in an error"
    origin = read_origin(job.origin)
    optional = {
        "crashes": job.crashes or None,
        "delivery": "at most once" if job.at_most_once else None,
        "timeout": None if job.timeout is None else f"{job.timeout} s",
        "latest start": None if job.max_lateness is None else f"{job.max_lateness} s after its time",
        "key": job.key,
        "tags": ", ".join(job.tags) or None,
        "schedule": origin.get("schedule", job.schedule_uid),
        "scheduled at": origin.get("at", origin.get("door")),
        "carried": carried.context(),
        "worker": job.worker_id,
        "progress": decode_progress(job.progress),
        "result": carried.result(),
        "error": job.error,
    }
    yield from ((name, str(value)) for name, value in optional.items() if value is not None)


def _times(job: Job, zone: tzinfo, now: datetime) -> Iterator[tuple[str, str]]:
    instants = {
        "created": job.created_at,
        "fire time": job.fire_time,
        "run at": job.run_at,
        "started": job.started_at,
        "asked to stop": job.cancel_requested_at,
        "finished": job.finished_at,
    }
    for name, instant in instants.items():
        if instant is not None:
            yield name, f"{exact(instant, zone)} ({relative(instant, now)})"
    if job.started_at and job.finished_at and job.outcome in (Outcome.SUCCESS, Outcome.ERROR, Outcome.TIMEOUT):
        yield "took", span((job.finished_at - job.started_at).total_seconds())


def _write_attempt(attempt: Attempt, zone: tzinfo) -> None:
    echo(f"\nattempt {attempt.attempt}: {attempt.outcome.value}, {exact(attempt.finished_at, zone)}")
    taken = attempt.started_at and span((attempt.finished_at - attempt.started_at).total_seconds())
    facts = {"took": taken, "worker": attempt.worker_id, "error": attempt.error, "superseded": attempt.superseded}
    write_facts(((name, text) for name, text in facts.items() if text), indent="  ")
    for line in (attempt.traceback or "").splitlines():
        echo(f"  | {printable(line)}".rstrip())

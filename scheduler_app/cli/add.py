"""`flask scheduler add`: schedule a call of a task, and perhaps wait for its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

import click

from ..client import Client, JobHandle, Options, current_client, current_scheduler, make_options, shown_job
from ..client.liveness import is_any_running, what_helps
from ..errors import UnknownTaskError, did_you_mean, sentence
from ..jobs import Job, JobState, Priority
from ..origin import coming_from
from ..tasks import Task
from . import completion
from .exits import Exit, Failed, message_of
from .facts import Carried, job_facts
from .following import follow
from .group import scheduler_commands
from .instants import exact, zone_or_app
from .options import format_option, zone_options
from .output import echo, note, write_json
from .spans import Span
from .timing import At
from .typed import typed_call
from .words import printable

PRIORITIES = tuple(priority.name.lower() for priority in Priority)


@scheduler_commands.command("add", short_help="Schedule a call of a task.")
@click.argument("task", shell_complete=completion.tasks)
@click.argument("words", metavar="[VALUE|NAME=VALUE]...", nargs=-1)
@click.option("--in", "after", type=Span(), metavar="SPAN", help="So long from now: 45 (seconds), 10m, 1h30m.")
@click.option("--at", type=At(), metavar="ISO", help="At an instant; without an offset, in SCHEDULER_TIMEZONE.")
@click.option("--queue", shell_complete=completion.queues, help="Its queue.  [default: the task's]")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Its priority.  [default: the task's]")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag of it; may be repeated.")
@click.option("--key", metavar="KEY", help="Its key: while a job of this key has not started, that one is it.")
@click.option("--attempts", type=click.IntRange(1), metavar="N", help="How often it runs in all, if it fails.")
@click.option("--timeout", type=Span(), metavar="SPAN", help="How long one attempt may run.")
@click.option("--wait", is_flag=True, help="Follow it to its end, print its result as JSON, and exit by how it ended.")
@click.option("--wait-timeout", type=Span(), metavar="SPAN", help="How long to follow it at most.")
@format_option("table", "json", "ids")
@zone_options
@click.pass_context
def add_job(
    ctx: click.Context, /, task: str, words: Sequence[str], after: float | None, at: datetime | None, wait: bool,
    wait_timeout: float | None, shape: str, zone: tzinfo | None, **options: Any,
) -> None:  # fmt: skip
    """Schedule a call of TASK, now or when it is said, and print the id of its job.

    NAME=VALUE is a keyword argument, any other word a positional one. A value is what it says as JSON, else a text:
    5 is a number, "5" (in quotes that the shell leaves) a text. What the function does not take is refused, with
    nothing stored. Words that begin with a dash come after --.

    With --wait, progress goes to stderr and the result to stdout. Exits with 0 when it succeeded, with 1 when it
    failed, was cancelled or missed, with 130 at Ctrl-C, which leaves the job alone.

    \b
    flask scheduler add mail.welcome 42 lang=nb --in 10m
    flask scheduler add report.build '{"month": 7}' --queue slow --wait --format json
    flask scheduler add stock.move -- -5
    """
    if after is not None and at is not None:
        raise click.UsageError("Say when in one way: --in or --at. Without them it is now.")
    if wait_timeout is not None and not wait:
        raise click.UsageError("--wait-timeout needs --wait beside it.")
    client = current_client()
    handle = _schedule(client, task, words, after, at, make_options(**options))
    _tell(handle, shape, wait, zone_or_app(zone))
    if wait:
        ctx.exit(
            _follow(client, handle.id, math.inf if wait_timeout is None else wait_timeout, shape, zone_or_app(zone))
        )


def _schedule(
    client: Client, name: str, words: Sequence[str], after: float | None, at: datetime | None, options: Options
) -> JobHandle:
    args, kwargs = typed_call(words)
    task = _find(client, name)
    with coming_from("flask scheduler add"):
        if at is None:
            return client.schedule_after(after or 0, task, args, kwargs, options)
        return client.schedule_at(
            at if at.tzinfo else at.replace(tzinfo=zone_or_app(None)), task, args, kwargs, options
        )


def _find(client: Client, name: str) -> Task:
    """Return a task by its name. A misspelt one is told the nearest."""
    try:
        return client.calls.registry.resolve(name)
    except UnknownTaskError as error:
        near = did_you_mean(name, client.calls.registry.names())
        hint = "" if "Did you mean" in error.reason else near
        raise Failed(message_of(error).replace(str(error), f"{error}{hint}"), Exit.NOT_FOUND) from None


def _tell(handle: JobHandle, shape: str, wait: bool, zone: tzinfo) -> None:
    if shape == "json" and not wait:
        write_json(job_facts(handle.job, zone))
    elif shape == "ids" or not wait:
        echo(handle.id)
    if not handle.created:
        note("Its key is held by this job, which has not started: nothing new was stored, and it stays as it was.")
    if shape == "table":
        due = exact(handle.run_at, zone)
        note(f"{handle.id if wait else 'It'} is due at {due} in queue {handle.job.queue}.")


# -- waiting ---------------------------------------------------------------------------------------


def _follow(client: Client, job_id: str, seconds: float, shape: str, zone: tzinfo) -> Exit:
    looked = client.workers(), client.store.clock.now(), current_scheduler().settings.lease_seconds
    if not is_any_running(*looked):
        note(what_helps(*looked))
    try:
        job = follow(client, job_id, seconds)
    except KeyboardInterrupt:
        note(f"The job goes on; see how far it is with 'flask scheduler show {job_id}'.")
        raise
    carried = Carried(job, client.calls.registry)
    if shape == "json":
        write_json(job_facts(_shown(client, job), zone) | {"result": carried.stored_result()})
    elif shape == "table" and job.state is JobState.SUCCEEDED:
        write_json(carried.stored_result())
    note(_ended(_shown(client, job)))
    return Exit.OK if job.state is JobState.SUCCEEDED else Exit.ERROR


def _shown(client: Client, job: Job) -> Job:
    return shown_job(job, client.calls.registry)


def _ended(job: Job) -> str:
    """Return in words how a job ended, and where to read more if that was not well."""
    if job.state is JobState.SUCCEEDED:
        return f"It succeeded; {printable(job.error)}." if job.error else "It succeeded."
    how = _HOW.get(job.state, f"It is {job.state.value}")
    why = f": {printable(job.error)}" if job.error else ""
    return f"{sentence(how + why)} See more with 'flask scheduler show {job.id}'."


_HOW = {
    JobState.FAILED: "It failed",
    JobState.CANCELLED: "It was cancelled",
    JobState.MISSED: "It was missed",
    JobState.QUARANTINED: "It was put aside (quarantined)",
}

"""`flask scheduler pause` and `resume`: have jobs, or a whole queue, wait for a person, and go on."""

from __future__ import annotations

from datetime import tzinfo

import click

from ..asking import Verb
from ..client import current_client, current_scheduler
from . import completion
from .acting import WHICH, Care, act_on_jobs, filter_options, key_option
from .group import scheduler_commands
from .instants import zone_or_app
from .options import zone_options
from .output import echo, note
from .queues import pause_of
from .spans import Span
from .timing import due_line
from .words import plural, printable


@scheduler_commands.command("pause", short_help="Have jobs, or a queue, wait until they are resumed.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_pause)
@key_option
@click.option("--queue", metavar="NAME", shell_complete=completion.queues, help="A whole queue, instead of jobs.")
@click.option("--for", "seconds", type=Span(), metavar="SPAN", help="The queue: for how long: 10m, 1h30m.")
@click.option("--reason", help="The queue: why, for those who look at it: one line.")
@filter_options
@zone_options
@click.pass_context
def pause(
    ctx: click.Context,
    ids: tuple[str, ...],
    keys: tuple[str, ...],
    queue: str | None,
    seconds: float | None,
    reason: str | None,
    care: Care,
    zone: tzinfo | None,
) -> None:
    """Have jobs that have not started, or all of a queue, wait until they are resumed. Pausing twice is no error.

    A paused job keeps its time and its key; "-" stands for the ids on the lines of stdin. A paused queue's jobs are
    stored and listed as ever, and what runs goes on; no process claims another one, within SCHEDULER_POLL_SECONDS.
    With --for the queue resumes by itself.

    \b
    flask scheduler pause 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler pause --key order:42:remind
    flask scheduler pause task=mail.* --dry-run
    flask scheduler pause --queue mail --reason "the relay is down" --for 10m
    """
    if queue is not None:
        _refuse_jobs(ids, keys, care)
        if care.dry_run:
            _only_say(queue, "paused")
        else:
            _pause_queue(queue, seconds, reason, zone_or_app(zone))
        return
    if seconds is not None or reason is not None:
        raise click.UsageError("--for and --reason are about a queue; name it with --queue.")
    act_on_jobs(ctx, Verb.PAUSE, ids, keys, _pause_job, "paused", care)


@scheduler_commands.command("resume", short_help="Have paused jobs, or a paused queue, go on.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_resume)
@key_option
@click.option("--queue", metavar="NAME", shell_complete=completion.queues, help="A whole queue, instead of jobs.")
@filter_options
@zone_options
@click.pass_context
def resume(
    ctx: click.Context, ids: tuple[str, ...], keys: tuple[str, ...], queue: str | None, care: Care, zone: tzinfo | None
) -> None:
    """Have paused jobs run at their time again, at once if that has passed, or a paused queue be claimed again.

    A job that is then later than it allows is missed: give it another time first.

    \b
    flask scheduler resume 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler resume --queue mail
    """
    if queue is not None:
        _refuse_jobs(ids, keys, care)
        if care.dry_run:
            _only_say(queue, "resumed")
        else:
            _resume_queue(queue)
        return

    def resume_job(**name: str) -> str:
        return due_line(current_client().resume(**name), zone)

    act_on_jobs(ctx, Verb.RESUME, ids, keys, resume_job, "resumed", care)


def _refuse_jobs(ids: tuple[str, ...], keys: tuple[str, ...], care: Care) -> None:
    """Raise where jobs were named beside a queue, or counted."""
    if ids or keys:
        raise click.UsageError("name either jobs or a queue, not both.")
    if care.expect is not None:
        raise click.UsageError("--expect counts the jobs of a filter, such as queue=mail; --queue is one queue.")


def _only_say(queue: str, could: str) -> None:
    """Say what would be done to a queue. Raises `QueueNotFoundError` where that would be the answer."""
    if could == "resumed" or current_scheduler().settings.queues is not None:
        current_client().queue(queue)
    note(f"Queue {printable(queue)} would be {could}.")


def _pause_queue(queue: str, seconds: float | None, reason: str | None, zone: tzinfo) -> None:
    status = current_client().pause_queue(queue, reason=reason, for_seconds=seconds)
    echo(f"{printable(queue)} paused {printable(pause_of(status, zone))}")
    note(f"{plural(status.waiting, 'job')} waiting, {status.running:,} running, which go on.")


def _resume_queue(queue: str) -> None:
    status = current_client().resume_queue(queue)
    echo(f"{printable(queue)} resumed")
    note(f"{plural(status.waiting, 'job')} waiting, {status.running:,} running.")


def _pause_job(**name: str) -> str:
    return f"{current_client().pause(**name).id} paused"

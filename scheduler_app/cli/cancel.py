"""`flask scheduler cancel`: what has not started will not start; what runs is asked to stop."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from ..client import Client, current_client
from ..errors import JobConflictError, JobNotFoundError
from ..jobs import JobState
from . import completion
from .exits import Exit, code_of, message_of
from .group import scheduler_commands
from .output import note
from .words import plural, printable


@scheduler_commands.command("cancel", short_help="Cancel jobs, or ask running ones to stop.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=completion.ids_to_cancel)
@click.pass_context
def cancel_jobs(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Cancel jobs by their ids, or by the ids on the lines of stdin where an ID is "-".

    A job that has not started is cancelled, and will not start. One that runs is asked to stop: it
    sees that by `current_job.cancelled`, and ends when it wants to. Cancelling twice is no error.

    \b
    flask scheduler cancel 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler list --task shop:remind --state scheduled --format ids --all | flask scheduler cancel -
    """
    codes = [_cancel(current_client(), job_id) for job_id in _each(ids)]
    if not codes:
        note("No ids came on stdin, so nothing was cancelled.")
    if len(codes) > 1:
        note(f"{codes.count(Exit.OK):,} of {plural(len(codes), 'job')} could be cancelled or asked to stop.")
    ctx.exit(_overall(codes))


def _each(ids: Iterable[str]) -> Iterator[str]:
    for job_id in ids:
        if job_id == "-":
            lines = (line.decode(errors="backslashreplace").strip() for line in sys.stdin.buffer)
            yield from (line for line in lines if line)
        else:
            yield job_id


def _cancel(client: Client, job_id: str) -> Exit:
    """Cancel one job, say what came of it, and return the code that stands for that."""
    try:
        job = client.cancel(job_id)
    except (JobNotFoundError, JobConflictError) as error:
        note(f"Error: {printable(message_of(error))}")
        return code_of(error)
    click.echo(f"{job.id} {'cancelled' if job.state is JobState.CANCELLED else 'asked to stop'}")
    return Exit.OK


def _overall(codes: Sequence[Exit]) -> Exit:
    """Return the one code of all, or `PARTLY` where they differ."""
    different = set(codes) or {Exit.OK}
    return different.pop() if len(different) == 1 else Exit.PARTLY

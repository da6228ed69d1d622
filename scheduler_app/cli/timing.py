"""`flask scheduler reschedule`, `run-now` and `retry`: another time for a job, now, or once more."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

import click

from ..asking import Verb
from ..client import current_client
from ..jobs import Job
from . import completion
from .acting import WHICH, Care, act_on_jobs, filter_options, key_option
from .group import scheduler_commands
from .instants import iso, zone_or_app
from .options import zone_options
from .spans import Span


class At(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """An instant, as ISO 8601 writes it."""

    name = "iso"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant; one without an offset is in SCHEDULER_TIMEZONE."""
        try:
            return datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no instant such as 2026-11-22T07:30:00+01:00.", param, ctx)


class Shift(Span):
    """A length of time; with a minus sign, an earlier one."""

    name = "shift"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        text = str(value).strip()
        seconds = super().convert(text.removeprefix("-").removeprefix("+"), param, ctx)
        return -seconds if text.startswith("-") else seconds


@scheduler_commands.command("reschedule", short_help="Give jobs that have not started another time.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_move)
@key_option
@click.option("--in", "after", type=Span(), metavar="SPAN", help="So long from now: 45 (seconds), 10m, 1h30m.")
@click.option("--at", type=At(), metavar="ISO", help="At an instant; without an offset, in SCHEDULER_TIMEZONE.")
@click.option("--by", type=Shift(), metavar="SPAN", help="So much later than it stands, or earlier: 1h, -10m.")
@filter_options
@zone_options
@click.pass_context
def reschedule_jobs(
    ctx: click.Context, ids: tuple[str, ...], keys: tuple[str, ...], after: float | None, at: datetime | None,
    by: float | None, care: Care, zone: tzinfo | None,
) -> None:  # fmt: skip
    """Give jobs that have not started another time. A paused one stays paused.

    \b
    flask scheduler reschedule 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11 --in 10m
    flask scheduler reschedule --key order:42:remind --by -1h
    flask scheduler reschedule queue=mail run_at_before=2026-03-01 --by 1h
    """
    if sum(given is not None for given in (after, at, by)) != 1:
        raise click.UsageError("Say when, in one way: --in, --at or --by.")
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=zone_or_app(None))
    shift = None if by is None else timedelta(seconds=by)
    moves = {"after": after, "at": at, "by": shift}

    def move(**name: str) -> str:
        return due_line(current_client().reschedule(**name, **moves), zone)  # type: ignore[arg-type]

    act_on_jobs(ctx, Verb.RESCHEDULE, ids, keys, move, "moved", care, **moves)


@scheduler_commands.command("run-now", short_help="Make jobs due that have not started.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_move)
@key_option
@filter_options
@zone_options
@click.pass_context
def run_jobs_now(
    ctx: click.Context, ids: tuple[str, ...], keys: tuple[str, ...], care: Care, zone: tzinfo | None
) -> None:
    """Make jobs due that have not started, paused ones, too: each runs as soon as a slot is free, in a worker.

    \b
    flask scheduler run-now 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler run-now --key order:42:remind
    """
    act_on_jobs(
        ctx, Verb.RUN_NOW, ids, keys, lambda **name: due_line(current_client().run_now(**name), zone), "made due", care
    )


@scheduler_commands.command("retry", short_help="Have jobs run again that failed, or were cancelled or missed.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_retry)
@filter_options
@zone_options
@click.pass_context
def retry_jobs(ctx: click.Context, ids: tuple[str, ...], care: Care, zone: tzinfo | None) -> None:
    """Put jobs back in line that failed, or were cancelled or missed, due now and with all of their attempts.

    Each stays the same job. One whose key a newer job holds is a conflict.

    \b
    flask scheduler retry 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler retry state=failed task=mail.* error~timeout
    """
    act_on_jobs(
        ctx,
        Verb.RETRY,
        ids,
        (),
        lambda **name: due_line(current_client().retry(**name), zone),
        "put back in line",
        care,
    )


def due_line(job: Job, zone: tzinfo | None) -> str:
    """Return when a job is due, as the verbs that give it a time say it."""
    return f"{job.id} due at {iso(job.run_at, zone_or_app(zone))}"

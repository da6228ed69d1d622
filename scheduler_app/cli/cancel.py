"""`flask scheduler cancel`: what has not started will not start; what runs is asked to stop."""

from __future__ import annotations

from typing import Any

import click

from ..asking import Verb
from ..client import current_client
from ..client.cancelling import FOUND_AT_ONCE
from ..jobs import Job, JobState
from . import completion
from .acting import WHICH, Care, act_on_jobs, filter_options, key_option
from .exits import Exit, Failed
from .group import scheduler_commands
from .losses import confirm
from .output import note
from .words import plural, printable


@scheduler_commands.command("cancel", short_help="Cancel jobs, or ask running ones to stop.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_cancel)
@key_option
@click.option("--key-prefix", metavar="TEXT", help="All jobs whose key begins so.")
@click.option("--tag", metavar="TAG", help="All jobs that bear this tag.")
@filter_options
@click.pass_context
def cancel_jobs(
    ctx: click.Context,
    ids: tuple[str, ...],
    keys: tuple[str, ...],
    key_prefix: str | None,
    tag: str | None,
    care: Care,
) -> None:
    """Cancel jobs by their ids, by the ids on the lines of stdin where an ID is "-", by keys, or all of a filter.

    A job that has not started is cancelled, and will not start. One that runs is asked to stop: it
    sees that by `current_job.cancelled`, and ends when it wants to. Cancelling twice is no error.
    Before all of a filter, prefix or tag are cancelled, their number is shown, and you are asked.

    \b
    flask scheduler cancel 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler cancel --key order:42:remind
    flask scheduler cancel --key-prefix order:42:
    flask scheduler cancel task=shop:remind args.user=42 --dry-run
    flask scheduler list --task shop:remind --state scheduled --format ids --all | flask scheduler cancel -
    """
    if key_prefix is None and tag is None:
        act_on_jobs(ctx, Verb.CANCEL, ids, keys, _cancel, "cancelled or asked to stop", care)
    if ids or keys or (key_prefix is not None and tag is not None):
        raise click.UsageError("Cancel either the jobs that you name, or all of one --key-prefix, or of one --tag.")
    _cancel_all(key_prefix, tag, care)


def _cancel(**name: Any) -> str:
    job: Job = current_client().cancel(**name)
    return f"{job.id} {'cancelled' if job.state is JobState.CANCELLED else 'asked to stop'}"


def _cancel_all(prefix: str | None, tag: str | None, care: Care) -> None:
    """Cancel all jobs of a prefix or tag, once it is sure that these are meant."""
    client = current_client()
    count = client.count_to_cancel(prefix=prefix, tag=tag)
    many = f"{FOUND_AT_ONCE:,} or more jobs" if count >= FOUND_AT_ONCE else plural(count, "job")
    if care.expect is not None and count != care.expect:
        said = f"{many} would be cancelled or asked to stop, not {care.expect:,}. Nothing was changed."
        raise Failed(said, Exit.CONFLICT)
    if care.dry_run or not count:
        note(f"{many} would be cancelled or asked to stop.")
        return
    which = f"the tag {printable(str(tag))!r}" if prefix is None else f"a key that begins with {printable(prefix)!r}"
    confirm(
        f"This cancels {many} with {which}: what has not started will not start, what runs is asked to stop.", care.yes
    )
    cancelled, asked = client.cancel(tag=str(tag)) if prefix is None else client.cancel(prefix=prefix)
    click.echo(f"{cancelled:,} cancelled, {asked:,} asked to stop")

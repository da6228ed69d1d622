"""`flask scheduler cancel`: what has not started will not start; what runs is asked to stop."""

from __future__ import annotations

from typing import Any

import click

from ..asking import Verb
from ..client import current_client
from ..jobs import Job, JobState
from . import completion
from .acting import WHICH, Care, act_on_jobs, filter_options, key_option
from .group import scheduler_commands


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
    act_on_jobs(ctx, Verb.CANCEL, _meant(ids, keys, key_prefix, tag), keys, _cancel, "cancelled or asked to stop", care)


def _meant(ids: tuple[str, ...], keys: tuple[str, ...], prefix: str | None, tag: str | None) -> tuple[str, ...]:
    """Return the words that name the jobs; a prefix and a tag are filters."""
    if prefix is None and tag is None:
        return ids
    if ids or keys or (prefix is not None and tag is not None):
        raise click.UsageError("Cancel either the jobs that you name, or all of one --key-prefix, or of one --tag.")
    if prefix == "":
        raise click.UsageError("--key-prefix is empty, so it would mean every job that has a key.")
    return (f"tag={tag}",) if prefix is None else (f"key={prefix}*",)


def _cancel(**name: Any) -> str:
    job: Job = current_client().cancel(**name)
    return f"{job.id} {'cancelled' if job.state is JobState.CANCELLED else 'asked to stop'}"

"""`flask scheduler prune`: delete finished jobs before their retention is over."""

from __future__ import annotations

from datetime import timedelta

import click

from ..client import current_client
from ..jobs import FINISHED, JobState
from .group import scheduler_commands
from .instants import span
from .losses import confirm
from .options import State
from .output import echo
from .spans import Span


@scheduler_commands.command("prune", short_help="Delete jobs that finished long ago.")
@click.option(
    "--older-than", "seconds", type=Span(), required=True, metavar="SPAN", help="Finished so long ago: 12h, 7d."
)
@click.option("--state", "states", type=State(), multiple=True, help="Only jobs in this state; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune_jobs(seconds: float, states: tuple[JobState, ...], yes: bool) -> None:
    """Delete jobs that finished so long ago, with their attempts. What has not ended is never deleted.

    The scheduler does so by itself, as SCHEDULER_RETENTION_SECONDS says.

    \b
    flask scheduler prune --older-than 7d
    flask scheduler prune --older-than 1h --state succeeded --yes
    """
    unfinished = [state.value for state in states if state not in FINISHED]
    if unfinished:
        raise click.UsageError(
            f"Only jobs that have ended can be deleted ({', '.join(FINISHED)}), not {unfinished[0]}."
        )
    which = ", ".join(states) or "finished"
    confirm(f"This deletes all {which} jobs that ended more than {span(seconds)} ago, and their attempts.", yes)
    count = current_client().prune(timedelta(seconds=seconds), states or FINISHED)
    echo(f"{count:,} deleted")

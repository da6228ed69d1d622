"""`flask scheduler prune`: delete finished jobs before their retention is over."""

from __future__ import annotations

from datetime import timedelta

import click

from ..asking import Verb
from ..client import current_client
from ..filters import JobFilter
from ..filters import Span as Ended
from ..jobs import FINISHED, JobState
from .acting import Care, filter_options, many_of
from .group import scheduler_commands
from .instants import span
from .losses import confirm
from .options import State
from .output import echo, note
from .spans import Span


@scheduler_commands.command("prune", short_help="Delete jobs that finished long ago.")
@click.option(
    "--older-than", "seconds", type=Span(), required=True, metavar="SPAN", help="Finished so long ago: 12h, 7d."
)
@click.option("--state", "states", type=State(), multiple=True, help="Only jobs in this state; may be repeated.")
@filter_options
def prune_jobs(seconds: float, states: tuple[JobState, ...], care: Care) -> None:
    """Delete jobs that finished so long ago, with their attempts. What has not ended is never deleted.

    Their number is shown first, and you are asked. The scheduler does so by itself: see SCHEDULER_RETENTION_SECONDS.

    \b
    flask scheduler prune --older-than 7d --dry-run
    flask scheduler prune --older-than 1h --state succeeded --yes
    """
    unfinished = [state.value for state in states if state not in FINISHED]
    if unfinished:
        raise click.UsageError(
            f"Only jobs that have ended can be deleted ({', '.join(FINISHED)}), not {unfinished[0]}."
        )
    kept, client = timedelta(seconds=seconds), current_client()
    over = JobFilter(states=states or FINISHED, finished=Ended(until=client.store.clock.now() - kept))
    counted = client.bulk(Verb.DELETE, over, expect=care.expect, dry_run=True)
    which = f"{many_of(counted)} ({', '.join(over.states)}) that ended more than {span(seconds)} ago"
    if care.dry_run:
        note(f"{which} would be deleted.")
        return
    confirm(f"This deletes {which}, and their attempts.", care.yes)
    echo(f"{client.prune(kept, over.states):,} deleted")

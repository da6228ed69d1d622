"""`flask scheduler run`: this process runs jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from ..client import AppScheduler, current_scheduler
from ..errors import did_you_mean
from ..settings import Settings
from . import completion
from .group import scheduler_commands
from .options import Slots
from .output import note
from .probes import Address, probes
from .spans import Seconds
from .words import plural


@scheduler_commands.command("run", noted=False, short_help="Run jobs in this process.")
@click.option(
    "--queue",
    "queues",
    multiple=True,
    shell_complete=completion.queues,
    help="Serve this queue only; may be repeated.  [default: all]",
)
@click.option(
    "--executor", "slots", type=Slots(), multiple=True, metavar="ALIAS=N", shell_complete=completion.executors,
    help="Run N jobs at once on this executor; may be repeated.  [default: SCHEDULER_EXECUTORS]",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Run what is due now, then end, whatever has become due meanwhile.")
@click.option("--until-empty", is_flag=True, help="End as soon as nothing is due here and nothing runs here.")
@click.option(
    "--drain-timeout",
    type=Seconds(0),
    metavar="SECONDS",
    help="How long to wait at the end for what runs.  [default: SCHEDULER_DRAIN_SECONDS]",
)
@click.option(
    "--http",
    "address",
    type=Address(),
    metavar="[HOST]:PORT",
    help="Answer /livez and /readyz there, for as long as it runs.",
)
def run_jobs(
    queues: tuple[str, ...],
    slots: tuple[tuple[str, int], ...],
    once: bool,
    until_empty: bool,
    drain_timeout: float | None,
    address: tuple[str, int] | None,
) -> None:
    """Run jobs in this process, until Ctrl-C or SIGTERM.

    The first signal drains: nothing new starts, what runs may end, the rest is given back with its
    attempts unspent. A second one ends at once; what ran then is run again elsewhere.

    \b
    flask scheduler run --queue mail --executor default=20
    flask scheduler run --until-empty          in a cron job, or a test
    flask scheduler run --http :9191           with the probes of an orchestrator

    The probes answer as the admin's do in a web process: /livez 200 while it lives, /readyz 200 when the database
    can be used and its loop turns, else 503. Nothing else is served.
    """
    scheduler = current_scheduler()
    _check(scheduler.settings, queues, dict(slots))
    if once and until_empty:
        raise click.UsageError("--once and --until-empty exclude each other.")
    scheduler.client.store.ensure_ready()
    scheduler.client.calls.signer()  # refused for want of a key before anything is said to run
    until = "once" if once else "empty" if until_empty else None
    with probes(address, scheduler.health):
        note(_beginning(scheduler, queues, dict(slots), until))
        back = scheduler.run_worker(
            queues=queues or None, executors=dict(slots) or None, drain_seconds=drain_timeout, until=until
        )
    note(f"Stopped; {plural(back, 'job')} given back." if back else "Stopped; nothing had to be given back.")


def _check(settings: Settings, queues: Sequence[str], slots: Mapping[str, int]) -> None:
    for queue in queues:
        if settings.queues is not None and queue not in settings.queues:
            raise _unknown("queue", queue, settings.queues, "SCHEDULER_QUEUES")
    for alias in slots:
        if alias not in settings.executors:
            raise _unknown("executor", alias, settings.executors, "SCHEDULER_EXECUTORS")


def _unknown(what: str, name: str, known: Mapping[str, object], setting: str) -> click.UsageError:
    names = ", ".join(map(repr, known))
    return click.UsageError(f"There is no {what} {name!r}; {setting} has {names}.{did_you_mean(name, known)}")


def _beginning(scheduler: AppScheduler, queues: Sequence[str], slots: Mapping[str, int], until: str | None) -> str:
    """Return the one line that says what runs here, and how it ends."""
    sizes = {alias: slots.get(alias, e.max_workers) for alias, e in scheduler.settings.executors.items()}
    serving = f"queue {', '.join(queues)}" if queues else "every queue"
    places = ", ".join(f"{alias}={size}" for alias, size in sizes.items())
    return f"Running jobs of {serving} from {scheduler.client.store.url} on {places}; {_ENDS[until]}."


_ENDS = {
    None: "Ctrl-C stops it",
    "empty": "ends when nothing is due",
    "once": "ends when what is due now has run",
}

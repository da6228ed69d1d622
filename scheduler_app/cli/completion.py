"""What the shell offers at TAB: ids, queues, tasks and executors. It stays silent rather than fail in the prompt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import click
from click.shell_completion import CompletionItem
from flask.cli import ScriptInfo

from ..client import AppScheduler, current_scheduler
from ..jobs import HELD, Job, JobState

PATIENCE_SECONDS = 0.5
_OFFERED = 50
_MAY_STOP = (JobState.SCHEDULED, JobState.PAUSED, JobState.QUARANTINED, *HELD)

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completing(offer: Callable[[AppScheduler], Iterable[tuple[str, str]]]) -> Complete:
    """Return a completion that offers `(value, help)`, from the app that the command line names."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            with ctx.ensure_object(ScriptInfo).load_app().app_context():
                scheduler = current_scheduler()
                scheduler.client.store.patience = PATIENCE_SECONDS
                offered = list(offer(scheduler))
        except Exception:  # an app may fail in any way; a half-typed line is no place to hear of it
            return []
        return [CompletionItem(value, help=text) for value, text in offered if value.startswith(incomplete)]

    return complete


def _newest(scheduler: AppScheduler, states: Collection[JobState] = ()) -> Iterable[tuple[str, str]]:
    return [(job.id, _told(job)) for job in scheduler.client.list(states=states, limit=_OFFERED)]


def _told(job: Job) -> str:
    return f"{job.state} {job.task}"


ids = completing(_newest)
"""The ids of the newest jobs."""
ids_to_cancel = completing(lambda scheduler: _newest(scheduler, _MAY_STOP))
"""The ids of the newest jobs that can still be cancelled."""
queues = completing(lambda scheduler: [(name, "") for name in scheduler.settings.queues or ("default",)])
executors = completing(lambda scheduler: [(f"{name}=", "") for name in scheduler.settings.executors])
tasks = completing(lambda scheduler: [(name, "") for name in scheduler.client.calls.registry.names()])

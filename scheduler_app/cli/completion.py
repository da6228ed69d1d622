"""What the shell offers at TAB: ids, queues, tasks and executors. It stays silent rather than fail in the prompt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import click
from click.shell_completion import CompletionItem
from flask.cli import ScriptInfo

from ..asking import RULES, Verb
from ..client import AppScheduler, current_scheduler
from ..filters import NAMES
from ..jobs import HELD, Job, JobState, Priority

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


def _filters(scheduler: AppScheduler) -> Iterable[tuple[str, str]]:
    values = {
        "state": [state.value for state in JobState],
        "priority": [priority.name.lower() for priority in Priority],
        "queue": [*(scheduler.settings.queues or ("default",))],
        "task": scheduler.client.calls.registry.names(),
    }
    for name in NAMES:
        yield name if name == "args." else f"{name}{'~' if name == 'error' else '='}", ""
        yield from ((f"{name}={value}", "") for value in values.get(name, ()))


filters = completing(_filters)
"""The names of filters, and the values of some."""


def _or_filters(ids: Complete) -> Complete:
    """Offer filters beside ids, once something is typed."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return ids(ctx, param, incomplete) + (filters(ctx, param, incomplete) if incomplete else [])

    return complete


ids = completing(_newest)
"""The ids of the newest jobs."""
ids_to_cancel = _or_filters(completing(lambda scheduler: _newest(scheduler, _MAY_STOP)))
"""The ids of the newest jobs that can still be cancelled."""
ids_to_move = _or_filters(completing(lambda scheduler: _newest(scheduler, (JobState.SCHEDULED, JobState.PAUSED))))
ids_to_pause = _or_filters(completing(lambda scheduler: _newest(scheduler, (JobState.SCHEDULED,))))
ids_to_resume = _or_filters(completing(lambda scheduler: _newest(scheduler, (JobState.PAUSED,))))
ids_to_release = _or_filters(completing(lambda scheduler: _newest(scheduler, RULES[Verb.RELEASE].sources)))
ids_to_retry = _or_filters(completing(lambda scheduler: _newest(scheduler, RULES[Verb.RETRY].sources)))
queues = completing(lambda scheduler: [(name, "") for name in scheduler.settings.queues or ("default",)])
executors = completing(lambda scheduler: [(f"{name}=", "") for name in scheduler.settings.executors])
tasks = completing(lambda scheduler: [(name, "") for name in scheduler.client.calls.registry.names()])
schedules = completing(lambda scheduler: [(one.name, one.task) for one in scheduler.client.schedules()])

"""`flask scheduler tasks`: what may be deferred, and how it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..client import current_client
from ..errors import UnknownTaskError
from ..schedules import Schedule
from ..tasks import Task
from .group import scheduler_commands
from .options import format_option
from .output import note, write_list
from .table import Column

TASK_FACTS = (
    "name", "aliases", "signature", "queue", "priority", "attempts", "delivery", "timeout", "schedules",
)  # fmt: skip
"""The names of what `task_facts` returns, in order."""

Emits = Mapping[str, Sequence[str]]
"""The names of the schedules that use a task, by each name of it."""


@scheduler_commands.command("tasks", short_help="List the tasks, and how each is called.")
@format_option("table", "json", "jsonl", "csv", "ids")
def list_tasks(shape: str) -> None:
    """List the tasks that this app knows: how each is called, its queue, how often it runs, which schedules use it.

    Those that @task names, and those that schedules use. Any other module-level function of the app may be
    scheduled, too, by its name "module:function".
    """
    client = current_client()
    schedules = client.schedules()
    for one in schedules:
        with suppress(UnknownTaskError):  # 'flask scheduler check' tells of those
            client.calls.registry.resolve(one.task)
    emits = _emits(schedules)
    found = [client.calls.registry.known(name) for name in client.calls.registry.names()]
    tasks = list({task.name: task for task in found if task is not None}.values())
    write_list(tasks, shape, _columns(emits), lambda task: task_facts(task, emits), TASK_FACTS)
    if not tasks:
        note("No function is registered by @task. Any of the app's own may be scheduled by its name 'module:function'.")


def task_facts(task: Task, emits: Emits) -> dict[str, Any]:
    """Return what programs get of a task; what is None is as the app or the call says."""
    return {
        "name": task.name,
        "aliases": list(task.aliases),
        "signature": task.sketch,
        "queue": task.queue,
        "priority": task.priority,
        "attempts": _attempts(task),
        "delivery": task.delivery.value,
        "timeout": task.timeout,
        "schedules": _schedules(task, emits),
    }


def _emits(schedules: Sequence[Schedule]) -> Emits:
    emits: dict[str, list[str]] = {}
    for one in schedules:
        emits.setdefault(one.task, []).append(one.name)
    return emits


def _schedules(task: Task, emits: Emits) -> list[str]:
    return [name for known_as in (task.name, *task.aliases) for name in emits.get(known_as, ())]


def _attempts(task: Task) -> int:
    if task.attempts is not None:
        return task.attempts
    return 1 if task.retry is None else task.retry.attempts


def _columns(emits: Emits) -> Sequence[Column]:
    return [
        Column("task", lambda task: task.name, least=12, keep_end=True),
        Column("call", lambda task: task.sketch, least=12),
        Column("queue", lambda task: task.queue or "default", least=7),
        Column("attempts", lambda task: str(_attempts(task))),
        Column("schedules", lambda task: ", ".join(_schedules(task, emits)) or "-", least=8, leave_out=1),
        Column("aliases", lambda task: ", ".join(task.aliases) or "-", least=8, leave_out=2),
    ]

"""The actions on registered tasks: which there are, and what their arguments are."""

from __future__ import annotations

from inspect import getdoc
from typing import Any

from flask import Response, url_for

from ..client import current_client
from ..tasks import Task
from ..tasks.arguments import arguments_schema
from .answering import conditional, listed
from .json_shapes import priority_name
from .params import no_parameters


def list_tasks() -> Response:
    """Answer the tasks that this process has registered, by name; there are no pages."""
    no_parameters()
    return listed([task_json(task) for task in current_client().calls.registry.registered_tasks()])


def show_task(name: str) -> Response:
    """Answer one registered task, with the JSON Schema of its arguments."""
    no_parameters()
    return conditional(task_json(current_client().calls.registry.registered(name)))


def task_json(task: Task) -> dict[str, Any]:
    """Return a task as JSON. What is null is left to the app's defaults."""
    attempts = task.attempts or (task.retry.attempts if task.retry else 1)
    return {
        "name": task.name,
        "aliases": list(task.aliases),
        "description": (getdoc(task.function) or "").partition("\n")[0] or None,
        "queue": task.queue or "default",
        "priority": "normal" if task.priority is None else priority_name(task.priority),
        "attempts": attempts,
        "delivery": task.delivery.value,
        "timeout": task.timeout,
        "max_lateness": task.max_lateness,
        "arguments": arguments_schema(task),
        "links": {"self": url_for(".show_task", name=task.name)},
    }

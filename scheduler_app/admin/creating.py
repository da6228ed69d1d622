"""The action that makes a job: of a registered task only, and never by the name of a function."""

from __future__ import annotations

from typing import Any

from flask import Response, url_for

from ..client import current_client, make_options
from ..errors import UnknownQueueError
from ..shapes import Problems
from ..tasks.arguments import read_arguments
from .answering import job_response, log
from .bodies import read_body, telling_places
from .params import no_parameters

_OPTIONS = ("queue", "priority", "tags", "key", "on_conflict", "attempts", "timeout", "max_lateness")


def create_job() -> Response:
    """Make a job: 201 and its `Location`; 200 where it is there already, by its id or by its key."""
    no_parameters()
    said = read_body(_check_call)
    with telling_places("run_at" if "run_at" in said else "delay_s"):
        options = make_options(**{name: said[name] for name in _OPTIONS if name in said})
        handle = current_client().create(
            said["task"], said["args"], said["kwargs"], after=said.get("delay_s", 0), at=said.get("run_at"),
            job_id=said.get("id"), options=options, door="rest",
        )  # fmt: skip
    log("create", handle.job)
    response = job_response(handle.job, 201 if handle.created else 200)
    response.headers["Location"] = url_for(".show_job", job_id=handle.id)
    return response


def _check_call(fields: dict[str, Any], problems: Problems) -> None:
    """Check the arguments against the task's signature, and the queue. Raises `UnknownTaskError`."""
    fields.setdefault("args", [])
    fields.setdefault("kwargs", {})
    if not problems.keys().isdisjoint(("/task", "/args", "/kwargs", "/queue")):
        return
    calls = current_client().calls
    task = calls.registry.registered(fields["task"])
    fields["args"], fields["kwargs"] = read_arguments(task, fields["args"], fields["kwargs"], problems)
    try:
        calls.queue_of(task, make_options(queue=fields.get("queue")))
    except UnknownQueueError as error:
        problems["/queue"] = str(error)

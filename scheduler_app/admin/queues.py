"""The actions on queues: list, pause, resume."""

from __future__ import annotations

import logging
from typing import Any

from flask import Response

from ..client import QueueStatus, current_client
from ..errors import BodyError, QueueNotFoundError, QueuePauseError
from ..shapes import step
from .answering import listed
from .auth import current_actor
from .bodies import read_body
from .json_shapes import instant, json_response
from .params import no_body, no_parameters, no_precondition

logger = logging.getLogger("scheduler_app.admin")


def list_queues() -> Response:
    """Answer every queue, by name: there are as many as jobs have named, and no pages."""
    no_parameters()
    found = [queue_json(status) for status in current_client().queues()]
    return listed(found)


def pause_queue(name: str) -> Response:
    """Pause a queue; the body may say `reason`, and `for_seconds` or `until`."""
    no_parameters()
    no_precondition()
    said = read_body()
    try:
        status = current_client().pause_queue(_checked(name), **said)
    except QueuePauseError as error:
        raise BodyError({step("", error.name): str(error)}) from error
    return _answer("pause", status)


def resume_queue(name: str) -> Response:
    """Resume a queue."""
    no_parameters()
    no_precondition()
    no_body()
    return _answer("resume", current_client().resume_queue(_checked(name)))


def queue_json(status: QueueStatus) -> dict[str, Any]:
    """Return a queue as JSON. `waiting` is counted to 10,000."""
    queue = status.queue
    return {
        "name": queue.name,
        "waiting": status.waiting,
        "running": status.running,
        "oldest_due": instant(status.oldest),
        "concurrency": queue.concurrency,
        "concurrency_per_process": status.concurrency_per_process,
        "paused": status.paused,
        "paused_at": instant(queue.paused_at) if status.paused else None,
        "paused_until": instant(queue.paused_until) if status.paused else None,
        "pause_reason": queue.pause_reason if status.paused else None,
    }


def _answer(action: str, status: QueueStatus) -> Response:
    actor = current_actor()
    logger.info(
        "admin asked to %s queue=%r reason=%r actor=%r role=%s",
        action, status.queue.name, status.queue.pause_reason, actor.name, actor.role,
    )  # fmt: skip
    return json_response(queue_json(status))


def _checked(name: str) -> str:
    """Return a name that a database can be asked for. Raises `QueueNotFoundError` for one that no queue can have."""
    if not name.isprintable():
        raise QueueNotFoundError(name)
    return name

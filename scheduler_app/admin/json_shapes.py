"""How things look in JSON: jobs, instants and whole responses. Stored arguments are shown, never brought to life."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from flask import Response, url_for

from ..jobs import LIVE, Job, JobState, Priority

DEEPEST = 100
"""Levels of nesting that are shown; the payload's writer stops far below."""


def json_response(body: Any, status: int = 200, mimetype: str = "application/json") -> Response:
    """Return a response with `body` as JSON, whatever the host app's own JSON looks like."""
    return Response(json.dumps(body, allow_nan=False) + "\n", status, mimetype=mimetype)


def allowed_actions(state: JobState) -> list[str]:
    """Return what may be done with a job in this state, as the last part of its address."""
    return ["cancel"] if state in (*LIVE, JobState.QUARANTINED) else []


def instant(moment: datetime | None) -> str | None:
    """Return an instant as RFC 3339 in UTC with microseconds: "2026-03-01T03:00:00.000000Z"."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def job_json(job: Job) -> dict[str, Any]:
    """Return a job as JSON. What is stored but cannot be read is null, and `notes` says so."""
    notes: list[str] = []
    args, kwargs = _call(job.payload, notes)
    return {
        "id": job.id,
        "task": job.task,
        "args": args,
        "kwargs": kwargs,
        "queue": job.queue,
        "priority": _priority(job.priority),
        "state": job.state.value,
        "run_at": instant(job.run_at),
        "key": job.key,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "crashes": job.crashes,
        "created_at": instant(job.created_at),
        "started_at": instant(job.started_at),
        "finished_at": instant(job.finished_at),
        "cancel_requested_at": instant(job.cancel_requested_at),
        "outcome": job.outcome.value if job.outcome else None,
        "result": _result(job.result, notes),
        "error": job.error,
        "tags": list(job.tags),
        "schedule": job.schedule_uid,
        "at_most_once": job.at_most_once,
        "notes": notes,
        "allowed_actions": allowed_actions(job.state),
        "links": _links(job),
    }


def _links(job: Job) -> dict[str, str]:
    links = {"self": url_for(".show_job", job_id=job.id)}
    return links | {action: url_for(f".{action}_job", job_id=job.id) for action in allowed_actions(job.state)}


def _priority(number: int) -> str | int:
    return Priority(number).name.lower() if number in list(Priority) else number


# -- what is stored as JSON ------------------------------------------------------------------------


def _call(payload: str, notes: list[str]) -> tuple[list[Any] | None, dict[str, Any] | None]:
    try:
        parts = _plain(payload)
        args, kwargs = parts["a"], parts["k"]
        if isinstance(args, list) and isinstance(kwargs, dict):
            return args, kwargs
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # The note below tells it, as for arguments of another shape.
    notes.append("The stored arguments cannot be read, so args and kwargs are null.")
    return None, None


def _result(text: str | None, notes: list[str]) -> Any:
    try:
        return None if text is None else _plain(text)
    except (ValueError, TypeError, RecursionError):
        notes.append("The stored result cannot be read, so result is null.")
        return None


def _plain(text: str) -> Any:
    """Return stored JSON as it is, with its type tags. Raises ValueError for what JSON could not show again."""
    value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    _check_depth(value, DEEPEST)
    return value


def _check_depth(value: Any, depth: int) -> None:
    if depth < 0:
        raise ValueError("nested too deeply")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, depth - 1)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number

"""How things look in JSON: jobs, instants and whole responses. Stored arguments are shown, never brought to life."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Response, url_for

from ..asking import allowed
from ..client import Page, Shown, current_client, shown_job
from ..jobs import Job, JobState, Priority
from ..origin import read_origin
from ..progress import decode_progress

DEEPEST = 100
"""Levels of nesting that are shown; the payload's writer stops far below."""


def json_response(body: Any, status: int = 200, mimetype: str = "application/json") -> Response:
    """Return a response with `body` as JSON, whatever the host app's own JSON looks like."""
    return Response(json.dumps(body, allow_nan=False) + "\n", status, mimetype=mimetype)


def allowed_actions(state: JobState) -> list[str]:
    """Return what may be done with a job in this state: the verbs of `asking`."""
    return list(allowed(state))


def instant(moment: datetime | None) -> str | None:
    """Return an instant as RFC 3339 in UTC with microseconds: "2026-03-01T03:00:00.000000Z"."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def job_json(job: Job) -> dict[str, Any]:
    """Return a job as JSON. Secrets are masked. What is stored but cannot be read is null, and `notes` says so."""
    notes: list[str] = []
    registry = current_client().calls.registry
    shown, job = Shown(job.task, job.payload, registry), shown_job(job, registry)
    args, kwargs, context = _call(job.payload, shown, notes)
    return {
        "id": job.id,
        "task": job.task,
        "args": args,
        "kwargs": kwargs,
        "queue": job.queue,
        "priority": priority_name(job.priority),
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
        "result": result_json(job.result, notes),
        "error": job.error,
        "progress": progress_json(job.progress),
        "tags": list(job.tags),
        "schedule": job.schedule_uid,
        "origin": read_origin(job.origin),
        "context": context,
        "at_most_once": job.at_most_once,
        "timeout": job.timeout,
        "max_lateness": job.max_lateness,
        "version": job.version,
        "notes": notes,
        "allowed_actions": allowed_actions(job.state),
        "links": _links(job),
    }


def page_json(page: Page) -> dict[str, Any]:
    """Return a page of jobs as JSON. Where the search stopped early, `complete` is false and the cursor goes on."""
    return {
        "data": [job_json(job) for job in page],
        "has_more": page.after is not None,
        "next_cursor": page.after,
        "searched": page.searched,
        "complete": page.complete,
    }


def _links(job: Job) -> dict[str, str]:
    actions = {"self": "show_job", "attempts": "list_attempts", "explain": "explain_job"}
    actions |= {verb: ACTIONS.get(verb, f"{verb.replace('-', '_')}_job") for verb in allowed(job.state)}
    return {name: url_for(f".{action}", job_id=job.id) for name, action in actions.items()}


ACTIONS = {"reschedule": "change_job"}
"""The actions of verbs that are not named for them."""


def priority_name(number: int) -> str | int:
    """Return a priority's name, or its number where it has none."""
    return Priority(number).name.lower() if number in list(Priority) else number


# -- what is stored as JSON ------------------------------------------------------------------------


def stored_call(task: str, payload: str) -> tuple[list[Any] | None, dict[str, Any] | None, list[str]]:
    """Return the arguments of a stored call with its secrets masked, and what there is to note of them."""
    notes: list[str] = []
    args, kwargs, _ = _call(payload, Shown(task, payload, current_client().calls.registry), notes)
    return args, kwargs, notes


def _call(
    payload: str, shown: Shown, notes: list[str]
) -> tuple[list[Any] | None, dict[str, Any] | None, dict[str, Any] | None]:
    try:
        parts = _plain(payload)
        args, kwargs, context = parts["a"], parts["k"], parts.get("c", {})
        if isinstance(args, list) and isinstance(kwargs, dict) and isinstance(context, dict):
            return *shown.arguments(args, kwargs), context
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # The note below tells it, as for arguments of another shape.
    notes.append("The stored arguments cannot be read, so args, kwargs and context are null.")
    return None, None, None


def result_json(text: str | None, notes: list[str]) -> Any:
    """Return a stored result as it is; where it cannot be read null, and a note that says so."""
    try:
        return None if text is None else _plain(text)
    except (ValueError, TypeError, RecursionError):
        notes.append("The stored result cannot be read, so result is null.")
        return None


def progress_json(text: str | None) -> dict[str, Any] | None:
    """Return how far a job said that it is; None where it said nothing, or it cannot be read."""
    progress = decode_progress(text)
    return None if progress is None else {**asdict(progress), "share": progress.share}


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

"""What each action takes in its address, and what it answers: data, for the OpenAPI document and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..client.options import LONGEST_NAME
from ..client.scheduled import MOST_PREVIEWED
from ..filters import TIMES, Sort
from ..jobs import JobState, Priority
from ..shapes import INSTANT, PRINTABLE, Shape
from .answers import page_of, ref, searched_page_of
from .auth import OPEN


@dataclass(frozen=True)
class Operation:
    """What one action answers when all is well, which errors it has of its own, and its query parameters."""

    answers: Mapping[int, Shape | None]
    """By status; None for an answer without a body."""
    errors: tuple[int, ...] = ()
    query: Mapping[str, Shape] = field(default_factory=dict)
    description: str = ""
    """What its first sentence leaves open."""


_JOB, _SCHEDULE = ref("Job"), ref("Schedule")
_TEXT = {"type": "string", "format": PRINTABLE, "minLength": 1, "maxLength": LONGEST_NAME}
_PAGE = {"type": "integer", "minimum": 1, "maximum": 200}
_CURSOR = {"type": "string", "description": "What `next_cursor` of the page before says."}
_TEXTS = {"type": "array", "items": _TEXT}
FILTERS: Mapping[str, Shape] = {
    "id": _TEXTS,
    "state": {"type": "array", "items": {"enum": [state.value for state in JobState]}},
    "task": {**_TEXT, "pattern": r"^[^*]+\*?$", "description": "A name; or how it begins, with a `*` at its end."},
    "queue": _TEXT,
    "key": {**_TEXT, "description": "A key; or how it begins, with a `*` at its end."},
    "schedule": {**_TEXT, "description": "The schedule that made them."},
    "priority": {"type": "array", "items": {"enum": [priority.name.lower() for priority in Priority]}},
    "tag": {**_TEXTS, "description": "All of these."},
    **{f"{time}_after": {**INSTANT, "description": "Then or later."} for time in TIMES},
    **{f"{time}_before": {**INSTANT, "description": "Sooner than that."} for time in TIMES},
    "error~": {**_TEXTS, "description": "What the error holds."},
    "q": {**_TEXTS, "description": "What the id, the task, the queue, the key, a tag or the error holds."},
}
"""What narrows a list of jobs: the filter language but for `args.NAME`, whose names are the arguments'."""
_ASKED = Operation({200: _JOB}, (409, 412))
_SOON = Operation({202: _JOB}, (409, 412))

OPERATIONS: Mapping[str, Operation] = {
    "livez": Operation({200: ref("Health")}),
    "readyz": Operation({200: ref("Health"), 503: ref("Health")}),
    "list_jobs": Operation(
        {200: searched_page_of("Job"), 304: None},
        (400,),
        {
            **FILTERS,
            "sort": {"enum": [sort.value for sort in Sort]},
            "limit": _PAGE,
            "cursor": _CURSOR,
        },
        "All conditions hold at once. An argument is one, too: `args.user=1` by its name, `args.0=1` by its place.",
    ),
    "bulk_jobs": Operation({200: ref("Bulk")}, (409,)),
    "create_job": Operation({201: _JOB, 200: _JOB}, (409,)),
    "show_job": Operation({200: _JOB, 304: None}),
    "change_job": Operation({200: _JOB}, (409, 412)),
    "delete_job": Operation({204: None, 200: _JOB, 202: _JOB}, (409, 412)),
    "cancel_job": Operation({200: _JOB, 202: _JOB}, (409, 412)),
    "run_now_job": _SOON,
    "retry_job": _SOON,
    "pause_job": _ASKED,
    "resume_job": _ASKED,
    "release_job": _ASKED,
    "list_attempts": Operation({200: page_of("Attempt"), 304: None}),
    "explain_job": Operation({200: ref("Explanation"), 304: None}),
    "list_queues": Operation({200: page_of("Queue"), 304: None}),
    "pause_queue": Operation({200: ref("Queue")}),
    "resume_queue": Operation({200: ref("Queue")}),
    "list_schedules": Operation({200: page_of("Schedule"), 304: None}),
    "show_schedule": Operation({200: _SCHEDULE, 304: None}),
    "preview_schedule": Operation(
        {200: page_of("FireTime"), 304: None},
        query={"count": {"type": "integer", "minimum": 1, "maximum": MOST_PREVIEWED}},
    ),
    "change_schedule": Operation({200: _SCHEDULE}, (409,)),
    "delete_schedule": Operation({204: None}),
    "pause_schedule": Operation({200: _SCHEDULE}),
    "resume_schedule": Operation({200: _SCHEDULE}, (409,)),
    "run_now_schedule": Operation({202: _JOB}, (409,)),
    "list_tasks": Operation({200: page_of("Task"), 304: None}),
    "show_task": Operation({200: ref("Task"), 304: None}),
    "list_workers": Operation({200: page_of("Worker"), 304: None}),
    "show_stats": Operation({200: ref("Stats"), 304: None}),
    "list_audit": Operation(
        {200: page_of("AuditEntry"), 304: None},
        (400,),
        {"actor": _TEXT, "action": _TEXT, "target": _TEXT, "limit": _PAGE, "cursor": _CURSOR},
    ),
    "show_handle": Operation({200: ref("Handle"), 304: None}, (404, 410, 422, 503)),
    "cancel_handle": Operation({200: ref("Handle"), 202: ref("Handle")}, (400, 403, 404, 409, 410, 413, 422, 503)),
    "show_openapi": Operation({200: {"type": "object"}, 304: None}),
}
"""By action. One that is not here is told with its address, its role and its first sentence."""

UNKNOWN = Operation({200: {"type": "object"}})


def operation_of(action: str) -> Operation:
    """Return what is known of an action."""
    return OPERATIONS.get(action, UNKNOWN)


def errors_of(action: str, method: str, address: str, role: str) -> tuple[int, ...]:
    """Return the statuses of every error that an action may answer."""
    if role == OPEN:
        return operation_of(action).errors
    errors = {401, 403, 422, 503, *operation_of(action).errors}
    if "<" in address:
        errors.add(404)
    if action == "create_job":
        errors.add(404)
    if method != "GET":
        errors |= {400, 413}
    return tuple(sorted(errors))

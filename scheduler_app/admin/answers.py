"""What is answered, as shapes: for programs that read it, and for the documents. More fields may come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..jobs import JobState, Outcome
from ..shapes import Shape

_TEXT: Final = {"type": "string"}
_ANY: Final[Shape] = {}
_COUNT: Final = {"type": "integer", "minimum": 0}
_NUMBER: Final = {"type": "number"}
_BOOLEAN: Final = {"type": "boolean"}
_INSTANT: Final = {"type": "string", "format": "date-time"}
_OBJECT: Final = {"type": "object"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_LINKS: Final = {"type": "object", "additionalProperties": _TEXT}


def _or_null(shape: Shape) -> Shape:
    return {"anyOf": [shape, {"type": "null"}]}


def _fields(**shapes: Shape) -> Shape:
    return {"type": "object", "properties": shapes, "required": list(shapes)}


def ref(name: str) -> Shape:
    """Return what stands for a shape of `SHAPES`."""
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str) -> Shape:
    """Return the shape of a list, page by page."""
    return _fields(**_page(name))


def searched_page_of(name: str) -> Shape:
    """Return the shape of a list of what was searched for, page by page."""
    searched = {**_COUNT, "description": "How many rows were looked at."}
    complete = {**_BOOLEAN, "description": "False where the search stopped early: the cursor goes on from there."}
    return _fields(**_page(name), searched=searched, complete=complete)


def _page(name: str) -> dict[str, Shape]:
    return {"data": {"type": "array", "items": ref(name)}, "has_more": _BOOLEAN, "next_cursor": _or_null(_TEXT)}


_STATE: Final = {"enum": [state.value for state in JobState]}

SHAPES: Mapping[str, Shape] = {
    "Job": _fields(
        id=_TEXT,
        task=_TEXT,
        args=_or_null({"type": "array"}),
        kwargs=_or_null(_OBJECT),
        queue=_TEXT,
        priority={"anyOf": [_TEXT, {"type": "integer"}]},
        state=_STATE,
        run_at=_INSTANT,
        key=_or_null(_TEXT),
        attempt=_COUNT,
        max_attempts=_COUNT,
        crashes=_COUNT,
        created_at=_INSTANT,
        started_at=_or_null(_INSTANT),
        finished_at=_or_null(_INSTANT),
        cancel_requested_at=_or_null(_INSTANT),
        outcome=_or_null({"enum": [outcome.value for outcome in Outcome]}),
        result=_ANY,
        error=_or_null(_TEXT),
        progress=_or_null(_OBJECT),
        tags=_TEXTS,
        schedule=_or_null(_TEXT),
        origin=_OBJECT,
        context=_or_null(_OBJECT),
        at_most_once=_BOOLEAN,
        timeout=_or_null(_NUMBER),
        max_lateness=_or_null(_NUMBER),
        version={**_COUNT, "description": "What `ETag` says, and `If-Match` names."},
        notes=_TEXTS,
        allowed_actions=_TEXTS,
        links=_LINKS,
    ),
    "Attempt": _fields(
        attempt=_COUNT,
        claim_seq=_COUNT,
        outcome={"enum": [outcome.value for outcome in Outcome]},
        worker_id=_or_null(_TEXT),
        started_at=_or_null(_INSTANT),
        finished_at=_INSTANT,
        error=_or_null(_TEXT),
        traceback=_or_null(_TEXT),
        superseded=_or_null(_TEXT),
    ),
    "Bulk": _fields(
        action=_TEXT,
        dry_run=_BOOLEAN,
        matched={**_COUNT, "description": "How many were meant."},
        done={**_COUNT, "description": "How many are now as was asked."},
        asked={**_COUNT, "description": "How many run, and were asked to stop."},
        conflicts={**_COUNT, "description": "How many could not be changed."},
        missing={**_COUNT, "description": "How many ids are those of no job."},
        complete={**_BOOLEAN, "description": "Whether that is all; otherwise ask again."},
    ),
    "Explanation": _fields(id=_TEXT, state=_STATE, facts=_TEXTS, remedy=_or_null(_TEXT)),
    "Schedule": _fields(
        name=_TEXT,
        task=_TEXT,
        args=_or_null({"type": "array"}),
        kwargs=_or_null(_OBJECT),
        trigger=_ANY,
        next_run_time=_or_null(_INSTANT),
        last_fire_time=_or_null(_INSTANT),
        created_at=_or_null(_INSTANT),
        paused=_BOOLEAN,
        queue=_TEXT,
        priority={"anyOf": [_TEXT, {"type": "integer"}]},
        max_attempts=_COUNT,
        at_most_once=_BOOLEAN,
        catch_up=_or_null(_TEXT),
        overlap=_or_null(_TEXT),
        max_instances=_COUNT,
        tags=_TEXTS,
        declared=_BOOLEAN,
        orphaned_at=_or_null(_INSTANT),
        error=_or_null(_TEXT),
        notes=_TEXTS,
        links=_LINKS,
    ),
    "FireTime": _fields(at=_INSTANT, local=_TEXT, change=_or_null({"enum": ["gap", "fold"]}), note=_or_null(_TEXT)),
    "Task": _fields(
        name=_TEXT,
        aliases=_TEXTS,
        description=_or_null(_TEXT),
        queue=_TEXT,
        priority=_TEXT,
        attempts=_COUNT,
        delivery={"enum": ["at_least_once", "at_most_once"]},
        timeout=_or_null(_NUMBER),
        max_lateness=_or_null(_NUMBER),
        arguments={**_OBJECT, "description": "The JSON Schema of `args` and `kwargs`."},
        links=_LINKS,
    ),
    "Queue": _fields(
        name=_TEXT,
        waiting={**_COUNT, "description": "Counted to 10,000."},
        running=_COUNT,
        oldest_due=_or_null(_INSTANT),
        concurrency=_or_null(_COUNT),
        concurrency_per_process=_or_null(_COUNT),
        paused=_BOOLEAN,
        paused_at=_or_null(_INSTANT),
        paused_until=_or_null(_INSTANT),
        pause_reason=_or_null(_TEXT),
    ),
    "Worker": _fields(
        id=_TEXT,
        host=_TEXT,
        pid=_COUNT,
        state=_TEXT,
        started_at=_INSTANT,
        seen_at=_INSTANT,
        queues=_or_null(_TEXTS),
        executors={"type": "object", "additionalProperties": _COUNT},
        version=_or_null(_TEXT),
    ),
    "Stats": _fields(
        jobs={"type": "object", "additionalProperties": _COUNT},
        counted_to={**_COUNT, "description": "No state is counted further."},
        capped={**_TEXTS, "description": "The states that have as many jobs or more."},
    ),
    "AuditEntry": _fields(
        id=_TEXT,
        at=_INSTANT,
        actor=_fields(name=_TEXT, role=_TEXT),
        source=_LINKS,
        action=_TEXT,
        target=_or_null(_TEXT),
        before=_or_null(_OBJECT),
        after=_or_null(_OBJECT),
    ),
    "Handle": _fields(state=_STATE, progress=_or_null(_OBJECT), result=_ANY, error=_or_null(_TEXT)),
    "Health": _fields(status=_TEXT),
    "Problem": {
        **_fields(type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT, instance=_TEXT),
        "description": "RFC 9457. 409 tells `state` and `allowed_actions`, or the `job` that stands in the way.",
    },
    "Invalid": {
        "allOf": [ref("Problem")],
        "type": "object",
        "properties": {
            "errors": {
                "type": "array",
                "items": {"type": "object", "properties": {"pointer": _TEXT, "parameter": _TEXT, "detail": _TEXT}},
            }
        },
        "required": ["errors"],
    },
}

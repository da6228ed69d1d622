"""What the body of each action may say, as shapes; they check what comes in, and are what the documents say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from ..client import ACTIONS, current_scheduler
from ..client.asked import ID_PATTERN
from ..client.options import LONGEST_NAME, MOST_TAGS
from ..client.queueing import LONGEST_REASON
from ..conflict import OnConflict
from ..errors import (
    ArgumentsError,
    BodyError,
    DelayError,
    NaiveDatetimeError,
    NoAsyncError,
    OptionError,
    PayloadTooDeepError,
    PayloadTooLargeError,
    PayloadTypeError,
    PayloadValueError,
    TooFarError,
    UnknownQueueError,
)
from ..jobs import Priority
from ..settings.readers import MOST_SECONDS
from ..shapes import INSTANT, PRINTABLE, Problems, Shape, read, step
from ..tasks.limits import LONGEST_LIMIT
from .params import LARGEST_BODY, json_body
from .pointers import pointer_of

_NAME: Final = {"type": "string", "format": PRINTABLE, "minLength": 1, "maxLength": LONGEST_NAME}
_LIMIT: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_LIMIT}
_PRIORITY: Final = {"enum": [priority.name.lower() for priority in Priority]}
_TAGS: Final = {"type": "array", "items": _NAME, "maxItems": MOST_TAGS}
_DELAY: Final = {"type": "number", "minimum": 0, "maximum": MOST_SECONDS, "description": "Seconds from now."}
_RUN_AT: Final = {**INSTANT, "description": "An instant; one that has passed means now."}
_ONE_TIME: Final = {"required": ["delay_s", "run_at"]}


MOVES: Mapping[str, str] = {"delay_s": "after", "run_at": "at", "by_s": "by"}
"""The fields that say when a job is to run, and what the client calls them."""
_ONE_MOVE: Final = {
    "if": {"properties": {"action": {"const": "reschedule"}}},
    "then": {"oneOf": [{"required": [name]} for name in MOVES]},
    "else": {"properties": dict.fromkeys(MOVES, False)},
}
FILTER: Final = "job-filter"
"""The format of a text in the filter language."""


def _fields(properties: Mapping[str, Shape], **more: Any) -> Shape:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


BODIES: Mapping[str, Shape] = {
    "create_job": _fields(
        {
            "id": {
                "type": "string",
                "pattern": ID_PATTERN,
                "description": "A UUIDv7 of your own: the same asked again then answers the same job.",
            },
            "task": {**_NAME, "description": "The name of a registered task: see `/tasks`."},
            "args": {"type": "array", "description": "Its arguments by place."},
            "kwargs": {"type": "object", "description": "Its arguments by name."},
            "delay_s": _DELAY,
            "run_at": _RUN_AT,
            "queue": _NAME,
            "priority": _PRIORITY,
            "tags": _TAGS,
            "key": {**_NAME, "description": "Held by one job at most of those that have not started."},
            "on_conflict": {
                "enum": [one.value for one in OnConflict],
                "description": "What becomes of it where a job holds the key: `existing` unless said otherwise.",
            },
            "attempts": {
                "type": "integer", "minimum": 1, "maximum": 1_000_000, "description": "Runs in all, with the first.",
            },
            "timeout": {**_LIMIT, "description": "How long one attempt may run, in seconds."},
            "max_lateness": {**_LIMIT, "description": "How long after its time it may still start, in seconds."},
        },
        required=["task"],
        dependentRequired={"on_conflict": ["key"]},
        **{"not": _ONE_TIME},
    ),
    "bulk_jobs": _fields(
        {
            "action": {"enum": list(ACTIONS), "description": "What is done to each."},
            "filter": {
                "type": "string",
                "format": FILTER,
                "minLength": 1,
                "description": "Which jobs are meant: a [filter](filters.md), such as `state=failed task=mail.*`.",
            },
            "ids": {
                "type": "array", "items": _NAME, "minItems": 1, "maxItems": 1_000,
                "description": "Which jobs are meant, by their ids, instead of a filter.",
            },
            "dry_run": {"type": "boolean", "description": "Change nothing; count what is meant."},
            "expected_count": {
                "type": "integer", "minimum": 0, "maximum": 10_000, "description": "409 unless so many are meant.",
            },
            "delay_s": {**_DELAY, "description": "For `reschedule`: seconds from now."},
            "run_at": {**INSTANT, "description": "For `reschedule`: an instant."},
            "by_s": {
                "type": "number", "minimum": -MOST_SECONDS, "maximum": MOST_SECONDS,
                "description": "For `reschedule`: seconds later than each was to run; below 0: earlier.",
            },
        },
        required=["action"],
        **{"not": {"required": ["filter", "ids"]}},
        oneOf=[{"required": ["filter"]}, {"required": ["ids"]}],
        **_ONE_MOVE,
    ),
    "change_job": _fields(
        {"delay_s": _DELAY, "run_at": _RUN_AT, "priority": _PRIORITY, "tags": _TAGS},
        minProperties=1,
        **{"not": _ONE_TIME},
    ),
    "change_schedule": _fields(
        {"next_run_time": {**INSTANT, "description": "When it fires next, once; one that has passed means now."}},
        required=["next_run_time"],
    ),
    "pause_queue": _fields(
        {
            "reason": {"type": "string", "format": PRINTABLE, "minLength": 1, "maxLength": LONGEST_REASON},
            "for_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_SECONDS},
            "until": INSTANT,
        },
        **{"not": {"required": ["for_seconds", "until"]}},
    ),
}  # fmt: skip
"""By action. One that is not here takes no body."""

EXAMPLES: Mapping[str, Any] = {
    "create_job": {
        "task": "mail.welcome", "kwargs": {"user_id": 42}, "delay_s": 60, "queue": "mail", "tags": ["order:42"],
    },
    "bulk_jobs": {"action": "retry", "filter": "state=failed task=mail.*", "dry_run": True},
    "change_job": {"run_at": "2030-03-01T03:00:00Z", "priority": "high"},
    "change_schedule": {"next_run_time": "2030-03-01T03:00:00Z"},
    "pause_queue": {"reason": "the relay is down", "for_seconds": 600},
}  # fmt: skip
"""A body for each of them."""


def read_body(check: Callable[[dict[str, Any], Problems], None] = lambda _fields, _problems: None) -> dict[str, Any]:
    """Return the body of the current action, read by its shape; `check` adds what it finds wrong besides.

    Raises `BodyError` with every problem at once, `BadRequest` for what is no JSON object, `RequestEntityTooLarge`.
    """
    shape = BODIES[str(request.endpoint).rpartition(".")[2]]
    payload = current_scheduler().settings.max_payload_bytes if "args" in shape["properties"] else 0
    fields, problems = json_body(f"It takes {', '.join(shape['properties'])}.", LARGEST_BODY + payload), Problems()
    said: dict[str, Any] = read(shape, fields, problems)
    check(said, problems)
    if problems:
        raise BodyError(problems)
    return said


@contextmanager
def telling_places(time: str) -> Iterator[None]:
    """Tell what the client refuses by the place in the body where it stands; `time` is the field of the time."""
    try:
        yield
    except OptionError as error:
        raise BodyError({step("", error.name): _sentence(error.problem)}) from error
    except (DelayError, TooFarError, NaiveDatetimeError) as error:
        raise BodyError({step("", time): str(error)}) from error
    except UnknownQueueError as error:
        raise BodyError({"/queue": str(error)}) from error
    except NoAsyncError as error:
        raise BodyError({"/task": str(error)}) from error
    except PayloadTooLargeError as error:
        raise RequestEntityTooLarge(str(error)) from error
    except (PayloadTypeError, PayloadValueError, PayloadTooDeepError) as error:
        raise BodyError({pointer_of(error.path): str(error)}) from error
    except ArgumentsError as error:
        raise BodyError({"/args": str(error)}) from error


def _sentence(problem: str) -> str:
    return f"{problem[:1].upper()}{problem[1:]}"

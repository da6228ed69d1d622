"""The actions on recurring schedules, by their names."""

from __future__ import annotations

import json
import logging
from typing import Any

from flask import Response, url_for

from ..client import current_client
from ..client.scheduled import MOST_PREVIEWED
from ..errors import ScheduleNotFoundError
from ..schedules import Planned, Schedule, policy_of
from .answering import conditional, job_response, listed
from .answering import log as log_job
from .auth import current_actor
from .bodies import read_body, telling_places
from .json_shapes import instant, priority_name, stored_call
from .params import count_of, no_body, no_parameters, no_precondition

logger = logging.getLogger("scheduler_app.admin")
DEFAULT_COUNT = 10


def list_schedules() -> Response:
    """Answer every schedule, the next to fire first and the paused ones last; there are no pages."""
    no_parameters()
    return listed([schedule_json(one) for one in current_client().schedules()])


def show_schedule(name: str) -> Response:
    """Answer one schedule."""
    no_parameters()
    return conditional(schedule_json(current_client().schedule(_checked(name))))


def preview_schedule(name: str) -> Response:
    """Answer the next fire times of a schedule, `count` of them; of a paused one, as if it were resumed now."""
    count = count_of(MOST_PREVIEWED, DEFAULT_COUNT)
    return listed([planned_json(one) for one in current_client().preview(_checked(name), count)])


def change_schedule(name: str) -> Response:
    """Have a schedule fire next at another time, once, and then as its trigger says."""
    no_parameters()
    no_precondition()
    said = read_body()
    with telling_places("next_run_time"):
        return _answer("move", current_client().move_schedule(_checked(name), said["next_run_time"]))


def delete_schedule(name: str) -> Response:
    """Remove a schedule. Its jobs stay; one that code declares comes back at a start."""
    no_parameters()
    no_precondition()
    no_body()
    current_client().remove_schedule(_checked(name))
    _log("remove", name)
    return Response(status=204)


def pause_schedule(name: str) -> Response:
    """Have a schedule fire no more until it is resumed."""
    no_parameters()
    no_precondition()
    no_body()
    return _answer("pause", current_client().pause_schedule(_checked(name)))


def resume_schedule(name: str) -> Response:
    """Have a paused schedule fire from now on; what it passed over meanwhile is not made up for."""
    no_parameters()
    no_precondition()
    no_body()
    return _answer("resume", current_client().resume_schedule(_checked(name)))


def run_now_schedule(name: str) -> Response:
    """Emit one job of a schedule, due now, also while it is paused: 202, with that job and its `Location`."""
    no_parameters()
    no_precondition()
    no_body()
    job = current_client().run_schedule_now(_checked(name))
    log_job("run the schedule of", job)
    return job_response(job, 202)


# -- how they look ---------------------------------------------------------------------------------


def schedule_json(one: Schedule) -> dict[str, Any]:
    """Return a schedule as JSON. Secrets are masked."""
    args, kwargs, notes = stored_call(one.task, one.payload)
    catch_up, overlap = _rules(one)
    return {
        "name": one.name,
        "task": one.task,
        "args": args,
        "kwargs": kwargs,
        "trigger": _trigger(one.trigger),
        "next_run_time": instant(one.next_run_time),
        "last_fire_time": instant(one.last_fire_time),
        "created_at": instant(one.created_at),
        "paused": one.next_run_time is None,
        "queue": one.queue,
        "priority": priority_name(one.priority),
        "max_attempts": one.max_attempts,
        "at_most_once": one.at_most_once,
        "catch_up": catch_up,
        "overlap": overlap,
        "max_instances": one.max_instances,
        "tags": list(one.tags),
        "declared": one.declared,
        "orphaned_at": instant(one.orphaned_at),
        "error": one.error,
        "notes": [*notes, *current_client().remarks(one)],
        "links": {"self": url_for(".show_schedule", name=one.name)},
    }


def planned_json(one: Planned) -> dict[str, Any]:
    """Return a fire time to come as JSON: the instant, and what the clock on the wall shows then."""
    return {"at": instant(one.fire_time), "local": one.fire_time.isoformat(), "change": one.change, "note": one.note}


def _rules(one: Schedule) -> tuple[str | None, str | None]:
    try:
        policy = policy_of(one)
    except ValueError:
        return one.catch_up, one.overlap
    return policy.catch_up.value, policy.overlap.value


def _trigger(stored: str) -> Any:
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return stored


def _answer(verb: str, schedule: Schedule) -> Response:
    _log(verb, schedule.name)
    return conditional(schedule_json(schedule))


def _log(verb: str, name: str) -> None:
    actor = current_actor()
    logger.info("admin asked to %s schedule=%r actor=%r role=%s", verb, name, actor.name, actor.role)


def _checked(name: str) -> str:
    """Return a name that a database can be asked for. Raises `ScheduleNotFoundError` for one that none can have."""
    if "\x00" in name:
        raise ScheduleNotFoundError(name)
    return name

"""How an action on one job answers: the job as it is then, its `ETag`, and where to look on while it has not ended."""

from __future__ import annotations

import logging
import re
from hashlib import sha256
from typing import Any

from flask import Response, request, url_for

from ..errors import JobNotFoundError
from ..jobs import Job
from .auth import current_actor
from .json_shapes import job_json, json_response

logger = logging.getLogger("scheduler_app.admin")


def job_response(job: Job, status: int = 200) -> Response:
    """Return a job as a response."""
    response = json_response(job_json(job), status)
    response.set_etag(str(job.version))
    if status == 202:
        response.headers["Location"] = url_for(".show_job", job_id=job.id)
    return response


def conditional(body: Any) -> Response:
    """Return what was asked for as JSON, or 304 where whoever asks has it already."""
    response = json_response(body)
    response.set_etag(sha256(response.get_data()).hexdigest()[:32], weak=True)
    response.make_conditional(request)
    return response


def listed(data: list[Any]) -> Response:
    """Return a list that has no pages."""
    return conditional({"data": data, "has_more": False, "next_cursor": None})


def expected_versions() -> frozenset[int] | None:
    """Return the versions that `If-Match` names: None where it says nothing, or any."""
    if request.if_match.star_tag or "If-Match" not in request.headers:
        return None
    return frozenset(int(tag) for tag in request.if_match.as_set() if re.fullmatch("[0-9]{1,9}", tag or ""))


def checked(job_id: str) -> str:
    """Return an id that a database can be asked for. Raises `JobNotFoundError` for one that no job can have."""
    if not job_id.isprintable():
        raise JobNotFoundError(job_id)
    return job_id


def log(verb: str, job: Job) -> None:
    """Write into the log who asked what of a job."""
    actor = current_actor()
    logger.info(
        "admin asked to %s job=%s state=%s actor=%r role=%s", verb, job.id, job.state.value, actor.name, actor.role
    )

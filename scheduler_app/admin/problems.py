"""Errors as RFC 9457 `application/problem+json`: for this blueprint only, and without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, got_request_exception, request
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.http import HTTP_STATUS_CODES

from ..client import current_client
from ..errors import (
    BodyError,
    CountError,
    CursorError,
    DuplicateKeyError,
    FilterError,
    JobChangedError,
    JobConflictError,
    JobIdTakenError,
    JobNotFoundError,
    NeverFiresError,
    QueueNotFoundError,
    RequestError,
    ScheduleConflictError,
    ScheduleNotFoundError,
    StoreError,
    UnknownTaskError,
)
from ..jobs import JobState
from .json_shapes import allowed_actions, job_json, json_response

RETRY_SECONDS = 5

logger = logging.getLogger("scheduler_app.admin")


def problem(status: int, detail: str, **facts: Any) -> Response:
    """Return a problem document; `facts` are further members of it."""
    title = HTTP_STATUS_CODES.get(status, "Error")
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": request.path}
    return json_response(body | facts, status, "application/problem+json")


def register_problems(blueprint: Blueprint) -> None:
    """Answer every error of the blueprint's own requests here, and not in the host app's handlers."""
    for code in default_exceptions:
        # One by one: the host app's handler for a code comes before a blueprint's handler for all of them.
        blueprint.register_error_handler(code, _http)
    blueprint.register_error_handler(HTTPException, _http)
    for kind, status in _STATUS.items():
        blueprint.register_error_handler(kind, partial(_plain, status))
    blueprint.register_error_handler(CountError, _count)
    blueprint.register_error_handler(RequestError, _request)
    blueprint.register_error_handler(FilterError, _request)
    blueprint.register_error_handler(JobConflictError, _conflict)
    blueprint.register_error_handler(DuplicateKeyError, _taken)
    blueprint.register_error_handler(JobIdTakenError, _taken)
    blueprint.register_error_handler(StoreError, _store)
    blueprint.register_error_handler(Exception, _unexpected)


def _http(error: HTTPException) -> Response:
    answer = problem(error.code or 500, error.description or "")
    for name, value in error.get_headers(request.environ):
        if name.lower() not in ("content-type", "content-length"):
            answer.headers.add(name, value)
    if error.code == 401:
        answer.headers.setdefault("WWW-Authenticate", 'Bearer realm="scheduler"')
    return answer


_STATUS: Mapping[type[Exception], int] = {
    JobNotFoundError: 404,
    QueueNotFoundError: 404,
    ScheduleNotFoundError: 404,
    UnknownTaskError: 404,
    CursorError: 400,
    JobChangedError: 412,
    NeverFiresError: 409,
    ScheduleConflictError: 409,
}
"""What the errors answer of which their sentence tells all."""


def _plain(status: int, error: Exception) -> Response:
    return problem(status, str(error))


def _count(error: CountError) -> Response:
    return problem(409, str(error), matched=error.matched, complete=error.complete, expected_count=error.expected)


def _request(error: RequestError | FilterError) -> Response:
    place = "pointer" if isinstance(error, BodyError) else "parameter"
    errors = [{place: name, "detail": sentence} for name, sentence in error.problems.items()]
    return problem(422, str(error), errors=errors)


def _taken(error: DuplicateKeyError | JobIdTakenError) -> Response:
    """Answer 409 with the job that has the key or the id, unless it is gone meanwhile."""
    try:
        job = current_client().get(error.job_id)
    except JobNotFoundError:
        return problem(409, str(error))
    return problem(409, str(error), job=job_json(job))


def _conflict(error: JobConflictError) -> Response:
    state = JobState(error.state)
    return problem(409, str(error), state=state.value, allowed_actions=allowed_actions(state))


def _store(error: StoreError) -> Response:
    # The address of a job opens it, so the log gets the pattern of it only.
    path = str(request.url_rule) if "token" in (request.view_args or {}) else request.path
    logger.error("admin request failed path=%r error=%s", path, error)
    answer = problem(503, "The scheduler's database cannot be used now. Try again later; the app's log says why.")
    answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


def _unexpected(error: Exception) -> Response:
    """Answer 500 and tell the host app all of it, as Flask does for an error that nobody handles."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    app.log_exception(sys.exc_info())
    return problem(500, "Something went wrong here; the app's log says what.")

"""The address of one job, which its view gave to whoever asked for it: they look after that job and see no other."""

from __future__ import annotations

import logging
import re
from typing import Any

from flask import Response, request, url_for
from werkzeug.exceptions import Forbidden, Gone, NotFound

from ..client import Actor, audited, current_client, shown_job
from ..client.accepted import Pass, read_token, retry_after
from ..errors import JobConflictError, JobNotFoundError
from ..jobs import Job, JobState, Outcome
from .auth import refuse_other_site
from .json_shapes import json_response, progress_json, result_json
from .noting import source
from .params import no_body, no_parameters
from .problems import problem

OWNER = Actor("holder of the job's address", "owner")
"""Who acts here, in the audit."""

logger = logging.getLogger("scheduler_app.admin")
_TYPE = re.compile(r"([A-Za-z_][\w.]*)(: | \(|$)")


def show_handle(token: str) -> Response:
    """Answer how the job of this address stands."""
    no_parameters()
    return _answer(_job_of(_valid(token)))


def cancel_handle(token: str) -> Response:
    """Cancel the job of this address, where its view allowed that: 200 it will not start, 202 it was asked to stop."""
    no_parameters()
    no_body()
    refuse_other_site()
    given = _valid(token)
    if not given.may_cancel:
        raise Forbidden("At this address the job may be looked at, and not cancelled.")
    try:
        job = _cancel(given)
    except JobConflictError as error:
        return problem(409, "The job has ended, so it cannot be cancelled.", state=str(error.state))
    return _answer(job, 200 if job.finished else 202)


def _valid(token: str) -> Pass:
    """Return what a token says. Raises `NotFound` for one that was not made here, and `Gone` for one that has ended."""
    client = current_client()
    given = read_token(client.calls.signer(), token)
    if given is None:
        raise NotFound()
    if given.has_ended(client.store.clock.now()):
        raise Gone("This address was good for a while only, and has expired. Ask the app for another one.")
    return given


def _job_of(given: Pass) -> Job:
    try:
        return current_client().get(given.job_id)
    except JobNotFoundError:
        raise NotFound("The job of this address is not there: it is not stored yet, or was removed.") from None


def _cancel(given: Pass) -> Job:
    _job_of(given)
    with audited(OWNER, **source()):
        job = current_client().cancel(given.job_id)
    logger.info("owner asked to cancel job=%s state=%s", job.id, job.state.value)
    if job.finished and job.state is not JobState.CANCELLED:  # It ended while it was being asked.
        raise JobConflictError(job.id, job.state.value, "stop", ())
    return job


def _answer(job: Job, status: int = 200) -> Response:
    client = current_client()
    response = json_response(handle_json(shown_job(job, client.calls.registry)), status)
    response.set_etag(str(job.version))
    if not job.finished:
        response.headers["Retry-After"] = str(retry_after(job, client.store.clock.now()))
    if status == 202:
        response.headers["Location"] = url_for(".show_handle", **(request.view_args or {}))
    if request.method in ("GET", "HEAD"):
        response.make_conditional(request)
    return response


def handle_json(job: Job) -> dict[str, Any]:
    """Return what a job's owner sees of it: no arguments, no name, no message of an error."""
    return {
        "state": job.state.value,
        "progress": progress_json(job.progress),
        "result": result_json(job.result, []) if job.state is JobState.SUCCEEDED else None,
        "error": error_type(job),
    }


def error_type(job: Job) -> str | None:
    """Return the class of what a failed job raised, or else how it ended; None of one that did not fail."""
    if job.state not in (JobState.FAILED, JobState.MISSED):
        return None
    named = _TYPE.match(job.error or "") if job.outcome is Outcome.ERROR else None
    return named[1] if named else str(job.outcome or Outcome.ERROR)

"""The actions on jobs: list, show, cancel."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import sha256

from flask import Response, request, url_for

from ..client import Client, current_client, current_scheduler
from ..errors import JobConflictError, JobNotFoundError
from ..jobs import Job, JobState
from .auth import current_actor
from .cursor import read_cursor, write_cursor
from .json_shapes import job_json, json_response
from .params import DEFAULT_PAGE, JobFilters, job_filters, no_body, no_parameters

logger = logging.getLogger("scheduler_app.admin")


def list_jobs() -> Response:
    """Answer one page of jobs, the newest first, and where the next page is."""
    scheduler = current_scheduler()
    filters = job_filters(scheduler.settings.max_page)
    jobs, more = _page(scheduler.client, filters, filters.limit or min(DEFAULT_PAGE, scheduler.settings.max_page))
    cursor = write_cursor(scheduler.client.calls.signer(), jobs[-1].id) if more else None
    response = json_response({"data": [job_json(job) for job in jobs], "has_more": more, "next_cursor": cursor})
    if cursor is not None:
        response.headers["Link"] = f'<{_next_address(cursor)}>; rel="next"'
    response.set_etag(sha256(response.get_data()).hexdigest()[:32], weak=True)
    response.make_conditional(request)
    return response


def show_job(job_id: str) -> Response:
    """Answer one job."""
    no_parameters()
    job = current_client().get(_checked(job_id))
    response = json_response(job_json(job))
    response.set_etag(str(job.version))
    response.make_conditional(request)
    return response


def cancel_job(job_id: str) -> Response:
    """Cancel a job: 200 when it will not start, 202 when it runs and was asked to stop."""
    no_parameters()
    no_body()
    job, actor = current_client().cancel(_checked(job_id)), current_actor()
    logger.info(
        "admin asked to cancel job=%s state=%s actor=%r role=%s", job.id, job.state.value, actor.name, actor.role
    )
    if job.finished and job.state is not JobState.CANCELLED:
        raise JobConflictError(job.id, job.state.value, "stop", ())  # It ended while it was being asked.
    response = json_response(job_json(job), 200 if job.finished else 202)
    response.set_etag(str(job.version))
    if not job.finished:
        response.headers["Location"] = url_for(".show_job", job_id=job.id)
    return response


def _page(client: Client, filters: JobFilters, limit: int) -> tuple[Sequence[Job], bool]:
    """Return a page, and whether there is another one."""
    before = None if filters.cursor is None else read_cursor(client.calls.signer(), filters.cursor)
    narrowed = {"states": filters.states, "queue": filters.queue, "task": filters.task}
    jobs = client.list(**narrowed, before=before, limit=limit)  # type: ignore[arg-type]
    more = len(jobs) == limit and client.list(**narrowed, before=jobs[-1].id, limit=1)  # type: ignore[arg-type]
    return jobs, bool(more)


def _next_address(cursor: str) -> str:
    filters = {name: values for name, values in request.args.lists() if name not in ("cursor", "token")}
    return url_for(".list_jobs", **filters, cursor=cursor)  # type: ignore[arg-type]


def _checked(job_id: str) -> str:
    """Return an id that a database can be asked for. Raises `JobNotFoundError` for one that no job can have."""
    if not job_id.isprintable():
        raise JobNotFoundError(job_id)
    return job_id

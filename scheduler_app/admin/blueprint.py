"""The blueprint: which address leads to which action, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from . import (
    audit,
    bulk,
    creating,
    handle,
    health,
    job,
    jobs,
    looking,
    nowhere,
    openapi,
    queues,
    schedules,
    tasks,
    verbs,
)
from .auth import require_role
from .noting import noted
from .problems import register_problems

READ = ("GET",)
WRITE = ("POST",)

ROUTES: tuple[tuple[str, tuple[str, ...], Callable[..., Any]], ...] = (
    ("/livez", READ, health.livez),
    ("/readyz", READ, health.readyz),
    ("/api/v1/jobs", READ, jobs.list_jobs),
    ("/api/v1/jobs", WRITE, creating.create_job),
    ("/api/v1/jobs/bulk", WRITE, bulk.bulk_jobs),
    ("/api/v1/jobs/<job_id>", READ, job.show_job),
    ("/api/v1/jobs/<job_id>", ("PATCH",), job.change_job),
    ("/api/v1/jobs/<job_id>", ("DELETE",), job.delete_job),
    ("/api/v1/jobs/<job_id>/cancel", WRITE, verbs.cancel_job),
    ("/api/v1/jobs/<job_id>/run-now", WRITE, verbs.run_now_job),
    ("/api/v1/jobs/<job_id>/retry", WRITE, verbs.retry_job),
    ("/api/v1/jobs/<job_id>/pause", WRITE, verbs.pause_job),
    ("/api/v1/jobs/<job_id>/resume", WRITE, verbs.resume_job),
    ("/api/v1/jobs/<job_id>/release", WRITE, verbs.release_job),
    ("/api/v1/jobs/<job_id>/attempts", READ, job.list_attempts),
    ("/api/v1/jobs/<job_id>/explain", READ, job.explain_job),
    ("/api/v1/queues", READ, queues.list_queues),
    ("/api/v1/queues/<path:name>/pause", WRITE, queues.pause_queue),
    ("/api/v1/queues/<path:name>/resume", WRITE, queues.resume_queue),
    ("/api/v1/schedules", READ, schedules.list_schedules),
    ("/api/v1/schedules/<path:name>", READ, schedules.show_schedule),
    ("/api/v1/schedules/<path:name>", ("PATCH",), schedules.change_schedule),
    ("/api/v1/schedules/<path:name>", ("DELETE",), schedules.delete_schedule),
    ("/api/v1/schedules/<path:name>/preview", READ, schedules.preview_schedule),
    ("/api/v1/schedules/<path:name>/pause", WRITE, schedules.pause_schedule),
    ("/api/v1/schedules/<path:name>/resume", WRITE, schedules.resume_schedule),
    ("/api/v1/schedules/<path:name>/run-now", WRITE, schedules.run_now_schedule),
    ("/api/v1/tasks", READ, tasks.list_tasks),
    ("/api/v1/tasks/<path:name>", READ, tasks.show_task),
    ("/api/v1/workers", READ, looking.list_workers),
    ("/api/v1/stats", READ, looking.show_stats),
    ("/api/v1/openapi.json", READ, openapi.show_openapi),
    ("/handle/<token>", READ, handle.show_handle),
    ("/handle/<token>", ("DELETE",), handle.cancel_handle),
    ("/handle/<token>/cancel", WRITE, handle.cancel_handle),
    ("/api/v1/audit", READ, audit.list_audit),
    ("", nowhere.METHODS, nowhere.nothing_here),
    ("/", nowhere.METHODS, nowhere.nothing_here),
    ("/<path:rest>", nowhere.METHODS, nowhere.nothing_here),
)
"""Address, methods, action. The last three take what no other route takes, so that it is answered here too."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def admin_blueprint(url_prefix: str) -> Blueprint:
    """Return a new blueprint with the REST API and the health checks below `url_prefix`."""
    blueprint = Blueprint("scheduler", __name__, url_prefix=url_prefix)
    views = {action: noted(action) for _, _, action in ROUTES}
    for address, methods, action in ROUTES:
        blueprint.add_url_rule(address, action.__name__, views[action], methods=methods)
    blueprint.before_request(require_role)
    blueprint.after_request(_harden)
    register_problems(blueprint)
    return blueprint


def openapi_document(url_prefix: str) -> dict[str, Any]:
    """Return the OpenAPI document of the REST API below `url_prefix`."""
    return openapi.document(ROUTES, url_prefix)


def _harden(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response

"""The blueprint: which address leads to which action, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from . import health, jobs, nowhere
from .auth import require_role
from .problems import register_problems

READ = ("GET",)
WRITE = ("POST",)

ROUTES: tuple[tuple[str, tuple[str, ...], Callable[..., Any]], ...] = (
    ("/livez", READ, health.livez),
    ("/readyz", READ, health.readyz),
    ("/api/v1/jobs", READ, jobs.list_jobs),
    ("/api/v1/jobs/<job_id>", READ, jobs.show_job),
    ("/api/v1/jobs/<job_id>/cancel", WRITE, jobs.cancel_job),
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
    for address, methods, action in ROUTES:
        blueprint.add_url_rule(address, action.__name__, action, methods=methods)
    blueprint.before_request(require_role)
    blueprint.after_request(_harden)
    register_problems(blueprint)
    return blueprint


def _harden(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response

"""The health checks: for load balancers and supervisors, without authentication and without details."""

from __future__ import annotations

import logging

from flask import Response

from ..client import current_scheduler
from .json_shapes import json_response

logger = logging.getLogger("scheduler_app.admin")


def livez() -> Response:
    """Answer 200: the process serves requests."""
    return json_response({"status": "ok"})


def readyz() -> Response:
    """Answer 200 when this process can do its part, else 503; the reason goes to the log only."""
    health = current_scheduler().health()
    if health.ready:
        return json_response({"status": "ok"})
    logger.info("not ready reason=%r", health.reason)
    return json_response({"status": "unavailable"}, 503)

"""The actions on many jobs: list."""

from __future__ import annotations

from hashlib import sha256

from flask import Response, request, url_for

from ..client import current_scheduler
from .json_shapes import json_response, page_json
from .params import DEFAULT_PAGE, list_of_jobs


def list_jobs() -> Response:
    """Answer one page of jobs, in the order that is asked for, and where the next page is."""
    scheduler = current_scheduler()
    asked = list_of_jobs(scheduler.settings.max_page)
    limit = asked.limit or min(DEFAULT_PAGE, scheduler.settings.max_page)
    page = scheduler.client.list(asked.wanted, sort=asked.sort, after=asked.cursor, limit=limit)
    response = json_response(page_json(page))
    if page.after is not None:
        response.headers["Link"] = f'<{_next_address(page.after)}>; rel="next"'
    response.set_etag(sha256(response.get_data()).hexdigest()[:32], weak=True)
    response.make_conditional(request)
    return response


def _next_address(cursor: str) -> str:
    filters = {name: values for name, values in request.args.lists() if name not in ("cursor", "token")}
    return url_for(".list_jobs", **filters, cursor=cursor)  # type: ignore[arg-type]

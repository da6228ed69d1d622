"""The action on the audit: list."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from flask import Response, request, url_for

from ..audit import Entry
from ..client import current_scheduler
from .cursor import read_cursor, write_cursor
from .json_shapes import instant, json_response
from .params import DEFAULT_PAGE, audit_filters

CURSOR = "cursor of the audit"


def list_audit() -> Response:
    """Answer one page of the changes that were made at the doors, the newest first, and where the next page is."""
    scheduler = current_scheduler()
    client, signer = scheduler.client, scheduler.client.calls.signer()
    most = scheduler.settings.max_page
    filters = audit_filters(most)
    limit, cursor = filters.pop("limit", min(DEFAULT_PAGE, most)), filters.pop("cursor", None)
    before = None if cursor is None else read_cursor(signer, cursor, CURSOR)
    found = client.audit(**filters, before=before, limit=limit)
    more = len(found) == limit and bool(client.audit(**filters, before=found[-1].id, limit=1))
    return _answer(found, write_cursor(signer, found[-1].id, CURSOR) if more else None)


def _answer(found: list[Entry], cursor: str | None) -> Response:
    page = {"data": [entry_json(entry) for entry in found], "has_more": cursor is not None, "next_cursor": cursor}
    response = json_response(page)
    if cursor is not None:
        asked = {name: values for name, values in request.args.lists() if name not in ("cursor", "token")}
        address = url_for(".list_audit", **asked, cursor=cursor)  # type: ignore[arg-type]
        response.headers["Link"] = f'<{address}>; rel="next"'
    response.set_etag(sha256(response.get_data()).hexdigest()[:32], weak=True)
    response.make_conditional(request)
    return response


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return a row of the audit as JSON."""
    return {
        "id": entry.id,
        "at": instant(entry.at),
        "actor": {"name": entry.actor, "role": entry.role},
        "source": entry.source,
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
    }

"""The audit's rows: written beside what they tell of, read by page, and deleted only when their time is over."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from ..audit import Entry, Facts
from ..jobs import first_id_of
from .dialect import Dialect
from .tables import audit

_ENTRY = select(audit)


def insert_if_absent(connection: Connection, dialect: Dialect, entry: Entry) -> None:
    """Write a row of the audit; one that is there already, from an earlier try, stays as it is."""
    connection.execute(dialect.insert(audit), _row(entry))


def put(connection: Connection, dialect: Dialect, entry: Entry) -> None:
    """Write a row of the audit, or bring what it says of the change up to date."""
    newer = update(audit).where(audit.c.id == entry.id).values(after=_text(entry.after))
    if not connection.execute(newer).rowcount:
        insert_if_absent(connection, dialect, entry)


def page(
    connection: Connection,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Entry]:
    """Return up to `limit` rows, the newest first, older than the id `before`: each by an index of its own."""
    statement = _ENTRY.order_by(audit.c.id.desc()).limit(limit)
    for column, wanted in ((audit.c.actor, actor), (audit.c.action, action), (audit.c.target, target)):
        statement = statement if wanted is None else statement.where(column == wanted)
    statement = statement if before is None else statement.where(audit.c.id < before)
    return [_entry(row) for row in connection.execute(statement)]


_OVER = select(audit.c.id).where(audit.c.id < bindparam("end")).order_by(audit.c.id).limit(bindparam("limit"))


def prune_some(connection: Connection, dialect: Dialect, kept_seconds: float, now: datetime, limit: int) -> int:
    """Delete up to `limit` rows that are older than so many seconds, the oldest first; return how many."""
    end = first_id_of(now - timedelta(seconds=kept_seconds))
    ids = [row.id for row in connection.execute(_OVER, {"end": end, "limit": limit})]
    if ids:
        connection.execute(delete(audit).where(dialect.among(audit.c.id, "ids")), {"ids": dialect.pack(ids)})
    return len(ids)


def _row(entry: Entry) -> dict[str, Any]:
    texts = {"source": _text(entry.source), "before": _text(entry.before), "after": _text(entry.after)}
    names = ("id", "at", "actor", "role", "action", "target")
    return {name: getattr(entry, name) for name in names} | texts


def _text(facts: Facts | None) -> str | None:
    return None if facts is None else json.dumps(facts, separators=(",", ":"))


def _entry(row: Any) -> Entry:
    fields = dict(row._mapping)
    return Entry(**fields | {name: _facts(fields[name]) for name in ("source", "before", "after")})


def _facts(text: str | None) -> Any:
    """Return stored facts; what somebody else wrote there is shown as the text that it is."""
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        found = text
    return found if found is None or isinstance(found, dict) else {"text": str(text)}

"""`flask scheduler audit`: who changed what at the doors, the newest first."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import tzinfo
from itertools import islice
from typing import Any

import click

from ..audit import Entry
from ..client import current_scheduler
from .group import scheduler_commands
from .instants import iso, plain, short, zone_or_app
from .options import Cursor, format_option, zone_options
from .output import note, write_list
from .table import Column

DEFAULT_LIMIT = 50
FACTS = ("id", "at", "actor", "role", "source", "action", "target", "before", "after")


@scheduler_commands.command("audit", short_help="List who changed what, the newest first.")
@click.option("--actor", help="Only changes by whoever has this name.")
@click.option("--action", help="Only changes of this kind: job.cancel, queue.pause.")
@click.option("--target", help="Only changes of this: a job's ID, or the name of a queue or schedule.")
@click.option("--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True, help="How many at most.")
@click.option("--cursor", type=Cursor(), help="Go on after the change of this id: the last one that was shown.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many there are.")
@format_option("table", "json", "jsonl", "csv", "ids")
@zone_options
def list_audit(
    limit: int, cursor: str | None, everything: bool, shape: str, zone: tzinfo | None, **wanted: str | None
) -> None:
    """List the changes that were made through the REST API and by these commands, the newest first.

    Each tells who made it, from where, and what was before and is after, of the fields that changed.

    \b
    flask scheduler audit --target 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler audit --actor ann --action queue.pause --format jsonl
    """
    zone = zone_or_app(zone)
    rows = _walk(cursor, wanted)
    found = rows if everything else islice(rows, limit)
    last: list[str] = []
    write_list(_noting(found, last), shape, _columns(zone), lambda entry: _facts(entry, zone), FACTS)
    if not everything and next(rows, None) is not None:
        note(f"There are more: {_next_page(last[-1], limit, shape, wanted)}")
    elif not last:
        note("No change matches." if cursor or any(wanted.values()) else "Nothing was changed at the doors yet.")


def _noting(found: Iterator[Entry], last: list[str]) -> Iterator[Entry]:
    """Go through rows, keeping the id of the last one."""
    for entry in found:
        last[:] = [entry.id]
        yield entry


def _walk(cursor: str | None, wanted: dict[str, str | None]) -> Iterator[Entry]:
    """Go through all that match, page by page; each page is read when it is needed."""
    scheduler = current_scheduler()
    size = scheduler.settings.max_page
    while True:
        page = scheduler.client.audit(**wanted, before=cursor, limit=size)
        yield from page
        if len(page) < size:
            return
        cursor = page[-1].id


def _next_page(last: str, limit: int, shape: str, wanted: dict[str, str | None]) -> str:
    """Return the command that shows the next page."""
    words = ["flask", "scheduler", "audit", *(f"--{name}={value}" for name, value in wanted.items() if value)]
    words += [f"--limit={limit}"] if limit != DEFAULT_LIMIT else []
    words += [f"--format={shape}"] if shape != "table" else []
    return shlex.join([*words, f"--cursor={last}"])


def _facts(entry: Entry, zone: tzinfo) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in FACTS} | {"at": iso(entry.at, zone)}


def _columns(zone: tzinfo) -> list[Column]:
    return [
        Column("at", lambda entry: plain(entry.at, zone), brief=lambda entry: short(entry.at, zone)),
        Column("actor", lambda entry: f"{entry.actor} ({entry.role})", least=8),
        Column("from", lambda entry: _place(entry), least=8, leave_out=2),
        Column("action", lambda entry: entry.action),
        Column("target", lambda entry: entry.target or "many", least=12, leave_out=1),
        Column("change", _change, least=16, leave_out=3),
    ]


def _place(entry: Entry) -> str:
    known = entry.source
    who = "@".join(known[name] for name in ("user", "host") if name in known) or known.get("address", "")
    return f"{known.get('door', '')} {who}".strip()


def _change(entry: Entry) -> str:
    """Return what became of each field, but for the count of the row's versions."""
    before, after = entry.before or {}, entry.after or {}
    names = [name for name in {**before, **after} if name != "version"]
    return ", ".join(_step(name, before, after) for name in names)


def _step(name: str, before: Any, after: Any) -> str:
    was, then = (json.dumps(facts[name], ensure_ascii=False) if name in facts else None for facts in (before, after))
    return f"{name} {then}" if was is None else f"{name} {was} -> {'gone' if then is None else then}"

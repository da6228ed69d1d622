"""`flask scheduler check`: could everything that waits run by the code as it is here?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import click

from ..client import Checked, Unbound, current_client
from .exits import Exit
from .group import scheduler_commands
from .instants import iso, plain, short, zone_or_app
from .options import format_option, zone_options
from .output import note, write_json, write_list
from .table import Column
from .words import plural

UNBOUND_FACTS = ("id", "kind", "misfit", "task", "count", "due", "why")
"""The names of what `unbound_facts` returns, in order."""


@scheduler_commands.command("check", short_help="Exit with 1 unless all that waits could run.")
@format_option("table", "json")
@zone_options
@click.pass_context
def check_pending(ctx: click.Context, shape: str, zone: tzinfo | None) -> None:
    """Hold every job that waits, paused ones too, and every schedule against the code as it is here.

    Its task is found, its function takes the stored arguments, its signature is valid. Nothing is run or changed.
    Exits with 1 when something could not run, with the number by reason and the first due of each: for a deploy
    pipeline, before the new code is started.
    """
    zone = zone_or_app(zone)
    found = current_client().check()
    if shape == "json":
        write_json(_facts(found, zone))
    else:
        write_list(found.unbound, "table", _columns(zone), lambda one: unbound_facts(one, zone), UNBOUND_FACTS)
    note(_told(found))
    ctx.exit(Exit.ERROR if found.unbound else Exit.OK)


def unbound_facts(one: Unbound, zone: tzinfo) -> dict[str, Any]:
    """Return what programs get of jobs or schedules that could not run; `id` is that of the first due."""
    facts = {name: getattr(one, name) for name in UNBOUND_FACTS}
    return facts | {"misfit": one.misfit.value, "due": iso(one.due, zone)}


def _facts(found: Checked, zone: tzinfo) -> dict[str, Any]:
    listed = [unbound_facts(one, zone) for one in found.unbound]
    return {"jobs": found.jobs, "schedules": found.schedules, "unbound": listed}


def _columns(zone: tzinfo) -> Sequence[Column]:
    return [
        Column("what", lambda one: plural(one.count, one.kind)),
        Column("reason", lambda one: one.misfit.value),
        Column("task", lambda one: one.task, least=12, keep_end=True),
        Column("first due", lambda one: plain(one.due, zone) if one.due else "-",
               brief=lambda one: short(one.due, zone) if one.due else "-"),
        Column("first", lambda one: one.id, least=8),
        Column("why", lambda one: one.why, least=20),
    ]  # fmt: skip


def _told(found: Checked) -> str:
    looked = f"{plural(found.jobs, 'waiting job')} and {plural(found.schedules, 'schedule')}"
    if not found.unbound:
        return f"Checked {looked}: all of them could run here."
    jobs, schedules = plural(found.count("job"), "job"), plural(found.count("schedule"), "schedule")
    return (
        f"Checked {looked}: {jobs} and {schedules} could not run here. Deploy code that takes them, or look at each"
        " with 'flask scheduler show ID' and cancel it."
    )

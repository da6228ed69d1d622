"""`flask scheduler adopt`: take over the jobs that APScheduler or Flask-APScheduler has stored in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import click

from ..adoption import Found, Unreadable, read_apart
from ..client import Adopted, AppScheduler, Fate, current_scheduler
from ..settings.database_url import database_url, masked
from ..settings.readers import Refused
from ..store import foreign
from ..store.foreign import ForeignRow
from .exits import Exit
from .group import scheduler_commands
from .instants import iso, plain, zone_or_app
from .losses import confirm
from .options import format_option
from .output import note, write_list
from .recurring import stored_trigger, trigger_text
from .table import Column
from .words import plural, printable

ADOPTED_FACTS = ("id", "fate", "kind", "job_id", "func", "trigger", "next_run_time", "paused", "remarks")
"""The names of what `_facts` returns, in order."""

_WARNING = (
    "This unpickles {count} of {table!r} in {url}. A pickle can run code when it is read. These are read in a process"
    " of its own, without this app's secrets, where only values, times and triggers can be made of them; that is no"
    " sandbox, and each job that is adopted calls a function of this app. Go on if you trust whoever could write there."
)


class Url(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """The URL of a database."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL as SQLAlchemy takes it."""
        try:
            return database_url(value)
        except Refused as refused:
            self.fail(f"it {refused}", param, ctx)


@scheduler_commands.command("adopt", short_help="Take over the jobs of an APScheduler table.")
@click.argument("table")
@click.option("--url", type=Url(), help="The database in which TABLE is.  [default: the scheduler's own]")
@click.option("--main", metavar="MODULE", help="What this app imports the old program's main file as.")
@click.option("--again", is_flag=True, help="Adopt also what was adopted before, and has been deleted since.")
@click.option("--dry-run", is_flag=True, help="Show the same, and store nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@format_option("table", "json")
@click.pass_context
def adopt_jobs(
    ctx: click.Context,
    table: str,
    url: str | None,
    main: str | None,
    again: bool,
    dry_run: bool,
    yes: bool,
    shape: str,
) -> None:
    """Take over the jobs that APScheduler 3 or Flask-APScheduler has stored in a table, as its SQLAlchemyJobStore does.

    TABLE is apscheduler_jobs, unless the store was given another name. A job with a date becomes a job
    whose key is the old id; any other becomes a schedule of that name. Each keeps its time, its pause,
    its arguments and its rules. What cannot be carried over is listed with the reason.

    Stop the old scheduler first, and empty TABLE afterwards: it is only read. Until then repeating it is
    harmless: what is here is left as it is, and so is what the audit says was adopted before. Exits
    with 5 when some jobs were refused, with 1 when all were.

    \b
    flask scheduler adopt apscheduler_jobs --dry-run
    flask scheduler adopt apscheduler_jobs --url sqlite:///before.sqlite3
    """
    scheduler = current_scheduler()
    where = scheduler.client.store.url if url is None else masked(url)
    rows = foreign.rows_beside(scheduler.client.store, table) if url is None else foreign.rows_elsewhere(url, table)
    if not rows:
        note(f"There are no jobs in {table!r}.")
        return
    confirm(_WARNING.format(count=plural(len(rows), "pickle"), table=table, url=where), yes)
    found, known = _read(scheduler, rows, main), _executors(scheduler)
    adopted = scheduler.client.adopt(found, known, dry_run=dry_run, again=again)
    _show(adopted, shape, zone_or_app(None))
    _tell(adopted, table, where, dry_run)
    ctx.exit(_code(adopted))


def _read(scheduler: AppScheduler, rows: Sequence[ForeignRow], main: str | None) -> list[Found | Unreadable]:
    settings = scheduler.settings
    return read_apart(
        [(row.id, row.next_run_time, row.job_state) for row in rows],
        modules=settings.task_modules,
        max_payload_bytes=settings.max_payload_bytes,
        main=main,
    )


def _executors(scheduler: AppScheduler) -> set[str]:
    """Return the names by which a job may say where it runs."""
    return {*scheduler.settings.executors, *(scheduler.settings.queues or ())}


# -- what is shown ---------------------------------------------------------------------------------


def _show(adopted: Sequence[Adopted], shape: str, zone: tzinfo) -> None:
    write_list(adopted, shape, _columns(zone), lambda one: _facts(one, zone), ADOPTED_FACTS)
    if shape == "table":
        for one in adopted:
            for remark in one.remarks:
                note(f"{printable(one.id)}: {printable(remark)}")


def _columns(zone: tzinfo) -> list[Column]:
    return [
        Column("id", lambda one: one.id, least=12),
        Column("fate", lambda one: one.fate.value),
        Column("becomes", lambda one: "-" if one.kind is None else f"paused {one.kind}" if one.paused else one.kind),
        Column("next", lambda one: "-" if one.next_run_time is None else plain(one.next_run_time, zone)),
        Column("fires", lambda one: "-" if one.trigger is None else trigger_text(one.trigger), least=12, leave_out=1),
        Column("calls", lambda one: one.func or "-", least=12, keep_end=True),
    ]


def _facts(one: Adopted, zone: tzinfo) -> dict[str, Any]:
    facts = {name: getattr(one, name) for name in ADOPTED_FACTS}
    trigger = None if one.trigger is None else stored_trigger(one.trigger)
    return facts | {"trigger": trigger, "next_run_time": iso(one.next_run_time, zone), "remarks": list(one.remarks)}


def _tell(adopted: Sequence[Adopted], table: str, where: str, dry_run: bool) -> None:
    count = Counter(one.fate for one in adopted)
    said = f"{count[Fate.ADOPTED]:,} adopted, {count[Fate.THERE]:,} there already, {count[Fate.REFUSED]:,} refused."
    note(f"{said} Nothing was stored: this was a dry run." if dry_run else said)
    note("Stop the old scheduler before this one runs: a job that is in both would run twice.")
    rest = ", once the refused ones are seen to" if count[Fate.REFUSED] else ""
    note(f"Then empty its table{rest}, in {where}: DELETE FROM {table};")  # noqa: S608 - for a person to type


def _code(adopted: Sequence[Adopted]) -> Exit:
    refused = [one.fate is Fate.REFUSED for one in adopted]
    return Exit.ERROR if all(refused) else Exit.PARTLY if any(refused) else Exit.OK

"""`flask scheduler db`: the schema. Works whether the tables are there or not, and checks nothing before."""

from __future__ import annotations

from typing import Any

import click

from ..client import current_client
from ..errors import SchemaMissingError, SchemaNewerError, SchemaOlderError, StoreUnavailableError
from ..store import schema
from ..store.schema import Migration
from . import app_migrations
from .exits import Exit, Failed
from .group import db_commands
from .losses import confirm, losses
from .options import format_option
from .output import echo, note, write_list
from .revisions import below, current_of, known, places_of, steps_above, tell_change
from .table import Column

_sql = click.option("--sql", is_flag=True, help="Print the SQL for this kind of database instead; connects to nothing.")


@db_commands.command("upgrade", short_help="Make the tables, or bring them up to date.")
@click.argument("revision", default="head")
@_sql
def upgrade(revision: str, sql: bool) -> None:
    """Make the tables, or bring them up to REVISION (default: the newest). Harmless to repeat.

    With --sql it prints what would make them in an empty database.
    """
    target, store = known(revision), current_client().store
    if sql:
        echo(schema.sql_of("upgrade", store.dialect, target), nl=False)
        return
    before = current_of(store)
    schema.upgrade_to(store.engine, store.dialect, target)
    tell_change(store, before)


@db_commands.command("downgrade", short_help="Take the tables down again; asks first.")
@click.argument("revision", required=False)
@_sql
@click.option("--yes", is_flag=True, help="Do not ask.")
def downgrade(revision: str | None, sql: bool, yes: bool) -> None:
    """Take the tables down to REVISION (default: one step; "base": nothing is left). Asks first.

    What the steps added is lost, with all that stands in it. Stop the app and its workers before.
    """
    store = current_client().store
    before = schema.HEAD if sql else current_of(store)
    target = known(revision or below(before))
    if sql:
        echo(schema.sql_of("downgrade", store.dialect, f"{before}:{target}"), nl=False)
        return
    undone = steps_above(target, before, store)
    if not undone:
        note(f"Nothing to do: {store.url} is at {before or 'no revision'}.")
        return
    confirm(losses(store, target, undone), yes)
    schema.downgrade_to(store.engine, store.dialect, target)
    tell_change(store, before)
    if store.auto_upgrade:
        note("The app makes its tables again when it starts next, unless SCHEDULER_AUTO_UPGRADE=False.")


@db_commands.command("current", short_help="Print the tables' revision.")
def current() -> None:
    """Print the revision that the tables are at."""
    store = current_client().store
    found = current_of(store)
    if found is None:
        note(f"There are no tables of the scheduler in {store.url}. Make them with 'flask scheduler db upgrade'.")
        return
    echo(found)
    if found != schema.HEAD:
        note(f"This version of the package is made for {schema.HEAD}.")


@db_commands.command("history", short_help="List the revisions.")
@format_option("table", "json", "jsonl", "csv", "ids")
def history(shape: str) -> None:
    """List the revisions, the newest first, and which of them the tables have."""
    store, steps = current_client().store, schema.history()
    try:
        places = places_of(steps, current_of(store))
    except StoreUnavailableError as error:
        note(f"Which of them the tables have is not known: {error}")
        places = dict.fromkeys((step.revision for step in steps), "?")
    write_list(steps, shape, _columns(places), lambda step: _facts(step, places), ("revision", "tables", "title"))


def _columns(places: dict[str, str]) -> list[Column]:
    return [
        Column("revision", lambda step: step.revision),
        Column("tables", lambda step: places[step.revision]),
        Column("what it does", lambda step: step.title, least=20),
    ]


def _facts(step: Migration, places: dict[str, str]) -> dict[str, Any]:
    return {"revision": step.revision, "tables": places[step.revision], "title": step.title}


@db_commands.command("stamp", short_help="Write down a revision without changing tables.")
@click.argument("revision")
@_sql
def stamp(revision: str, sql: bool) -> None:
    """Write down that the tables are at REVISION, and change nothing else.

    For tables that were made from the SQL of "db upgrade --sql", or restored from a backup without their version.
    """
    target, store = known(revision), current_client().store
    if sql:
        echo(schema.sql_of("stamp", store.dialect, target), nl=False)
        return
    before = current_of(store)
    schema.stamp_as(store.engine, store.dialect, target)
    tell_change(store, before)


@db_commands.command("check", short_help="Exit with 1 unless the tables are right.")
def check() -> None:
    """Exit with 1 when the tables are not as this version of the package needs them.

    The same where the app's own migrations, by Flask-Migrate in the same database, would drop them.
    """
    store = current_client().store
    found = current_of(store)
    try:
        schema.check(found, store.url)
    except (SchemaMissingError, SchemaOlderError, SchemaNewerError) as error:
        raise Failed(str(error), Exit.ERROR) from None
    wrong = schema.differences(store.engine) if found == schema.HEAD else []
    if wrong:
        told = "\n".join(f"  - {sentence}" for sentence in wrong)
        remedy = "Somebody changed them by hand: undo that, or restore them from a backup."
        raise Failed(f"The tables in {store.url} are not those of revision {found}:\n{told}\n{remedy}", Exit.ERROR)
    if problem := app_migrations.problem(store):
        raise Failed(problem, Exit.ERROR)
    note(f"The tables in {store.url} are as they should be, at revision {found}.")

"""The schema's version: what the code needs, what the database has, and the way from one to the other.

A revision is named ``MAJOR_MINOR``. A minor step only adds (expand), so code of the same major runs on
it whether it knows it or not; a major step removes (contract), and older code refuses it. So versions
N and N-1 run side by side through every deploy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, column, func, inspect, select, table

from ..errors import SchemaMissingError, SchemaNewerError, SchemaOlderError
from ..jobs import LIVE
from .dialect import Dialect
from .sqlite import READ_ONLY
from .tables import VERSION_TABLE, is_for, jobs, metadata, schedules, workers

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "1_0"
"""The revision that this code was written for."""


def ensure(
    engine: Engine, dialect: Dialect, url: str, *, upgrade: bool, before: Callable[[], None] = lambda: None
) -> None:
    """Check the revision in the database, upgrading it first if that is allowed; raise if unusable.

    `before` is called before an upgrade, and may refuse it.
    """
    found = current(engine)
    if upgrade and _is_behind(found):
        before()
        upgrade_to(engine, dialect, "head")
        found = current(engine)
    check(found, url)


def ensure_within(connection: Connection, url: str, *, upgrade: bool) -> bool:
    """Do the same inside a transaction that may have the database locked; answer whether that made the tables.

    They are then there if and when that transaction is committed.
    """
    from alembic import command

    upgrades = upgrade and _is_behind(revision(connection))
    if upgrades:
        with _one_by_one():
            command.upgrade(alembic_config(connection), "head")
    check(revision(connection), url)
    return upgrades


def check(found: str | None, url: str) -> None:
    """Raise unless this code can work on the revision `found`."""
    if found is None:
        raise SchemaMissingError(url)
    if _parts(found)[0] > _parts(HEAD)[0]:
        raise SchemaNewerError(url, found, HEAD)
    if _parts(found) < _parts(HEAD):
        raise SchemaOlderError(url, found, HEAD)


def revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, or None where there is none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return None if found is None else str(found)


def _parts(name: str) -> tuple[int, int]:
    major, _, minor = name.partition("_")
    return int(major), int(minor or 0)


def _is_behind(found: str | None) -> bool:
    return found is None or _parts(found) < _parts(HEAD)


def migrations() -> Path:
    """Return the folder of the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "alembic"
    return installed if installed.is_dir() else package.parent / "alembic"


def alembic_config(connection: Connection | None = None, **options: Any) -> Config:
    """Return Alembic's configuration for these migrations, on `connection` if given."""
    from alembic.config import Config

    config = Config(**options)
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade_to(engine: Engine, dialect: Dialect, target: str) -> None:
    """Migrate up to `target` in one transaction. Several processes may try at once; one does it."""
    from alembic import command

    with _one_by_one(), engine.begin() as connection, dialect.upgrading(connection):
        command.upgrade(alembic_config(connection), target)


def downgrade_to(engine: Engine, dialect: Dialect, target: str) -> None:
    """Migrate down to `target` in one transaction; "base" removes the tables and what they hold."""
    from alembic import command

    with _one_by_one(), engine.begin() as connection, dialect.upgrading(connection):
        command.downgrade(alembic_config(connection), target)


_migrating = {os.getpid(): Lock()}


def _one_by_one() -> Lock:
    """Return this process's lock: Alembic keeps its context in globals, so that one migration runs at a time in a
    process, of whichever app. By process id, because a fork may copy a lock that nobody there will ever release."""
    return _migrating.setdefault(os.getpid(), Lock())


# -- what only a person asks for -------------------------------------------------------------------


class Migration(NamedTuple):
    """One step of the schema: its revision, the one below it (None: nothing), and what it does."""

    revision: str
    below: str | None
    title: str


def history() -> list[Migration]:
    """Return every migration that this code knows, the newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return [Migration(script.revision, _one(script.down_revision), script.doc) for script in scripts]


def _one(below: Any) -> str | None:
    return None if below is None else str(below)


def current(engine: Engine) -> str | None:
    """Return the revision that the database is at, taking no lock that a writer waits for."""
    with _look_into(engine) as connection:
        return revision(connection)


def _look_into(engine: Engine) -> Connection:
    return engine.connect().execution_options(**{READ_ONLY: True})


def stamp_as(engine: Engine, dialect: Dialect, target: str) -> None:
    """Write down that the tables are at `target`, and change nothing else."""
    from alembic import command

    with engine.begin() as connection, dialect.upgrading(connection):
        command.stamp(alembic_config(connection), target)


def sql_of(verb: str, dialect: Dialect, target: str) -> str:
    """Return the SQL of "upgrade", "downgrade" or "stamp" for this database, without connecting to it.

    An upgrade begins at an empty database, or where `target` is ``FROM:TO``; a downgrade always says both.
    """
    from alembic import command

    text_of = StringIO()
    config = alembic_config(output_buffer=text_of)
    config.attributes["dialect_name"] = dialect.sql_name
    getattr(command, verb)(config, target, sql=True)
    return text_of.getvalue()


def differences(engine: Engine) -> list[str]:
    """Return, as sentences, where the tables differ from what this code expects of them."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with _look_into(engine) as connection:
        options = {"include_name": _is_ours, "include_object": expected_of(connection), "compare_type": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return [_sentence(change) for entry in found for change in (entry if isinstance(entry, list) else [entry])]


def _is_ours(name: str | None, type_: str, _parents: object) -> bool:
    return type_ != "table" or name in metadata.tables


def expected_of(connection: Connection) -> Callable[..., bool]:
    """Return what tells Alembic to expect only the indexes that this kind of database has."""
    name = connection.dialect.name
    return lambda it, _name, type_, reflected, _other: type_ != "index" or reflected or is_for(it, name)


def _sentence(change: tuple[Any, ...]) -> str:
    """Return one of Alembic's differences in words: what it would do tells what is wrong."""
    action, _, what = str(change[0]).partition("_")
    if action == "modify":
        return f"The column {change[2]}.{change[3]} has another {what} than expected."
    subject = f"{change[2]}.{change[3].name}" if what == "column" else str(getattr(change[1], "name", change[1]))
    return f"The {what} {subject} is {'missing' if action == 'add' else 'not expected'}."


class Holdings(NamedTuple):
    """What the tables hold, each counted no further than a cap."""

    jobs: int
    unfinished: int
    schedules: int
    workers: int


def holdings(engine: Engine, cap: int) -> Holdings:
    """Count what a downgrade to nothing would remove; a table that is not there holds nothing."""
    with _look_into(engine) as connection:
        there = set(inspect(connection).get_table_names())

        def count(table: Table, *where: Any) -> int:
            some = select(table.c[next(iter(table.c.keys()))]).where(*where).limit(cap).subquery()
            counted = select(func.count()).select_from(some)
            return connection.execute(counted).scalar_one() if table.name in there else 0

        live = jobs.c.state.in_(sorted(LIVE))
        return Holdings(count(jobs), count(jobs, live), count(schedules), count(workers))

"""The schema's version: what the code needs, what the database has, and the way from one to the other.

A revision is named ``MAJOR_MINOR``. A minor step only adds (expand), so code of the same major runs on
it whether it knows it or not; a major step removes (contract), and older code refuses it. So versions
N and N-1 run side by side through every deploy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import Inspector

from ..errors import SchemaMissingError, SchemaNewerError, SchemaOlderError
from .dialect import Dialect
from .tables import VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "1_0"
"""The revision that this code was written for."""


def ensure(engine: Engine, dialect: Dialect, url: str, *, upgrade: bool) -> None:
    """Check the revision in the database, upgrading it first if that is allowed; raise if unusable."""
    with engine.connect() as connection:
        found = revision(connection)
    if upgrade and _is_behind(found):
        upgrade_to(engine, dialect, "head")
        with engine.connect() as connection:
            found = revision(connection)
    check(found, url)


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
    if not Inspector.from_engine(connection).has_table(VERSION_TABLE):  # type: ignore[arg-type]
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
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

    with engine.begin() as connection:
        dialect.lock_for_upgrade(connection)
        command.upgrade(alembic_config(connection), target)


def downgrade_to(engine: Engine, dialect: Dialect, target: str) -> None:
    """Migrate down to `target` in one transaction; "base" removes the tables and what they hold."""
    from alembic import command

    with engine.begin() as connection:
        dialect.lock_for_upgrade(connection)
        command.downgrade(alembic_config(connection), target)

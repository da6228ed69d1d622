"""The job table of APScheduler's SQLAlchemyJobStore, ours or another database's: read, and never written."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, column, inspect, make_url, select, table

from ..errors import ForeignDatabaseError, ForeignTableError, JobTableNotFoundError, StoreUnavailableError
from .sqlite import SHARED
from .store import Store, reason

COLUMNS = ("id", "next_run_time", "job_state")


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """One row as it stands there: nothing of it is checked, and nothing unpickled."""

    id: str
    next_run_time: Any
    """A Unix time; None while the job is paused."""
    job_state: bytes = field(repr=False)
    """The pickle."""


def rows_beside(store: Store, name: str) -> list[ForeignRow]:
    """Return the rows of a table in the scheduler's own database, the next to run first.

    `name` may be "schema.table". Raises `JobTableNotFoundError`, `ForeignTableError` and `StoreUnavailableError`.
    """
    return store.read_unchecked(partial(_rows, url=store.url, name=name))


def rows_elsewhere(url: str, name: str) -> list[ForeignRow]:
    """Return the rows of a table in another database, as `rows_beside`; a SQLite file is not made, nor set to WAL.

    Raises `ForeignDatabaseError` where that does not answer, or refuses.
    """
    store = Store(url, journal=SHARED)
    path = make_url(url).database or ""
    if store.dialect.one_writer and not Path(path).exists():
        raise JobTableNotFoundError(name, store.url)
    try:
        return rows_beside(store, name)
    except (StoreUnavailableError, *Store.errors) as error:
        raise ForeignDatabaseError(store.url, reason(error.__cause__ or error)) from error
    finally:
        store.close()


def _rows(connection: Connection, url: str, name: str) -> list[ForeignRow]:
    schema, _, plain = name.rpartition(".")
    looking = inspect(connection)
    if not looking.has_table(plain, schema or None):
        raise JobTableNotFoundError(name, url)
    there = {facts["name"] for facts in looking.get_columns(plain, schema or None)}
    for missing in COLUMNS:
        if missing not in there:
            raise ForeignTableError(name, url, missing)
    # Without types, so that a value which does not fit its column is no reason to fail here.
    jobs = table(plain, *map(column, COLUMNS), schema=schema or None)
    order = (jobs.c.next_run_time.is_(None), jobs.c.next_run_time, jobs.c.id)
    return [_row(*row) for row in connection.execute(select(jobs).order_by(*order))]


def _row(job_id: Any, at: Any, state: Any) -> ForeignRow:
    pickled = state if isinstance(state, bytes) else str(state or "").encode(errors="replace")
    return ForeignRow(str(job_id), at, pickled)

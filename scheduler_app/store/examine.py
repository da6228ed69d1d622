"""Looking at the database itself: its revision, its clock, who keeps it waiting, and where a SQLite file stands.

Makes nothing: no file, no table. What can be seen of it does not depend on the tables' being usable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.pool import QueuePool

from . import schema
from .sqlite import READ_ONLY
from .store import Store, reason

LONG_SECONDS = 60.0
"""From what age on a transaction is looked for: what a job writes may wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the database shows."""

    revision: str | None
    differences: Sequence[str]
    """Where the tables differ from what this version expects, as sentences; only of its own revision."""
    journal: str
    """The mode of SQLite's journal, "" of other databases."""
    skew_seconds: float
    """How far the database's clock is ahead of this host's."""
    transactions: Sequence[tuple[float, str]]
    """Others' transactions that are older than `LONG_SECONDS`: their age, and whose they are."""
    unseen: str | None
    """Why transactions could not be looked at; None where they could."""


def look(store: Store) -> Look:
    """Look at a database. Raises what the driver raises, and `StoreError` for a place where it cannot be trusted."""
    with store.dialect.gate, _looking(store) as connection:
        revision = schema.revision(connection)
        journal = store.dialect.journal_of(connection)
    differences = schema.differences(store.engine) if revision == schema.HEAD else []
    transactions, unseen = _transactions(store)
    return Look(
        revision=revision,
        differences=differences,
        journal=journal,
        skew_seconds=0.0 if store.dialect.local_time else store.clock.synchronize(),
        transactions=transactions,
        unseen=unseen,
    )


def _looking(store: Store) -> Connection:
    """Open a connection that takes no lock for which a writer waits, or which waits for one."""
    return store.engine.connect().execution_options(**{READ_ONLY: True})


def _transactions(store: Store) -> tuple[Sequence[tuple[float, str]], str | None]:
    """Return the long transactions, or why this user may not see them."""
    try:
        with store.dialect.gate, _looking(store) as connection:
            return store.dialect.open_transactions(connection, LONG_SECONDS), None
    except Store.errors as error:
        return (), reason(error)


def capacity_of(engine: Any) -> int | None:
    """Return how many connections an engine's pool gives at once; None where it has no bound, or cannot tell."""
    pool = engine.pool if isinstance(engine, Engine) else None
    if not isinstance(pool, QueuePool) or pool._max_overflow < 0 or pool.size() == 0:
        return None
    return pool.size() + pool._max_overflow

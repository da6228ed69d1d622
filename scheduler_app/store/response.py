"""Jobs that wait for the end of a response: `scheduled`, with a fallback `run_at` that is put off while it is open.

Both verbs move a job only while it is as it was stored: scheduled, and of the version that it had. So a cancel, another
time that a person gave it, or a claim after the fallback stand, whoever comes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection, Integer, Text, Update, column, literal_column, select, update

from .dialect import Dialect
from .tables import jobs
from .types import Instant


class Move(NamedTuple):
    """Another time for a job that waits."""

    id: str
    version: int
    run_at: datetime


_MOVES = (column("id", Text), column("version", Integer), column("run_at", Instant))


@cache
def _moving(dialect: Dialect, *, ends: bool) -> Update:
    move = dialect.rows("moves", _MOVES).c
    statement = (
        update(jobs)
        .where(jobs.c.id == move.id, literal_column("state = 'scheduled'"), jobs.c.version == move.version)
        .values(run_at=move.run_at)
    )
    return statement.values(version=jobs.c.version + 1) if ends else statement


def release_if_scheduled(connection: Connection, dialect: Dialect, moves: Sequence[Move]) -> int:
    """Let jobs start at their time, because the response is closed; answer how many still waited."""
    return _move(connection, dialect, moves, ends=True)


def extend_if_scheduled(connection: Connection, dialect: Dialect, moves: Sequence[Move]) -> int:
    """Put the fallback off, because the response is still open; answer how many still waited.

    The version stays, so that the move is harmless to repeat and the release still knows the job.
    """
    return _move(connection, dialect, moves, ends=False)


def _move(connection: Connection, dialect: Dialect, moves: Sequence[Move], *, ends: bool) -> int:
    if not moves:
        return 0
    rows = [(move.id, move.version, dialect.instant(move.run_at)) for move in moves]
    return connection.execute(_moving(dialect, ends=ends), {"moves": dialect.pack_rows(_MOVES, rows)}).rowcount


def version_of(connection: Connection, job_id: str) -> int:
    """Return the version of a job's row, which must be there."""
    version: int = connection.execute(select(jobs.c.version).where(jobs.c.id == job_id)).scalar_one()
    return version

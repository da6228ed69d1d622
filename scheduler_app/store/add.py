"""Inserting jobs: idempotent by id, unique by key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update
from sqlalchemy.engine import Dialect as EngineDialect
from sqlalchemy.sql.dml import Insert

from ..conflict import OnConflict, meet
from ..errors import DuplicateKeyError
from ..jobs import Job, JobState
from .dialect import PLAIN, Dialect
from .tables import jobs

SignedFor = Callable[[str], Mapping[str, Any]]
"""Gives the columns of a call and its options, signed for the job of this id."""


@dataclass(slots=True)
class NewJob:
    """The columns of a job to be stored; the rest have defaults. Not frozen: that would cost a view 4 us of its own."""

    id: str
    task: str
    payload: str = field(repr=False)
    signature: str = field(repr=False)
    queue: str
    priority: int
    run_at: datetime
    created_at: datetime
    key: str | None = None
    max_attempts: int = 1
    at_most_once: bool = False
    tags: tuple[str, ...] = ()
    origin: str | None = None
    max_lateness: float | None = None
    timeout: float | None = None
    """How long an attempt may run, in seconds; None: as long as its task says where it runs."""
    retry: str | None = None
    """The retry policy, as `encode_policy` writes it."""
    schedule_uid: str | None = None
    generation: int | None = None
    fire_time: datetime | None = None

    def as_job(self) -> Job:
        """Return the job as its row was written."""
        return Job(
            id=self.id,
            task=self.task,
            payload=self.payload,
            queue=self.queue,
            priority=self.priority,
            state=JobState.SCHEDULED,
            run_at=self.run_at,
            key=self.key,
            attempt=0,
            max_attempts=self.max_attempts,
            crashes=0,
            claim_seq=0,
            worker_id=None,
            created_at=self.created_at,
            tags=self.tags,
            at_most_once=self.at_most_once,
            timeout=self.timeout,
            max_lateness=self.max_lateness,
            origin=self.origin,
        )

    def row(self) -> dict[str, Any]:
        """Return the row to insert."""
        return {
            "id": self.id,
            "task": self.task,
            "payload": self.payload,
            "signature": self.signature,
            "queue": self.queue,
            "priority": self.priority,
            "state": "scheduled",
            "run_at": self.run_at,
            "created_at": self.created_at,
            "key": self.key,
            "live_key": self.key,
            "max_attempts": self.max_attempts,
            "at_most_once": self.at_most_once,
            "tags": json.dumps(self.tags) if self.tags else None,
            "origin": self.origin,
            "max_lateness": self.max_lateness,
            "timeout": self.timeout,
            "retry": self.retry,
            "schedule_uid": self.schedule_uid,
            "generation": self.generation,
            "fire_time": self.fire_time,
        }


@cache
def _insert(dialect: Dialect) -> Insert:
    return dialect.insert(jobs)


class _Compiled:
    """The INSERT of a job as the driver takes it, made once.

    Through `Connection.execute` SQLAlchemy would look the statement up and prepare its 19 parameters by name at each
    call, which costs a view more CPU than all else that scheduling a call does.
    """

    def __init__(self, insert: Insert, engine_dialect: EngineDialect, names: Sequence[str]) -> None:
        compiled = insert.compile(dialect=engine_dialect, column_keys=list(names))
        self.sql = str(compiled)
        self._positions: Sequence[str] | None = getattr(compiled, "positiontup", None)
        impls = {name: jobs.c[name].type.dialect_impl(engine_dialect) for name in names}
        made = {name: impl.bind_processor(engine_dialect) for name, impl in impls.items()}
        self._processors = [(name, process) for name, process in made.items() if process is not None]

    def parameters(self, row: dict[str, Any]) -> Any:
        """Return a row as the driver takes it: by position or by name."""
        for name, process in self._processors:
            row[name] = process(row[name])
        return row if self._positions is None else tuple([row[name] for name in self._positions])


@lru_cache(maxsize=32)  # an app may make engines without end, of which each has a dialect of its own
def _compiled(dialect: Dialect, engine_dialect: EngineDialect, names: tuple[str, ...]) -> _Compiled:
    return _Compiled(_insert(dialect), engine_dialect, names)


def insert_jobs(connection: Connection, dialect: Dialect, new: Sequence[NewJob]) -> None:
    """Insert jobs without keys. One that is there already, by id or by fire time, is left as it is."""
    rows = [job.row() for job in new]
    insert = _compiled(dialect, connection.dialect, tuple(rows[0]))
    parameters = [insert.parameters(row) for row in rows]
    connection.exec_driver_sql(insert.sql, parameters if len(parameters) > 1 else parameters[0])


_holder = select(jobs.c.id).where(jobs.c.live_key == bindparam("live_key"))
_by_live_key = _holder.with_for_update()
_by_id = select(jobs.c.id).where(jobs.c.id == bindparam("id"))
_holds_still = (
    _by_live_key.where(jobs.c.id == bindparam("id")).with_hint(jobs, "FORCE INDEX (PRIMARY)")  # and lock no other row
)


def insert_keyed(
    connection: Connection, dialect: Dialect, job: NewJob, on_conflict: OnConflict, signed_for: SignedFor
) -> tuple[str, bool]:
    """Insert a job with a key; return the id of the job that now holds the key, and whether it is new.

    The database's unique index decides among racers. `signed_for` is asked for the columns
    of the new call, signed for the standing job's id, when that job takes its arguments. No statement of it
    fails for the key's sake, so that it may be part of a transaction that goes on.
    """
    seen = _ask(connection, _holder, live_key=job.key) if dialect.looks_for_key_first else None
    while True:
        if seen is None and dialect.insert_if_absent(connection, jobs, job.row()):
            return job.id, True
        if _ask(connection, _by_id, id=job.id) is not None:
            return job.id, True  # stored by an earlier try whose reply was lost; it may have started since
        if seen is None:
            standing = _ask(connection, _by_live_key, live_key=job.key)
        else:
            standing = _ask(connection, _holds_still, id=seen, live_key=job.key)
        if standing is not None:
            return _meet(connection, job, standing, on_conflict, signed_for)
        seen = None  # it has let go of the key meanwhile


def _ask(connection: Connection, statement: Select[Any], **parameters: Any) -> Any:
    return connection.execute(statement, parameters, execution_options=PLAIN).scalar()


def _meet(
    connection: Connection, job: NewJob, standing: str, on_conflict: OnConflict, signed_for: SignedFor
) -> tuple[str, bool]:
    meeting = meet(on_conflict)
    if meeting.refuses:
        raise DuplicateKeyError(str(job.key), standing)
    changes: dict[str, Any] = {"run_at": job.run_at} if meeting.takes_time else {}
    if meeting.takes_call:
        changes |= _UNTRIED | dict(signed_for(standing))
    if changes:
        _change_if_waiting(connection, standing, changes)
    return standing, False


_UNTRIED = {"attempt": 0, "crashes": 0, "outcome": None, "error": None, "progress": None}
"""What a job knows of attempts that another call's arguments had: its new ones have all of theirs."""


def _change_if_waiting(connection: Connection, job_id: str, changes: Mapping[str, Any]) -> bool:
    waiting = jobs.c.state.in_((JobState.SCHEDULED.value, JobState.PAUSED.value))
    statement = update(jobs).where(jobs.c.id == job_id, waiting).values(**changes, version=jobs.c.version + 1)
    return bool(connection.execute(statement, execution_options=PLAIN).rowcount)

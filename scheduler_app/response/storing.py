"""Storing what waits for the end of a response: in one transaction, in the order of the calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from .. import faults, signals
from ..client import Client
from ..store import Connection, NewJob, OnConflict, add
from ..store.response import version_of

STEP = timedelta(microseconds=1)
"""Between two jobs of one response: the due ones are claimed in the order of their times."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """One call that waits for the end of a response."""

    new: NewJob
    on_conflict: OnConflict
    even_on_error: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A stored job that waits: its id, the version under which it waits, and whether an error in the view drops it."""

    id: str
    version: int = 0
    drops: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one call: the job that has it, whether that is a new one, and the row that waits, if any."""

    id: str
    created: bool
    row: Row | None


def in_steps(first: datetime) -> Iterator[datetime]:
    """Yield an instant for each job of a response, so that they keep their order."""
    while True:
        yield first
        first += STEP


def store_calls(client: Client, calls: Sequence[Deferred], fallback_seconds: float) -> list[Stored]:
    """Insert calls in one transaction, to run after the fallback; return what became of each.

    Raises as `Client.schedule_after`, with nothing stored.
    """
    store = client.store
    first = store.clock.now() + timedelta(seconds=fallback_seconds)
    timed = [replace(call, new=replace(call.new, run_at=at)) for call, at in zip(calls, in_steps(first), strict=False)]

    def insert(connection: Connection) -> list[Stored]:
        stored: list[Stored] = []
        for is_keyed, group in groupby(timed, lambda call: call.new.key is not None):
            some = list(group)
            stored += [_insert_keyed(client, connection, call) for call in some] if is_keyed else []
            stored += [] if is_keyed else _insert_plain(client, connection, some)
        faults.reach("insert-before-commit")
        return _as_they_stand(connection, stored)

    answer = store.write(insert)
    faults.reach("insert-after-commit")
    _tell(client, timed, answer)
    return answer


def _insert_plain(client: Client, connection: Connection, calls: Sequence[Deferred]) -> list[Stored]:
    add.insert_jobs(connection, client.store.dialect, [call.new for call in calls])
    return [Stored(call.new.id, True, Row(call.new.id, drops=not call.even_on_error)) for call in calls]


def _insert_keyed(client: Client, connection: Connection, call: Deferred) -> Stored:
    """Let the database decide who holds the key; a job that takes this call's time waits for this response, too."""
    job_id, created = add.insert_keyed(
        connection, client.store.dialect, call.new, call.on_conflict, client.calls.signed_for(call.new)
    )
    if created:
        return Stored(job_id, True, Row(job_id, drops=not call.even_on_error))
    return Stored(job_id, False, Row(job_id) if call.on_conflict is OnConflict.DEBOUNCE else None)


def _as_they_stand(connection: Connection, stored: Sequence[Stored]) -> list[Stored]:
    """Return what was stored with the versions of the jobs that met another call's key, which has changed them."""
    met = {one.id: version_of(connection, one.id) for one in stored if not one.created}
    return [
        replace(one, row=replace(one.row, version=met[one.id])) if one.row is not None and one.id in met else one
        for one in stored
    ]


def _tell(client: Client, calls: Sequence[Deferred], stored: Sequence[Stored]) -> None:
    for queue in {call.new.queue for call in calls}:
        client.on_queue(queue)
    if signals.job_scheduled.receivers:
        for call, one in zip(calls, stored, strict=True):
            if one.created:
                new = call.new
                signals.job_scheduled.send(client, job_id=new.id, task=new.task, run_at=new.run_at, queue=new.queue)

"""Writing down who changed what: a door says who acts, and each change leaves a row, in the change's own transaction.

What the app's own code asks for is not written down, unless it says who asks, with `audited`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from ..audit import LONGEST_FILTER, Acting, Actor, Entry, Facts, bounded, differences, entry_of
from ..jobs import Job, new_id
from ..queues import Queue
from ..schedules import Schedule
from ..store import Connection, Store, audit, find, queues, schedules
from ..tasks import TaskRegistry
from .shown import Shown, shown_job

T = TypeVar("T")
Look = Callable[[Connection], Facts | None]
Keyed = Callable[[Connection], tuple[str | None, Job | None]]

_acting: ContextVar[Acting | None] = ContextVar("scheduler_acting", default=None)


@contextmanager
def audited(actor: Actor | None, **source: str) -> Iterator[None]:
    """Have every change that is made inside the block, in its thread, leave a row in the audit.

    `source` says from where: "door", and what is known there of the caller. With None nothing is written down.
    """
    token = _acting.set(None if actor is None else Acting(actor, source))
    try:
        yield
    finally:
        _acting.reset(token)


class Notes:
    """Puts a change's row of the audit into its transaction; where nobody said who acts, it does nothing.

    One change is one row, also where the transaction is tried again; a change that did not happen leaves none.
    """

    def __init__(self, store: Store, registry: TaskRegistry) -> None:
        self._store, self._registry = store, registry

    def of_job(self, action: str, job_id: str, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        """Return work on a job that leaves a row."""
        return self._beside(action, job_id, partial(self.job, job_id), work)

    def of_queue(self, action: str, name: str, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        """Return work on a queue that leaves a row."""
        return self._beside(action, name, partial(_queue, name), work)

    def of_schedule(self, action: str, name: str, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        """Return work on a schedule that leaves a row."""
        return self._beside(action, name, partial(_schedule, name), work)

    def of_emitted(
        self, action: str, name: str, job_id: str, work: Callable[[Connection], T]
    ) -> Callable[[Connection], T]:
        """Return work on a schedule by which a job of it comes to be, so that the row tells of the job."""
        return self._beside(action, name, partial(self.job, job_id), work)

    def of_keyed(self, action: str, job_id: str, key: str, work: Keyed) -> Keyed:
        """Return work that adds a job of a key; the row tells of it, or of the job that held the key and changed."""
        note = self._begun(action)
        if note is None:
            return work

        def noted(connection: Connection) -> tuple[str | None, Job | None]:
            seen = find.job_by_live_key(connection, key)
            made, standing = work(connection)
            if standing is None:
                note(connection, job_id, None, self.job(job_id, connection))
            else:
                before = job_facts(seen, self._registry) if seen is not None and seen.id == standing.id else None
                note(connection, standing.id, before, job_facts(standing, self._registry))
            return made, standing

        return noted

    def of_many(self, action: str, meant: Mapping[str, Any]) -> Tally:
        """Return what keeps one row for a change of many jobs: those that are `meant`."""
        return Tally(self._begun(action), meant)

    def job(self, job_id: str, connection: Connection) -> Facts | None:
        """Look at a job as it may be shown; locked, so that nothing comes between the look and the change."""
        found = find.job(connection, job_id, lock=True)
        return None if found is None else job_facts(found, self._registry)

    def _beside(
        self, action: str, target: str, look: Look, work: Callable[[Connection], T]
    ) -> Callable[[Connection], T]:
        note = self._begun(action)
        if note is None:
            return work

        def noted(connection: Connection) -> T:
            before = look(connection)
            answer = work(connection)
            note(connection, target, before, look(connection))
            return answer

        return noted

    def _begun(self, action: str) -> Note | None:
        """Return what writes the row of a change that is made now; None where nobody said who acts."""
        acting = _acting.get()
        return None if acting is None else Note(self._store, acting, action)


class Note:
    """What writes the row of one change, under one id, so that it is one row however often the change is tried."""

    def __init__(self, store: Store, acting: Acting, action: str) -> None:
        self._store, self._acting, self._action = store, acting, action
        self._at = store.clock.now()
        self._id = new_id(self._at)

    def __call__(self, connection: Connection, target: str, before: Facts | None, after: Facts | None) -> None:
        """Write it, unless the two looks at the target show the same."""
        was, then = differences(before, after)
        if was != then:
            audit.insert_if_absent(connection, self._store.dialect, self.entry(target, was, then))

    def put(self, connection: Connection, after: Facts) -> None:
        """Write it, or bring it up to date, for a change of many."""
        audit.put(connection, self._store.dialect, self.entry(None, None, after))

    def entry(self, target: str | None, before: Facts | None, after: Facts | None) -> Entry:
        """Return the entry as it would be written."""
        return entry_of(self._acting, self._id, self._at, self._action, target, before, after)


class Tally:
    """One row for a change of many, made in several transactions: each brings the row's counts up to what is done.

    So where it was interrupted, the row says what was done until then.
    """

    def __init__(self, note: Note | None, meant: Mapping[str, Any]) -> None:
        self._note = note
        self._meant = {} if note is None else {name: bounded(value, LONGEST_FILTER) for name, value in meant.items()}
        self._done: Mapping[str, int] = {}
        self._doing: Mapping[str, int] = {}

    def beside(
        self, work: Callable[[Connection], T], count: Callable[[T], Mapping[str, int]]
    ) -> Callable[[Connection], T]:
        """Return one transaction's work, with what it did, as `count` says of its answer, added to the row.

        Ask for it when the transaction before is committed.
        """
        note = self._note
        if note is None:
            return work
        self._done = self._doing

        def noted(connection: Connection) -> T:
            answer = work(connection)
            counted = count(answer)
            self._doing = {name: self._done.get(name, 0) + more for name, more in counted.items()}
            if any(counted.values()):
                note.put(connection, {"filter": self._meant, **self._doing})
            return answer

        return noted


# -- what is shown of each thing -------------------------------------------------------------------


def job_facts(job: Job, registry: TaskRegistry) -> Facts:
    """Return what the audit tells of a job: what was asked for, and where it stands; secrets are masked."""
    shown = shown_job(job, registry)
    return {
        "id": job.id,
        "task": job.task,
        **_arguments(job, registry),
        "state": job.state.value,
        "run_at": _instant(job.run_at),
        "queue": job.queue,
        "priority": job.priority,
        "key": job.key,
        "tags": list(job.tags),
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "max_lateness": job.max_lateness,
        "cancel_requested_at": _instant(job.cancel_requested_at),
        "outcome": None if job.outcome is None else job.outcome.value,
        "error": shown.error,
        "version": job.version,
    }


def _arguments(job: Job, registry: TaskRegistry) -> Facts:
    """Return a job's arguments as stored, or nothing where they cannot be read."""
    try:
        stored = json.loads(job.payload)
        args, kwargs = Shown(job.task, job.payload, registry).arguments(stored["a"], stored["k"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {"args": args, "kwargs": kwargs or None}


def _queue(name: str, connection: Connection) -> Facts | None:
    found = queues.by_name(connection, name, lock=True)
    return None if found is None else queue_facts(found)


def queue_facts(queue: Queue) -> Facts:
    """Return what the audit tells of a queue."""
    return {
        "paused_at": _instant(queue.paused_at),
        "paused_until": _instant(queue.paused_until),
        "pause_reason": queue.pause_reason,
        "concurrency": queue.concurrency,
    }


def _schedule(name: str, connection: Connection) -> Facts | None:
    found = schedules.by_name(connection, name, lock=True)
    return None if found is None else schedule_facts(found)


def schedule_facts(schedule: Schedule) -> Facts:
    """Return what the audit tells of a schedule; of its arguments nothing."""
    return {
        "task": schedule.task,
        "queue": schedule.queue,
        "priority": schedule.priority,
        "trigger": schedule.trigger,
        "next_run_time": _instant(schedule.next_run_time),
        "generation": schedule.generation,
        "declared": schedule.declared,
        "error": schedule.error,
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

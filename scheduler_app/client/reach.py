"""What every verb of a client stands on: the store, the bounds of what may be asked, and who is told of new work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial

from ..asking import RULES, Answer, Verb, allowed, answer
from ..errors import JobConflictError, JobNotFoundError
from ..jobs import Job
from ..settings import QueueSettings
from ..store import Connection, Store, find
from .auditing import Notes
from .calls import Calls
from .expecting import is_done_already
from .options import name_of
from .times import instant_of

LOOKS = 8
"""How often a job is asked that moves on whenever it is looked at."""


@dataclass(frozen=True)
class Limits:
    """The bounds of what may be asked, and of what is taken for alive."""

    max_delay_seconds: float
    max_batch: int
    max_page: int
    lease_seconds: float
    """After how long without a heartbeat a worker counts as silent."""
    zone: tzinfo | None = None
    """The time zone that naive datetimes are in; None: they are refused."""
    queues: Mapping[str, QueueSettings] | None = None
    """The queues that exist, and how many of their jobs run at once; None: any that a job names."""


class Reach:
    """The base of a client's verbs. `on_due(seconds)` is told of new work, with how soon it is due."""

    def __init__(self, store: Store, calls: Calls, limits: Limits, on_due: Callable[[float], None]) -> None:
        self.store = store
        self.calls = calls
        self._limits = limits
        self._on_due = on_due
        self._notes = Notes(store, calls.registry)

    def get(self, job_id: str | None = None, *, key: str | None = None) -> Job:
        """Return a job by its id, or by its key.

        A key means the job of that key which has not started; where there is none, the newest that runs or is put
        aside. What has ended has no key any more. Raises `JobNotFoundError`.
        """
        found = self.store.read(partial(_find, named("get", job_id, key), key))
        if found is None:
            raise JobNotFoundError(job_id, key)
        return found

    def _ask(
        self, verb: Verb, job_id: str | None, key: str | None, change: Callable[[Connection, str], bool]
    ) -> tuple[Job, bool]:
        """Ask something of a job; return it as it is then, and whether it was this call that changed it.

        `change` is guarded by the job's state: where it changes nothing, the state says why. A job that moves on
        between the two, or a key that is another job's by then, is asked again. Raises `JobConflictError` and
        `JobNotFoundError`.
        """
        wanted, before = named(verb.name.lower(), job_id, key), None
        for _ in range(LOOKS):
            found = wanted if key is None else self.get(key=key).id
            work = self._notes.of_job(f"job.{verb.value}", found, partial(_asked, change, found))
            if self.store.write(work):
                return self.get(found), True
            job = self.get(found)
            comes_of_it = answer(verb, job.state)
            if comes_of_it is Answer.ALREADY:
                return job, False
            if comes_of_it is Answer.NO and (key is None or found == before):
                break
            before = found
        raise JobConflictError(job.id, job.state.value, RULES[verb].words, allowed(job.state))

    def _instant(self, when: datetime, now: datetime) -> datetime:
        return instant_of(when, self._limits.zone, now, self._limits.max_delay_seconds)

    def _due(self, when: datetime, now: datetime) -> datetime:
        """Return when something is due that was asked for at an instant: one that has passed means now."""
        return max(self._instant(when, now), now)

    def _wake_for(self, run_at: datetime) -> None:
        """Tell of new work. It is stored by then, so that nothing may raise: the database is not asked for the time."""
        self._on_due((run_at - self.store.clock.reckon()).total_seconds())


def named(verb: str, job_id: str | None, key: str | None) -> str:
    """Return the id or the key that a verb was given. Raises `TypeError` for both or neither, and `OptionError`."""
    if (job_id is None) == (key is None):
        raise TypeError(f"{verb}() takes either a job's id or key=...")
    return str(job_id) if key is None else name_of("key", key, verb)


def _find(name: str, key: str | None, connection: Connection) -> Job | None:
    return find.job(connection, name) if key is None else find.job_by_key(connection, name)


def _asked(change: Callable[[Connection, str], bool], job_id: str, connection: Connection) -> bool:
    return is_done_already(connection, job_id) or change(connection, job_id)


def removing(
    work: Callable[[Connection], bool], is_gone: Callable[[Connection], bool] = lambda _connection: True
) -> Callable[[Connection], bool]:
    """Return work that removes something. Tried again, it knows what is gone because of itself.

    An earlier try may have been committed, and its reply lost. `is_gone` tells, where nothing is removed, whether there
    is nothing any more.
    """
    tried = False

    def remove(connection: Connection) -> bool:
        nonlocal tried
        removed = work(connection)
        answer = removed or (tried and is_gone(connection))
        tried = tried or removed
        return answer

    return remove

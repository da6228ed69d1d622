"""Every verb that a person or a program can say. Views, the admin and the command line all call these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from .. import faults, signals
from ..errors import BatchError, JobConflictError, JobNotFoundError
from ..jobs import Attempt, Job, JobState
from ..schedules import Schedule
from ..store import Connection, NewJob, Store, add, change, find, schedules, workers
from ..store.workers import WorkerRow
from .calls import Calls
from .explain import Explanation, explain
from .handle import JobHandle
from .options import NONE, Options
from .times import Delay, instant_of, seconds_of

COUNT_CAP = 10_000
"""How far a state is counted; beyond it a count reads "10,000 or more"."""

Call = tuple[Any, ...]
Jobs = list[Job]
Handles = list[JobHandle]
_SEQUENCES: tuple[type, ...] = (tuple, list)


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


class Client:
    """The verbs of one app's scheduler. Safe from any thread.

    Each writes its own short transaction, committed and synced when it returns; none waits for the
    loop. `on_due(seconds)` is told of new work, with how soon it is due.
    """

    def __init__(self, store: Store, calls: Calls, limits: Limits, on_due: Callable[[float], None]) -> None:
        self.store = store
        self.calls = calls
        self._limits = limits
        self._on_due = on_due

    # -- scheduling --------------------------------------------------------------------------------

    def schedule_after(
        self, seconds: Delay, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options = NONE
    ) -> JobHandle:
        """Store a call that runs so many seconds from now, and return its job.

        When this returns, the job is committed and synced. Raises a `SchedulerError` that says what to do,
        with nothing stored, for anything that could not run later.
        """
        delay = seconds_of(seconds, self._limits.max_delay_seconds)
        new = self._new(function, args, kwargs, options, lambda now: now + timedelta(seconds=delay))
        return self._store_one(new, options)

    def schedule_at(
        self, when: datetime, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options = NONE
    ) -> JobHandle:
        """Store a call that runs at an instant; one that has passed means now. Otherwise as `schedule_after`."""
        new = self._new(function, args, kwargs, options, lambda now: self._instant(when, now))
        return self._store_one(new, options)

    def schedule_many(self, calls: Iterable[Call], options: Options = NONE) -> Handles:
        """Store calls `(seconds, function[, args[, kwargs]])` in one transaction: all of them, or none."""
        if options.key is not None:
            raise BatchError("a key names one job, so it cannot be given to many.")
        new = [self._new_of(call, options) for call in self._checked(calls)]
        if new:
            self.store.write(lambda connection: self._insert(connection, new))
            self._told(new)
        return [JobHandle(self, job) for job in new]

    def _checked(self, calls: Iterable[Call]) -> Sequence[Call]:
        listed = tuple(calls)
        if len(listed) > self._limits.max_batch:
            raise BatchError(
                f"{len(listed):,} calls are more than {self._limits.max_batch:,} at once."
                " Split them, or raise SCHEDULER_MAX_BATCH."
            )
        for index, call in enumerate(listed):
            if not isinstance(call, _SEQUENCES) or not 2 <= len(call) <= 4:
                raise BatchError(f"call {index} is not (seconds, function[, args[, kwargs]]).")
            if len(call) > 2 and not isinstance(call[2], _SEQUENCES):
                raise BatchError(f"the args of call {index} must be a tuple or list, not {type(call[2]).__name__}.")
            if len(call) > 3 and not isinstance(call[3], dict):
                raise BatchError(f"the kwargs of call {index} must be a dict, not {type(call[3]).__name__}.")
        return listed

    def _new_of(self, call: Call, options: Options) -> NewJob:
        delay = timedelta(seconds=seconds_of(call[0], self._limits.max_delay_seconds))
        args = tuple(call[2]) if len(call) > 2 else ()
        kwargs = dict(call[3]) if len(call) > 3 else {}
        return self._new(call[1], args, kwargs, options, lambda now: now + delay)

    def _new(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Options,
        when: Callable[[datetime], datetime],
    ) -> NewJob:
        task = self.calls.task_of(function)
        payload = self.calls.payload_of(task, args, kwargs)
        now = self.store.clock.now()
        return self.calls.new_job(task, payload, options, when(now), now)

    def _instant(self, when: datetime, now: datetime) -> datetime:
        return instant_of(when, self._limits.zone, now, self._limits.max_delay_seconds)

    def _insert(self, connection: Connection, new: Sequence[NewJob]) -> None:
        add.insert_jobs(connection, self.store.dialect, new)
        faults.reach("insert-before-commit")

    def _store_one(self, new: NewJob, options: Options) -> JobHandle:
        if new.key is None:
            self.store.write(lambda connection: self._insert(connection, [new]))
            self._told([new])
            return JobHandle(self, new)
        return self._store_keyed(new, options)

    def _store_keyed(self, new: NewJob, options: Options) -> JobHandle:
        signed_for = self.calls.signed_for(new)

        def insert(connection: Connection) -> tuple[str, bool]:
            answer = add.insert_keyed(connection, self.store.dialect, new, options.on_conflict, signed_for)
            faults.reach("insert-before-commit")
            return answer

        job_id, created = self.store.write(insert)
        if created:
            self._told([new])
            return JobHandle(self, new)
        standing = self.get(job_id)
        self._on_due((standing.run_at - self.store.clock.now()).total_seconds())
        return JobHandle(self, standing, created=False)

    def _told(self, new: Sequence[NewJob]) -> None:
        faults.reach("insert-after-commit")
        first = min(job.run_at for job in new)
        self._on_due((first - new[0].created_at).total_seconds())
        if signals.job_scheduled.receivers:
            for job in new:
                signals.job_scheduled.send(self, job_id=job.id, task=job.task, run_at=job.run_at, queue=job.queue)

    # -- one job -----------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job:
        """Return a job. Raises `JobNotFoundError`."""
        found = self.store.read(lambda connection: find.job(connection, job_id))
        if found is None:
            raise JobNotFoundError(job_id)
        return found

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return a job's recorded attempts: every one but a first-try success."""
        return self.store.read(lambda connection: find.attempts_of(connection, job_id))

    def cancel(self, job_id: str | None = None, *, key: str | None = None) -> Job:
        """Cancel a job by its id, or by the key that it holds; return it as it is then.

        In state `cancelled` it will not start. In state `running` it was asked to stop, and sees that
        by `current_job.cancelled`. Cancelling twice is no error. Raises `JobConflictError` when it has
        finished otherwise, and `JobNotFoundError`.
        """
        if (job_id is None) == (key is None):
            raise TypeError("cancel() takes either a job's id or key=...")
        wanted = job_id if job_id is not None else self._id_of_key(str(key))

        def cancel(connection: Connection) -> bool:
            now = self.store.clock.now()
            return change.cancel_if_waiting(connection, wanted, now) or change.request_cancel_if_held(
                connection, wanted, now
            )

        changed = self.store.write(cancel)
        job = self.get(wanted)
        if not changed and job.state is not JobState.CANCELLED:
            raise JobConflictError(wanted, job.state.value, "stop", ())
        if changed:
            signals.job_cancelled.send(self, job_id=wanted, state=job.state)
        return job

    def _id_of_key(self, key: str) -> str:
        found = self.store.read(lambda connection: find.job_by_live_key(connection, key))
        if found is None:
            raise JobNotFoundError(key)
        return found.id

    def reschedule(self, job_id: str, *, after: Delay | None = None, at: datetime | None = None) -> Job:
        """Give a job that has not started another time. Raises `JobConflictError` when it has started."""
        if (after is None) == (at is None):
            raise TypeError("reschedule() takes either after=... or at=...")
        now = self.store.clock.now()
        if after is not None:
            run_at = now + timedelta(seconds=seconds_of(after, self._limits.max_delay_seconds))
        else:
            run_at = self._instant(at, now)  # type: ignore[arg-type]
        changed = self.store.write(lambda connection: change.reschedule_if_waiting(connection, job_id, run_at))
        job = self.get(job_id)
        if not changed:
            raise JobConflictError(job_id, job.state.value, "run at another time", ())
        self._on_due((run_at - now).total_seconds())
        return job

    def explain(self, job_id: str) -> Explanation:
        """Say why a job has not run yet: its state, when it is due, and who could run it."""
        return explain(self.get(job_id), self.workers(), self.store.clock.now(), self._limits.lease_seconds)

    # -- lists -------------------------------------------------------------------------------------

    def list(
        self,
        *,
        states: Collection[JobState] = (),
        queue: str | None = None,
        task: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Jobs:
        """Return up to `limit` jobs, the newest first; the next page is `before` the last one's id."""
        limit = max(1, min(limit, self._limits.max_page))
        return self.store.read(
            lambda connection: find.page_of_jobs(
                connection, states=states, queue=queue, task=task, before=before, limit=limit
            )
        )

    def stats(self) -> dict[str, int]:
        """Return how many jobs are in each state, each counted no further than `COUNT_CAP`."""
        return self.store.read(
            lambda connection: {state.value: find.count_of(connection, state, COUNT_CAP) for state in JobState}
        )

    def workers(self) -> Sequence[WorkerRow]:
        """Return the workers that have a row: live ones, and dead ones that nobody swept yet."""
        return self.store.read(workers.all_workers)

    def schedules(self) -> Sequence[Schedule]:
        """Return the recurring schedules, by next run time, paused ones last."""
        return self.store.read(schedules.every)

"""Every verb that a person or a program can say. Views, the admin and the command line all call these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from .. import faults, signals
from ..errors import BatchError, JobIdTakenError, OptionError
from ..jobs import Job
from ..origin import content_of, of_request
from ..payload import Verdict
from ..store import Connection, NewJob, OnConflict, Store, add, after_commit, find, hiding_parameters
from .adopting import Adopting
from .after import Holds
from .amending import Amending
from .asked import asked_for, checked_id
from .bulk import Bulking
from .calls import Calls
from .checking import Checking
from .handle import JobHandle
from .looking import Looking
from .options import NONE, Options
from .reach import Limits
from .scheduled import Scheduled
from .times import Delay, seconds_of

T = TypeVar("T")
Call = tuple[Any, ...]
OnStored = Callable[[str, int], None]
"""Hears of a job's id and of its row's version."""
Handles = list[JobHandle]
_SEQUENCES: tuple[type, ...] = (tuple, list)


class Client(Adopting, Bulking, Amending, Looking, Scheduled, Checking):
    """The verbs of one app's scheduler. Safe from any thread.

    Each writes its own short transaction, committed and synced when it returns, or is a row in the caller's
    (`Options.session`), there when that is committed; none waits for the loop. `response` answers the response that
    the calling code works for, None outside a request.
    """

    def __init__(
        self,
        store: Store,
        calls: Calls,
        limits: Limits,
        on_due: Callable[[float], None],
        response: Callable[[], Holds | None] = lambda: None,
    ) -> None:
        super().__init__(store, calls, limits, on_due)
        self.joins: Callable[[], Any] | None = None
        """Gives the session that calls of the app's code join where they name none; a door's calls never do."""
        self._response = response
        self.on_queue: Callable[[str], None] = lambda _queue: None
        """Hears of the queue of each job that was stored."""

    def schedule_after(
        self, seconds: Delay, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options = NONE
    ) -> JobHandle:
        """Store a call that runs so many seconds from now, and return its job.

        When this returns, the job is committed and synced, or part of the caller's transaction. Raises a
        `SchedulerError` that says what to do, with nothing stored, for anything that could not run later.
        """
        delay = seconds_of(seconds, self._limits.max_delay_seconds)
        new = self._new(function, args, kwargs, options, lambda now: now + timedelta(seconds=delay))
        return self._store_one(new, options)

    def schedule_at(
        self, when: datetime, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options = NONE
    ) -> JobHandle:
        """Store a call that runs at an instant; one that has passed means now. Otherwise as `schedule_after`."""
        new = self._new(function, args, kwargs, options, lambda now: self._due(when, now))
        return self._store_one(new, options)

    def create(
        self,
        task: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        after: Delay = 0,
        at: datetime | None = None,
        job_id: str | None = None,
        options: Options = NONE,
        door: str = "client",
    ) -> JobHandle:
        """Store a call of a registered task by its name, for who has no function in hand, and return its job.

        With an id of the caller's own (a UUIDv7) it may be asked for again: the same call then answers that job,
        whatever has become of it, with `created` False. Raises `UnknownTaskError`, `JobIdTakenError` where the id is
        another call's, and whatever `schedule_after` raises.
        """
        now, found = self.store.clock.now(), self.calls.runnable(self.calls.registry.registered(task))
        delay = timedelta(seconds=seconds_of(after, self._limits.max_delay_seconds))
        run_at = now + delay if at is None else self._instant(at, now)
        payload = self.calls.payload_of(found, tuple(args), dict(kwargs or {}))
        asked = asked_for(found.name, payload, delay if at is None else run_at, options)
        standing = None if job_id is None else self._standing_of(checked_id(job_id, now), asked)
        if standing is not None:
            return JobHandle(self, standing, created=False)
        origin = of_request(door, None if job_id is None else self.calls.signer().sign(job_id, asked))
        new = self.calls.new_job(found, payload, options, max(run_at, now), now, job_id=job_id, origin=origin)
        handle = self._store_one(new, options)
        raced = self._standing_of(new.id, asked) if job_id is not None and handle.id == new.id else None
        return handle if raced is None or raced.created_at == now else JobHandle(self, raced, created=False)

    def _standing_of(self, job_id: str, asked: str) -> Job | None:
        """Return the job of an id that a caller chose, or None. Raises `JobIdTakenError` for one of another call."""
        found = self.store.read(lambda connection: find.job(connection, job_id))
        if found is None:
            return None
        if self.calls.signer().verify(content_of(found.origin), job_id, asked) is not Verdict.VALID:
            raise JobIdTakenError(job_id)
        return found

    def after_response(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options = NONE
    ) -> JobHandle:
        """Have a call run once the current response has been sent, and return its job; outside a request, now.

        Checked here and now as by `schedule_after`, and stored before the response begins.
        """
        response = self._response()
        if response is None:
            return self.schedule_after(0, function, args, kwargs, replace(options, even_on_error=False))
        if options.session is None or options.session is False:
            return response.hold(self._new(function, args, kwargs, options, lambda now: now), options)
        fallback = timedelta(seconds=response.fallback_seconds)
        new = self._new(function, args, kwargs, options, lambda now: now + fallback)
        return self._store_one(new, replace(options, even_on_error=False), response.adopt)

    def schedule_many(self, calls: Iterable[Call], options: Options = NONE) -> Handles:
        """Store calls `(seconds, function[, args[, kwargs]])` in one transaction: all of them, or none."""
        _check_even_on_error(options)
        if options.key is not None:
            raise BatchError("a key names one job, so it cannot be given to many.")
        new = [self._new_of(call, options) for call in self._checked(calls)]
        if new:
            note = self._notes.of_many("jobs.add", {"tasks": sorted({job.task for job in new})})
            work = note.beside(lambda connection: self._insert(connection, new), lambda made: {"added": len(made[1])})
            self._write(options.session, work, self._told)
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

    def _write(self, session: Any, work: Callable[[Connection], tuple[str | None, T]], tell: Callable[[T], None]) -> T:
        """Do `work` in a transaction of its own, or in the caller's; `tell` of what it made once that is committed.

        It answers what it made, and the id of a row among that, by which a commit knows whether it holds it still.
        """
        if session is None or session is False:
            _, made = self.store.write(work)
            tell(made)
            return made
        connection = self.store.join(session)
        with hiding_parameters():
            job_id, made = work(connection)
        after_commit(connection, self.store.dialect, lambda: tell(made), job_id)
        return made

    def _insert(self, connection: Connection, new: Sequence[NewJob]) -> tuple[str, Sequence[NewJob]]:
        add.insert_jobs(connection, self.store.dialect, new)
        faults.reach("insert-before-commit")
        return new[0].id, new

    def _store_one(self, new: NewJob, options: Options, on_stored: OnStored | None = None) -> JobHandle:
        """Store a call; `on_stored` hears of its job, and the version of that, once it is committed."""
        _check_even_on_error(options)
        if new.key is not None:
            return self._store_keyed(new, options, on_stored)

        def tell(stored: Sequence[NewJob]) -> None:
            self._told(stored)
            if on_stored is not None:
                on_stored(new.id, 0)

        work = self._notes.of_job("job.add", new.id, lambda connection: self._insert(connection, [new]))
        self._write(options.session, work, tell)
        return JobHandle(self, new)

    def _store_keyed(self, new: NewJob, options: Options, on_stored: OnStored | None) -> JobHandle:
        signed_for = self.calls.signed_for(new)

        def insert(connection: Connection) -> tuple[str | None, Job | None]:
            job_id, created = add.insert_keyed(connection, self.store.dialect, new, options.on_conflict, signed_for)
            standing = None if created else find.job(connection, job_id, lock=True)
            faults.reach("insert-before-commit")
            return (job_id if created else None), standing

        def tell(standing: Job | None) -> None:
            if standing is None:
                self._told([new])
            else:
                self._wake_for(standing.run_at)
            if on_stored is not None and (standing is None or options.on_conflict is OnConflict.DEBOUNCE):
                on_stored(new.id if standing is None else standing.id, 0 if standing is None else standing.version)

        standing = self._write(options.session, self._notes.of_keyed("job.add", new.id, str(new.key), insert), tell)
        return JobHandle(self, new) if standing is None else JobHandle(self, standing, created=False)

    def _told(self, new: Sequence[NewJob]) -> None:
        faults.reach("insert-after-commit")
        self._wake_for(min(job.run_at for job in new))
        for queue in {job.queue for job in new}:
            self.on_queue(queue)
        if signals.job_scheduled.receivers:
            for job in new:
                signals.job_scheduled.send(self, job_id=job.id, task=job.task, run_at=job.run_at, queue=job.queue)


def _check_even_on_error(options: Options) -> None:
    if options.even_on_error:
        raise OptionError("even_on_error", "only after_response drops calls on an error, so only it takes this.")

"""Timing: when a job that has not started runs: at another time, now, or not until it is resumed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from .. import signals
from ..asking import Verb
from ..jobs import Job, JobState
from ..store import Connection, find, when
from .reach import Reach
from .times import Delay, moved, seconds_of, shift_of

Change = Callable[[Connection, str], bool]


class Timing(Reach):
    """The verbs that change when a job runs.

    Each takes a job's id, or `key=`, and returns the job as it is then. Where the job's state forbids it, nothing
    changes and `JobConflictError` says so; where there is none, `JobNotFoundError`.
    """

    def reschedule(
        self,
        job_id: str | None = None,
        *,
        key: str | None = None,
        after: Delay | None = None,
        at: datetime | None = None,
        by: Delay | None = None,
    ) -> Job:
        """Give a job that has not started another time: so long from now, at an instant, or `by` so much later.

        A negative `by` makes it earlier; what comes out as past means now. A paused job stays paused. Raises
        `DelayError`, `TooFarError` and `NaiveDatetimeError` for a time that cannot be.
        """
        if sum(given is not None for given in (after, at, by)) != 1:
            raise TypeError("reschedule() takes one of: after=..., at=... and by=...")
        change = self._moving(shift_of(by)) if by is not None else self._setting(after, at)
        job, _ = self._ask(Verb.RESCHEDULE, job_id, key, change)
        return self._timed(job)

    def _setting(self, after: Delay | None, at: datetime | None) -> Change:
        now = self.store.clock.now()
        if at is not None:
            run_at = self._due(at, now)
        else:
            run_at = now + timedelta(seconds=seconds_of(after, self._limits.max_delay_seconds))
        return lambda connection, job_id: when.reschedule_if_waiting(connection, job_id, run_at)

    def _moving(self, shift: timedelta) -> Change:
        """Return what moves a job from the time that it has. Tried again, it does not move the job twice."""
        tried: dict[str, tuple[int, datetime]] = {}

        def move(connection: Connection, job_id: str) -> bool:
            seen = find.job(connection, job_id, lock=True)
            if seen is None:
                return False
            if (seen.version, seen.run_at) == tried.get(job_id):
                return True  # an earlier try was committed, and its reply was lost
            now = self.store.clock.now()
            run_at = max(moved(seen.run_at, shift, now, self._limits.max_delay_seconds), now)
            tried[job_id] = (seen.version + 1, run_at)
            return when.reschedule_if_waiting(connection, job_id, run_at)

        return move

    def run_now(self, job_id: str | None = None, *, key: str | None = None) -> Job:
        """Make a job due that has not started, a paused one, too: it runs as soon as a slot is free.

        It keeps its priority. Raises `JobConflictError` for one that has started; `retry` is for what has failed.
        """
        now = self.store.clock.now()
        job, _ = self._ask(Verb.RUN_NOW, job_id, key, lambda c, found: when.run_now_if_waiting(c, found, now))
        return self._timed(job)

    def pause(self, job_id: str | None = None, *, key: str | None = None) -> Job:
        """Keep a job from starting until it is resumed. It keeps its time and its key.

        Pausing twice is no error. Raises `JobConflictError` for one that has started.
        """
        job, changed = self._ask(Verb.PAUSE, job_id, key, when.pause_if_scheduled)
        if changed:
            signals.job_paused.send(self, job_id=job.id)
        return job

    def resume(self, job_id: str | None = None, *, key: str | None = None) -> Job:
        """Have a paused job run at its time again; if that has passed, at once.

        One that is then later than its `max_lateness` is missed; give it another time first. Resuming what waits is
        no error. Raises `JobConflictError` for one that has started.
        """
        job, changed = self._ask(Verb.RESUME, job_id, key, when.resume_if_paused)
        if changed:
            signals.job_resumed.send(self, job_id=job.id, run_at=job.run_at)
            self._wake_for(job.run_at)
        return job

    def _timed(self, job: Job) -> Job:
        signals.job_rescheduled.send(self, job_id=job.id, run_at=job.run_at)
        if job.state is JobState.SCHEDULED:
            self._wake_for(job.run_at)
        return job

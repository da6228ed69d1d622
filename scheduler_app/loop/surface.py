"""`Surface`: what a person says to jobs through APScheduler's own verbs, where stock APScheduler's way would not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apscheduler.events import EVENT_JOB_ADDED, EVENT_SCHEDULER_SHUTDOWN, JobEvent, SchedulerEvent
from apscheduler.job import Job as ApsJob
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_RUNNING, STATE_STOPPED

from ..errors import SecretExportError, UnknownTaskError
from ..payload import masked
from ..schedules import encode_trigger, first_fire_time
from ..store import Store
from ..tasks import TaskRegistry
from .events import Announcer
from .exported import read_export
from .jobstore import DurableJobStore


class Surface(BackgroundScheduler):
    """APScheduler's verbs over our job store: the loop's part is its subclass, `DurableScheduler`."""

    is_durable = True
    """Whether a `DurableJobStore` may be started by this scheduler."""

    _store: Store
    _registry: TaskRegistry
    _announcer: Announcer
    _tentative: list[tuple[ApsJob, str, bool]]
    """Jobs that were added before the start and are not stored yet: `start` does not wait for the database."""

    _last_word: SchedulerEvent | None = None

    def _real_add_job(self, aps_job: ApsJob, jobstore_alias: str, replace_existing: bool) -> None:
        """Store a job that a person adds now; one of its id that waits to be stored was there before.

        Raises `ConflictingIdError`, as for one that is stored; with `replace_existing` it takes that one's place.
        """
        earlier = [added for added in self._tentative if added[0].id == aps_job.id]
        if earlier and not replace_existing:
            raise ConflictingIdError(aps_job.id)
        self._store_job(aps_job, jobstore_alias, replace_existing)
        for added in earlier:
            self._tentative.remove(added)

    def _store_job(self, aps_job: ApsJob, jobstore_alias: str, replace_existing: bool) -> None:
        """Store a job; its first fire time follows the store's clock and our rules for clock changes.

        With `replace_existing`, one that says what stands already changes nothing: it keeps its next run time, and
        its pause, over any number of restarts, unless a `next_run_time` was given.
        """
        timed = hasattr(aps_job, "next_run_time")
        self._fill_in(aps_job)
        store: DurableJobStore = self._lookup_jobstore(jobstore_alias)
        with self._announcer.first():
            if replace_existing:
                aps_job._modify(next_run_time=store.put_job(aps_job, keep_time=not timed))
            else:
                store.add_job(aps_job)
            aps_job._jobstore_alias = jobstore_alias
            self._dispatch_event(JobEvent(EVENT_JOB_ADDED, aps_job.id, jobstore_alias))
        self._logger.info('Added job "%s" to job store "%s"', aps_job.name, jobstore_alias)
        if self.state == STATE_RUNNING:
            self.wakeup()

    def _fill_in(self, aps_job: ApsJob) -> None:
        """Give a job the defaults of this scheduler for what it leaves open."""
        changes = {name: value for name, value in self._job_defaults.items() if not hasattr(aps_job, name)}
        if not hasattr(aps_job, "next_run_time"):
            changes["next_run_time"] = self._first_run_time(aps_job.trigger)
        aps_job._modify(**changes)

    def _first_run_time(self, trigger: Any) -> Any:
        encode_trigger(trigger)  # refuses, in words, a trigger that cannot be kept
        first = first_fire_time(trigger, self._store.clock.now())
        return None if first is None else first.astimezone(self.timezone)

    def get_jobs(self, jobstore: str | None = None, pending: bool | None = None) -> list[ApsJob]:
        """Return all jobs: those that were added before the start and still wait to be stored come last.

        One that is to replace a stored one stands in its stead.
        """
        with self._jobstores_lock:
            waiting = [] if self.state == STATE_STOPPED else [aps_job for aps_job, *_ in self._tentative]
            ids = {aps_job.id for aps_job in waiting}
            return [*(one for one in super().get_jobs(jobstore, pending) if one.id not in ids), *waiting]

    def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[ApsJob, str | None]:
        for aps_job, *_ in self._tentative:
            if aps_job.id == job_id:
                return aps_job, None
        found: tuple[ApsJob, str | None] = super()._lookup_job(job_id, jobstore_alias)
        return found

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a schedule, or cancel a waiting call. Raises `JobLookupError`."""
        with self._jobstores_lock:
            before = len(self._tentative)
            self._tentative[:] = [added for added in self._tentative if added[0].id != job_id]
            if len(self._tentative) == before:
                super().remove_job(job_id, jobstore)

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """End every schedule and cancel every job that has not started. What runs goes on; history stays."""
        with self._jobstores_lock:
            self._tentative.clear()
        super().remove_all_jobs(jobstore)

    def reschedule_job(self, job_id: str, jobstore: str | None = None, trigger: Any = None, **options: Any) -> ApsJob:
        """Give a job another trigger, and the next run time that follows from it."""
        if self.state == STATE_STOPPED:
            return super().reschedule_job(job_id, jobstore, trigger, **options)
        new = self._create_trigger(trigger, options)
        return self.modify_job(job_id, jobstore, trigger=new, next_run_time=self._first_run_time(new))

    def resume_job(self, job_id: str, jobstore: str | None = None) -> ApsJob | None:
        """Have a paused job run again when its trigger says; one whose trigger never will again is removed."""
        if self.state == STATE_STOPPED:
            return super().resume_job(job_id, jobstore)
        with self._jobstores_lock:
            aps_job, alias = self._lookup_job(job_id, jobstore)
            following = self._first_run_time(aps_job.trigger)
            if following is None:
                self.remove_job(aps_job.id, alias)
                return None
            return self.modify_job(job_id, alias, next_run_time=following)

    def export_jobs(self, outfile: Any, jobstore: str | None = None) -> None:
        """Write all jobs to a file, as APScheduler does, for `import_jobs`; `outfile` is a text file or its path.

        Raises `SecretExportError`, and writes nothing, while a job has an argument that nobody may see: in the file it
        would be seen, and masked it could not be imported.
        """
        secret = [
            aps_job.id
            for aps_job in self.get_jobs(jobstore)
            if self._registry.secret_places(aps_job.func, aps_job.args, aps_job.kwargs)
        ]
        if secret:
            raise SecretExportError(secret)
        super().export_jobs(outfile, jobstore)

    def shown_call(
        self, reference: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a job as they may be shown, by its `func_ref`; none where that is unknown here."""
        try:
            places = self._registry.resolve(reference).secret_places(args, kwargs)
        except UnknownTaskError:
            places = (*range(len(args)), *kwargs)
        return masked(args, kwargs, places)

    def import_jobs(self, infile: Any, jobstore: str = "default") -> None:
        """Add the jobs of a file that `export_jobs` wrote, here or in stock APScheduler: all of them, or none.

        `infile` is a text file or its path. Nothing in it is executed, and of the values pickled in it only instants,
        time zones, triggers, numbers and the app's own enums are read. Raises `JobImportError`, which lists every
        problem, and `ConflictingIdError` when a job of that id is there.
        """
        if self.state == STATE_STOPPED:
            raise RuntimeError("the scheduler must have been started for job import to work")
        store: DurableJobStore = self._lookup_jobstore(jobstore)
        exported = read_export(infile, self._registry.rule.allows)
        with self._announcer.first():
            for aps_job in store.import_jobs(exported):
                self._dispatch_event(JobEvent(EVENT_JOB_ADDED, aps_job.id, jobstore))
        self.wakeup()

    def _dispatch_event(self, event: SchedulerEvent) -> None:
        """Tell listeners; of the end only when everything before it was told."""
        if event.code == EVENT_SCHEDULER_SHUTDOWN:
            self._last_word = event
        else:
            super()._dispatch_event(event)

    def _say_last_word(self) -> None:
        event, self._last_word = self._last_word, None
        if event is not None:
            super()._dispatch_event(event)

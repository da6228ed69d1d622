"""`DurableJobStore`: APScheduler's job store contract over our tables.

Everything added through APScheduler's `add_job` is a schedule row. Waiting jobs of `schedule_after` appear as
date jobs. The loop does not go through here: it claims in its own transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from apscheduler.job import Job as ApsJob
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError

from .. import signals
from ..client.declaration import BEGAN
from ..clock import host_now
from ..errors import ConfigurationError, ForeignSchedulerError, JobImportError, SchedulerError
from ..jobs import JobState
from ..payload import Signer, derive_key
from ..schedules import Schedule, decode_trigger, says_the_same
from ..settings.database_url import database_url
from ..settings.readers import Refused
from ..store import Connection, DateJob, Store, change, date_jobs, schedules
from ..tasks import ModuleRule, TaskRegistry
from .aps_jobs import ApsJobs

CANCELLED_AT_ONCE = 1000
"""How many jobs one transaction of `remove_all_jobs` cancels."""

_LAST = datetime.max.replace(tzinfo=UTC)


class DurableJobStore(BaseJobStore):
    """Keeps APScheduler jobs as schedules: JSON, signed, never pickled, never deleted because unreadable.

    By itself, started with `start(None, "default")`, it looks into and changes the database at `url` from any
    program: it runs nothing. `signing_key` is what the apps of that database sign with: their SCHEDULER_SIGNING_KEY
    or SECRET_KEY, or several, the newest first. `task_modules` is SCHEDULER_TASK_MODULES. A SQLite file gets its
    tables made; another database has to have them, unless `auto_upgrade` is True. Raises `ConfigurationError` for a
    URL that cannot be used and `SigningKeyError` for a key that cannot.
    """

    def __init__(
        self,
        url: str,
        *,
        signing_key: str | bytes | Sequence[str | bytes],
        task_modules: Sequence[str] | None = None,
        max_payload_bytes: int = 65536,
        auto_upgrade: bool | None = None,
    ) -> None:
        address = _checked(url)
        upgrades = address.startswith("sqlite") if auto_upgrade is None else auto_upgrade
        secrets = [signing_key] if isinstance(signing_key, str | bytes) else list(signing_key)
        signer = Signer([derive_key(secret) for secret in secrets])
        rule = ModuleRule(None if task_modules is None else tuple(task_modules))
        self._set_up(Store(address, auto_upgrade=upgrades), signer, TaskRegistry(rule), max_payload_bytes)
        self._owns_store = True

    @classmethod
    def over(
        cls,
        store: Store,
        signer: Signer,
        registry: TaskRegistry,
        *,
        max_payload_bytes: int,
        check_queue: Callable[[str], None],
    ) -> DurableJobStore:
        """Return the job store of a scheduler, over the store that it has. `check_queue` raises for an unknown one."""
        made = cls.__new__(cls)
        made._set_up(store, signer, registry, max_payload_bytes, check_queue)
        return made

    def _set_up(
        self,
        store: Store,
        signer: Signer,
        registry: TaskRegistry,
        max_payload_bytes: int,
        check_queue: Callable[[str], None] = lambda _queue: None,
    ) -> None:
        self.store = store
        self._owns_store = False
        self._jobs = ApsJobs(signer, registry, max_payload_bytes, check_queue)

    def start(self, scheduler: Any, alias: str) -> None:
        """Begin. Raises `ForeignSchedulerError` under any scheduler but ours, which alone keeps the promises."""
        if scheduler is not None and not getattr(scheduler, "is_durable", False):
            raise ForeignSchedulerError(scheduler)
        super().start(scheduler, alias)

    def shutdown(self) -> None:
        """Close the connections of a store that was opened here."""
        if self._owns_store:
            self.store.close()

    # -- reading -----------------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> ApsJob | None:
        found = self.store.read(lambda c: schedules.by_name(c, job_id) or date_jobs.by_id(c, job_id))
        return None if found is None else self._restored(found)

    def get_due_jobs(self, now: datetime) -> list[ApsJob]:
        """Return the due jobs; a plain read, which claims nothing."""
        return self._all_restored(self.store.read(lambda c: [*schedules.due(c, now), *date_jobs.due(c, now)]))

    def get_next_run_time(self) -> datetime | None:
        both = self.store.read(lambda c: (schedules.next_fire_time(c), date_jobs.next_run_time(c)))
        return min((instant for instant in both if instant is not None), default=None)

    def get_all_jobs(self) -> list[ApsJob]:
        """Return every schedule and every waiting call, by their next run time, paused ones last."""
        return self._all_restored(self.store.read(lambda c: [*schedules.every(c), *date_jobs.every(c)]))

    def _all_restored(self, rows: Sequence[Schedule | DateJob]) -> list[ApsJob]:
        restored = [self._restored(row) for row in sorted(rows, key=lambda row: row.next_run_time or _LAST)]
        return [job for job in restored if job is not None]

    def _restored(self, row: Schedule | DateJob) -> ApsJob | None:
        """Return the APScheduler job of a row; None, leaving the row alone, when it means nothing here."""
        try:
            job = self._shown(row)
        except (SchedulerError, ValueError) as error:
            kind, name = ("Schedule", row.name) if isinstance(row, Schedule) else ("Job", row.id)
            self._logger.warning("%s %r cannot be shown here and is left alone: %s", kind, name, error)
            return None
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        return job

    def _shown(self, row: Schedule | DateJob) -> ApsJob:
        zone: tzinfo = UTC if self._scheduler is None else self._scheduler.timezone
        return self._jobs.of_schedule(row, zone) if isinstance(row, Schedule) else self._jobs.of_date_job(row, zone)

    # -- writing -----------------------------------------------------------------------------------

    def add_job(self, job: ApsJob) -> None:
        self.add_jobs([job])

    def add_jobs(self, jobs: Sequence[ApsJob]) -> None:
        """Add jobs in one transaction: all of them, or, with `ConflictingIdError` for the first that is there, none."""
        new = [self._jobs.schedule_of(job, self.store.clock.now()) for job in jobs]

        def insert_all(connection: Connection) -> None:
            for schedule in new:
                _insert(connection, schedule)

        self.store.write(insert_all)

    def import_jobs(self, exported: Sequence[Mapping[str, Any]]) -> list[ApsJob]:
        """Add jobs as `read_export` gives them, as `add_jobs` does. Raises `JobImportError` with every problem."""
        jobs: list[ApsJob] = []
        problems: list[str] = []
        for facts in exported:
            try:
                jobs.append(self._jobs.of_export(facts, self._scheduler))
                self._jobs.schedule_of(jobs[-1], self.store.clock.now())
            except (SchedulerError, TypeError, ValueError) as error:
                problems.append(f"job {facts['id']!r}: {error}")
        if problems:
            raise JobImportError(problems)
        self.add_jobs(jobs)
        for job in jobs:
            job._jobstore_alias = self._alias
        return jobs

    def put_job(self, job: ApsJob, *, keep_time: bool) -> datetime | None:
        """Add a job, or change the one of its id; return its next run time.

        One that says the same as the one that stands changes nothing if `keep_time`: neither its time nor its pause.
        """

        def put(connection: Connection) -> datetime | None:
            now = self.store.clock.now()
            standing = schedules.by_name(connection, job.id, lock=True)
            if standing is None:
                try:
                    _insert(connection, new := self._jobs.schedule_of(job, now))
                    return new.next_run_time
                except ConflictingIdError:
                    standing = schedules.by_name(connection, job.id, lock=True)  # a sibling that starts, too, was first
                    if standing is None:
                        raise
            new = self._jobs.schedule_of(job, now, standing)
            if keep_time and self._says_the_same(new, standing):
                return standing.next_run_time
            schedules.replace_if_present(connection, new)
            return new.next_run_time

        return self.store.write(put)

    def _says_the_same(self, new: Schedule, standing: Schedule) -> bool:
        """Whether a job that is stored again is the one that stands, at whatever time that has come to."""
        alike = replace(_at_its_time(new, standing), trigger=standing.trigger, signature=standing.signature)
        if alike != standing or not self._jobs.is_sound(standing):
            return False
        triggers = decode_trigger(new.trigger), decode_trigger(standing.trigger)
        return says_the_same(*triggers, since=BEGAN, now=host_now())

    def update_job(self, job: ApsJob) -> None:
        changed: list[DateJob] = []

        def change_it(connection: Connection) -> bool:
            standing = schedules.by_name(connection, job.id, lock=True)
            if standing is None:
                return self._change_date_job(connection, job, changed)
            new = self._jobs.schedule_of(job, self.store.clock.now(), standing)
            unchanged = _at_its_time(new, standing) == standing  # a pause, a resume, another time
            definition = schedules.definition_of(connection, job.id) if unchanged else None
            return schedules.replace_if_present(connection, new, definition)

        if not self.store.write(change_it):
            raise JobLookupError(job.id)
        for before in changed[-1:]:
            self._tell_of_time(job, before.next_run_time)

    def _tell_of_time(self, job: ApsJob, before: datetime | None) -> None:
        """Tell of a waiting call what the client's own verbs tell: that it was paused, resumed or moved."""
        if job.next_run_time is None:
            if before is not None:
                signals.job_paused.send(self, job_id=job.id)
            return
        at = job.next_run_time.astimezone(UTC)
        if before is None:
            signals.job_resumed.send(self, job_id=job.id, run_at=at)
        elif before != at:
            signals.job_rescheduled.send(self, job_id=job.id, run_at=at)

    def _change_date_job(self, connection: Connection, job: ApsJob, changed: list[DateJob]) -> bool:
        standing = date_jobs.by_id(connection, job.id, lock=True)
        if standing is None:
            return False
        changed.append(standing)
        return date_jobs.change_if_waiting(connection, job.id, self._jobs.changes_of(job, standing))

    def remove_job(self, job_id: str) -> None:
        """Remove a schedule, whose jobs stay, or cancel a waiting call."""
        removing: set[str] = set()
        cancelling: set[str] = set()

        def remove(connection: Connection) -> bool:
            standing = schedules.by_name(connection, job_id)
            if standing is not None:
                removing.add(standing.uid)
                return schedules.end(connection, standing.uid)
            if date_jobs.by_id(connection, job_id, lock=True) is not None:
                cancelling.add(job_id)
                return change.cancel_if_waiting(connection, job_id, self.store.clock.now())
            return bool(removing or cancelling)  # by an earlier try whose reply was lost

        if not self.store.write(remove):
            raise JobLookupError(job_id)
        if cancelling:
            signals.job_cancelled.send(self, job_id=job_id, state=JobState.CANCELLED)

    def remove_all_jobs(self) -> None:
        """End every schedule and cancel every job that has not started. What runs goes on; history stays."""
        begun = self.store.clock.now()
        self.store.write(schedules.remove_all)
        while cancelled := self.store.write(self._cancel_some_of(begun)):
            for job_id in cancelled:
                signals.job_cancelled.send(self, job_id=job_id, state=JobState.CANCELLED)

    def _cancel_some_of(self, begun: datetime) -> Callable[[Connection], list[str]]:
        def cancel(connection: Connection) -> list[str]:
            now = self.store.clock.now()
            return change.cancel_waiting(connection, self.store.dialect, begun, now, CANCELLED_AT_ONCE)

        return cancel

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (url={self.store.url})>"


def _checked(url: str) -> str:
    try:
        return database_url(url)
    except Refused as refused:
        raise ConfigurationError([f"The url of a DurableJobStore {refused}"]) from None


def _insert(connection: Connection, new: Schedule) -> None:
    """Store a schedule. Raises `ConflictingIdError` when its name is that of another, or of a waiting call."""
    if date_jobs.by_id(connection, new.name) is not None:
        raise ConflictingIdError(new.name)
    if schedules.insert_if_absent(connection, new):
        return
    standing = schedules.by_name(connection, new.name)
    if standing is None or standing.uid != new.uid:  # the same: by an earlier try whose reply was lost
        raise ConflictingIdError(new.name)


def _at_its_time(new: Schedule, standing: Schedule) -> Schedule:
    return replace(new, next_run_time=standing.next_run_time, generation=standing.generation, error=standing.error)

"""`DurableJobStore`: APScheduler's job store contract over our tables.

Everything added through APScheduler's `add_job` is a schedule row. Waiting jobs of `schedule_after` appear as
date jobs. The loop does not go through here: it claims in its own transaction.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from apscheduler.job import Job as ApsJob
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.util import obj_to_ref

from ..client.recurring import make_schedule, signed_parts
from ..errors import SchedulerError
from ..payload import Signer, Verdict, decode_call, encode_call
from ..schedules import Schedule, decode_trigger, encode_trigger
from ..store import Store, schedules
from ..tasks import Task, TaskRegistry


class DurableJobStore(BaseJobStore):
    """Keeps APScheduler jobs as schedules: JSON, signed, never pickled, never deleted because unreadable."""

    def __init__(self, store: Store, signer: Signer, registry: TaskRegistry, *, max_payload_bytes: int = 65536) -> None:
        super().__init__()
        self.store = store
        self._signer, self._registry = signer, registry
        self._max_payload_bytes = max_payload_bytes

    # -- reading -----------------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> ApsJob | None:
        found = self.store.read(lambda connection: schedules.by_name(connection, job_id))
        return None if found is None else self._restored(found)

    def get_due_jobs(self, now: datetime) -> list[ApsJob]:
        """Return the due jobs; a plain read, which claims nothing."""
        return [job for job in self._all() if job.next_run_time is not None and job.next_run_time <= now]

    def get_next_run_time(self) -> datetime | None:
        return self.store.read(schedules.next_fire_time)

    def get_all_jobs(self) -> list[ApsJob]:
        return self._all()

    def _all(self) -> list[ApsJob]:
        restored = (self._restored(found) for found in self.store.read(schedules.every))
        return [job for job in restored if job is not None]

    def _restored(self, schedule: Schedule) -> ApsJob | None:
        """Return the APScheduler job of a schedule; None, leaving its row alone, when it means nothing here."""
        try:
            state = self._state(schedule)
        except (SchedulerError, ValueError) as error:
            self._logger.warning("Schedule %r cannot be shown here and is left alone: %s", schedule.name, error)
            return None
        job = ApsJob.__new__(ApsJob)
        job.__setstate__(state)
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        return job

    def _state(self, schedule: Schedule) -> dict[str, Any]:
        verdict = self._signer.verify(schedule.signature, *signed_parts(schedule))
        if verdict is not Verdict.VALID:
            raise ValueError(f"its signature is {verdict.value}")
        function = self._registry.resolve(schedule.task).function
        call = decode_call(schedule.payload, allowed=self._registry.rule.allows)
        zone = self._scheduler.timezone if self._scheduler is not None else None
        next_run_time = schedule.next_run_time
        return {
            "version": 1,
            "id": schedule.name,
            "name": schedule.title,
            "func": obj_to_ref(function),
            "args": call.args,
            "kwargs": call.kwargs,
            "trigger": decode_trigger(schedule.trigger),
            "executor": schedule.queue,
            "misfire_grace_time": schedule.misfire_grace_time,
            "coalesce": schedule.coalesce,
            "max_instances": schedule.max_instances,
            "next_run_time": next_run_time.astimezone(zone) if next_run_time is not None else None,
        }

    # -- writing -----------------------------------------------------------------------------------

    def add_job(self, job: ApsJob) -> None:
        new = self._schedule(job)

        def add(connection: Any) -> bool:
            if schedules.insert_if_absent(connection, new):
                return True
            standing = schedules.by_name(connection, job.id)
            return standing is not None and standing.uid == new.uid  # by an earlier try whose reply was lost

        if not self.store.write(add):
            raise ConflictingIdError(job.id)

    def update_job(self, job: ApsJob) -> None:
        def change(connection: Any) -> bool:
            standing = schedules.by_name(connection, job.id, lock=True)
            if standing is None:
                return False
            new = self._schedule(job, standing)
            definition = schedules.definition_of(connection, job.id) if _says_the_same(new, standing) else None
            return schedules.replace_if_present(connection, new, definition)

        if not self.store.write(change):
            raise JobLookupError(job.id)

    def remove_job(self, job_id: str) -> None:
        removing: set[str] = set()

        def remove(connection: Any) -> bool:
            standing = schedules.by_name(connection, job_id)
            if standing is None:
                return bool(removing)  # by an earlier try whose reply was lost
            removing.add(standing.uid)
            return schedules.end(connection, standing.uid)

        if not self.store.write(remove):
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self.store.write(schedules.remove_all)

    def _task_of(self, function: Any) -> Task:
        if hasattr(type(function), "is_scheduler_task"):
            task: Task = function.scheduler_task
            return task
        return self._registry.for_function(function)

    def _schedule(self, job: ApsJob, standing: Schedule | None = None) -> Schedule:
        task = self._task_of(job.func)
        payload = encode_call(
            tuple(job.args), dict(job.kwargs), max_bytes=self._max_payload_bytes, allowed=self._registry.rule.allows
        )
        return make_schedule(
            self._signer,
            self.store.clock.now(),
            name=job.id,
            title=job.name,
            task=task,
            payload=payload,
            trigger=encode_trigger(job.trigger),
            queue=job.executor,
            next_run_time=job.next_run_time,
            misfire_grace_time=job.misfire_grace_time,
            coalesce=job.coalesce,
            max_instances=job.max_instances,
            standing=standing,
            **_kept(standing),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (url={self.store.url})>"


def _kept(standing: Schedule | None) -> dict[str, Any]:
    """Return what a schedule has that APScheduler's jobs know nothing of, so that an update does not lose it."""
    if standing is None:
        return {}
    return {
        "priority": standing.priority,
        "attempts": standing.max_attempts,
        "declared": standing.declared,
        "tags": standing.tags,
    }


def _says_the_same(new: Schedule, standing: Schedule) -> bool:
    """Whether an update (a pause, a resume, another time) changes nothing of what was declared."""
    at_its_time = replace(
        new, next_run_time=standing.next_run_time, generation=standing.generation, error=standing.error
    )
    return at_its_time == standing

"""APScheduler's jobs, made of our rows, and our rows, made of its jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from apscheduler.job import Job as ApsJob
from apscheduler.triggers.date import DateTrigger
from apscheduler.util import obj_to_ref

from ..client.declaration import checked_name
from ..client.recurring import make_schedule, signed_parts
from ..errors import NotSchedulableError, OnceOnlyError, ScheduleOptionError, UnknownTaskError
from ..jobs import JobState
from ..payload import Signer, Verdict, decode_call, encode_call
from ..schedules import Schedule, decode_trigger, encode_trigger, first_fire_time
from ..store import DateJob
from ..tasks import Task, TaskRegistry, is_method_of_object

MOST = 2_147_483_647
"""What the database's integers hold."""

BY_PATH = (
    " Or, if a module makes the object, pass the path of the method as text, such as 'app.mail:mailer.send': each"
    " process then takes the object of its own module."
)


class ApsJobs:
    """Turns rows into jobs that can be looked at and changed, and what was changed back into signed rows.

    Reading raises a `SchedulerError` or `ValueError` for a row that means nothing here: a forged one, or one whose
    function is not to be found. Writing raises a `SchedulerError` for what could not run later.
    """

    def __init__(
        self, signer: Signer, registry: TaskRegistry, max_payload_bytes: int, check_queue: Callable[[str], None]
    ) -> None:
        self._signer, self._registry = signer, registry
        self._max_payload_bytes = max_payload_bytes
        self._check_queue = check_queue

    # -- from rows ---------------------------------------------------------------------------------

    def of_schedule(self, schedule: Schedule, zone: tzinfo) -> ApsJob:
        """Return the job of a schedule."""
        self._verify(schedule.signature, *signed_parts(schedule))
        facts = self._call_facts(schedule.task, schedule.payload)
        return _made(
            id=schedule.name,
            name=schedule.title,
            trigger=decode_trigger(schedule.trigger),
            executor=schedule.queue,
            misfire_grace_time=schedule.misfire_grace_time,
            coalesce=schedule.coalesce,
            max_instances=schedule.max_instances,
            next_run_time=_in(zone, schedule.next_run_time),
            **facts,
        )

    def of_date_job(self, row: DateJob, zone: tzinfo) -> ApsJob:
        """Return a waiting call as a job with a date trigger, by its own id and its task's name."""
        self._verify(row.signature, row.id, row.task, row.queue, row.payload)
        facts = self._call_facts(row.task, row.payload)
        return _made(
            id=row.id,
            name=row.task,
            trigger=DateTrigger(row.run_at.astimezone(zone)),
            executor=row.queue,
            misfire_grace_time=_grace(row.max_lateness),
            coalesce=True,
            max_instances=1,
            next_run_time=_in(zone, row.next_run_time),
            **facts,
        )

    def of_export(self, facts: Mapping[str, Any], scheduler: Any) -> ApsJob:
        """Return the job that an export holds, checked as if it were added by hand, of no store yet."""
        task = self._registry.resolve(facts["func"])
        task.bind(facts["args"], facts["kwargs"])
        aps_job = _made(_scheduler=scheduler, _jobstore_alias=None)
        aps_job._modify(**{**facts, "func": task.function})
        aps_job.func_ref = facts["func"]
        return aps_job

    def is_sound(self, schedule: Schedule) -> bool:
        """Whether a schedule can fire as it stands: signed by one of our keys, readable, and not put aside."""
        try:
            self._verify(schedule.signature, *signed_parts(schedule))
            decode_trigger(schedule.trigger)
        except ValueError:
            return False
        return schedule.error is None

    def _verify(self, signature: str, *parts: str) -> None:
        verdict = self._signer.verify(signature, *parts)
        if verdict is not Verdict.VALID:
            raise ValueError(f"its signature is {verdict.value}")

    def _call_facts(self, task: str, payload: str) -> dict[str, Any]:
        function = self._registry.resolve(task).function
        call = decode_call(payload, allowed=self._registry.rule.allows)
        return {"func": function, "func_ref": _reference(task, function), "args": call.args, "kwargs": call.kwargs}

    # -- to rows -----------------------------------------------------------------------------------

    def schedule_of(self, aps_job: ApsJob, now: datetime, standing: Schedule | None = None) -> Schedule:
        """Return the schedule of a job; one in the place of `standing` keeps what APScheduler knows nothing of."""
        if standing is None or aps_job.executor != standing.queue:
            self._check_queue(aps_job.executor)
        _check_bounds(aps_job)
        trigger = encode_trigger(aps_job.trigger)
        if standing is None or trigger != standing.trigger:
            first_fire_time(aps_job.trigger, now)  # raises for one that could never be found to fire
        task = self._task_of(aps_job, None if standing is None else standing.task)
        return make_schedule(
            self._signer,
            now,
            name=aps_job.id,
            title=aps_job.name,
            task=task,
            payload=self._payload_of(aps_job, task),
            trigger=trigger,
            queue=aps_job.executor,
            next_run_time=aps_job.next_run_time,
            misfire_grace_time=aps_job.misfire_grace_time,
            coalesce=aps_job.coalesce,
            max_instances=aps_job.max_instances,
            standing=standing,
            **_kept(standing, aps_job),
        )

    def changes_of(self, aps_job: ApsJob, standing: DateJob) -> dict[str, Any]:
        """Return the columns by which a changed job differs from the waiting call that it was made of.

        Raises `OnceOnlyError` for a change that only a schedule could take.
        """
        _check_once(aps_job, standing)
        at = aps_job.next_run_time or aps_job.trigger.run_date
        state = JobState.SCHEDULED if aps_job.next_run_time is not None else JobState.PAUSED
        changes: dict[str, Any] = {"state": state.value, "run_at": at.astimezone(UTC)}
        if aps_job.misfire_grace_time != _grace(standing.max_lateness):
            changes["max_lateness"] = aps_job.misfire_grace_time
        return changes | self._call_columns(aps_job, standing)

    def _call_columns(self, aps_job: ApsJob, standing: DateJob) -> dict[str, str]:
        """Return the columns of another call, signed; none where it is the same, which keeps its signature."""
        known = self._task_of(aps_job, standing.task)
        task = known.name
        carried = decode_call(standing.payload, allowed=self._registry.rule.allows).context
        payload = self._payload_of(aps_job, known, carried or None)
        if (task, payload, aps_job.executor) == (standing.task, standing.payload, standing.queue):
            return {}
        if aps_job.executor != standing.queue:
            self._check_queue(aps_job.executor)
        signature = self._signer.sign(standing.id, task, aps_job.executor, payload)
        return {"task": task, "payload": payload, "queue": aps_job.executor, "signature": signature}

    def _payload_of(self, aps_job: ApsJob, task: Task, context: dict[str, Any] | None = None) -> str:
        args, kwargs, allowed = tuple(aps_job.args), dict(aps_job.kwargs), self._registry.rule.allows
        secret = task.secret_places(args, kwargs)
        return encode_call(args, kwargs, context, secret=secret, max_bytes=self._max_payload_bytes, allowed=allowed)

    def _task_of(self, aps_job: ApsJob, standing: str | None) -> Task:
        """Return the task of a job's function: the one that stands, under the name it has there, if it is the same."""
        known = None if standing is None else self._known(standing)
        if known is not None and standing is not None and known.function == aps_job.func:
            return replace(known, name=standing)
        if hasattr(type(aps_job.func), "is_scheduler_task"):
            task: Task = aps_job.func.scheduler_task
            return task
        through = (
            self._registry.at(aps_job.func_ref, aps_job.func)
            if is_method_of_object(aps_job.func) and aps_job.func_ref
            else None
        )
        return through or self._of_function(aps_job.func)

    def _known(self, name: str) -> Task | None:
        try:
            return self._registry.resolve(name)
        except UnknownTaskError:
            return None

    def _of_function(self, function: Any) -> Task:
        try:
            return self._registry.for_function(function)
        except NotSchedulableError as error:
            if not is_method_of_object(function):
                raise
            raise NotSchedulableError(error.function, error.reason, error.instead + BY_PATH) from None


def _made(**facts: Any) -> ApsJob:
    """Return a job as APScheduler would restore it, without looking its function up by a name of APScheduler's."""
    aps_job = ApsJob.__new__(ApsJob)
    for name, value in facts.items():
        setattr(aps_job, name, value)
    return aps_job


def _reference(task: str, function: Any) -> str:
    """Return how a task's function is named in an export, by its path where it has one."""
    if ":" in task:
        return task
    try:
        return str(obj_to_ref(function))
    except (ValueError, TypeError, AttributeError):
        return task


def _in(zone: tzinfo, instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(zone)


def _grace(max_lateness: float | None) -> int | None:
    """Return a limit of lateness in whole seconds, as APScheduler has it."""
    return None if max_lateness is None else max(1, math.ceil(max_lateness))


def _check_bounds(aps_job: ApsJob) -> None:
    checked_name(aps_job.id)
    for name in ("misfire_grace_time", "max_instances"):
        value = getattr(aps_job, name) or 0
        if value > MOST:
            raise ScheduleOptionError(name, value, MOST)


def _check_once(aps_job: ApsJob, standing: DateJob) -> None:
    if type(aps_job.trigger) is not DateTrigger:
        raise OnceOnlyError(standing.id, f"the trigger {aps_job.trigger}")
    if aps_job.name != standing.task:
        raise OnceOnlyError(standing.id, f"the name {aps_job.name!r}")


def _kept(standing: Schedule | None, aps_job: ApsJob) -> dict[str, Any]:
    """Return what a schedule has that APScheduler's jobs know nothing of, so that an update does not lose it.

    Another `coalesce` or `max_instances` is a word about catch-up or overlap, and so takes the place of what stood.
    """
    if standing is None:
        return {}
    return {
        "catch_up": standing.catch_up if aps_job.coalesce == standing.coalesce else None,
        "overlap": standing.overlap if aps_job.max_instances == standing.max_instances else None,
        "priority": standing.priority,
        "attempts": standing.max_attempts,
        "retry": standing.retry,
        "declared": standing.declared,
        "tags": standing.tags,
    }

"""Adopting: jobs of another scheduler, read from its table, stored as jobs and schedules of this one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from .. import signals
from ..adoption import Found, Kind, Plan, Unreadable, plan_of
from ..conflict import OnConflict
from ..errors import SchedulerError, StoreError, TakenError, UnknownTaskError
from ..payload import decode_call, encode_call
from ..schedules import Schedule
from ..store import Connection, NewJob, add, audit, date_jobs, find, schedules, when
from ..tasks import Task
from .declaration import checked_name
from .options import NONE, Options
from .reach import Reach
from .recurring import make_schedule

Remarks = tuple[str, ...]
"""What a person should know, in sentences."""


_JOB_ADOPT, _SCHEDULE_ADOPT = "job.adopt", "schedule.adopt"


class Fate(StrEnum):
    """What came of a job that was to be adopted."""

    ADOPTED = "adopted"
    """It is stored here now; in a dry run: it would be."""
    THERE = "there"
    """It was adopted before, or the app has added it itself: it is left as it is."""
    REFUSED = "refused"
    """It cannot be carried over."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came of one job: what it is here, and what a person should know of it, in sentences."""

    id: str
    """As the other scheduler named it. Here it is a schedule's name, or a job's key."""
    fate: Fate
    kind: Kind | None = None
    func: str | None = None
    trigger: str | None = None
    next_run_time: datetime | None = None
    paused: bool = False
    job_id: str | None = None
    remarks: tuple[str, ...] = ()
    """Of one that is refused: why."""


@dataclass(frozen=True, slots=True)
class _New:
    """What is to be stored of one job: one of the two."""

    found: Found
    plan: Plan
    again: bool
    """Whether it is wanted also where it was adopted before, and is gone."""
    job: NewJob | None = None
    schedule: Schedule | None = None

    @property
    def call(self) -> NewJob | Schedule:
        """Whichever it is."""
        new = self.job or self.schedule
        assert new is not None
        return new


class Adopting(Reach):
    """The verb by which jobs come over from another scheduler."""

    def adopt(
        self,
        found: Sequence[Found | Unreadable],
        executors: Collection[str],
        *,
        dry_run: bool = False,
        again: bool = False,
    ) -> Sequence[Adopted]:
        """Store jobs as `read_apart` found them, each in a transaction of its own; return what came of each.

        Repeating it makes nothing twice: what is there by its id, under whatever name that has here, is left as it is,
        and so is what has been deleted since, as far back as the audit tells, unless it is wanted `again`. `executors`
        are the names of this app's executors and queues. A dry run stores nothing, and answers the same.
        """
        return [self._adopt(one, executors, dry_run, again) for one in found]

    def _adopt(self, found: Found | Unreadable, executors: Collection[str], dry_run: bool, again: bool) -> Adopted:
        if isinstance(found, Unreadable):
            return _refused(found, found.reason)
        try:
            new = self._new_of_found(found, executors, again)
            standing = self.store.read(partial(self._look_for, new)) if dry_run else self._put(new)
        except StoreError:
            raise
        except SchedulerError as error:
            return _refused(found, str(error))
        fate = Fate.ADOPTED if standing is None else Fate.THERE
        remarks = new.plan.remarks if standing is None else standing
        job_id = None if new.job is None else new.job.id
        at, paused = new.plan.run_at, new.plan.paused
        return Adopted(found.id, fate, new.plan.kind, new.call.task, found.trigger, at, paused, job_id, remarks)

    # -- what is to be stored ----------------------------------------------------------------------

    def _new_of_found(self, found: Found, executors: Collection[str], again: bool) -> _New:
        now = self.store.clock.now()
        plan = plan_of(found, executors, now)
        task = self._task_of_found(found)
        call = decode_call(found.payload, allowed=self.calls.registry.rule.allows)
        task.bind(call.args, call.kwargs)
        payload = encode_call(
            call.args,
            call.kwargs,
            secret=task.secret_places(call.args, call.kwargs),
            max_bytes=self.calls.max_payload_bytes,
            allowed=self.calls.registry.rule.allows,
        )
        if plan.kind is Kind.JOB:
            return _New(found, plan, again, job=self._job_of(found, plan, task, payload, now))
        return _New(found, plan, again, schedule=self._schedule_of(found, plan, task, payload, now))

    def _task_of_found(self, found: Found) -> Task:
        if found.func.startswith("__main__:"):
            raise UnknownTaskError(
                found.func,
                "it was in the file that the old program was started by. Say with --main as what this app imports it.",
            )
        return self.calls.task_of_name(found.func)

    def _job_of(self, found: Found, plan: Plan, task: Task, payload: str, now: datetime) -> NewJob:
        assert plan.run_at is not None
        options = Options(queue=plan.queue, key=plan.key)
        made = self.calls.new_job(task, payload, options, plan.run_at, now)
        signature = self.calls.signer().sign(plan.job_id, made.task, made.queue, payload)
        grace = found.misfire_grace_time
        return replace(made, id=plan.job_id, signature=signature, origin=None, max_lateness=grace)

    def _schedule_of(self, found: Found, plan: Plan, task: Task, payload: str, now: datetime) -> Schedule:
        return make_schedule(
            self.calls.signer(),
            now,
            name=checked_name(found.id),
            title=found.name,
            task=task,
            payload=payload,
            trigger=found.trigger,
            queue=self.calls.queue_of(task, replace(NONE, queue=plan.queue)),
            next_run_time=plan.run_at,
            misfire_grace_time=found.misfire_grace_time,
            coalesce=found.coalesce,
            max_instances=found.max_instances,
        )

    # -- storing it --------------------------------------------------------------------------------

    def _put(self, new: _New) -> Remarks | None:
        """Store what is not there; answer as `_look_for`."""
        work = partial(self._insert_unless_there, new)
        if new.job is None:
            standing = self.store.write(self._notes.of_schedule(_SCHEDULE_ADOPT, new.found.id, work))
        else:
            standing = self.store.write(self._notes.of_job(_JOB_ADOPT, new.job.id, work))
        if standing is None:
            self._tell_of_new(new)
        return standing

    def _insert_unless_there(self, new: _New, connection: Connection) -> Remarks | None:
        standing = self._look_for(new, connection)
        if standing is not None:
            return standing
        if new.schedule is not None:
            return None if schedules.insert_if_absent(connection, new.schedule) else ()
        assert new.job is not None
        self._insert_job(connection, new.job)
        if new.plan.paused:
            when.pause_if_scheduled(connection, new.job.id)
        return None

    def _insert_job(self, connection: Connection, job: NewJob) -> None:
        if job.key is None:
            add.insert_jobs(connection, self.store.dialect, [job])
        else:
            add.insert_keyed(connection, self.store.dialect, job, OnConflict.RAISE, self.calls.signed_for(job))

    def _look_for(self, new: _New, connection: Connection) -> Remarks | None:
        """Return what should be known of what is there already; None where nothing is.

        Raises `TakenError` where what has its name is something else.
        """
        name = new.found.id
        standing = schedules.by_name(connection, name)
        if standing is not None:
            return _of_standing(standing, new)
        if new.job is None:
            if date_jobs.by_id(connection, name) is not None:
                raise TakenError(name, "job")
            return _of_gone(new, _SCHEDULE_ADOPT, name, connection)
        job = find.job(connection, new.job.id)
        if job is not None:
            if (job.task, job.payload) != (new.job.task, new.job.payload):
                raise TakenError(name, "job", "which was adopted before, with another call")
            return ()
        holder = None if new.job.key is None else find.job_by_live_key(connection, new.job.key)
        if holder is not None:
            raise TakenError(name, "job", f"by the id {holder.id}, which has not started and has this as its key")
        return _of_gone(new, _JOB_ADOPT, new.job.id, connection)

    def _tell_of_new(self, new: _New) -> None:
        if new.plan.paused or new.plan.run_at is None:
            return
        self._wake_for(new.plan.run_at)
        if new.job is not None and signals.job_scheduled.receivers:
            job = new.job
            signals.job_scheduled.send(self, job_id=job.id, task=job.task, run_at=job.run_at, queue=job.queue)


def _of_standing(standing: Schedule, new: _New) -> Remarks:
    """Return what should be known of a schedule that has the name. Raises `TakenError` for one of another task."""
    if standing.task != new.call.task:
        raise TakenError(standing.name, "schedule", f"which calls {standing.task!r}")
    if (standing.trigger, standing.payload) == (new.found.trigger, new.call.payload):
        return ()
    return ("What is here fires otherwise, or has other arguments; it is left as it is.",)


def _of_gone(new: _New, action: str, target: str, connection: Connection) -> Remarks | None:
    """Return what should be known of what was adopted before, and is gone; None where it may be stored."""
    told = [] if new.again else audit.page(connection, action=action, target=target, limit=1)
    return (
        tuple(f"It was adopted on {one.at:%Y-%m-%d}, and is gone since. --again adopts it anew." for one in told)
        or None
    )


def _refused(found: Found | Unreadable, reason: str) -> Adopted:
    return Adopted(
        found.id,
        Fate.REFUSED,
        func=found.func,
        trigger=found.trigger,
        next_run_time=found.next_run_time,
        remarks=(reason,),
    )

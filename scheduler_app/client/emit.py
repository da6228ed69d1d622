"""The job that a schedule emits: signed as its own, and unique by the schedule, its generation and the fire time."""

from __future__ import annotations

from datetime import datetime

from ..jobs import new_id
from ..origin import of_schedule
from ..payload import Signer
from ..schedules import Schedule
from ..store import NewJob


def emitted_job(signer: Signer, schedule: Schedule, fire_time: datetime, now: datetime) -> NewJob:
    """Return the job of one fire time, due then."""
    job_id = new_id(now)
    return NewJob(
        id=job_id,
        task=schedule.task,
        payload=schedule.payload,
        signature=signer.sign(job_id, schedule.task, schedule.queue, schedule.payload),
        queue=schedule.queue,
        priority=schedule.priority,
        run_at=fire_time,
        created_at=now,
        max_attempts=schedule.max_attempts,
        retry=schedule.retry,
        at_most_once=schedule.at_most_once,
        tags=schedule.tags,
        origin=of_schedule(schedule.name),
        max_lateness=schedule.misfire_grace_time,
        schedule_uid=schedule.uid,
        generation=schedule.generation,
        fire_time=fire_time,
    )

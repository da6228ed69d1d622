"""Firing schedules: one job per fire time, whichever process wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..client.recurring import signed_parts
from ..jobs import new_id
from ..payload import Signer, Verdict
from ..schedules import Fire, Schedule, all_due, decode_trigger, latest_due
from ..store import Connection, NewJob, Store, add, schedules

BATCH = 100
"""How many due schedules one turn moves on."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of one due schedule: the fire times that emitted a job, those passed over, or why it was paused."""

    schedule: Schedule
    emitted: tuple[tuple[datetime, str], ...] = ()
    skipped: tuple[datetime, ...] = ()
    paused: str | None = None
    ended: bool = False


class Firing:
    """Advances due schedules and inserts their jobs."""

    def __init__(self, store: Store, signer: Signer, patience_seconds: float = 900.0) -> None:
        self._store = store
        self._signer = signer
        self._patience = timedelta(seconds=patience_seconds)

    def fire_due(self, connection: Connection, now: datetime, limit: int = BATCH) -> list[Fired]:
        """Fire every due schedule that no other process is firing now; tell what became of each."""
        return self._fire_all(connection, schedules.lock_due(connection, now, limit), now)

    def fire_if_due(self, connection: Connection, uid: str, now: datetime) -> list[Fired]:
        """Fire one schedule, if it is still due and no other process is firing it; tell what became of it."""
        return self._fire_all(connection, schedules.lock_if_due(connection, uid, now), now)

    def _fire_all(self, connection: Connection, locked: Sequence[Schedule], now: datetime) -> list[Fired]:
        mine = [schedule for schedule in locked if not self._is_for_others(schedule, now)]
        return [self._fire(connection, schedule, now) for schedule in mine]

    def _is_for_others(self, schedule: Schedule, now: datetime) -> bool:
        """Whether another process may know the signing key that this one does not: it has so long to fire."""
        due = schedule.next_run_time or now
        return now - due < self._patience and self._verdict(schedule) is Verdict.UNKNOWN_KEY

    def _verdict(self, schedule: Schedule) -> Verdict:
        return self._signer.verify(schedule.signature, *signed_parts(schedule))

    def _fire(self, connection: Connection, schedule: Schedule, now: datetime) -> Fired:
        reason = self._distrust(schedule)
        if reason is not None:
            return self._pause(connection, schedule, reason)
        try:
            fires = _due(schedule, now)
        except Exception as error:  # a trigger that raises must not stop the others: paused, with the reason
            return self._pause(connection, schedule, f"its trigger raised {type(error).__name__}: {error}")
        room = schedule.max_instances - schedules.live_jobs_of(connection, schedule.uid)
        emitting, skipped = _within(fires, room)
        emitted = tuple((f.fire_time, self._emit(connection, schedule, f.fire_time, now)) for f in emitting)
        ended = not self._move_on(connection, schedule, fires[-1])
        return Fired(schedule, emitted, tuple(f.fire_time for f in skipped), ended=ended)

    def _distrust(self, schedule: Schedule) -> str | None:
        verdict = self._verdict(schedule)
        if verdict is Verdict.UNKNOWN_KEY:
            return "no live worker knows its signing key"
        return None if verdict is Verdict.VALID else f"its signature is {verdict.value}"

    @staticmethod
    def _pause(connection: Connection, schedule: Schedule, reason: str) -> Fired:
        schedules.pause_with_error(connection, schedule.uid, reason)
        return Fired(schedule, paused=reason)

    def _emit(self, connection: Connection, schedule: Schedule, fire_time: datetime, now: datetime) -> str:
        job_id = new_id(now)
        job = NewJob(
            id=job_id,
            task=schedule.task,
            payload=schedule.payload,
            signature=self._signer.sign(job_id, schedule.task, schedule.queue, schedule.payload),
            queue=schedule.queue,
            priority=schedule.priority,
            run_at=fire_time,
            created_at=now,
            max_attempts=schedule.max_attempts,
            at_most_once=schedule.at_most_once,
            tags=schedule.tags,
            max_lateness=schedule.misfire_grace_time,
            schedule_uid=schedule.uid,
            generation=schedule.generation,
            fire_time=fire_time,
        )
        add.insert_jobs(connection, self._store.dialect, [job])
        return job_id

    @staticmethod
    def _move_on(connection: Connection, schedule: Schedule, last: Fire) -> bool:
        """Give the schedule its next fire time; an exhausted one ends. False when it ended."""
        if last.following is None:
            schedules.end(connection, schedule.uid)
            return False
        schedules.advance_if_unchanged(connection, schedule, last.fire_time, last.following)
        return True


def _due(schedule: Schedule, now: datetime) -> tuple[Fire, ...]:
    if schedule.next_run_time is None:
        raise ValueError("a paused schedule cannot be due")
    trigger = decode_trigger(schedule.trigger)
    if schedule.coalesce:
        return (latest_due(trigger, schedule.next_run_time, now),)
    return all_due(trigger, schedule.next_run_time, now)


def _within(fires: Sequence[Fire], room: int) -> tuple[Sequence[Fire], Sequence[Fire]]:
    """Split fires into those that may emit a job now and those that overlap too many unfinished ones."""
    emitting = max(0, room)
    return fires[:emitting], fires[emitting:]

"""What a person or a program says to recurring schedules, by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from ..errors import NeverFiresError, ScheduleConflictError, ScheduleNotFoundError, UnknownTaskError
from ..jobs import Job
from ..payload import Verdict
from ..schedules import Planned, Schedule, decode_trigger, first_fire_time, preview
from ..store import Connection, add, schedules
from .emit import emitted_job
from .reach import Reach, removing
from .recurring import signed_parts

MOST_PREVIEWED = 1000


class Scheduled(Reach):
    """The verbs of schedules. Each raises `ScheduleNotFoundError` for a name that there is not."""

    def schedules(self) -> Sequence[Schedule]:
        """Return the recurring schedules, by next run time, paused ones last."""
        return self.store.read(schedules.every)

    def schedule(self, name: str) -> Schedule:
        """Return a schedule."""
        found = self.store.read(lambda connection: schedules.by_name(connection, name))
        if found is None:
            raise ScheduleNotFoundError(name)
        return found

    def preview(self, name: str, count: int = 10) -> Sequence[Planned]:
        """Return the next `count` fire times of a schedule, at most `MOST_PREVIEWED`; of a paused one, as if resumed.

        Each tells whether a change of clocks moved it or shows its wall time twice. Jitter is not in them.
        """
        if not 1 <= count <= MOST_PREVIEWED:
            raise ValueError(f"preview() shows from 1 to {MOST_PREVIEWED:,} fire times, not {count!r}.")
        found = self.schedule(name)
        return preview(decode_trigger(found.trigger), found.next_run_time, self.store.clock.now(), count)

    def remarks(self, schedule: Schedule) -> Sequence[str]:
        """Return what a person should know of a schedule, in sentences: why it does not fire, or no job of it runs."""
        return tuple(self._remarks(schedule, self.store.clock.now()))

    def _remarks(self, schedule: Schedule, now: datetime) -> Iterator[str]:
        if schedule.error is not None:
            yield f"It is paused, because {schedule.error}."
        elif schedule.next_run_time is None:
            yield "It is paused."
        elif schedule.next_run_time < now and self._waits(schedule):
            yield "It is due, and waits for an earlier job of its own to end."
        if schedule.orphaned_at is not None:
            since = f"{schedule.orphaned_at:%Y-%m-%d %H:%M:%S} UTC"
            yield f"It is orphaned: since {since} the code does not declare it any more. It fires until it is removed."
        if not self._is_known(schedule.task):
            yield f"No known process has its task, {schedule.task!r}: its jobs would wait, and then be put aside."

    def _waits(self, schedule: Schedule) -> bool:
        if schedule.coalesce and schedule.overlap is None:
            return False
        unfinished = self.store.read(lambda connection: schedules.live_jobs_of(connection, schedule.uid))
        return unfinished >= schedule.max_instances

    def _is_known(self, task: str) -> bool:
        """Whether this process, or a worker that has a row, knows a task."""
        try:
            self.calls.registry.resolve(task)
        except UnknownTaskError:
            return self.store.read(lambda connection: schedules.has_worker_of(connection, task))
        return True

    # -- changing ----------------------------------------------------------------------------------

    def pause_schedule(self, name: str) -> Schedule:
        """Have a schedule fire no more until it is resumed; return it. Pausing twice is no error."""
        work = partial(schedules.pause_if_present, name=name)
        self.store.write(self._notes.of_schedule("schedule.pause", name, work))
        return self.schedule(name)

    def resume_schedule(self, name: str) -> Schedule:
        """Have a paused schedule fire from now on; return it. What it passed over meanwhile is not made up for.

        One that is not paused is left as it is. Raises `NeverFiresError` when its trigger never fires again, and
        `ScheduleConflictError` when it cannot fire as it is stored.
        """
        found = self.schedule(name)
        if found.next_run_time is not None:
            return found
        self._refuse_unsound(found)
        at = first_fire_time(decode_trigger(found.trigger), self.store.clock.now())
        if at is None:
            raise NeverFiresError(name)
        work = partial(schedules.resume_if_paused, name=name, at=at)
        self.store.write(self._notes.of_schedule("schedule.resume", name, work))
        self._wake_for(at)
        return self.schedule(name)

    def move_schedule(self, name: str, at: datetime) -> Schedule:
        """Have a schedule fire next at another time, once, and then as its trigger says; return it.

        What has passed means now. Raises `ScheduleConflictError` for one that is paused, and as `schedule_at` for a
        time that cannot be.
        """
        now = self.store.clock.now()
        when = max(self._instant(at, now), now)
        work = partial(schedules.move_if_active, name=name, at=when)
        if not self.store.write(self._notes.of_schedule("schedule.move", name, work)):
            self.schedule(name)
            raise ScheduleConflictError(name, "it is paused", "Resume it first.")
        self._wake_for(when)
        return self.schedule(name)

    def run_schedule_now(self, name: str) -> Job:
        """Emit one job of a schedule, due now, whatever runs and also while it is paused; return it.

        Its next fire time stays. Raises `ScheduleConflictError` when it cannot fire as it is stored.
        """
        found = self.schedule(name)
        self._refuse_unsound(found)
        now = self.store.clock.now()
        job = emitted_job(self.calls.signer(), found, now, now)

        def insert(connection: Connection) -> None:
            add.insert_jobs(connection, self.store.dialect, [job])

        self.store.write(self._notes.of_emitted("schedule.run-now", name, job.id, insert))
        self._on_due(0)
        return self.get(job.id)

    def remove_schedule(self, name: str) -> None:
        """Remove a schedule; its jobs stay, and those that wait run. One that code declares comes back at a start."""
        work = removing(partial(schedules.remove_if_present, name=name))
        if not self.store.write(self._notes.of_schedule("schedule.remove", name, work)):
            raise ScheduleNotFoundError(name)

    def _refuse_unsound(self, schedule: Schedule) -> None:
        verdict = self.calls.signer().verify(schedule.signature, *signed_parts(schedule))
        if verdict is not Verdict.VALID:
            raise ScheduleConflictError(schedule.name, f"its signature is {verdict.value}")
        decode_trigger(schedule.trigger)

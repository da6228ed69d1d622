"""Queues: which there are, how full, and whether they are paused; pausing and resuming them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from .. import signals
from ..errors import DelayError, QueueNotFoundError, QueuePauseError, SchedulerError, TooFarError
from ..queues import Queue
from ..settings import DEFAULT_NAME
from ..store import Connection, claim, queues
from .reach import Reach
from .times import Delay, seconds_of

COUNT_CAP = 10_000
"""How far a state, or a queue, is counted; beyond it a count reads "10,000 or more"."""
LONGEST_NAME = 191
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A queue and what stands in it, as of one look."""

    queue: Queue
    waiting: int
    """How many of its jobs wait, due or not; counted to `COUNT_CAP`."""
    running: int
    """How many are claimed or run, in all processes."""
    oldest: datetime | None
    """When the first of those that wait was due, where one is."""
    paused: bool
    """Whether a pause is in force."""
    concurrency_per_process: int | None = None
    by_worker: Mapping[str, int] | None = None
    """How many each worker holds, where only this queue was looked at."""

    @property
    def is_full(self) -> bool:
        """Whether as many run as may across all processes."""
        return self.queue.concurrency is not None and self.running >= self.queue.concurrency


class Queueing(Reach):
    """The verbs on queues."""

    def queues(self) -> Sequence[QueueStatus]:
        """Return every queue, by name: those configured, those that jobs have named, and the default one."""
        return self.store.read(self._look)

    def queue(self, name: str) -> QueueStatus:
        """Return one queue. Raises `QueueNotFoundError`."""
        found = self.store.read(lambda connection: self._look_at(connection, name))
        if found is None:
            raise QueueNotFoundError(name, [status.queue.name for status in self.queues()])
        return found

    def pause_queue(
        self, name: str, *, reason: str | None = None, for_seconds: Delay | None = None, until: datetime | None = None
    ) -> QueueStatus:
        """Have no process claim jobs of a queue any more, for so long, until then, or until `resume_queue`.

        They are stored and listed as ever; what runs goes on. In force for every process's next look, which is at
        most a poll interval away. A queue that is paused already takes this reason and this end. Raises
        `QueuePauseError`, and `QueueNotFoundError` for one that is not configured where queues are, and has no job.
        """
        _check_name(name)
        _check_reason(reason)
        now = self.store.clock.now()
        end = self._end(for_seconds, until, now)
        if self._limits.queues is not None:
            self.queue(name)
        work = partial(queues.pause, dialect=self.store.dialect, name=name, reason=reason, until=end, now=now)
        self.store.write(self._notes.of_queue("queue.pause", name, work))
        signals.queue_paused.send(self, queue=name, reason=reason, until=end)
        self._on_due(0)
        return self.queue(name)

    def resume_queue(self, name: str) -> QueueStatus:
        """Have its jobs claimed again, at once. One that is not paused stays as it is. Raises `QueueNotFoundError`."""
        self.queue(name)
        if self.store.write(self._notes.of_queue("queue.resume", name, partial(queues.resume_if_paused, name=name))):
            signals.queue_resumed.send(self, queue=name)
            self._on_due(0)
        return self.queue(name)

    def limit_queues(self) -> None:
        """Write the limits across all processes that the app configures into the queues' rows, where they differ."""
        if self._limits.queues is None:
            return
        wanted = {name: queue.concurrency for name, queue in self._limits.queues.items()}
        found = {queue.name: queue.concurrency for queue in self.store.read(queues.every)}
        changed = {name: most for name, most in wanted.items() if name not in found or found[name] != most}
        if changed:
            now = self.store.clock.now()
            self.store.write(lambda connection: queues.limit(connection, self.store.dialect, changed, now))

    # -- looking -----------------------------------------------------------------------------------

    def _look(self, connection: Connection) -> list[QueueStatus]:
        rows = {queue.name: queue for queue in queues.every(connection)}
        now = self.store.clock.now()
        first = _firsts(claim.peek_ranges(connection, self.store.dialect, now))
        names = sorted({*rows, *first, *(self._limits.queues or ()), DEFAULT_NAME})
        held = queues.held_in(connection, self.store.dialect, names)
        return [
            self._status(
                rows.get(name, Queue(name)),
                queues.waiting_in(connection, name, COUNT_CAP) if name in first else 0,
                held.get(name, 0),
                first.get(name),
                now,
            )
            for name in names
        ]

    def _look_at(self, connection: Connection, name: str) -> QueueStatus | None:
        row = queues.by_name(connection, name)
        now = self.store.clock.now()
        first = queues.first_of(connection, name)
        held = queues.held_by_worker(connection, name)
        is_known = name in (self._limits.queues or ()) or name == DEFAULT_NAME or first is not None or held
        if row is None and not is_known:
            return None
        waiting = queues.waiting_in(connection, name, COUNT_CAP)
        return self._status(row or Queue(name), waiting, sum(held.values()), first, now, held)

    def _status(
        self,
        queue: Queue,
        waiting: int,
        running: int,
        first: datetime | None,
        now: datetime,
        by_worker: Mapping[str, int] | None = None,
    ) -> QueueStatus:
        oldest = first if first is not None and first <= now else None
        configured = (self._limits.queues or {}).get(queue.name)
        here = None if configured is None else configured.concurrency_per_process
        return QueueStatus(queue, waiting, running, oldest, queue.is_paused(now), here, by_worker)

    def _end(self, for_seconds: Any, until: datetime | None, now: datetime) -> datetime | None:
        if for_seconds is not None and until is not None:
            raise QueuePauseError("until", "the end is said by for_seconds or by until, not by both.")
        if for_seconds is not None:
            return now + timedelta(seconds=self._seconds(for_seconds))
        if until is None:
            return None
        try:
            end = self._instant(until, now)
        except SchedulerError as error:
            raise QueuePauseError("until", str(error).removeprefix("Cannot schedule ")) from error
        if end <= now:
            raise QueuePauseError("until", f"{until} has passed, and a pause ends after it began.")
        return end

    def _seconds(self, for_seconds: Any) -> float:
        try:
            seconds = seconds_of(for_seconds, self._limits.max_delay_seconds)
        except (DelayError, TooFarError):
            seconds = 0.0
        if not seconds:
            most = self._limits.max_delay_seconds
            raise QueuePauseError(
                "for_seconds", f"it must be more than 0 seconds and at most {most:,.0f}, not {for_seconds!r}."
            )
        return seconds


def _firsts(ranges: Sequence[claim.Range]) -> dict[str, datetime]:
    first: dict[str, datetime] = {}
    for one in ranges:
        first[one.queue] = min(one.first, first.get(one.queue, one.first))
    return first


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise QueuePauseError("name", f"it must be a printable text of 1 to {LONGEST_NAME} characters, not {name!r}.")


def _check_reason(reason: Any) -> None:
    if reason is None:
        return
    if not isinstance(reason, str) or not reason.strip() or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise QueuePauseError(
            "reason", f"it must be one printable line of at most {LONGEST_REASON} characters, not {str(reason)[:60]!r}."
        )

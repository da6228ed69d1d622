"""Checking what waits against the code as it is here, before a deploy or when something does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from ..errors import UnknownTaskError
from ..store import claim, pending, schedules
from ..store.pending import Pending
from ..store.workers import ASKED, WorkerRow, all_workers, served_by
from .binding import Binder, Found, Misfit, Unbound
from .liveness import SILENT, state_of
from .reach import Reach

PAGE = 500
"""How many jobs are read at a time."""

LOOKED_AT = 200
"""How many of the first jobs of each queue and priority are asked for their tasks."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How many jobs and schedules were looked at, and what could not run of them, the first due first."""

    jobs: int
    schedules: int
    unbound: Sequence[Unbound]

    def count(self, kind: str) -> int:
        """Return how many of a kind ("job", "schedule") could not run."""
        return sum(one.count for one in self.unbound if one.kind == kind)


@dataclass(frozen=True, slots=True)
class UnknownTask:
    """A task of waiting jobs that neither this process nor any live worker is known to have."""

    name: str
    due: datetime
    """When the first of those jobs is due."""
    why: str
    """What looking for it here came to."""
    is_asked_for: bool
    """Whether a worker has met it, and asks the others for it."""


@dataclass
class _Tally:
    """Counts by kind, reason and task, and keeps the first due of each."""

    found: dict[tuple[str, Misfit, str], Unbound] = field(default_factory=dict)

    def add(self, kind: str, misfit: Found | None, task: str, name: str, due: datetime | None) -> None:
        if misfit is None:
            return
        reason, why = misfit
        new = Unbound(kind, reason, task, 1, name, due, why)
        old = self.found.get((kind, reason, task))
        if old is not None:
            new = replace(new if _when(new) < _when(old) else old, count=old.count + 1)
        self.found[kind, reason, task] = new

    def listed(self) -> list[Unbound]:
        return sorted(self.found.values(), key=lambda one: (*_when(one), one.kind, one.task))


def _when(one: Unbound) -> tuple[bool, str]:
    """Return what sorts by the time when something is due; what is not due at all comes last."""
    return one.due is None, "" if one.due is None else one.due.isoformat(timespec="microseconds")


class Checking(Reach):
    """The verbs that hold what waits against the code. They change nothing, and run nothing of it."""

    def check(self) -> Checked:
        """Bind every scheduled and paused job, and every schedule, to the code as it is in this process.

        Its task resolves, its function takes the stored arguments, its signature is valid. Jobs are read in pages;
        what comes or goes meanwhile may or may not be among them.
        """
        binder, tally = Binder(self.calls), _Tally()
        count = 0
        for job in self._waiting():
            count += 1
            tally.add("job", binder.of_job(job), job.task, job.id, job.run_at)
        recurring = self.store.read(schedules.every)
        for one in recurring:
            tally.add("schedule", binder.of_schedule(one), one.task, one.name, one.next_run_time)
        return Checked(count, len(recurring), tally.listed())

    def _waiting(self) -> Iterator[Pending]:
        """Yield every scheduled and paused job, a page at a time."""
        for one in self._ranges():
            page = partial(
                pending.page_of_scheduled, dialect=self.store.dialect, queue=one.queue, priority=one.priority
            )
            yield from self._pages(page)
        yield from self._pages(pending.page_of_paused)

    def _ranges(self) -> Sequence[claim.Range]:
        now = self.store.clock.now()
        return self.store.read(lambda connection: claim.peek_ranges(connection, self.store.dialect, now))

    def _pages(self, page: Callable[..., list[Pending]]) -> Iterator[Pending]:
        found = self.store.read(partial(page, after=None, limit=PAGE))
        yield from found
        while len(found) == PAGE:
            found = self.store.read(partial(page, after=found[-1], limit=PAGE))
            yield from found

    def unknown_tasks(self) -> Sequence[UnknownTask]:
        """Return the tasks of waiting jobs that no live worker lists and that are not found here either.

        The first jobs of each queue and priority are asked, not all of them.
        """
        listed = served_by(self._live())
        due: dict[str, datetime] = {}
        for task, at in self._first_tasks():
            due[task] = min(at, due.get(task, at))
        missing = ((task, at, self._why_unknown(task)) for task, at in due.items() if task not in listed)
        found = [UnknownTask(task, at, why, ASKED + task in listed) for task, at, why in missing if why is not None]
        return sorted(found, key=lambda one: one.due)

    def _live(self) -> Sequence[WorkerRow]:
        now = self.store.clock.now()
        rows = self.store.read(all_workers)
        return [row for row in rows if state_of(row, now, self._limits.lease_seconds) != SILENT]

    def _first_tasks(self) -> Iterator[tuple[str, datetime]]:
        for one in self._ranges():
            of_range = partial(pending.tasks_of_first, queue=one.queue, priority=one.priority, limit=LOOKED_AT)
            yield from self.store.read(of_range).items()

    def _why_unknown(self, task: str) -> str | None:
        try:
            self.calls.registry.resolve(task)
        except UnknownTaskError as error:
            return error.reason
        return None

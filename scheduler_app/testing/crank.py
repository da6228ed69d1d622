"""One call of `run_due`, `advance` or `drain`: jobs run in the caller's thread, at one instant or one after another."""

from __future__ import annotations

from datetime import datetime

from ..client import Client
from ..errors import EndlessError
from ..extension.failures import Failures
from ..jobs import Job, JobState
from ..loop import CrankedScheduler
from ..store import find
from .moving import MovingClock

MOST_NEW = 1_000
"""How many jobs that were not there before may run at one instant; more are taken to be endless."""

MOST_IN_ALL = 100_000
"""How many jobs one call may run."""

__tracebackhide__ = True  # for pytest: a traceback goes from the test's own line to the job's


class Crank:
    """Turns the loop, and gathers what ran and what went wrong."""

    def __init__(self, doing: str, aps: CrankedScheduler, client: Client, clock: MovingClock) -> None:
        self._doing, self._aps, self._client, self._clock = doing, aps, client, clock
        self._ran: dict[str, None] = {}
        self.failures = Failures()

    @property
    def ran(self) -> list[Job]:
        """The jobs that ran, in their order, as they are now."""
        return [self._client.get(job_id) for job_id in self._ran]

    def run(self) -> None:
        """Run what is due now, and what that makes due now. Raises `EndlessError`."""
        before = len(self._ran)
        waited = self._client.store.read(lambda connection: find.count_of(connection, JobState.SCHEDULED, MOST_IN_ALL))
        for turned in self._aps.crank_until_idle():
            self.failures.note_turn(turned)
            self._ran.update((one.claim.id, None) for one in turned.settled if one.result.refusal is None)
            if turned.settled and (len(self._ran) > MOST_IN_ALL or len(self._ran) - before > waited + MOST_NEW):
                raise self._endless(turned.settled[-1].claim.task)

    def run_to(self, target: datetime) -> None:
        """Run what is due until an instant, each job at its own; it is that instant then."""
        self.run()
        while (instant := self._aps.next_instant) is not None and instant <= target:
            self._run_at(instant)
        self._run_at(target)

    def run_all(self) -> None:
        """Run every job at its time, until none waits for a time to come."""
        self.run()
        while self._has_future_jobs() and (instant := self._aps.next_instant) is not None:
            self._run_at(instant)

    def _run_at(self, instant: datetime) -> None:
        self._clock.move_to(instant)
        self.run()

    def _has_future_jobs(self) -> bool:
        """Whether a job waits for a time to come; one that is due and still there cannot run here."""
        now = self._clock.now()
        return any(job.run_at > now for job in self._client.list(states=(JobState.SCHEDULED,), limit=200))

    def _endless(self, last: str) -> EndlessError:
        remedy = "If a job schedules itself without a delay, that is why; else advance in smaller steps."
        return EndlessError(self._doing, len(self._ran), last, remedy)

"""Looking after what runs: who was asked to stop is told, how far each says it is is stored, who is late is told of."""

from __future__ import annotations

from collections.abc import Iterable

from .. import signals
from ..clock import monotonic
from ..executors import DurableExecutor
from ..store import Claim, Store, change
from .flight import Flight
from .worker import Worker

Said = tuple[str, int, str]
"""A job's id, the fence of its claim, and its progress."""


class Attendance:
    """Attends to this process's running jobs, once per poll interval. The loop's thread calls it."""

    def __init__(
        self, store: Store, flight: Flight, worker: Worker, executors: Iterable[DurableExecutor], poll_seconds: float
    ) -> None:
        self._store, self._flight, self._worker, self._poll_seconds = store, flight, worker, poll_seconds
        self._executors = executors
        self._due = 0.0
        self._stored: dict[str, Said] = {}
        self._told: set[Claim] = set()

    def attend(self) -> None:
        """Tell those that were asked to stop, and store what was said of progress since."""
        if not self._flight.claims or monotonic() < self._due:
            return
        self._due = monotonic() + self._poll_seconds
        self._tell_cancels()
        self._tell_overruns()
        self._store_progress()

    def _store_progress(self) -> None:
        said = progress_of(self._flight.claims.values())
        news = [one for one in said if self._stored.get(one[0]) != one]
        if news:
            self._store.write(lambda connection: change.progress_if_held(connection, news))
        self._stored = {one[0]: one for one in said}

    def _tell_cancels(self) -> None:
        for job_id in self._store.read(lambda c: change.cancel_requested_of(c, self._worker.id)):
            held = self._flight.claims.get(job_id)
            if held is not None:
                held.cancelled = True
                for executor in self._executors:
                    executor.cancel(held)

    def _tell_overruns(self) -> None:
        """Tell once of each job that is past its timeout in a thread of this process, whose slot it keeps."""
        now = monotonic()
        late = {claim for claim in list(self._flight.claims.values()) if claim.deadline <= now}
        for claim in late - self._told:
            signals.job_overran.send(self, job_id=claim.id, task=claim.task, timeout=claim.timeout)
        self._told = late


def progress_of(claims: Iterable[Claim]) -> list[Said]:
    """Return what was last said of progress, of each claim that said any."""
    return [(claim.id, claim.fence, claim.progress) for claim in list(claims) if claim.progress is not None]

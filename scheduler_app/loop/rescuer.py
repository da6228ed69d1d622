"""Finding workers that died, and taking back what they held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .. import faults, signals
from ..clock import monotonic
from ..outcomes import Transition, decide_rescue
from ..store import Connection, Store, workers
from ..store.workers import Rescued, WorkerRow
from .held import Freed, Freeing
from .worker import Process, is_gone, this_process

LEAST_SIGHT_SECONDS = 2.0
"""Two looks this close together are always one watch, however short the lease: a busy machine looks late."""


@dataclass(slots=True)
class _Seen:
    beat: int
    since: float


class Rescuer:
    """Watches the other workers' beats by this process's own monotonic clock.

    A worker is dead when its beat stood still for a whole lease as seen from here, or at once when
    it lived on this host and its process is gone. Who could not look for half a lease (the database
    was away, this process was stopped) has seen nothing, and watches anew: the others could not
    write their beats either. Several observers may find the same one dead; at most one takes its
    jobs back.
    """

    def __init__(
        self,
        store: Store,
        lease_seconds: float,
        max_crashes: int,
        on_rescued: Callable[[list[Rescued]], None] = lambda _rescued: None,
    ) -> None:
        self._store, self._freeing = store, Freeing(store)
        self._lease_seconds = lease_seconds
        self._max_crashes = max_crashes
        self._on_rescued = on_rescued
        self._seen: dict[str, _Seen] = {}
        self._looked_at = float("-inf")

    def sweep(self, own_id: str) -> int:
        """Rescue the jobs of every worker that is dead by now; return how many jobs were taken back."""
        found = self._store.read(lambda connection: workers.all_for_sure(connection, self._store.dialect))
        rows = [row for row in found if row.id != own_id]
        here = this_process()
        self._look(rows)
        count = sum(self._guarded(partial(self._rescue_if_dead, row, here)) for row in rows)
        return count + self._guarded(self._rescue_orphans)

    def _guarded(self, rescue: Callable[[], int]) -> int:
        """Look after one worker; what is wrong with its rows keeps no other worker's jobs from coming back."""
        try:
            return rescue()
        except Exception as error:  # whatever a damaged row may raise
            if self._freeing.is_outage(error):
                raise
            signals.scheduler_failed.send(self, error=error, retry_seconds=self._lease_seconds)
            return 0

    def _look(self, rows: list[WorkerRow]) -> None:
        now = monotonic()
        blind = now - self._looked_at > max(self._lease_seconds / 2, LEAST_SIGHT_SECONDS)
        self._looked_at = now
        present = set() if blind else {row.id for row in rows}
        self._seen = {worker_id: seen for worker_id, seen in self._seen.items() if worker_id in present}

    def _death_of(self, row: WorkerRow, here: Process) -> str | None:
        if is_gone(row, here):
            return "its process is gone"
        now = monotonic()
        seen = self._seen.get(row.id)
        if seen is None or seen.beat != row.beat:
            self._seen[row.id] = _Seen(row.beat, now)
            return None
        still = now - seen.since
        return f"no heartbeat for {still:.0f} s" if still >= self._lease_seconds else None

    def _rescue_if_dead(self, row: WorkerRow, here: Process) -> int:
        why = self._death_of(row, here)
        return 0 if why is None else self._rescue(row, why)

    def _rescue(self, row: WorkerRow, why: str) -> int:
        def take_back(connection: Connection, apart: bool) -> Freed | None:
            if not workers.remove_if_unchanged(connection, row.id, row.beat):
                return None
            freed = self._take_back(row.id, connection, apart)
            faults.reach("rescue-before-commit")
            return freed

        freed = self._freeing.write(take_back)
        if freed is None:
            return 0
        faults.reach("rescue-after-commit")
        jobs = len(freed.jobs) + len(freed.aside)
        signals.worker_died.send(self, worker_id=row.id, host=row.host, pid=row.pid, reason=why, jobs=jobs)
        return self._tell(row.id, freed)

    def _rescue_orphans(self) -> int:
        """Take back jobs whose worker has no row at all, which only a hand in the tables can bring about."""
        ids = self._store.read(workers.orphan_holders)
        return sum(self._guarded(partial(self._rescue_orphan, worker_id)) for worker_id in ids)

    def _rescue_orphan(self, worker_id: str) -> int:
        return self._tell(worker_id, self._freeing.write(partial(self._take_back, worker_id)))

    def _take_back(self, worker_id: str, connection: Connection, apart: bool) -> Freed:
        now, dialect = self._store.clock.now(), self._store.dialect

        def act(only: str | None) -> list[Rescued]:
            return workers.rescue_held(connection, dialect, worker_id, now, self._decide, only)

        held = workers.held_ids(connection, worker_id) if apart else []
        return self._freeing.free(connection, held, act, apart)

    def _decide(self, crashes: int, at_most_once: bool, cancel_requested: bool) -> Transition:
        return decide_rescue(
            crashes, at_most_once=at_most_once, cancel_requested=cancel_requested, max_crashes=self._max_crashes
        )

    def _tell(self, worker_id: str, freed: Freed) -> int:
        for one in freed.jobs:
            signals.job_rescued.send(
                self, job_id=one.job_id, task=one.task, state=one.state, crashes=one.crashes,
                worker_id=worker_id, error=one.error,
            )  # fmt: skip
        self._freeing.tell(freed)
        self._on_rescued(freed.jobs)
        return len(freed.jobs)

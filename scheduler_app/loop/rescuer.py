"""Finding workers that died, and taking back what they held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import faults, signals
from ..clock import monotonic
from ..outcomes import Transition, decide_rescue
from ..store import Connection, Store, workers
from ..store.workers import Rescued, WorkerRow
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
        self._store = store
        self._lease_seconds = lease_seconds
        self._max_crashes = max_crashes
        self._on_rescued = on_rescued
        self._seen: dict[str, _Seen] = {}
        self._looked_at = float("-inf")

    def sweep(self, own_id: str) -> int:
        """Rescue the jobs of every worker that is dead by now; return how many jobs were taken back."""
        rows = [row for row in self._store.read(workers.all_workers) if row.id != own_id]
        here = this_process()
        self._look(rows)
        count = sum(self._rescue(row, why) for row in rows if (why := self._death_of(row, here)) is not None)
        return count + self._rescue_orphans()

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

    def _rescue(self, row: WorkerRow, why: str) -> int:
        def take_back(connection: Connection) -> list[Rescued] | None:
            if not workers.remove_if_unchanged(connection, row.id, row.beat):
                return None
            rescued = self._take_back(connection, row.id)
            faults.reach("rescue-before-commit")
            return rescued

        rescued = self._store.write(take_back)
        if rescued is None:
            return 0
        faults.reach("rescue-after-commit")
        signals.worker_died.send(self, worker_id=row.id, host=row.host, pid=row.pid, reason=why, jobs=len(rescued))
        return self._tell(row.id, rescued)

    def _rescue_orphans(self) -> int:
        """Take back jobs whose worker has no row at all, which only a hand in the tables can bring about."""
        ids = self._store.read(workers.orphan_holders)
        return sum(self._tell(i, self._store.write(self._taking_back(i))) for i in ids)

    def _taking_back(self, worker_id: str) -> Callable[[Connection], list[Rescued]]:
        return lambda connection: self._take_back(connection, worker_id)

    def _take_back(self, connection: Connection, worker_id: str) -> list[Rescued]:
        return workers.rescue_held(connection, self._store.dialect, worker_id, self._store.clock.now(), self._decide)

    def _decide(self, crashes: int, at_most_once: bool, cancel_requested: bool) -> Transition:
        return decide_rescue(
            crashes, at_most_once=at_most_once, cancel_requested=cancel_requested, max_crashes=self._max_crashes
        )

    def _tell(self, worker_id: str, rescued: list[Rescued]) -> int:
        for one in rescued:
            signals.job_rescued.send(
                self, job_id=one.job_id, task=one.task, state=one.state, crashes=one.crashes,
                worker_id=worker_id, error=one.error,
            )  # fmt: skip
        self._on_rescued(rescued)
        return len(rescued)

"""Scheduling to nobody is said: a queue that no live worker serves is told of, once a minute, by who stores a job."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from .. import signals
from ..clock import monotonic
from ..errors import SchedulerError
from ..store import Store
from ..store.workers import WorkerRow, all_workers, listed
from .liveness import state_of

EVERY_SECONDS = 60.0
MOST_QUEUES = 1_000
"""Of how many queues it is remembered when they were looked at."""


class Unattended:
    """Looks, after a job was stored, whether some live worker serves its queue. Most calls are one look into a dict.

    `may_ask` is False while this process's own worker is about to show itself. Never raises: the job is stored.
    """

    def __init__(self, store: Store, lease_seconds: float, may_ask: Callable[[], bool]) -> None:
        self._store, self._lease_seconds, self._may_ask = store, lease_seconds, may_ask
        self._next: dict[str, float] = {}
        self._lock = Lock()

    def look(self, queue: str) -> None:
        """Tell by `queue_unattended` that nobody serves a queue, unless that was looked at within the minute."""
        now = monotonic()
        if now < self._next.get(queue, 0.0) or not self._may_ask():
            return
        with self._lock:
            if now < self._next.get(queue, 0.0):
                return
            if len(self._next) >= MOST_QUEUES:
                self._next.clear()
            self._next[queue] = now + EVERY_SECONDS
        if not self._is_served(queue):
            signals.queue_unattended.send(self, queue=queue)

    def _is_served(self, queue: str) -> bool:
        try:
            rows = self._store.read(all_workers)
            return any(self._serves(row, queue) for row in rows)
        except (SchedulerError, *Store.errors):  # nothing is known; the next minute asks again
            return True

    def _serves(self, row: WorkerRow, queue: str) -> bool:
        is_running = state_of(row, self._store.clock.reckon(), self._lease_seconds) == "running"
        return is_running and (row.queues is None or queue in listed(row.queues))

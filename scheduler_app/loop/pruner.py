"""The pruner: deletes finished jobs, and rows of the audit, whose retention is over, from one process at a time.

It disturbs no other.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from threading import Event, Thread

from .. import signals
from ..clock import monotonic
from ..store import Connection, Retention, Store, audit, prune, workers
from .worker import Worker

SMALLEST, LARGEST = 20, 1000
"""How many jobs one transaction looks at: as many as `AIM` allows."""

AIM, AIM_ALONE = 0.02, 0.003
"""Seconds that a batch may take before its commit; less where nobody else can write meanwhile."""

REST, REST_ALONE = 4.0, 20.0
"""How many times as long as a batch took the next one waits: four fifths of the time are others' own, or more."""


class Pruner:
    """A thread that prunes every so often, while this process's worker is the eldest that lives."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        retention: Retention,
        seconds: float,
        audit_seconds: float | None = None,
    ) -> None:
        self._store, self._worker, self._retention, self._seconds = store, worker, retention, seconds
        self._audit_seconds = audit_seconds
        self._begun = self._worked = 0.0
        """When the last batch had its transaction (what it waited for that was others' time, and nobody's delay), and
        how long it worked in it."""
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread. Its first pass comes after a part of the interval: many starts are not many passes."""
        self._stopping.clear()
        self._thread = Thread(target=self._main, name="scheduler-pruner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its batch, and wait for it."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _main(self) -> None:
        wait = self._seconds * random.uniform(0.1, 0.5)
        while not self._stopping.wait(wait):
            wait = self._seconds * random.uniform(0.9, 1.1)
            try:
                if self._is_eldest():
                    self.run(self._stopping.wait)
                    self.run_audit(self._stopping.wait)
            except Exception as error:  # a database that is away now may be back at the next pass
                signals.scheduler_failed.send(self, error=error, retry_seconds=wait)

    def _is_eldest(self) -> bool:
        """Whether this worker is the first of those that stay: each process comes to the same answer by itself."""
        rows = self._store.read(workers.all_workers)
        running = [(row.started_at, row.id) for row in rows if row.state != "draining"]
        return bool(running) and min(running)[1] == self._worker.id

    def run(self, rest: Callable[[float], bool] = lambda _seconds: False) -> int:
        """Delete everything whose time is over, batch by batch, until `rest` says stop; return how many jobs."""
        after: str | None = ""
        total, size = 0, SMALLEST
        aim, length = (AIM_ALONE, REST_ALONE) if self._store.dialect.one_writer else (AIM, REST)
        while after is not None:
            pruned = self._store.write(partial(self._some, after, size))
            total, after = total + pruned.count, pruned.after
            size = max(SMALLEST, min(LARGEST, round(size * min(2.0, aim / max(self._worked, 1e-6)))))
            if rest(length * (monotonic() - self._begun)):
                break
        if total:
            signals.jobs_pruned.send(self, count=total)
        return total

    def run_audit(self, rest: Callable[[float], bool] = lambda _seconds: False) -> int:
        """Delete the rows of the audit whose time is over, batch by batch; return how many. Nobody is told."""
        total, count = 0, SMALLEST
        while self._audit_seconds is not None and count == SMALLEST:
            count = self._store.write(partial(self._some_audit, self._audit_seconds))
            total += count
            if rest(REST * (monotonic() - self._begun)):
                break
        return total

    def _some_audit(self, kept: float, connection: Connection) -> int:
        self._begun = monotonic()
        return audit.prune_some(connection, self._store.dialect, kept, self._store.clock.now(), SMALLEST)

    def _some(self, after: str, size: int, connection: Connection) -> prune.Pruned:
        self._begun = monotonic()
        pruned = prune.prune_some(
            connection, self._store.dialect, self._retention, self._store.clock.now(), after, size
        )
        self._worked = monotonic() - self._begun
        return pruned

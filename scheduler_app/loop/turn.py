"""One turn of the loop: settle, fire, claim, commit once, submit; then say how long to wait.

When a row is at fault the three run apart (`apart.py`). Errors that are the database's are raised: the whole turn is
tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from .. import faults, signals
from ..clock import monotonic
from ..executors import DurableExecutor
from ..store import Connection, Store, give_back, workers
from .apart import Apart
from .claiming import Claiming
from .events import signal_released
from .fire import Firing
from .flight import Flight
from .held import Freed, Freeing
from .steps import Steps
from .turned import Turned, View
from .worker import Worker


class Turn:
    """The loop's work. One thread calls it."""

    def __init__(
        self,
        store: Store,
        flight: Flight,
        worker: Worker,
        claiming: Claiming,
        firing: Firing,
        executors: Mapping[str, DurableExecutor],
        *,
        poll_seconds: float,
        not_started_seconds: float,
        max_crashes: int,
    ) -> None:
        self._store, self._flight, self._worker = store, flight, worker
        self._claiming, self._executors = claiming, executors
        self._steps = Steps(store, flight, worker, claiming, firing, executors, not_started_seconds, max_crashes)
        self._apart = Apart(self._steps)
        self._freeing = Freeing(store)
        self._poll_seconds = poll_seconds
        self._not_started_seconds = not_started_seconds
        self._expected: datetime | None = None
        self.must_reconcile = True
        """Whether rows that this worker holds must be compared with memory first."""

    @property
    def draining(self) -> bool:
        """Whether it settles only: no new fires, no new claims."""
        return self._steps.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._steps.draining = draining

    @property
    def paused(self) -> bool:
        """Whether APScheduler's `pause()` is in force: it settles, and neither fires nor claims."""
        return self._steps.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._steps.paused = paused

    @property
    def expected(self) -> datetime | None:
        """The next known instant at which something is due here, as the last turn saw it; None where nothing is."""
        return self._expected

    def turn(self) -> tuple[float, Turned]:
        """Do what is due; return the seconds until the next known instant, at most the poll interval."""
        self._take_back_unstarted()
        if self.must_reconcile:
            self._reconcile()
        try:
            turned, view = self._together()
        except Exception as error:
            self.must_reconcile = True  # a commit whose reply was lost may have claimed
            self._steps.raise_if_outage(error)
            signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)
            turned, view = self._apart.run()
        return self._wait(view, turned), turned

    def _together(self) -> tuple[Turned, View]:
        finished = self._flight.unwritten()
        view = None if finished or self._expects_work() else self._store.read(self._steps.peek)
        if view is not None and not self._has_work(view):
            return Turned(), view
        turned = Turned()
        with self._store.begin() as connection:
            now = self._store.clock.now()
            self._steps.settle(connection, finished, now, turned)
            view = self._steps.peek(connection) if view is None else view
            self._steps.fire(connection, view, turned)
            self._steps.claim(connection, view, turned)
            _reach(turned, "before-commit")
        _reach(turned, "after-commit")
        self._steps.committed(finished, turned)
        return turned, view

    def _expects_work(self) -> bool:
        """Whether the instant that the last turn waited for has come: a look before the work would be wasted."""
        return self._expected is not None and self._expected <= self._store.clock.now()

    def _has_work(self, view: View) -> bool:
        fires = view.next_fire is not None and view.next_fire <= view.now
        return fires or (self._worker.may_start() and self._claiming.is_worth_it(view.ranges, view.now))

    # -- memory and rows ---------------------------------------------------------------------------

    def _take_back_unstarted(self) -> None:
        """Report claims that no slot took in time as not started; the settle gives them back."""
        before = None if self.draining else monotonic() - self._not_started_seconds
        for alias, executor in self._executors.items():
            late = executor.take_back(before)
            if late:
                self._flight.stall(alias)
                self._steps.land_unstarted(alias, late)

    def _reconcile(self) -> None:
        """Give back what it does not know; what no transaction can give back keeps no turn from being done."""
        try:
            self._release_unknown()
        except Exception as error:  # a row's fault, and the row cannot even be put aside: tried again at each turn
            self._steps.raise_if_outage(error)
            signals.scheduler_failed.send(self, error=error, retry_seconds=self._poll_seconds)
        else:
            self.must_reconcile = False

    def _release_unknown(self) -> None:
        """Give back rows that this worker holds and its memory does not: a claim whose commit was unknown."""

        def release(connection: Connection, apart: bool) -> Freed:
            act = partial(self._give_back_unknown, connection)
            return self._freeing.free(connection, self._unknown(connection), act, apart)

        if self._store.read(self._unknown):
            freed = self._freeing.write(release)
            signal_released(self, freed.jobs, "the reply to its claim was lost")
            self._freeing.tell(freed)

    def _unknown(self, connection: Connection) -> list[tuple[str, int]]:
        return [one for one in workers.held_ids(connection, self._worker.id) if not self._knows(*one)]

    def _give_back_unknown(self, connection: Connection, only: str | None) -> list[workers.Rescued]:
        held = workers.held_by(connection, self._worker.id, only)
        lost = [row for row in held if not self._knows(row.id, row.claim_seq)]
        back = [give_back.GiveBack(r.id, r.claim_seq, r.key, r.attempt, r.crashes) for r in lost]
        give_back.give_back_if_held(connection, back, self._store.clock.now())
        return workers.given_back(connection, self._store.dialect, lost)

    def _knows(self, job_id: str, fence: int) -> bool:
        held = self._flight.claims.get(job_id)
        return held is not None and held.fence == fence

    # -- waiting -----------------------------------------------------------------------------------

    def _wait(self, view: View, turned: Turned) -> float:
        self._expected = None
        if self._flight.has_unwritten():
            return 0.0
        if turned.fired or turned.missed:  # what was missed took the place of jobs that are due behind it
            return 0.0
        instants = [*filter(None, (self._claiming.next_instant(r, view.now) for r in view.ranges))]
        if view.next_fire is not None and view.next_fire > view.now:
            instants.append(view.next_fire)
        longest = self._longest_wait()
        if not instants:
            return longest
        self._expected = min(instants)
        ahead = (self._expected - self._store.clock.now()).total_seconds()
        return min(max(ahead, 0.0), longest)

    def _longest_wait(self) -> float:
        """Return the poll interval, or less while claims wait for a slot: those that get none are given back soon."""
        waiting = any(executor.waiting() for executor in self._executors.values())
        return min(self._poll_seconds, self._not_started_seconds) if waiting else self._poll_seconds


def _reach(turned: Turned, when: str) -> None:
    if turned.fired:
        faults.reach(f"fire-{when}")
    if turned.claimed:
        faults.reach(f"claim-{when}")
    if turned.settled:
        faults.reach(f"settle-{when}")

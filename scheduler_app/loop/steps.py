"""The steps of a turn, each within whatever transaction it is given: settle, fire, claim; and what follows a commit."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from .. import faults, signals
from ..clock import monotonic
from ..errors import StoreError
from ..executors import DurableExecutor
from ..jobs import Outcome
from ..outcomes import Refusal, Result, Transition, decide, decide_rescue
from ..retry import RetryPolicy, decode_policy
from ..store import Claim, Connection, Settlement, Store, change, claim, settle
from .attendance import progress_of
from .claiming import Claiming
from .fire import Firing
from .flight import Finished, Flight
from .turned import Turned, View
from .worker import Worker


class Steps:
    """What both ways of a turn share: all in one transaction, or each by itself. One thread calls it."""

    def __init__(
        self,
        store: Store,
        flight: Flight,
        worker: Worker,
        claiming: Claiming,
        firing: Firing,
        executors: Mapping[str, DurableExecutor],
        not_started_seconds: float,
        max_crashes: int,
    ) -> None:
        self.store, self.flight, self.worker = store, flight, worker
        self.claiming, self.firing, self.executors = claiming, firing, executors
        self._not_started_seconds = not_started_seconds
        self.max_crashes = max_crashes
        self.draining = False
        """Whether to settle only: no new fires, no new claims."""
        self.paused = False
        """The same, for as long as APScheduler's `pause()` is in force."""

    def raise_if_outage(self, error: Exception) -> None:
        """Raise an error again that is the database's: it is no row's fault, and the whole turn is tried again."""
        if isinstance(error, StoreError) or self.store.may_pass(error):
            raise error

    def peek(self, connection: Connection) -> View:
        """Look at what is due and what comes next; lock nothing."""
        now = self.store.clock.now()
        if self.draining or self.paused:
            return View(now, [], None)
        return View(now, *claim.peek(connection, self.store.dialect, now, self.firing.firer(connection)))

    def settle(self, connection: Connection, finished: Sequence[Finished], now: datetime, turned: Turned) -> None:
        """Write how attempts ended, in one batch; `turned` hears which of them were superseded."""
        if not finished:
            return
        said = progress_of(f.claim for f in finished)
        if said:
            change.progress_if_held(connection, said)
        batch = [settlement_of(f, now, self.max_crashes) for f in finished]
        stale = settle.settle_if_held(connection, self.store.dialect, batch, self.worker.id, now)
        turned.superseded = stale
        turned.settled = [s for s in batch if s not in stale] if stale else batch

    def fire(self, connection: Connection, view: View, turned: Turned) -> None:
        """Move due schedules on, and insert their jobs."""
        if view.next_fire is not None and view.next_fire <= view.now:
            turned.fired = self.firing.fire_due(connection, view.now)

    def claim(self, connection: Connection, view: View, turned: Turned) -> None:
        """Take due jobs, if this worker's lease lets it start any."""
        if self.worker.may_start() and view.ranges:
            turned.holder = self.worker.id
            claimed, missed = self.claiming.claim_due(connection, view.ranges, turned.holder, view.now)
            turned.claimed, turned.missed = claimed, [(one, view.now) for one in missed]

    def committed(self, finished: Sequence[Finished], turned: Turned) -> None:
        """After a known commit: forget the ends that were written, and hand the claims to their executors."""
        self.flight.written(finished)
        now = monotonic()
        for _alias, claims in turned.claimed:
            for one in claims:
                one.claimed_at = now  # from here on it waits for a slot; a slow commit is not its fault
            self.flight.take_off(claims)
        if turned.claimed and turned.holder != self.worker.id:
            self._give_up(turned)
        self._submit(turned)

    def _give_up(self, turned: Turned) -> None:
        """Start nothing that was claimed under an id that was declared dead before the commit: others may run it."""
        for alias, claims in turned.claimed:
            self.land_unstarted(alias, claims)
        turned.claimed = []

    def _submit(self, turned: Turned) -> None:
        for alias, claims in turned.claimed:
            faults.reach("submit")
            try:
                self.executors[alias].submit(claims)
            except Exception as error:  # no thread can be started now, say: what waits too long is taken back
                signals.scheduler_failed.send(self, error=error, retry_seconds=self._not_started_seconds)

    def land_unstarted(self, alias: str, claims: Sequence[Claim]) -> None:
        """Report claims as not started: the next settle gives them back, nothing spent."""
        for one in claims:
            now = self.store.clock.reckon()
            self.flight.land(alias, one, Result(now, now, refusal=Refusal.NOT_STARTED))


@lru_cache(maxsize=1024)
def _policy(attempts: int, stored: str | None) -> RetryPolicy:
    return decode_policy(stored, attempts)


def settlement_of(finished: Finished, now: datetime, max_crashes: int) -> Settlement:
    """Decide what becomes of a job whose attempt ended. Raises `RetryPolicyError` or `ValueError` for a damaged row."""
    if finished.result.outcome is Outcome.ABANDONED:
        return Settlement(finished.claim, finished.result, _after_crash(finished.claim, finished.result, max_crashes))
    policy = _policy(finished.claim.max_attempts, finished.claim.retry)
    transition = decide(finished.claim.attempt, finished.result, policy, now, random.random)
    return Settlement(finished.claim, finished.result, transition)


def _after_crash(claim: Claim, result: Result, max_crashes: int) -> Transition:
    """Decide as a rescue does, of a job whose own process died while this one, its worker, lives."""
    decided = decide_rescue(
        claim.crashes + 1, at_most_once=claim.at_most_once, cancel_requested=claim.cancelled,
        max_crashes=max_crashes, who="process",
    )  # fmt: skip
    return replace(decided, attempt=claim.attempt, error=decided.error or result.error)

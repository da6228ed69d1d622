"""One turn of the loop: settle, fire, claim, commit once, submit; then say how long to wait.

On an error that is a row's fault, the three run in transactions of their own, halved down to the row, so that one bad
row never delays its neighbours. Errors that are the database's are raised: the whole turn is tried again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TypeVar

from .. import faults, signals
from ..clock import monotonic
from ..errors import StoreError
from ..executors import DurableExecutor
from ..outcomes import Refusal, Result, decide
from ..retry import RetryPolicy
from ..store import (
    Claim,
    Connection,
    Range,
    Settlement,
    Store,
    change,
    claim,
    give_back,
    reason,
    schedules,
    settle,
    workers,
)
from .claiming import Claiming
from .fire import BATCH, Fired, Firing
from .flight import Finished, Flight
from .worker import Worker

T = TypeVar("T")


@dataclass(slots=True)
class Turned:
    """What one turn did; told to listeners after its commit."""

    settled: list[Settlement] = field(default_factory=list)
    superseded: list[Settlement] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    claimed: list[tuple[str, list[Claim]]] = field(default_factory=list)
    holder: str = ""
    """The worker id under which the jobs were claimed."""
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    missed: list[tuple[Claim, datetime]] = field(default_factory=list)
    """Jobs that were later than they allow, and when that was seen."""

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell."""
        news = (self.settled, self.superseded, self.fired, self.claimed, self.quarantined, self.missed)
        return any(news)


@dataclass(slots=True)
class _View:
    """What a peek saw."""

    now: datetime
    ranges: list[Range]
    next_fire: datetime | None


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
    ) -> None:
        self._store, self._flight, self._worker = store, flight, worker
        self._claiming, self._firing, self._executors = claiming, firing, executors
        self._poll_seconds = poll_seconds
        self._not_started_seconds = not_started_seconds
        self.draining = False
        """Whether to settle only: no new fires, no new claims."""
        self.paused = False
        self._expected: datetime | None = None
        self.must_reconcile = True
        """Whether rows that this worker holds must be compared with memory first."""

    def turn(self) -> tuple[float, Turned]:
        """Do what is due; return the seconds until the next known instant, at most the poll interval."""
        self._take_back_unstarted()
        if self.must_reconcile:
            self._release_unknown()
        try:
            turned, view = self._together()
        except Exception as error:
            self.must_reconcile = True  # a commit whose reply was lost may have claimed
            if isinstance(error, StoreError) or self._store.may_pass(error):
                raise
            signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)
            turned, view = self._apart()
        return self._wait(view, turned), turned

    # -- everything in one transaction -------------------------------------------------------------

    def _together(self) -> tuple[Turned, _View]:
        finished = self._flight.unwritten()
        view = None if finished or self._expects_work() else self._store.read(self._peek)
        if view is not None and not self._has_work(view):
            return Turned(), view
        turned = Turned()
        with self._store.begin() as connection:
            now = self._store.clock.now()
            self._settle(connection, finished, now, turned)
            view = self._peek(connection) if view is None else view
            self._fire(connection, view, turned)
            self._claim(connection, view, turned)
            _reach(turned, "before-commit")
        _reach(turned, "after-commit")
        self._committed(finished, turned)
        return turned, view

    def _peek(self, connection: Connection) -> _View:
        now = self._store.clock.now()
        if self.draining or self.paused:
            return _View(now, [], None)
        return _View(now, *claim.peek(connection, now))

    def _expects_work(self) -> bool:
        """Whether the instant that the last turn waited for has come: a look before the work would be wasted."""
        return self._expected is not None and self._expected <= self._store.clock.now()

    def _has_work(self, view: _View) -> bool:
        fires = view.next_fire is not None and view.next_fire <= view.now
        return fires or (self._worker.may_start() and self._claiming.is_worth_it(view.ranges, view.now))

    def _settle(self, connection: Connection, finished: Sequence[Finished], now: datetime, turned: Turned) -> None:
        if not finished:
            return
        batch = [_settlement(f, now) for f in finished]
        stale = settle.settle_if_held(connection, self._store.dialect, batch, self._worker.id, now)
        turned.superseded = stale
        turned.settled = [s for s in batch if s not in stale] if stale else batch

    def _fire(self, connection: Connection, view: _View, turned: Turned) -> None:
        if view.next_fire is not None and view.next_fire <= view.now:
            turned.fired = self._firing.fire_due(connection, view.now)

    def _claim(self, connection: Connection, view: _View, turned: Turned) -> None:
        if self._worker.may_start() and view.ranges:
            turned.holder = self._worker.id
            claimed, missed = self._claiming.claim_due(connection, view.ranges, turned.holder, view.now)
            turned.claimed, turned.missed = claimed, [(one, view.now) for one in missed]

    def _committed(self, finished: Sequence[Finished], turned: Turned) -> None:
        self._flight.written(finished)
        now = monotonic()
        for _alias, claims in turned.claimed:
            for one in claims:
                one.claimed_at = now  # from here on it waits for a slot; a slow commit is not its fault
            self._flight.take_off(claims)
        if turned.claimed and turned.holder != self._worker.id:
            self._give_up(turned)
        self._submit(turned)

    def _give_up(self, turned: Turned) -> None:
        """Start nothing that was claimed under an id that was declared dead before the commit: others may run it."""
        for alias, claims in turned.claimed:
            self._land_unstarted(alias, claims)
        turned.claimed = []

    # -- each by itself ----------------------------------------------------------------------------

    def _apart(self) -> tuple[Turned, _View]:
        turned = Turned()
        self._settle_halving(self._flight.unwritten(), turned)
        view = self._peek_apart(turned)
        self._fire_apart(view, turned)
        self._claim_apart(view, turned)
        return turned, view

    def _peek_apart(self, turned: Turned) -> _View:
        try:
            return self._store.read(self._peek)
        except Exception as error:
            self._raise_if_outage(error)
        self._store.write(lambda connection: schedules.pause_unreadable(connection, self._store.dialect))
        turned.quarantined += self._put_aside_unreadable()
        return self._store.read(self._peek)

    def _put_aside_unreadable(self) -> list[tuple[str, str]]:
        now = self._store.clock.now()
        return self._store.write(lambda c: change.quarantine_unreadable(c, self._store.dialect, now))

    def _settle_halving(self, finished: list[Finished], turned: Turned) -> None:
        if not finished:
            return
        part = Turned()
        try:
            with self._store.begin() as connection:
                self._settle(connection, finished, self._store.clock.now(), part)
        except Exception as error:
            self._raise_if_outage(error)
            if len(finished) == 1:
                self._settle_unstorable(finished[0], error, turned)
            else:
                middle = len(finished) // 2
                self._settle_halving(finished[:middle], turned)
                self._settle_halving(finished[middle:], turned)
            return
        self._flight.written(finished)
        turned.settled += part.settled
        turned.superseded += part.superseded

    def _settle_unstorable(self, finished: Finished, error: Exception, turned: Turned) -> None:
        now = self._store.clock.now()
        try:
            failed = settle.unstorable(_settlement(finished, now), reason(error))
            stale = self._store.write(
                lambda c: settle.settle_if_held(c, self._store.dialect, [failed], self._worker.id, now)
            )
        except Exception as worse:
            self._raise_if_outage(worse)
            self._put_aside_unsettled(finished, worse, turned)
            return
        self._flight.written([finished])
        turned.superseded += stale
        turned.settled += [] if stale else [failed]

    def _put_aside_unsettled(self, finished: Finished, error: Exception, turned: Turned) -> None:
        """Quarantine a job of which no end at all can be written: its row is damaged, and must not stop the others."""
        one, why = finished.claim, f"its end could not be written: {reason(error)}"
        if self._store.write(lambda connection: change.quarantine_if_held(connection, one.id, one.fence, why)):
            turned.quarantined.append((one.id, why))
        self._flight.written([finished])

    def _fire_apart(self, view: _View, turned: Turned) -> None:
        if view.next_fire is None or view.next_fire > view.now:
            return
        for uid in self._store.read(lambda c: schedules.due_uids(c, view.now, BATCH)):
            try:
                with self._store.begin() as connection:
                    fired = self._firing.fire_if_due(connection, uid, view.now)
            except Exception as error:
                self._raise_if_outage(error)
                self._pause_unfirable(uid, error)
            else:
                turned.fired += fired

    def _pause_unfirable(self, uid: str, error: Exception) -> None:
        """Pause a schedule that cannot be fired, with the reason, so that those after it are."""

        def pause(connection: Connection) -> None:
            readable = schedules.is_readable(connection, uid)
            why = f"it could not be fired: {reason(error)}" if readable else "its row cannot be read"
            schedules.pause_with_error(connection, uid, why)

        signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)
        self._store.write(pause)

    def _claim_apart(self, view: _View, turned: Turned) -> None:
        due = [r for r in view.ranges if r.first <= view.now and self._claiming.serves(r.queue)]
        for one in due:
            turned.quarantined += self._quarantine_unreadable(one, view.now)
        for one in due:
            part = self._alone(lambda c, one=one: self._claim_range(c, one, view.now))  # type: ignore[misc]
            if part is None:
                turned.quarantined += self._put_aside_unclaimable(one, view.now)
            else:
                self._committed([], part)
                turned.claimed += part.claimed
                turned.missed += part.missed

    def _claim_range(self, connection: Connection, due: Range, now: datetime) -> Turned:
        part = Turned()
        self._claim(connection, _View(now, [due], None), part)
        return part

    def _quarantine_unreadable(self, due: Range, now: datetime) -> list[tuple[str, str]]:
        why = "its row cannot be read: it was changed by other means"

        def put_aside(connection: Connection) -> list[tuple[str, str]]:
            bad = [i for i in claim.due_ids(connection, due, now, 500) if not claim.is_readable(connection, i)]
            return [(i, why) for i in bad if change.quarantine_if_scheduled(connection, i, why)]

        if self._store.read(lambda c: all(claim.is_readable(c, i) for i in claim.due_ids(c, due, now, 500))):
            return []
        return self._put_aside_unreadable() + self._store.write(put_aside)

    def _put_aside_unclaimable(self, due: Range, now: datetime) -> list[tuple[str, str]]:
        """Quarantine those of a range's due jobs that no claim can take; the next turn claims their neighbours."""
        aside: list[tuple[str, str]] = []
        for job_id in self._store.read(lambda c: claim.due_ids(c, due, now, 500)):
            fault = self._fault_of_claim(job_id, now)
            if fault is not None:
                why = f"it cannot be claimed: {reason(fault)}"
                if self._store.write(lambda c, i=job_id, w=why: change.quarantine_if_scheduled(c, i, w)):  # type: ignore[misc]
                    aside.append((job_id, why))
        return aside

    def _fault_of_claim(self, job_id: str, now: datetime) -> Exception | None:
        try:
            with self._store.begin() as connection:
                claim.try_to_take(connection, self._store.dialect, job_id, now)
        except Exception as error:
            self._raise_if_outage(error)
            return error
        return None

    def _alone(self, work: Callable[[Connection], T]) -> T | None:
        """Run one part in a transaction of its own; a row's fault ends only this part."""
        try:
            with self._store.begin() as connection:
                return work(connection)
        except Exception as error:
            self._raise_if_outage(error)
            signals.scheduler_failed.send(self, error=error, retry_seconds=self._poll_seconds)
            return None

    def _raise_if_outage(self, error: Exception) -> None:
        if isinstance(error, StoreError) or self._store.may_pass(error):
            raise error

    # -- memory and rows ---------------------------------------------------------------------------

    def _take_back_unstarted(self) -> None:
        """Report claims that no slot took in time as not started; the settle gives them back."""
        before = None if self.draining else monotonic() - self._not_started_seconds
        for alias, executor in self._executors.items():
            late = executor.take_back(before)
            if late:
                self._flight.stall(alias)
                self._land_unstarted(alias, late)

    def _land_unstarted(self, alias: str, claims: Sequence[Claim]) -> None:
        for one in claims:
            now = self._store.clock.reckon()
            self._flight.land(alias, one, Result(now, now, refusal=Refusal.NOT_STARTED))

    def _release_unknown(self) -> None:
        """Give back rows that this worker holds and its memory does not: a claim whose commit was unknown."""

        def release(connection: Connection) -> int:
            held = workers.held_by(connection, self._worker.id)
            lost = [row for row in held if not self._knows(row.id, row.claim_seq)]
            back = [give_back.GiveBack(r.id, r.claim_seq, r.key, r.attempt, r.crashes) for r in lost]
            return give_back.give_back_if_held(connection, back, self._store.clock.now())

        if self._store.read(lambda c: [r for r in workers.held_by(c, self._worker.id) if not self._knows(r[0], r[1])]):
            self._store.write(release)
        self.must_reconcile = False

    def _knows(self, job_id: str, fence: int) -> bool:
        held = self._flight.claims.get(job_id)
        return held is not None and held.fence == fence

    def _submit(self, turned: Turned) -> None:
        for alias, claims in turned.claimed:
            faults.reach("submit")
            try:
                self._executors[alias].submit(claims)
            except Exception as error:  # no thread can be started now, say: what waits too long is taken back
                signals.scheduler_failed.send(self, error=error, retry_seconds=self._not_started_seconds)

    # -- waiting -----------------------------------------------------------------------------------

    def _wait(self, view: _View, turned: Turned) -> float:
        self._expected = None
        if self._flight.has_unwritten():
            return 0.0
        if turned.fired:
            return 0.0
        instants = [r.following for r in view.ranges if r.following is not None and self._claiming.serves(r.queue)]
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


@cache
def _policy(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts=attempts)


def _settlement(finished: Finished, now: datetime) -> Settlement:
    policy = _policy(finished.claim.max_attempts)
    transition = decide(finished.claim.attempt, finished.result, policy, now, random.random)
    return Settlement(finished.claim, finished.result, transition)


def _reach(turned: Turned, when: str) -> None:
    if turned.fired:
        faults.reach(f"fire-{when}")
    if turned.claimed:
        faults.reach(f"claim-{when}")
    if turned.settled:
        faults.reach(f"settle-{when}")

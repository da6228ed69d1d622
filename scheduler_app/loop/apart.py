"""A turn in which some row is at fault: settle, fire and claim in transactions of their own, halved down to the row.

The row is put aside with its reason, and never delays its neighbours. Errors that are the database's are raised.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from .. import signals
from ..store import Connection, Range, change, claim, queues, reason, schedules, settle
from .fire import BATCH
from .flight import Finished
from .steps import Steps, settlement_of
from .turned import Turned, View

T = TypeVar("T")


class Apart:
    """Does what a turn does, each step and if need be each row by itself."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._store = steps.store

    def run(self) -> tuple[Turned, View]:
        """Do a whole turn so; return what it did and saw."""
        turned = Turned()
        self._settle_halving(self._steps.flight.unwritten(), turned)
        view = self._peek_apart(turned)
        self._fire_apart(view, turned)
        self._claim_apart(view, turned)
        return turned, view

    def _peek_apart(self, turned: Turned) -> View:
        try:
            return self._store.read(self._steps.peek)
        except Exception as error:
            self._steps.raise_if_outage(error)
        self._store.write(lambda connection: schedules.pause_unreadable(connection, self._store.dialect))
        now = self._store.clock.now()
        self._store.write(lambda connection: queues.mend_unreadable(connection, self._store.dialect, now))
        turned.quarantined += self._put_aside_unreadable()
        return self._store.read(self._steps.peek)

    def _put_aside_unreadable(self) -> list[tuple[str, str]]:
        now = self._store.clock.now()
        return self._store.write(lambda c: change.quarantine_unreadable(c, self._store.dialect, now))

    def _settle_halving(self, finished: list[Finished], turned: Turned) -> None:
        if not finished:
            return
        part = Turned()
        try:
            with self._store.begin() as connection:
                self._steps.settle(connection, finished, self._store.clock.now(), part)
        except Exception as error:
            self._steps.raise_if_outage(error)
            if len(finished) == 1:
                self._settle_unstorable(finished[0], error, turned)
            else:
                middle = len(finished) // 2
                self._settle_halving(finished[:middle], turned)
                self._settle_halving(finished[middle:], turned)
            return
        self._steps.flight.written(finished)
        turned.settled += part.settled
        turned.superseded += part.superseded

    def _settle_unstorable(self, finished: Finished, error: Exception, turned: Turned) -> None:
        now = self._store.clock.now()
        try:
            failed = settle.unstorable(settlement_of(finished, now, self._steps.max_crashes), reason(error))
            stale = self._store.write(
                lambda c: settle.settle_if_held(c, self._store.dialect, [failed], self._steps.worker.id, now)
            )
        except Exception as worse:
            self._steps.raise_if_outage(worse)
            self._put_aside_unsettled(finished, worse, turned)
            return
        self._steps.flight.written([finished])
        turned.superseded += stale
        turned.settled += [] if stale else [failed]

    def _put_aside_unsettled(self, finished: Finished, error: Exception, turned: Turned) -> None:
        """Quarantine a job of which no end at all can be written: its row is damaged, and must not stop the others."""
        one, why = finished.claim, f"its end could not be written: {reason(error)}"
        if self._store.write(lambda connection: change.quarantine_if_held(connection, one.id, one.fence, why)):
            turned.quarantined.append((one.id, why))
        self._steps.flight.written([finished])

    def _fire_apart(self, view: View, turned: Turned) -> None:
        if view.next_fire is None or view.next_fire > view.now:
            return
        for uid in self._store.read(lambda c: schedules.due_uids(c, self._steps.firing.firer(c), view.now, BATCH)):
            try:
                with self._store.begin() as connection:
                    fired = self._steps.firing.fire_if_due(connection, uid, view.now)
            except Exception as error:
                self._steps.raise_if_outage(error)
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

    def _claim_apart(self, view: View, turned: Turned) -> None:
        due = [r for r in view.ranges if r.first <= view.now and self._steps.claiming.serves(r.queue)]
        for one in due:
            turned.quarantined += self._quarantine_unreadable(one, view.now)
        for one in due:
            part = self._alone(lambda c, one=one: self._claim_range(c, one, view.now))  # type: ignore[misc]
            if part is None:
                turned.quarantined += self._put_aside_unclaimable(one, view.now)
            else:
                self._steps.committed([], part)
                turned.claimed += part.claimed
                turned.missed += part.missed

    def _claim_range(self, connection: Connection, due: Range, now: datetime) -> Turned:
        part = Turned()
        self._steps.claim(connection, View(now, [due], None), part)
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
            self._steps.raise_if_outage(error)
            return error
        return None

    def _alone(self, work: Callable[[Connection], T]) -> T | None:
        """Run one part in a transaction of its own; a row's fault ends only this part."""
        try:
            with self._store.begin() as connection:
                return work(connection)
        except Exception as error:
            self._steps.raise_if_outage(error)
            signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)
            return None

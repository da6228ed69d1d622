"""Telling listeners what a turn did, after its commit and on a thread of its own.

Signals go to this package's own receivers (logs); APScheduler's stock events to `add_listener`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
)

from .. import signals
from ..jobs import JobState, Outcome
from ..store import Claim, Settlement
from .fire import Fired
from .turned import Turned

ALIAS = "default"
"""The alias of the one job store."""


class Announcer:
    """Sends what a turn did to listeners, in the order of the turns."""

    def __init__(self, dispatch: Callable[[Any], None], has_listeners: Callable[[], bool]) -> None:
        self._dispatch, self._has_listeners = dispatch, has_listeners
        self._inbox: SimpleQueue[Turned | None] = SimpleQueue()
        self._names: dict[str, str] = {}
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = Thread(target=self._main, name="scheduler-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell what is waiting to be told, then end the thread."""
        self._inbox.put(None)
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(timeout=10)

    def tell(self, turned: Turned) -> None:
        """Have a turn told. Does not wait."""
        self._inbox.put(turned)

    def _main(self) -> None:
        while (turned := self._inbox.get()) is not None:
            self._tell(turned)

    def _tell(self, turned: Turned) -> None:
        for fired in turned.fired:
            _signal_fired(self, fired)
        if turned.settled:
            signals.turn_settled.send(self, settlements=turned.settled)
        if signals.job_settled.receivers:
            for settlement in turned.settled:
                _signal_settled(self, settlement)
        _signal_set_aside(self, turned)
        if self._has_listeners():
            self._dispatch_stock(turned)

    def _dispatch_stock(self, turned: Turned) -> None:
        for fired in turned.fired:
            self._names[fired.schedule.uid] = fired.schedule.name
            if fired.skipped:
                times = list(fired.skipped)
                self._dispatch(JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, fired.schedule.name, ALIAS, times))
        for settlement in turned.settled:
            event = self._end_event(settlement)
            if event is not None:
                self._dispatch(event)
        for _executor, claims in turned.claimed:
            for claim in claims:
                self._dispatch(JobSubmissionEvent(EVENT_JOB_SUBMITTED, self._stock_id(claim), ALIAS, [claim.run_at]))
        for fired in turned.fired:
            if fired.ended:
                self._dispatch(JobEvent(EVENT_JOB_REMOVED, fired.schedule.name, ALIAS))

    def _end_event(self, settlement: Settlement) -> JobExecutionEvent | None:
        claim, result = settlement.claim, settlement.result
        if result.outcome is Outcome.SUCCESS:
            return JobExecutionEvent(
                EVENT_JOB_EXECUTED, self._stock_id(claim), ALIAS, claim.run_at, retval=result.returned
            )
        if result.outcome is Outcome.ERROR:
            return JobExecutionEvent(
                EVENT_JOB_ERROR, self._stock_id(claim), ALIAS, claim.run_at,
                exception=result.exception, traceback=result.traceback,
            )  # fmt: skip
        return None

    def _stock_id(self, claim: Claim) -> str:
        """Return APScheduler's id of a job: its schedule's name, or its own id."""
        if claim.schedule_uid is None:
            return claim.id
        return self._names.get(claim.schedule_uid, claim.schedule_uid)


def _signal_fired(sender: object, fired: Fired) -> None:
    name = fired.schedule.name
    if fired.paused is not None:
        signals.schedule_paused.send(sender, name=name, reason=fired.paused)
    for fire_time, job_id in fired.emitted:
        signals.schedule_fired.send(sender, name=name, job_id=job_id, fire_time=fire_time)
    for fire_time in fired.skipped:
        signals.schedule_skipped.send(
            sender, name=name, fire_time=fire_time, reason="an earlier job of it has not finished"
        )


def _signal_set_aside(sender: object, turned: Turned) -> None:
    """Tell of jobs that did not run here, or not in time, and of ends that came too late."""
    for settlement in turned.settled:
        if settlement.transition.state is JobState.QUARANTINED:
            why = settlement.transition.error
            signals.job_quarantined.send(sender, job_id=settlement.claim.id, reason=why)
    for stale in turned.superseded:
        signals.job_superseded.send(sender, job_id=stale.claim.id, fence=stale.claim.fence)
    for job_id, why in turned.quarantined:
        signals.job_quarantined.send(sender, job_id=job_id, reason=why)
    for one, at in turned.missed:
        late = (at - one.run_at).total_seconds()
        signals.job_missed.send(sender, job_id=one.id, task=one.task, late=late, max_lateness=one.max_lateness)


def _signal_settled(sender: object, settlement: Settlement) -> None:
    claim, result, transition = settlement.claim, settlement.result, settlement.transition
    if transition.released or transition.state is JobState.QUARANTINED:
        return
    signals.job_settled.send(
        sender, job_id=claim.id, task=claim.task, state=transition.state, outcome=result.outcome,
        attempt=claim.attempt + 1, max_attempts=claim.max_attempts, error=result.error,
        traceback=result.traceback, run_at=transition.run_at,
        seconds=(result.finished_at - result.started_at).total_seconds(),
        late=(result.started_at - claim.run_at).total_seconds(), queue=claim.queue,
    )  # fmt: skip

"""Telling listeners what a turn did, after its commit and on a thread of its own.

Signals go to this package's own receivers (logs); APScheduler's stock events to `add_listener`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Condition, Thread, current_thread
from typing import Any

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
)

from .. import signals
from ..errors import MaskedError
from ..jobs import JobState, Outcome
from ..payload import MASK
from ..store import Claim, Settlement
from ..store.workers import Rescued
from .fire import Fired
from .turned import Turned

ALIAS = "default"
"""The alias of the one job store."""

NAMES_KEPT = 10_000
"""How many names of schedules are kept in memory."""

PATIENCE = 1.0
"""For how many seconds at most a turn is kept back for the sake of the order."""


class Announcer:
    """Sends what a turn did to listeners, in the order of the turns.

    `names_of` tells, of jobs that another process may have fired, the names of their schedules by uid.
    """

    def __init__(
        self,
        dispatch: Callable[[Any], None],
        has_listeners: Callable[[], bool],
        names_of: Callable[[Sequence[str]], Mapping[str, str]],
    ) -> None:
        self._dispatch, self._has_listeners, self._names_of = dispatch, has_listeners, names_of
        self.at_once = False
        """Whether a turn is told by the thread that did it: where no other is to be started."""
        self._inbox: SimpleQueue[Turned | None] = SimpleQueue()
        self._names: dict[str, str] = {}
        self._thread: Thread | None = None
        self._turn = Condition()
        self._ahead: set[object] = set()

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
        """Have a turn told. Does not wait, unless `at_once`."""
        if self.at_once:
            self._tell(turned)
        else:
            self._inbox.put(turned)

    @contextmanager
    def first(self) -> Iterator[None]:
        """Let what is told in the block be told first: a turn that follows from it, say of a job just added, waits.

        It waits `PATIENCE` at most, and only for blocks that it finds begun. A listener may enter one.
        """
        block = object()
        with self._turn:
            self._ahead.add(block)
        try:
            yield
        finally:
            with self._turn:
                self._ahead.remove(block)
                self._turn.notify_all()

    def _main(self) -> None:
        while (turned := self._inbox.get()) is not None:
            self._let_go_first()
            try:
                self._tell(turned)
            except BaseException as error:  # whatever it was, the thread must live: the next turns are told by it
                signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)

    def _let_go_first(self) -> None:
        with self._turn:
            ahead = set(self._ahead)
            self._turn.wait_for(lambda: ahead.isdisjoint(self._ahead), PATIENCE)

    def _tell(self, turned: Turned) -> None:
        for fired in turned.fired:
            _signal_fired(self, fired)
        if turned.settled:
            signals.turn_settled.send(self, settlements=turned.settled)
        if signals.job_settled.receivers:
            for settlement in turned.settled:
                _signal_settled(self, settlement)
        _signal_claimed(self, turned)
        _signal_abandoned(self, turned.settled)
        _signal_set_aside(self, turned)
        if self._has_listeners():
            self._dispatch_stock(turned)

    def _dispatch_stock(self, turned: Turned) -> None:
        self._learn_names(turned)
        for fired in turned.fired:
            if fired.skipped:
                times = list(fired.skipped)
                self._dispatch(JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, fired.schedule.name, ALIAS, times))
            for at, _reason in fired.missed:
                self._dispatch(JobExecutionEvent(EVENT_JOB_MISSED, fired.schedule.name, ALIAS, at))
            if fired.ended:  # before it is submitted, as stock APScheduler tells it
                self._dispatch(JobEvent(EVENT_JOB_REMOVED, fired.schedule.name, ALIAS))
        for one, _at in turned.missed:
            self._dispatch(JobExecutionEvent(EVENT_JOB_MISSED, self._stock_id(one), ALIAS, one.run_at))
        for settlement in turned.settled:
            event = self._end_event(settlement)
            if event is not None:
                self._dispatch(event)
        for _executor, claims in turned.claimed:
            for claim in claims:
                self._dispatch(JobSubmissionEvent(EVENT_JOB_SUBMITTED, self._stock_id(claim), ALIAS, [claim.run_at]))

    def _learn_names(self, turned: Turned) -> None:
        if len(self._names) > NAMES_KEPT:
            self._names.clear()
        self._names.update({fired.schedule.uid: fired.schedule.name for fired in turned.fired})
        claims = [claim for _executor, claims in turned.claimed for claim in claims]
        claims += [claim for claim, _at in turned.missed]
        claims += [settlement.claim for settlement in turned.settled]
        unknown = [claim.id for claim in claims if claim.schedule_uid and claim.schedule_uid not in self._names]
        if unknown:
            self._names.update(self._names_of(unknown))

    def _end_event(self, settlement: Settlement) -> JobExecutionEvent | None:
        claim, result = settlement.claim, settlement.result
        if result.outcome is Outcome.SUCCESS:
            return JobExecutionEvent(
                EVENT_JOB_EXECUTED, self._stock_id(claim), ALIAS, claim.run_at,
                retval=MASK if result.masked else result.returned,
            )  # fmt: skip
        if result.outcome in (Outcome.ERROR, Outcome.TIMEOUT):
            return JobExecutionEvent(
                EVENT_JOB_ERROR, self._stock_id(claim), ALIAS, claim.run_at,
                exception=MaskedError(result.error or "") if result.masked else result.exception,
                traceback=result.traceback,
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
    for fire_time, reason in fired.missed:
        signals.schedule_skipped.send(sender, name=name, fire_time=fire_time, reason=reason)


def signal_released(sender: object, released: Iterable[Rescued], why: str) -> None:
    """Tell of jobs that a worker let go of, and why where they do not say it themselves."""
    for one in released:
        signals.job_released.send(sender, job_id=one.job_id, task=one.task, state=one.state, reason=one.error or why)


def _signal_claimed(sender: object, turned: Turned) -> None:
    if signals.job_claimed.receivers:
        for _executor, claims in turned.claimed:
            for one in claims:
                signals.job_claimed.send(sender, job_id=one.id, task=one.task, queue=one.queue, worker_id=turned.holder)


def _signal_abandoned(sender: object, settlements: Sequence[Settlement]) -> None:
    """Tell of jobs whose child died, in the words of those whose worker did."""
    for settlement in settlements:
        if settlement.result.outcome is Outcome.ABANDONED:
            claim, transition = settlement.claim, settlement.transition
            signals.job_rescued.send(
                sender, job_id=claim.id, task=claim.task, state=transition.state, crashes=claim.crashes + 1,
                worker_id=None, error=transition.error,
            )  # fmt: skip


def _signal_set_aside(sender: object, turned: Turned) -> None:
    """Tell of jobs that did not run here, or not in time, and of ends that came too late."""
    for settlement in turned.settled:
        claim, why = settlement.claim, settlement.transition.error
        if settlement.transition.state is JobState.QUARANTINED:
            signals.job_quarantined.send(sender, job_id=claim.id, reason=why)
        elif settlement.result.refusal is not None:
            state = settlement.transition.state
            signals.job_released.send(sender, job_id=claim.id, task=claim.task, state=state, reason=why)
    for stale in turned.superseded:
        signals.job_superseded.send(sender, job_id=stale.claim.id, fence=stale.claim.fence)
    for job_id, why in turned.quarantined:
        signals.job_quarantined.send(sender, job_id=job_id, reason=why)
    for one, at in turned.missed:
        late = (at - one.run_at).total_seconds()
        signals.job_missed.send(sender, job_id=one.id, task=one.task, late=late, max_lateness=one.max_lateness)


def _signal_settled(sender: object, settlement: Settlement) -> None:
    claim, result, transition = settlement.claim, settlement.result, settlement.transition
    if result.refusal is not None or result.outcome is Outcome.ABANDONED:
        return
    signals.job_settled.send(
        sender, job_id=claim.id, task=claim.task, state=transition.state, outcome=result.outcome,
        attempt=claim.attempt + 1, max_attempts=claim.max_attempts, error=result.error,
        traceback=result.traceback, run_at=transition.run_at,
        seconds=(result.finished_at - result.started_at).total_seconds(),
        late=(result.started_at - claim.run_at).total_seconds(), queue=claim.queue,
    )  # fmt: skip

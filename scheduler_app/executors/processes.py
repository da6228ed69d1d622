"""The process executor: children that make the app once and run one job at a time, each of which can be killed."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from queue import SimpleQueue
from typing import Any

from .. import signals
from ..errors import NoAppPathError, NoProcessesError, UnknownInChildError
from ..jobs import Outcome
from ..outcomes import Refusal, Result
from ..settings.sections import usable_cpus
from ..store import Claim
from .base import DurableExecutor
from .children import LOOK_SECONDS, Answer, Child, How
from .endings import killed_result
from .lanes import Lanes
from .memory import CAN_LIMIT
from .runner import UNWANTED, broken_result
from .slots import Slot
from .wire import Birth, result_of


class ProcessExecutor(DurableExecutor):
    """Runs claims in `max_workers` children of this process, made at its start; each makes the app from `app`.

    `app` is what `flask --app` takes; `memory_mb` is how much a job may take, `max_jobs_per_process` after how many
    jobs a child is replaced. A job is claimed only for a child that is ready, so that none waits for a start. A child
    that dies is replaced, and its job reported as abandoned, if it had begun. What runs is killed when its timeout is
    over, when its cancellation is asked for, and when the executor is shut down without waiting.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        app: str | None = None,
        memory_mb: int | None = None,
        max_jobs_per_process: int | None = None,
    ) -> None:
        super().__init__()
        self.max_workers = int(max_workers or usable_cpus())
        self.memory_mb, self.max_jobs_per_process = memory_mb, max_jobs_per_process
        self._app = app
        self._waiting: dict[Claim, bool] = {}
        self._running: dict[Claim, Slot] = {}
        self._slots: list[Slot] = []
        self._inbox: SimpleQueue[bool] = SimpleQueue()
        self._lanes = Lanes()

    # As in `ThreadExecutor`, whoever pops a claim from `_waiting` owns it, and each dict changes by single operations.

    def start(self, scheduler: object, alias: str) -> None:
        """Make the children. Raises `NoAppPathError` and `NoProcessesError`."""
        super().start(scheduler, alias)
        if os.name != "posix" or (self.memory_mb is not None and not CAN_LIMIT):
            raise NoProcessesError(alias, limit=os.name == "posix")
        if not self._app:
            raise NoAppPathError(alias)
        self._begin()

    def _begin(self) -> None:
        if self._slots:
            return
        self._inbox, self._lanes = SimpleQueue(), Lanes()
        self._slots = [Slot(self, number + 1, self._inbox) for number in range(self.max_workers)]
        for slot in self._slots:
            slot.thread.start()

    def birth(self) -> Birth:
        """Return what a child is told first."""
        return Birth(str(self._app), self.memory_mb, logging.getLogger().getEffectiveLevel(), os.getpid())

    def submit(self, claims: Sequence[Claim]) -> None:
        self._begin()
        for claim in claims:
            self._waiting[claim] = True
            self._lanes.put(claim)
            self._inbox.put(True)  # one for each: the slot that gets it takes the claim whose turn it is

    def free_slots(self) -> int:
        ready = sum(slot.is_ready for slot in self._slots)
        return max(0, ready - len(self._waiting) - len(self._running))

    def waiting(self) -> int:
        return len(self._waiting)

    def running(self) -> list[Claim]:
        return list(self._running)

    def take_back(self, claimed_before: float | None = None) -> list[Claim]:
        old = [c for c in list(self._waiting) if claimed_before is None or c.claimed_at < claimed_before]
        return [claim for claim in old if self._waiting.pop(claim, False)]

    def cancel(self, claim: Claim) -> None:
        """Kill the child that runs a claim, if one does."""
        slot = self._running.get(claim)
        if slot is not None:
            slot.kill_if_it_runs(claim)

    def shutdown(self, wait: bool = True) -> None:
        """End the children: each after the job that it runs (`wait`), or at once; such a job is not reported.

        When this returns, none of them runs.
        """
        slots, self._slots = self._slots, []
        for slot in slots:
            slot.stop(at_once=not wait)
        for slot in slots:
            slot.thread.join()

    def woken(self) -> None:
        """Have the loop look again: a child is ready."""
        if self._scheduler is not None and self._scheduler.running:
            self._scheduler.wakeup()

    def _do_submit_job(self, aps_job: Any, run_times: Any) -> None:
        raise NotImplementedError("Its children run the jobs of an app's scheduler. Give a stock one a 'processpool'.")

    # -- what a slot's thread calls ----------------------------------------------------------------

    def carry(self, slot: Slot, child: Child) -> None:
        """Have a child run the claim whose turn it is, if it waits still, and report how it ended."""
        claim = self._lanes.take()
        self._running[claim] = slot
        if not self._waiting.pop(claim, False):
            self._running.pop(claim, None)
            return
        result = self._result(claim, slot, child)
        if result is None:
            return  # it stays among those that run, so that the scheduler's end knows that it had started
        self._running.pop(claim, None)
        self._report(self.alias, claim, result)

    def _result(self, claim: Claim, slot: Slot, child: Child) -> Result | None:
        """Have the child run the claim; None where it was killed for this executor's end. Never raises."""
        began = self._elsewhere.now()
        try:
            return self._answered(claim, slot, child)
        except Exception as error:  # it said what is not understood, say; its job must not go on beside the next run
            child.kill()
            return broken_result(error, began, self._elsewhere.now())

    def _answered(self, claim: Claim, slot: Slot, child: Child) -> Result | None:
        admission = self._elsewhere.admit(claim)
        if admission.refused is not None:
            return admission.refused
        began = self._elsewhere.now()
        answer = child.run(claim, admission.module, lambda: self._tell_start(claim))
        if answer.how is How.ENDED and answer.message is not None:
            result = result_of(answer.message, began, self._elsewhere.now())
            with suppress(Exception):  # it is stored all the same, whatever its class raises: listeners do not get it
                result.returned = self._elsewhere.returned_of(result)
            self._tell_unknown(claim, result)
            return result
        if answer.how is How.UNWANTED:
            return Result(began, began, refusal=Refusal.NOT_STARTED, error=UNWANTED)
        if slot.is_stopped_at_once and answer.how is How.DIED:
            return None
        return self._killed(claim, child, answer, began)

    def _killed(self, claim: Claim, child: Child, answer: Answer, began: datetime) -> Result:
        why = child.why_it_ended()
        result = killed_result(claim, answer.how, why, began, self._elsewhere.now())
        if result.outcome is Outcome.ABANDONED:
            self.tell_death(child, why, claim.id)
        return result

    def _tell_start(self, claim: Claim) -> None:
        if signals.job_started.receivers:
            signals.job_started.send(
                self, job_id=claim.id, task=claim.task, attempt=claim.attempt + 1, queue=claim.queue
            )

    def _tell_unknown(self, claim: Claim, result: Result) -> None:
        """Say that a child knows less than this process: its app is another one, or is made in another way."""
        if result.refusal is Refusal.UNSERVED:
            error = UnknownInChildError(self.alias, str(self._app), claim.id, str(result.error))
            signals.scheduler_failed.send(self, error=error, retry_seconds=LOOK_SECONDS)

    def tell_death(self, child: Child, why: str, job_id: str | None = None) -> None:
        """Tell that a child died that nobody had killed, or told to end."""
        child.is_accounted_for = True
        signals.child_died.send(self, executor=self.alias, pid=child.pid, reason=why, job_id=job_id)

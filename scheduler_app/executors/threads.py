"""The thread executor: a fixed number of daemon threads that share one inbox, which takes from the queues in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from apscheduler.executors.base import run_job

from ..clock import host_now
from ..outcomes import Result
from ..store import Claim
from .base import DurableExecutor
from .lanes import Lanes
from .runner import broken_result


class ThreadExecutor(DurableExecutor):
    """Runs claims in up to `max_workers` threads of this process.

    Threads start when they are first needed, and are daemons: one that hangs in user code does not
    keep the process from ending. Under a stock APScheduler scheduler it runs stock jobs, as
    APScheduler's own thread pool does.
    """

    def __init__(self, max_workers: int = 10) -> None:
        super().__init__()
        self.max_workers = int(max_workers)
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lanes = Lanes()
        self._waiting: dict[Claim, bool] = {}
        self._running: dict[Claim, bool] = {}
        self._threads: list[Thread] = []

    # Both dicts change by single operations, which are atomic; whoever pops a claim from `_waiting` owns it. They are
    # keyed by the claim, not by its job: one that was taken back may still be in its lane when its job comes again.

    def submit(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._waiting[claim] = True
            self._lanes.put(claim)
            self._inbox.put(self._carry)  # one for each: whoever gets it takes the claim whose turn it is
        self._start_threads(len(self._waiting) + len(self._running))

    def free_slots(self) -> int:
        return max(0, self.max_workers - len(self._waiting) - len(self._running))

    def waiting(self) -> int:
        return len(self._waiting)

    def running(self) -> list[Claim]:
        return list(self._running)

    def take_back(self, claimed_before: float | None = None) -> list[Claim]:
        old = [c for c in list(self._waiting) if claimed_before is None or c.claimed_at < claimed_before]
        return [claim for claim in old if self._waiting.pop(claim, False)]

    def shutdown(self, wait: bool = True) -> None:
        """End the threads that are idle; one that still runs a job ends after it. Waits for them if asked to."""
        for _ in self._threads:
            self._inbox.put(None)
        if wait:
            for thread in self._threads:
                thread.join()
        self._threads = []

    def _start_threads(self, wanted: int) -> None:
        while len(self._threads) < min(wanted, self.max_workers):
            name = f"scheduler-{self.alias}-{len(self._threads) + 1}"
            thread = Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)  # only now: one that could not be started is no slot

    def _work(self) -> None:
        while (item := self._inbox.get()) is not None:
            try:
                item()
            except BaseException:  # whatever it was, the thread must live: it is one of the slots
                self._logger.exception("a thread of executor %r failed, and goes on", self.alias)

    def _carry(self) -> None:
        claim = self._lanes.take()
        self._running[claim] = True
        if not self._waiting.pop(claim, False):
            self._running.pop(claim, None)
            return
        result = self._result(claim)
        self._running.pop(claim, None)  # before it is reported: the loop, woken by that, then finds the slot free
        self._report(self.alias, claim, result)

    def _result(self, claim: Claim) -> Result:
        """Run the claim. Never raises: a thread that ended by that would leave its slot taken, and its job running."""
        began = host_now()
        try:
            return self._run(claim)
        except BaseException as error:  # nothing, if the runner keeps its promise
            return broken_result(error, began, host_now())

    def _do_submit_job(self, aps_job: Any, run_times: Sequence[datetime]) -> None:
        """Run a stock job of a stock scheduler."""
        self._inbox.put(partial(self._carry_stock, aps_job, run_times))
        self._start_threads(self.max_workers)

    def _carry_stock(self, aps_job: Any, run_times: Sequence[datetime]) -> None:
        try:
            events = run_job(aps_job, aps_job._jobstore_alias, run_times, self._logger.name)
        except BaseException as error:
            self._run_job_error(aps_job.id, error, error.__traceback__)
        else:
            self._run_job_success(aps_job.id, events)

"""`SCHEDULER_EAGER`: each call runs at once, in the thread that schedules it, by way of its row.

For tests and for trying things out. The call is checked, signed, stored, claimed, verified, decoded and run in an app
context, and its end is written, by the code that does so in production; only the waiting is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from flask import Flask

from ..client import Calls, Client, JobHandle, Limits
from ..client.client import Call, OnStored
from ..client.options import NONE, Options
from ..errors import EndlessError
from ..executors import Hooks, Runner
from ..jobs import JobState
from ..loop import Worker
from ..loop.events import Announcer
from ..loop.flight import Finished
from ..loop.hooking import ended_of
from ..loop.steps import settlement_of
from ..loop.turned import Turned
from ..outcomes import Result
from ..store import Claim, Connection, NewJob, Settlement, Store, claim, settle, workers
from .failures import Failures, is_abrupt

DEEPEST = 30
"""How many jobs may run inside one another; Python's own limit is not far beyond."""

__tracebackhide__ = True  # for pytest: a traceback goes from the line that schedules to the job's
_log = logging.getLogger("scheduler_app")


class EagerClient(Client):
    """Runs each job as soon as it is committed, whatever its time; raises what its function raised in the end.

    One that joined the caller's transaction runs after its commit, which nothing that it raises can undo: that is
    logged.
    """

    def __init__(self, store: Store, calls: Calls, limits: Limits, eager: Eager) -> None:
        super().__init__(store, calls, limits, lambda _seconds: None)
        self._eager = eager

    def _store_one(self, new: NewJob, options: Options, on_stored: OnStored | None = None) -> JobHandle:
        handle = super()._store_one(new, options, on_stored)
        return handle if options.session else handle.refresh()

    def after_response(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options = NONE
    ) -> JobHandle:
        """Run a call now, as any other: there is no loop that could wait for the response."""
        return self.schedule_after(0, function, args, kwargs, replace(options, even_on_error=False))

    def schedule_many(self, calls: Iterable[Call], options: Options = NONE) -> list[JobHandle]:
        """Store the calls in one transaction, then run them, in their order."""
        handles = super().schedule_many(calls, options)
        return handles if options.session else [handle.refresh() for handle in handles]

    def _told(self, new: Sequence[NewJob]) -> None:
        super()._told(new)
        self._eager.run([job.id for job in new])


class Eager:
    """Claims a job by its id, runs it, and writes its end; a retry follows at once. Safe from any thread."""

    def __init__(
        self,
        app: Flask,
        store: Store,
        make_runner: Callable[[], Runner],
        make_worker: Callable[[], Worker],
        handle_of: Callable[[str], JobHandle],
    ) -> None:
        self._app, self._store = app, store
        self._make_runner, self._make_worker = make_runner, make_worker
        self._handle_of = handle_of
        self._announcer = Announcer(lambda _event: None, lambda: False, lambda _ids: {})
        self._announcer.at_once = True
        self._running: list[str] = []
        """The tasks that run now: one inside another, but for those of other threads."""
        self._told = False

    def run(self, ids: Iterable[str]) -> None:
        """Run jobs, all of them; then raise what went wrong. One that another process has claimed is left to it."""
        self._tell_once()
        failures = Failures()
        for job_id in ids:
            self._check_depth()
            last = self._run_one(job_id)
            if last is not None:
                failures.note(last)
        failures.raise_any()

    def _tell_once(self) -> None:
        if not (self._told or self._app.testing or self._app.debug):
            _log.warning("SCHEDULER_EAGER is on: calls run at once, in the thread that schedules them; it is for tests")
        self._told = True

    def _check_depth(self) -> None:
        if len(self._running) >= DEEPEST:
            raise EndlessError(
                "SCHEDULER_EAGER", len(self._running), self._running[-1],
                "Each runs inside the one that scheduled it, so that a task that schedules itself never ends: test it"
                " without SCHEDULER_EAGER, by scheduler_clock.advance().",
            )  # fmt: skip

    def _run_one(self, job_id: str) -> Settlement | None:
        """Run a job until it has finished; return how its last attempt ended."""
        last = None
        while (held := self._claim(job_id)) is not None:
            taken, worker = held
            self._running.append(taken.task)
            try:
                result = self._make_runner().run(taken)
            finally:
                self._running.remove(taken.task)
            last = self._settle(taken, result, worker)
            if last.transition.released or last.transition.state is not JobState.SCHEDULED or is_abrupt(result):
                break
        return last

    def _claim(self, job_id: str) -> tuple[Claim, Worker] | None:
        """Take a job under a worker's row of its own: so that it is rescued if this process is killed meanwhile."""
        worker = self._make_worker()

        def take(connection: Connection) -> Claim | None:
            now = self._store.clock.now()
            worker.be_reborn(now)
            taken = claim.take_if_scheduled(connection, self._store.dialect, job_id, worker.id, now)
            if taken is not None:
                workers.register_if_absent(connection, self._store.dialect, worker.row(now, ()))
            return taken

        taken = self._store.write(take)
        return None if taken is None else (taken, worker)

    def _settle(self, taken: Claim, result: Result, worker: Worker) -> Settlement:
        now = self._store.clock.now()
        settlement = settlement_of(Finished("eager", taken, result, 0.0), now, max_crashes=1)

        def write(connection: Connection) -> list[Settlement]:
            stale = settle.settle_if_held(connection, self._store.dialect, [settlement], worker.id, now)
            workers.remove(connection, worker.id)
            return stale

        stale = self._store.write(write)
        self._announcer.tell(Turned(superseded=stale) if stale else Turned(settled=[settlement]))
        if not stale:
            runner = self._make_runner()
            Hooks(runner, runner.registry, self._handle_of).call(ended_of(settlement))
        return settlement

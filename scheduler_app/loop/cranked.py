"""`CrankedScheduler`: the loop without any thread, for tests. Whoever calls `crank` is the loop, and runs the jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from apscheduler.job import Job
from apscheduler.schedulers.base import BaseScheduler

from .. import signals
from ..clock import lasting
from ..executors import InlineExecutor
from ..outcomes import Result
from ..store import Claim
from .hosted import HostedScheduler
from .scheduler import DurableScheduler
from .turned import Turned


class CrankedScheduler(HostedScheduler):
    """Does the turns of a `DurableScheduler` in the caller's thread, and runs there what they claim.

    Claims, fences, runner, retries and settlements are those of production. What its threads do there is done
    here by `beat` (the heartbeat), by `crank` (the loop) and within it (listeners); nothing wakes it. An error of the
    database is raised, where production tries again at the next turn.
    """

    _last: Turned

    def _start_threads(self, paused: bool) -> None:
        self._announcer.at_once = self._hooking.at_once = True
        BaseScheduler.start(self, paused=paused)
        signals.job_cancelled.connect(self._on_cancelled)
        self.beat()

    def _end_threads(self) -> None:
        signals.job_cancelled.disconnect(self._on_cancelled)
        BaseScheduler.shutdown(self, wait=False)

    def adopt(self, other: DurableScheduler) -> None:
        """Take over what was added to another scheduler before its start: jobs that wait for it, and listeners."""
        for aps_job, alias, replace_existing in [*other._tentative, *other._pending_jobs]:
            copy = Job.__new__(Job)
            for name in filter(partial(hasattr, aps_job), Job.__slots__):
                if name != "__weakref__":
                    setattr(copy, name, getattr(aps_job, name))
            copy._scheduler = self
            self._pending_jobs.append((copy, alias, replace_existing))
        self._listeners += other._listeners

    def beat(self) -> None:
        """Show that this worker lives, and have what it could not run tried again."""
        self._unserved.forget()
        self._heartbeat.beat()

    def is_healthy(self) -> bool:
        """Whether it runs: no thread of it can have died."""
        return bool(self.running)

    def crank(self) -> Turned:
        """Do one turn and run what it claimed, at most one job of each executor; return what the turn did."""
        turned = self.turn()
        for executor in self._executors.values():
            if isinstance(executor, InlineExecutor):
                executor.run_waiting()
        return turned

    def crank_until_idle(self) -> Iterator[Turned]:
        """Crank until nothing more is due now; yield what each turn did."""
        while (turned := self.crank()).has_news or self._flight.has_unwritten():
            yield turned

    def turn(self) -> Turned:
        """Do one turn, with a lease that holds; return what it did."""
        self.worker.renewed_at = lasting()
        for alias in self._executors:
            self._flight.stall(alias)  # nothing is claimed ahead of its slot: so jobs start one by one
        self._last = Turned()
        self._one_turn()
        return self._last

    @property
    def next_instant(self) -> datetime | None:
        """When the next job or schedule is due, as the last turn saw it; None where none is."""
        return self._turn.expected

    def _note(self, turned: Turned) -> None:
        self._last = turned
        super()._note(turned)

    def _try_once(self, store_it: Callable[[], None], what: str) -> None:
        """Store something of this process's own; unlike in production, what cannot be stored is raised."""
        store_it()

    def _report(self, alias: str, claim: Claim, result: Result) -> None:
        """Remember an end. What is no mere error (Ctrl-C, `SystemExit`, pytest's own) also ends the crank at once."""
        super()._report(alias, claim, result)
        if result.exception is not None and not isinstance(result.exception, Exception):
            raise result.exception

    def _on_cancelled(self, _sender: Any, *, job_id: str, **_: Any) -> None:
        """Tell a running job at once that it was asked to stop: no other thread could look for that meanwhile."""
        held = self._flight.claims.get(job_id)
        if held is not None:
            held.cancelled = True

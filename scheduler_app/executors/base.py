"""What every executor promises, and how it is told what to run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from apscheduler.executors.base import BaseExecutor

from ..outcomes import Result
from ..store import Claim

Run = Callable[[Claim], Result]
Report = Callable[[str, Claim, Result], None]


class DurableExecutor(BaseExecutor):
    """Carries claimed jobs to where they run, and reports how each one ended.

    Invariants, checked by one conformance suite: a claim that was submitted is either reported
    exactly once or handed out by `take_back`, never both; `submit` does not block and runs no
    user code itself; nothing is stored here, so a killed process loses nothing but time.
    The loop's thread submits; `take_back` is also called by the heartbeat, when its worker was
    declared dead, and by whoever shuts the scheduler down.
    """

    _run: Run
    _report: Report
    alias = "default"

    def start(self, scheduler: object, alias: str) -> None:
        super().start(scheduler, alias)
        self.alias = alias

    def bind(self, run: Run, report: Report) -> None:
        """Say what runs a claim, and who hears of its end. Called before the first `submit`."""
        self._run, self._report = run, report

    @abstractmethod
    def submit(self, claims: Sequence[Claim]) -> None:
        """Take claims; each starts as soon as a slot is free, in this order.

        If it raises, it has taken the claims all the same: what cannot start is handed out by `take_back`.
        """

    @abstractmethod
    def free_slots(self) -> int:
        """Return how many more claims would start at once."""

    @abstractmethod
    def waiting(self) -> int:
        """Return how many claims were submitted and have not started."""

    @abstractmethod
    def running(self) -> list[Claim]:
        """Return the claims that have started and not ended."""

    @abstractmethod
    def take_back(self, claimed_before: float | None = None) -> list[Claim]:
        """Hand out claims that have not started: all, or those claimed before a monotonic instant."""

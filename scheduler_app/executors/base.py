"""What every executor promises, and how it is told what to run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from apscheduler.executors.base import BaseExecutor

from ..outcomes import Result
from ..store import Claim

Run = Callable[[Claim], Result]
Report = Callable[[str, Claim, Result], None]


class Admission(NamedTuple):
    """Whether a claim may run in another process now; its timeout is known from here on."""

    refused: Result | None = None
    module: str | None = None
    """The module whose import registers the task."""


class Elsewhere(Protocol):
    """What must be asked here of a claim that is run in another process."""

    def admit(self, claim: Claim) -> Admission:
        """Check what can be checked before the claim is handed on: the lease, the signature, the task."""
        ...

    def now(self) -> datetime:
        """Return the store's time, without asking the database."""
        ...

    def returned_of(self, result: Result) -> Any:
        """Return what the function returned, read from its stored form. Raises `ResultError`."""
        ...


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
    _elsewhere: Elsewhere
    alias = "default"

    def start(self, scheduler: object, alias: str) -> None:
        super().start(scheduler, alias)
        self.alias = alias

    def bind(self, run: Run, report: Report, elsewhere: Elsewhere | None = None) -> None:
        """Say what runs a claim, and who hears of its end. Called before the first `submit`.

        `elsewhere` is what an executor asks that runs claims in another process.
        """
        self._run, self._report = run, report
        if elsewhere is not None:
            self._elsewhere = elsewhere

    @abstractmethod
    def submit(self, claims: Sequence[Claim]) -> None:
        """Take claims; each starts as soon as a slot is free: those of one queue in this order, and the queues in turn.

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

    def cancel(self, claim: Claim) -> None:
        """Stop a claim that runs here and whose cancellation was asked for, where that can be done from outside.

        `claim.cancelled` is set by then, which is all that a function in a thread of this process can be told.
        """

    @abstractmethod
    def take_back(self, claimed_before: float | None = None) -> list[Claim]:
        """Hand out claims that have not started: all, or those claimed before a monotonic instant."""

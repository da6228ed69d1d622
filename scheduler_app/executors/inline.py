"""The inline executor, for tests: runs claims in the thread that asks for it, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..store import Claim
from .base import DurableExecutor


class InlineExecutor(DurableExecutor):
    """Has one slot and no thread: what was submitted waits until `run_waiting` is called."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Claim] = []
        self._running: list[Claim] = []

    def submit(self, claims: Sequence[Claim]) -> None:
        self._waiting += claims

    def free_slots(self) -> int:
        return max(0, 1 - len(self._waiting) - len(self._running))

    def waiting(self) -> int:
        return len(self._waiting)

    def running(self) -> list[Claim]:
        return list(self._running)

    def take_back(self, claimed_before: float | None = None) -> list[Claim]:
        old = [c for c in self._waiting if claimed_before is None or c.claimed_at < claimed_before]
        self._waiting = [c for c in self._waiting if c not in old]
        return old

    def run_waiting(self) -> None:
        """Run what was submitted, in that order, and report how each ended."""
        while self._waiting:
            claim = self._waiting.pop(0)
            self._running.append(claim)
            result = self._run(claim)
            self._running.remove(claim)
            self._report(self.alias, claim, result)

    def shutdown(self, wait: bool = True) -> None:
        """There is no thread to end."""

    def _do_submit_job(self, aps_job: Any, run_times: Any) -> None:
        raise NotImplementedError("An inline executor runs the jobs of a cranked scheduler only.")

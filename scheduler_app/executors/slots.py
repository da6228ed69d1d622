"""A slot of the executor of processes: a thread, and the child that it keeps."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Protocol

from .. import signals
from ..clock import monotonic
from ..store import Claim
from .children import LOOK_SECONDS, Child
from .wire import Birth

BOOT_SECONDS = 120.0
"""How long a child may take to make the app."""

LONGEST_REST = 30.0
"""How long it rests, at most, between children that cannot make the app."""


class Owner(Protocol):
    """The executor, as its slots see it."""

    alias: str
    max_jobs_per_process: int | None

    def birth(self) -> Birth:
        """Return what a child is told first."""
        ...

    def carry(self, slot: Slot, child: Child) -> None:
        """Have a child run the claim whose turn it is, if it waits still, and report how it ended."""
        ...

    def woken(self) -> None:
        """Have the loop look again: a child is ready."""
        ...

    def tell_death(self, child: Child, why: str) -> None:
        """Tell that a child died that nobody had killed, or told to end."""
        ...


class Slot:
    """A thread that keeps one child, hands it one claim after another, and makes another when it is gone."""

    def __init__(self, executor: Owner, number: int, inbox: SimpleQueue[bool]) -> None:
        self._executor, self._inbox = executor, inbox
        self.thread = Thread(target=self._main, name=f"scheduler-{executor.alias}-{number}", daemon=True)
        self._child: Child | None = None
        self.is_ready = False
        """Whether its child can run a claim, or does."""
        self._stopping = Event()
        self.is_stopped_at_once = False
        self._rest = 0.0

    def stop(self, *, at_once: bool) -> None:
        """Have the thread end: after the claim that it carries, or at once, by a kill."""
        self.is_stopped_at_once = at_once
        self._stopping.set()
        self._inbox.put(False)
        child = self._child
        if child is not None and at_once:
            child.close()
        if child is not None and not self.is_ready:
            child.kill()

    def kill_if_it_runs(self, claim: Claim) -> None:
        """Kill the child if it runs this claim."""
        child = self._child
        if child is not None:
            child.kill_if_it_runs(claim)

    def _main(self) -> None:
        try:
            while (child := self._ready_child()) is not None:
                self._serve(child)
        finally:
            self._let_go()

    def _serve(self, child: Child) -> None:
        """Have the child run the next claim, or listen to it while there is none; replace it if that fails."""
        try:
            if self._is_next():
                self._executor.carry(self, child)
            else:
                child.listen()
        except Exception as error:  # whatever it was, the thread must live: it is one of the slots
            child.kill()
            self._tell_failure(f"{type(error).__name__}: {error}", 0.0, 0.0)

    def _is_next(self) -> bool:
        """Wait a while for a claim; whether this slot is to take one."""
        try:
            return self._inbox.get(timeout=LOOK_SECONDS)
        except Empty:
            return False

    # -- the child ---------------------------------------------------------------------------------

    def _ready_child(self) -> Child | None:
        """Return the child, replaced if it is gone or has run enough; None when the thread is to end."""
        while not self._stopping.is_set():
            if self._child is not None and self.is_ready and not self._is_over(self._child):
                return self._child
            self._let_go()
            self._make()
        return None

    def _is_over(self, child: Child) -> bool:
        most = self._executor.max_jobs_per_process
        return child.is_spent or not child.is_alive() or (most is not None and child.count >= most)

    def _make(self) -> None:
        """Make a child and wait until it is ready; where that fails, tell it, and rest a while."""
        started = monotonic()
        hindrance = self._hindrance()
        if hindrance is None:
            self.is_ready, self._rest = True, 0.0
            self._executor.woken()
        elif not self._stopping.is_set():
            self._rest = min(LONGEST_REST, self._rest * 2 or 1.0)
            self._tell_failure(hindrance, monotonic() - started, self._rest)
            self._let_go()
            self._stopping.wait(self._rest)

    def _tell_failure(self, reason: str, seconds: float, rest: float) -> None:
        signals.child_failed.send(
            self._executor, executor=self._executor.alias, reason=reason, seconds=seconds, retry_seconds=rest
        )

    def _hindrance(self) -> str | None:
        """Make a child; return what hindered it, or None once it is ready."""
        try:
            child = self._child = Child(self._executor.birth())
        except OSError as error:  # the system has no room for another process now
            return f"{type(error).__name__}: {error}"
        return "it is to end" if self._stopping.is_set() else child.wait_until_ready(BOOT_SECONDS)

    def _let_go(self) -> None:
        """End the child, if there is one, as far as it has not ended by itself."""
        child, was_ready = self._child, self.is_ready
        self.is_ready = False
        if child is None:
            return
        if not child.is_alive():
            if was_ready and not child.is_accounted_for:
                self._executor.tell_death(child, child.why_it_ended())
            child.forget()
        elif was_ready:
            child.end()
        else:
            child.kill()
            child.forget()
        self._child = None

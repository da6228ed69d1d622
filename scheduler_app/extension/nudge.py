"""Telling loops of new work: this process's by an event, other processes' by a notification, at most 20 a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread, Timer, current_thread

from .. import signals
from ..clock import monotonic
from ..errors import SchedulerError
from ..loop import DurableScheduler
from ..store import Store

APART_SECONDS = 0.05
FLUSH_SECONDS = 10.0
"""How long an end waits, at most, for a notification that is being sent."""


class Nudge:
    """Called with how soon new work is due, after its commit. A hint only: every loop polls anyway."""

    def __init__(self, store: Store, poll_seconds: float, loop: Callable[[], DurableScheduler | None]) -> None:
        self._store, self._poll_seconds, self._loop = store, poll_seconds, loop
        self._lock = Lock()
        self._last = float("-inf")
        self._later: Timer | None = None
        self._sending: set[Thread] = set()
        """The threads that send what was put off, at this moment."""

    def __call__(self, seconds: float) -> None:
        """Wake this process's loop if that is earlier than what it waits for; tell others if it is due soon."""
        loop = self._loop()
        if loop is not None and loop.running:
            loop.wake_for(seconds)
            if loop.has_room():
                return
        if self._store.dialect.notifies and seconds <= self._poll_seconds:
            self._notify_soon()

    def _notify_soon(self) -> None:
        with self._lock:
            wait = self._last + APART_SECONDS - monotonic()
            if wait > 0:
                self._put_off(wait)
                return
            self._last = monotonic()
        self._notify()

    def _put_off(self, wait: float) -> None:
        if self._later is None or not self._later.is_alive():
            later = Timer(wait, self._notify_late)
            later.daemon = True
            with suppress(RuntimeError):  # no thread can be started now: the work is stored, and others poll for it
                later.start()
                self._later = later

    def _notify_late(self) -> None:
        own = current_thread()
        with self._lock:
            if self._later is not own:
                return  # flushed meanwhile
            self._last = monotonic()
            self._later = None  # before it is sent: what is stored from here on has another one sent
            self._sending.add(own)
        try:
            self._notify()
        finally:
            with self._lock:
                self._sending.discard(own)

    def forget_parent(self) -> None:
        """In a forked child: what was put off is the parent's to send, and a copied lock may be held by nobody here."""
        self._lock = Lock()
        self._later = None
        self._sending = set()

    def flush(self) -> None:
        """Send what was put off, because this process or its loop ends before its time; nothing is sent later."""
        with self._lock:
            later, self._later = self._later, None
            sending = [*self._sending]
        if later is not None:
            later.cancel()
            self._notify()
        for thread in sending:
            if thread is not current_thread():
                thread.join(timeout=FLUSH_SECONDS)

    def _notify(self) -> None:
        try:
            self._store.notify()
        except (SchedulerError, *self._store.errors) as error:  # the work is stored; other processes poll for it
            signals.scheduler_failed.send(self, error=error, retry_seconds=self._poll_seconds)

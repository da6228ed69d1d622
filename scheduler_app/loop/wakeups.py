"""Wake-ups: hearing sooner than the next poll that another process scheduled something, and telling others."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from .. import signals
from ..store import Store
from ..store.dialect import Watcher

RECONNECT_SECONDS = 1.0
LISTEN_SECONDS = 30.0
"""A wait ends sooner by a write, by the end of the connection, and by `stop`."""


class Listening:
    """A thread that waits for other processes' writes and wakes the loop. Polling stays the truth."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store, self._wake = store, wake
        self._stopping = Event()
        self._thread: Thread | None = None
        self._watcher: Watcher | None = None

    def start(self) -> None:
        """Start the thread."""
        self._stopping.clear()
        self._thread = Thread(target=self._main, name="scheduler-wakeups", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        watcher = self._watcher
        if watcher is not None:
            watcher.interrupt()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _main(self) -> None:
        while not self._stopping.is_set():
            try:
                self._store.ensure_ready()
                self._listen(self._store.dialect.watch(self._store.engine))
            except Exception as error:  # the connection broke; the loop polls on, and this thread connects anew
                signals.scheduler_failed.send(self, error=error, retry_seconds=RECONNECT_SECONDS)
                self._stopping.wait(RECONNECT_SECONDS)

    def _listen(self, watcher: Watcher) -> None:
        self._watcher = watcher  # before the first look at what stops it
        try:
            self._wake()
            while not self._stopping.is_set():
                if watcher.wait(LISTEN_SECONDS):
                    self._wake()
        finally:
            self._watcher = None
            watcher.close()

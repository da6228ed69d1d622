"""The heartbeat: renews this worker's lease, sweeps for dead ones, and watches over the loop's thread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import inf
from threading import Event, Thread

from .. import signals
from ..clock import lasting, monotonic
from ..store import Store, workers
from ..tasks import TaskRegistry
from .rescuer import Rescuer
from .unserved import UnservedJobs
from .worker import Worker

SWEEP_SECONDS = 1.0
"""How often the other workers of this host are looked at; a dead sibling's jobs wait no longer than this."""


class Heartbeat:
    """A thread that beats, sweeps and watches, and touches no job that is alive."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        registry: TaskRegistry,
        rescuer: Rescuer,
        unserved: UnservedJobs,
        *,
        seconds: float,
        on_beat: Callable[[], None],
        on_reborn: Callable[[], None],
        on_rescued: Callable[[], None],
        watch: Callable[[], None],
        is_draining: Callable[[], bool],
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._worker, self._registry = store, worker, registry
        self._rescuer, self._unserved = rescuer, unserved
        self._seconds = seconds
        self._on_beat, self._on_reborn, self._on_rescued, self._watch = on_beat, on_reborn, on_rescued, watch
        self._is_draining, self._is_paused = is_draining, is_paused
        self._stopping = Event()
        self._thread: Thread | None = None
        self._beat_due = 0.0
        self.has_swept = False
        """Whether it has looked after the others once: whose process is gone on this host has been found by then."""

    def start(self) -> None:
        """Start the thread; its first act is to register the worker and to sweep."""
        self._stopping.clear()
        self._thread = Thread(target=self._main, name="scheduler-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def hasten(self) -> None:
        """Have the next beat come with the next sweep: the worker's state has changed."""
        self._beat_due = 0.0

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _main(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
                self._tick()
            except Exception as error:  # a database that is away now may be back at the next beat
                signals.scheduler_failed.send(self, error=error, retry_seconds=min(SWEEP_SECONDS, self._seconds))
            self._stopping.wait(min(SWEEP_SECONDS, self._seconds))

    def _tick(self) -> None:
        if monotonic() >= self._beat_due or not self._worker.registered:
            self._beat_due = inf  # unless it is hastened meanwhile
            try:
                self.beat()
            except BaseException:
                self._beat_due = 0.0
                raise
            self._beat_due = min(self._beat_due, monotonic() + self._seconds)
        if self._rescuer.sweep(self._worker.id):
            self._on_rescued()
        self.has_swept = True

    def beat(self) -> None:
        """Renew the lease, registering the worker (anew) where it has no row; then look after what nobody serves.

        In this order: whatever stands in others' rows, or happens in a module that is imported because one of them asks
        for it, the lease is renewed by then.
        """
        begun = lasting()
        self._store.clock.synchronize()
        now = self._store.clock.now()
        if not self._worker.registered:
            self._register(now)
        elif not self._renew(now):
            self._worker.be_reborn(now)
            self._register(now)
            self._on_reborn()
        self._worker.renewed_at = begun
        self._look_after(now)
        self._on_beat()

    def _look_after(self, now: datetime) -> None:
        try:
            self._unserved.learn_what_others_ask()
            self._unserved.look_after(now)
        except (
            Exception
        ) as error:  # whatever others' rows hold, or a module raises: the dead are looked for all the same
            signals.scheduler_failed.send(self, error=error, retry_seconds=self._seconds)

    def _register(self, now: datetime) -> None:
        row = self._worker.row(now, self._task_names()) | {"state": self._state()}
        self._store.write(lambda connection: workers.register_if_absent(connection, self._store.dialect, row))
        self._worker.registered = True

    def _renew(self, now: datetime) -> bool:
        tasks = self._worker.tasks_text(self._task_names())
        return self._store.write(
            lambda connection: workers.beat_if_registered(connection, self._worker.id, now, self._state(), tasks)
        )

    def _state(self) -> str:
        if self._is_draining():
            return "draining"
        return "paused" if self._is_paused() else "running"

    def _task_names(self) -> list[str]:
        """Return the names of the tasks that are known here, and those that this worker asks the others for."""
        return [*self._registry.names(), *(workers.ASKED + task for task in self._unserved.current().tasks)]

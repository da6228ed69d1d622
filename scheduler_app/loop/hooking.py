"""A thread that calls the hooks of tasks, so that one that hangs delays other hooks and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread, current_thread

from .. import signals
from ..executors import Ended, Hooks
from ..jobs import JobState
from ..store import Settlement
from ..store.workers import Rescued
from .turned import Turned

PATIENCE = 10.0
"""For how many seconds the end of a process waits for hooks that are due."""

_ENDS = (JobState.SUCCEEDED, JobState.FAILED)


class Hooking:
    """Hears of the ends that were committed, and has the hooks of their tasks called, one after the other."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self.at_once = False
        """Whether hooks are called by the thread that tells of an end: where no other is to be started."""
        self._inbox: SimpleQueue[Ended | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._starting = Lock()

    def tell(self, turned: Turned) -> None:
        """Hear of what a turn has settled."""
        self._take(ended_of(settlement) for settlement in turned.settled if settlement.transition.state in _ENDS)

    def tell_rescued(self, rescued: Iterable[Rescued]) -> None:
        """Hear of jobs that were taken back from a worker that died or stopped: some of them have failed by that."""
        self._take(Ended(one.job_id, one.task, one.state, one.error) for one in rescued if one.state in _ENDS)

    def stop(self) -> None:
        """Have the hooks called that are due, then end the thread."""
        self._inbox.put(None)
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(timeout=PATIENCE)

    def _take(self, ends: Iterable[Ended]) -> None:
        for ended in ends:
            if not self._hooks.wants(ended):
                continue
            if self.at_once:
                self._hooks.call(ended)
            else:
                self._inbox.put(ended)
                self._start()

    def _start(self) -> None:
        """Start the thread at the first hook (most apps have none), and anew where it could not be started, or died."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                thread = Thread(target=self._main, name="scheduler-hooks", daemon=True)
                with suppress(RuntimeError):  # no thread can be started now: the hook waits for the next end
                    thread.start()
                    self._thread = thread

    def _main(self) -> None:
        while (ended := self._inbox.get()) is not None:
            try:
                self._hooks.call(ended)
            except BaseException as error:  # of what is around the hook: the thread must live, for those of others
                signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)


def ended_of(settlement: Settlement) -> Ended:
    """Return an end as hooks hear of it."""
    claim, transition, result = settlement.claim, settlement.transition, settlement.result
    return Ended(claim.id, claim.task, transition.state, transition.error or result.error, result)

"""`HostedScheduler`: the `DurableScheduler` of an app, which another library may configure, start and ask.

Flask-APScheduler starts what it is given wherever the app is made: in a reloader's or arbiter's parent, in a shell, in
every command. Under such a library `start` is therefore no more than a wish, which a governor answers: the loop runs
where this package's rules say, and elsewhere the scheduler is only open. Then its verbs read and write the store, and
no job runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import tzinfo
from typing import Any

from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED

from ..errors import ForeignPartError
from ..serving import is_handed_jobs
from ..tasks import main_name
from .pace import Pace
from .scheduler import DurableScheduler
from .worker import Worker


class HostedScheduler(DurableScheduler):
    """A `DurableScheduler` that outlives a fork, and that runs its loop where its host lets it."""

    def __init__(
        self,
        *parts: Any,
        timezone: tzinfo,
        reshape: Callable[[Any], dict[str, int]],
        on_configured: Callable[[HostedScheduler], None],
        **more: Any,
    ) -> None:
        self._zone, self._reshape, self._on_configured = timezone, reshape, on_configured
        self.governor: Callable[[], None] | None = None
        """Called by `start`, in its stead: it lets the loop run where that is right."""
        self.declared: Collection[str] = ()
        """Ids of jobs that the configuration declares: at each start they are as it says, whatever was stored."""
        self._wish: bool | None = None
        """Whether it is to be paused, once `start` was called under a governor."""
        self._is_open = False
        super().__init__(*parts, timezone=timezone, **more)

    @property
    def looping(self) -> bool:
        """Whether jobs may run here: the loop was started, and has not ended."""
        return self.running and not self._is_open

    # -- configuring -------------------------------------------------------------------------------

    def _configure(self, config: dict[str, Any]) -> None:
        """Read APScheduler's executors as ours, and keep the app's time zone unless another is given.

        Raises `ForeignPartError` for a job store beside ours, and `ConfigurationError` for what cannot be read.
        """
        _refuse_stores(config.get("jobstores"))
        if config.get("executors"):
            self.worker.executors = self._reshape(config["executors"])
        super()._configure({**config, "timezone": config.get("timezone") or self._zone})
        self._on_configured(self)

    def narrow(self, worker: Worker, pace: Pace) -> None:
        """Become another worker, with executors of other sizes, before the start."""
        self.worker, self._pace = worker, pace
        with self._executors_lock:
            self._executors.clear()
            for alias, executor in self._make_executors().items():
                self.add_executor(executor, alias)

    def forget_parent(self) -> None:
        """In a forked child where no loop was copied along: take new locks, since nobody would release the old ones."""
        self._executors_lock, self._jobstores_lock = self._create_lock(), self._create_lock()
        self._listeners_lock = self._create_lock()
        if self._is_open:
            self._assemble()

    # -- functions by their path -------------------------------------------------------------------

    def add_job(self, func: Any, *args: Any, **options: Any) -> Any:
        """Add a job. A path into the file that the program was started by leads there, not to a second import of it."""
        return super().add_job(_without_second_import(func), *args, **options)

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Any:
        """Change a job. A function is found as by `add_job`."""
        if "func" in changes:
            changes["func"] = _without_second_import(changes["func"])
        return super().modify_job(job_id, jobstore, **changes)

    # -- starting and stopping ---------------------------------------------------------------------

    def start(self, paused: bool = False) -> None:
        """Run jobs here from now on; under a governor: wherever this package's rules let them run.

        What is added before the loop runs, or the scheduler is open, waits for that in memory.
        """
        if self.governor is None:
            self.run_loop(paused)
            return
        if self.running and self._wish is not None:
            raise SchedulerAlreadyRunningError
        self._wish = paused
        if not self.looping:
            self.governor()
        elif paused:
            self.pause()

    def open(self) -> None:
        """Have the verbs work on the store from now on, if `start` was called. Connects nowhere and runs no job."""
        with self._jobstores_lock:
            if self._wish is None or self.running:
                return
            self._assemble()
            for alias, store in self._jobstores.items():
                store.start(self, alias)
            self._is_open = True
            self.state = STATE_PAUSED if self._wish else STATE_RUNNING

    def run_loop(self, paused: bool | None = None) -> None:
        """Start the loop in this process; None: paused if it was wished so, or is.

        Where an executor made this process to run its jobs, it does nothing: whatever the app's code asks for.
        """
        if is_handed_jobs():
            return
        with self._executors_lock, self._jobstores_lock:
            if self.looping:
                raise SchedulerAlreadyRunningError
            if self._is_open:
                self._wish, self._is_open, self.state = self.state == STATE_PAUSED, False, STATE_STOPPED
            self._pending_jobs = [
                (aps_job, alias, replace or aps_job.id in self.declared)
                for aps_job, alias, replace in self._pending_jobs
            ]
            super().start(paused=bool(self._wish) if paused is None else paused)

    def pause(self) -> None:
        """Start nothing more in this process."""
        if not self._is_only_wished(paused=True):
            super().pause()

    def resume(self) -> None:
        """Undo a pause."""
        if not self._is_only_wished(paused=False):
            super().resume()

    def _is_only_wished(self, *, paused: bool) -> bool:
        """Note a pause or its end for later, and answer whether that is all there is to do."""
        if self._wish is None or self.running:
            return False
        self._wish = paused
        return True

    def shutdown(self, wait: bool = True, *, exiting: bool = False) -> int:
        """End as `DurableScheduler` does; one that was only open is closed, and a wish taken back."""
        wished, self._wish = self._wish is not None, None
        if self.looping or not wished:
            return super().shutdown(wait, exiting=exiting)
        with self._jobstores_lock:
            self._is_open, self.state = False, STATE_STOPPED
        return 0


def _without_second_import(func: Any) -> Any:
    """Return "__main__:name" for a path into the main file, which a second import would run again, app and all."""
    module, colon, name = func.partition(":") if isinstance(func, str) else ("", "", "")
    return f"__main__:{name}" if colon and module == main_name() else func


def _refuse_stores(stores: Any) -> None:
    """Refuse job stores but the default one, in whose place ours always stands."""
    for alias, given in stores.items() if isinstance(stores, Mapping) else ():
        if alias != "default":
            kind = str(given.get("type") or given.get("class")) if isinstance(given, Mapping) else given
            raise ForeignPartError("job store", alias, kind, "Its one job store is set by SCHEDULER_DATABASE_URL.")

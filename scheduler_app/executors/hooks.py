"""A task's `on_success` and `on_failure`: called once its job has ended for good, and that is stored."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import signals
from ..errors import JobFailedError, UnknownTaskError
from ..jobs import JobState
from ..outcomes import Result
from ..payload import Scrub, as_it_is
from ..tasks import Task, TaskRegistry
from .runner import Runner, storable

MOST_CHARS = 20_000
"""Of a hook's traceback that is logged."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended for good; `result` is what the runner saw, None where its worker died or stopped."""

    job_id: str
    task: str
    state: JobState
    error: str | None = None
    result: Result | None = None


@dataclass(frozen=True)
class Hooks:
    """Calls the hooks of tasks, in an app context, with what travelled with the call. Touches no job.

    It raises nothing but what is the process's own (`signals.is_of_the_process`), and that in the main thread only.
    A hook is called at most once for each end: a process that is killed between the commit and the hook loses it.
    """

    runner: Runner
    registry: TaskRegistry
    handle_of: Callable[[str], Any]
    """Gives a job's handle, by its id."""

    def wants(self, ended: Ended) -> bool:
        """Whether the job's task has a hook for this end."""
        return self._hook(ended) is not None

    def call(self, ended: Ended) -> None:
        """Call the hook, if there is one. What it raises is told by the signal `hook_failed`, and that is all."""
        hook = self._hook(ended)
        if hook is None:
            return
        scrub: Scrub = as_it_is
        name = "on_success" if ended.state is JobState.SUCCEEDED else "on_failure"
        try:
            job = self.handle_of(ended.job_id)
            scrub = self.runner.scrubber_for(job.job)
            self.runner.call_hook(hook, job.job, (job, self._argument(ended)))
        except BaseException as error:  # a hook is the app's own code, and may raise anything
            if signals.is_of_the_process(error):
                raise
            said = storable(scrub("".join(traceback.format_exception(error))), MOST_CHARS)
            signals.hook_failed.send(self, job_id=ended.job_id, task=ended.task, hook=name, traceback=said)

    def _hook(self, ended: Ended) -> Callable[..., Any] | None:
        task = self._task(ended) if ended.state in (JobState.SUCCEEDED, JobState.FAILED) else None
        if task is None:
            return None
        return task.on_success if ended.state is JobState.SUCCEEDED else task.on_failure

    def _task(self, ended: Ended) -> Task | None:
        known = self.registry.known(ended.task)
        if known is not None or ended.result is not None:
            return known
        try:
            return self.registry.resolve(ended.task)  # it ran in another process, perhaps in no module loaded here
        except UnknownTaskError:
            return None

    def _argument(self, ended: Ended) -> Any:
        """Return what a hook gets beside the job: what the function returned, or what it raised."""
        result = ended.result
        if ended.state is JobState.SUCCEEDED:
            return None if result is None else self.runner.returned_of(result)
        if result is not None and result.exception is not None:
            return result.exception
        return JobFailedError(ended.job_id, ended.state.value, ended.error)

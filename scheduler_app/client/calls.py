"""Turning a call (function, arguments, options, time) into a signed row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..carry import Carrier, taken
from ..errors import NoAsyncError, UnknownQueueError
from ..jobs import Priority, new_id
from ..origin import line_of_caller
from ..payload import Signer, encode_call
from ..store import NewJob
from ..tasks import Delivery, Task, TaskRegistry
from ..tasks.refusals import check_kind, stored_name
from .options import Options, runs_of

_OF_THE_JOB = {
    "id", "state", "run_at", "created_at", "key", "live_key", "schedule_uid", "generation", "fire_time", "signature",
}  # fmt: skip
"""The columns that say which job it is and when it runs; all others say what is called, and how."""


def check_callable(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what can never be a task, or be called so. Raises `NotSchedulableError` and `ArgumentsError`."""
    task = _declared_task(function)
    if task is None:
        check_kind(function)
        task = Task(stored_name(function), function)
    task.bind(args, kwargs)


def _declared_task(function: Any) -> Task | None:
    """Return the task of what `@task` made; asked of the type: asking a LocalProxy would resolve it."""
    task: Task | None = function.scheduler_task if hasattr(type(function), "is_scheduler_task") else None
    return task


@dataclass(frozen=True)
class Calls:
    """Checks everything about a call where it enters, so that nothing unusable is ever stored."""

    registry: TaskRegistry
    signer: Callable[[], Signer]
    queues: Collection[str] | None
    max_payload_bytes: int
    carriers: Sequence[Carrier] = ()
    """What travels with each call."""
    runs_async: Callable[[], bool] = lambda: True
    """Whether a coroutine function can be run here."""

    def task_of(self, function: Any) -> Task:
        """Return the task of what was passed as the function. Raises `NotSchedulableError` and `NoAsyncError`."""
        if isinstance(function, Task):  # a door found it by its name
            return self.runnable(function)
        return self.runnable(_declared_task(function) or self.registry.for_function(function))

    def task_of_name(self, name: str) -> Task:
        """Return the task of a name, or of a path ("module:function"). Raises `UnknownTaskError` and `NoAsyncError`."""
        return self.runnable(self.registry.resolve(name))

    def runnable(self, task: Task) -> Task:
        """Return a task that can be run here. Raises `NoAsyncError`."""
        if task.is_async and not self.runs_async():
            raise NoAsyncError(task.name)
        return task

    def payload_of(self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Return a call's arguments, and what travels with it, as JSON.

        Raises `ArgumentsError`, `PayloadError` and `CarryError`.
        """
        task.bind(args, kwargs)
        return encode_call(
            args,
            dict(kwargs),
            taken(self.carriers),
            secret=task.secret_places(args, kwargs),
            max_bytes=self.max_payload_bytes,
            allowed=self.registry.rule.allows,
        )

    def queue_of(self, task: Task, options: Options) -> str:
        """Return the queue of a call. Raises `UnknownQueueError` where queues are configured."""
        queue = options.queue or task.queue or "default"
        if self.queues is not None and queue not in self.queues and queue != "default":
            raise UnknownQueueError(queue, {*self.queues, "default"})
        return queue

    def new_job(
        self,
        task: Task,
        payload: str,
        options: Options,
        run_at: datetime,
        now: datetime,
        *,
        job_id: str | None = None,
        origin: str | None = None,
    ) -> NewJob:
        """Return the job to store, signed; where nothing else is said under a new id, and with the line that called."""
        job_id, queue = job_id or new_id(now), self.queue_of(task, options)
        attempts, retry = runs_of(task, options)
        return NewJob(
            id=job_id,
            task=task.name,
            payload=payload,
            signature=self.signer().sign(job_id, task.name, queue, payload),
            queue=queue,
            priority=_first(options.priority, task.priority, int(Priority.NORMAL)),
            run_at=run_at,
            created_at=now,
            key=options.key,
            max_attempts=attempts,
            retry=retry,
            at_most_once=task.delivery is Delivery.AT_MOST_ONCE,
            tags=options.tags,
            origin=origin or line_of_caller(),
            max_lateness=task.max_lateness if options.max_lateness is None else options.max_lateness,
            timeout=task.timeout if options.timeout is None else options.timeout,
        )

    def signed_for(self, job: NewJob) -> Callable[[str], Mapping[str, Any]]:
        """Return what gives a job's call and options to another row: the columns, signed for that row's id."""
        call = {name: value for name, value in job.row().items() if name not in _OF_THE_JOB}

        def columns(job_id: str) -> Mapping[str, Any]:
            signature = self.signer().sign(job_id, job.task, job.queue, job.payload)
            return call | {"signature": signature}

        return columns


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)

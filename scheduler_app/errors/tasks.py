"""A function cannot be deferred, or a stored name leads nowhere."""

from __future__ import annotations

from .base import SchedulerError


class NotSchedulableError(SchedulerError, TypeError):
    """This callable cannot be scheduled, because no other process could find it by name."""

    def __init__(self, function: str, reason: str, instead: str) -> None:
        self.function, self.reason, self.instead = function, reason, instead
        super().__init__(f"{function} cannot be scheduled: {reason}. {instead}")


class NoAsyncError(SchedulerError, TypeError):
    """A coroutine function, where nothing is installed that could run it."""

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(
            f"{task!r} cannot be scheduled: it is an 'async def', and asgiref, by which Flask runs such functions, is"
            " not installed. Install it with the 'async' extra, \"pip install 'scheduler-app[async]'\", or write it as"
            " a plain 'def'."
        )


class ArgumentsError(SchedulerError, TypeError):
    """The arguments do not bind to the task's signature."""

    def __init__(self, task: str, reason: str) -> None:
        self.task, self.reason = task, reason
        super().__init__(
            f"The task {task!r} cannot be called with these arguments: {reason}. Nothing was stored;"
            " pass the arguments that the function takes."
        )


class UnknownTaskError(SchedulerError, LookupError):
    """This process knows no task of this name, and may not or cannot import one."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"The task {name!r} is not known here: {reason}")


class DuplicateTaskError(SchedulerError, ValueError):
    """Two functions claim one task name."""

    def __init__(self, name: str, holder: str, newcomer: str) -> None:
        self.name = name
        super().__init__(
            f"The task name {name!r} belongs to {holder}, so {newcomer} cannot have it too."
            " Give one of them another name with @task(name=...)."
        )


class TaskOptionError(SchedulerError, ValueError):
    """An option of a task does not exist, or has a value that cannot be used."""

    def __init__(self, task: str, problem: str) -> None:
        self.task = task
        super().__init__(f"The task {task!r} cannot be declared: {problem}")

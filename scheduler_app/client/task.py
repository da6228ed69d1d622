"""What `@task` returns: still the plain function, with the scheduling verbs on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from ..tasks import Task
from .client import Client
from .handle import JobHandle
from .options import NONE, Options, make_options
from .times import Delay
from .verbs import Verbs

P = ParamSpec("P")
R = TypeVar("R")


class TaskVerbs(Generic[P]):
    """The scheduling verbs of one task, with some options."""

    def __init__(self, client: Callable[[], Client], fn: Callable[P, Any], options: Options = NONE) -> None:
        self._fn = fn
        self._verbs = Verbs(client, options)

    def schedule_after(self, seconds: Delay, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run this task with these arguments so many seconds from now. See `schedule_after`."""
        return self._verbs.schedule_after(seconds, self._fn, *args, **kwargs)

    def schedule_at(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run this task with these arguments at an instant. See `schedule_at`."""
        return self._verbs.schedule_at(when, self._fn, *args, **kwargs)

    def schedule_now(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run this task with these arguments as soon as a slot is free. See `schedule_now`."""
        return self._verbs.schedule_now(self._fn, *args, **kwargs)

    def after_response(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run this task with these arguments once the current response has been sent. See `after_response`."""
        return self._verbs.after_response(self._fn, *args, **kwargs)


class TaskFunction(TaskVerbs[P], Generic[P, R]):
    """A task: calling it calls the function, here and now; its verbs defer the call."""

    is_scheduler_task = True

    def __init__(self, client: Callable[[], Client], function: Callable[P, R], task: Task) -> None:
        super().__init__(client, self)
        update_wrapper(self, function)
        self._client = client
        self._function = function
        self.scheduler_task = task

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def using(self, **options: Any) -> TaskVerbs[P]:
        """Return this task's verbs with options, as `scheduler_app.using` describes them. Raises `OptionError`."""
        return TaskVerbs(self._client, self, make_options(**options))

    def __repr__(self) -> str:
        return f"<task {self.scheduler_task.name}>"

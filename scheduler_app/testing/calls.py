"""Jobs as a test reads them: as calls of functions, with arguments and a time."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..client import Client, Shown, shown_job
from ..errors import MalformedPayloadError
from ..jobs import Job, JobState
from ..payload import decode_call
from ..tasks import Task

WAITING = (JobState.SCHEDULED, JobState.PAUSED)
"""The states of what a test calls scheduled."""


@dataclass(frozen=True)
class Call:
    """One job, with its arguments as its function gets them; `unreadable` where they cannot be read.

    Written out, its secrets are masked.
    """

    job: Job
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] | None = field(default=None, repr=False)
    unreadable: bool = False
    shown: Shown | None = field(default=None, repr=False)

    @property
    def waits(self) -> bool:
        """Whether it has not started yet, and will."""
        return self.job.state in WAITING

    def is_of(self, args: Sequence[Any], kwargs: Mapping[str, Any], task: Task | None) -> bool:
        """Whether these are its arguments, however each was passed: by position, by name or by default."""
        if self.unreadable:
            return False
        mine, theirs = (self.args, self.kwargs or {}), (tuple(args), dict(kwargs))
        return mine == theirs or (task is not None and _bound(task, *mine) == _bound(task, *theirs))

    def __str__(self) -> str:
        if self.unreadable:
            return f"{self.job.task}(?)"
        args, kwargs = self.args, self.kwargs or {}
        return f"{self.job.task}({spelled(*(self.shown.arguments(args, kwargs) if self.shown else (args, kwargs)))})"


def spelled(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return arguments as they would be typed."""
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


def _bound(task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by the names of the function's parameters, defaults included."""
    bound = inspect.signature(task.function, follow_wrapped=False).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def all_calls(client: Client) -> list[Call]:
    """Return every job that there is, by the time at which it is due."""
    found: list[Job] = []
    while page := client.list(before=found[-1].id if found else None, limit=100):
        found += page
    calls = [_call(client, job) for job in found]
    return sorted(calls, key=lambda call: (call.job.run_at, call.job.created_at, str(call)))


def _call(client: Client, job: Job) -> Call:
    try:
        read = decode_call(job.payload, allowed=client.calls.registry.rule.allows)
    except MalformedPayloadError:
        return Call(job, unreadable=True)
    registry = client.calls.registry
    return Call(shown_job(job, registry), read.args, read.kwargs, shown=Shown(job.task, job.payload, registry))


def delay_of(job: Job) -> float:
    """Return how long after it was scheduled a job is due, in seconds."""
    return seconds_between(job.created_at, job.run_at)


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Return the seconds from one instant to another."""
    return (later - earlier).total_seconds()

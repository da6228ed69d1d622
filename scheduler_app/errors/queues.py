"""A queue is not there, or cannot be paused as was asked."""

from __future__ import annotations

from collections.abc import Iterable

from .base import SchedulerError, did_you_mean


class QueueNotFoundError(SchedulerError, LookupError):
    """No queue has this name: it is not configured, and no job has named it."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        hint = did_you_mean(name, known)
        super().__init__(f"There is no queue {name!r}.{hint} 'flask scheduler queues' shows those that there are.")


class QueuePauseError(SchedulerError, ValueError):
    """What was said with a pause cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        super().__init__(f"pause_queue({name}=...): {problem}")

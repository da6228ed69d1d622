"""Waiting for a job's end, and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from .. import signals
from ..clock import monotonic
from ..errors import JobFailedError, ResultNotKeptError, ResultTimeoutError
from ..jobs import Job, JobState
from ..outcomes import NOT_KEPT
from ..store import Settlement

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
"""Seconds between two looks at the store; they double. An end that this process itself writes is heard of at once."""


def wait(get: Callable[[], Job], job_id: str, seconds: float) -> Job:
    """Return a job once it has ended; at once where it has. Raises `ResultTimeoutError` after so many seconds."""
    ended = Event()

    def hear(_sender: object, settlements: list[Settlement]) -> None:
        if any(settlement.claim.id == job_id for settlement in settlements):
            ended.set()

    with signals.turn_settled.connected_to(hear):
        for job in looks(get, seconds, ended):
            last = job
    return last


def looks(get: Callable[[], Job], seconds: float, ended: Event | None = None) -> Iterator[Job]:
    """Yield a job, look after look, the last time when it has ended. Raises `ResultTimeoutError` as `wait` does."""
    ended = ended or Event()
    deadline, pause = monotonic() + seconds, FIRST_PAUSE
    while not (job := get()).finished:
        yield job
        left = deadline - monotonic()
        if left <= 0:
            raise ResultTimeoutError(job.id, job.state.value, seconds)
        ended.wait(min(pause, left))
        ended.clear()
        pause = min(pause * 2, LONGEST_PAUSE)
    yield job


def result_of(job: Job, decode: Callable[[str], Any]) -> Any:
    """Return what a job's function returned.

    Raises `JobFailedError` where it ended without, and `ResultNotKeptError` where that could not be stored.
    """
    if job.state is not JobState.SUCCEEDED:
        raise JobFailedError(job.id, job.state.value, job.error)
    if job.result is not None:
        return decode(job.result)
    if job.error is not None and job.error.startswith(NOT_KEPT):
        raise ResultNotKeptError(job.id, job.error.removeprefix(NOT_KEPT))
    return None

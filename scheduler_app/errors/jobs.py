"""A job is not there, or its state forbids what was asked."""

from __future__ import annotations

from collections.abc import Sequence

from .base import SchedulerError


class JobNotFoundError(SchedulerError, LookupError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"No job has the id {job_id!r}. 'flask scheduler list' shows what there is.")


class JobConflictError(SchedulerError):
    """The job's state forbids what was asked."""

    def __init__(self, job_id: str, state: str, asked: str, allowed: Sequence[str]) -> None:
        self.job_id, self.state, self.asked, self.allowed = job_id, state, asked, tuple(allowed)
        can = f"It allows: {', '.join(allowed)}." if allowed else "Nothing more can be done with it."
        super().__init__(f"Job {job_id} is {state!r}, so it cannot be asked to {asked}. {can}")


class DuplicateKeyError(SchedulerError):
    """A job that has not started yet holds this key, and the call asked for that to be an error."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key, self.job_id = key, job_id
        super().__init__(
            f"Job {job_id} holds the key {key!r} and has not started yet. Cancel or reschedule that job,"
            " or schedule with another on_conflict: 'existing', 'debounce' or 'throttle'."
        )


class JobCancelledError(SchedulerError):
    """Raised by `current_job.raise_if_cancelled()`; it ends the function, and the job is cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} was asked to stop.")


class NoCurrentJobError(SchedulerError, RuntimeError):
    """`current_job` was used where no job runs."""

    def __init__(self) -> None:
        super().__init__(
            "No job runs here. 'current_job' works inside a function that the scheduler runs;"
            " test it first with 'if current_job:' where both are possible."
        )

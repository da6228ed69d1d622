"""A job is not there, or its state forbids what was asked."""

from __future__ import annotations

from collections.abc import Sequence

from .base import SchedulerError


class JobNotFoundError(SchedulerError, LookupError):
    """No job has this id, or none that has not ended has this key."""

    def __init__(self, job_id: str | None, key: str | None = None) -> None:
        self.job_id, self.key = job_id, key
        which = f"No job has the id {job_id!r}." if key is None else f"No job that has not ended has the key {key!r}."
        super().__init__(f"{which} 'flask scheduler list' shows what there is.")


class JobConflictError(SchedulerError):
    """The job's state forbids what was asked."""

    def __init__(self, job_id: str, state: str, asked: str, allowed: Sequence[str]) -> None:
        self.job_id, self.state, self.asked, self.allowed = job_id, state, asked, tuple(allowed)
        can = f"It allows: {', '.join(allowed)}." if allowed else "Nothing more can be done with it."
        super().__init__(f"Job {job_id} is {state!r}, so it cannot be asked to {asked}. {can}")


class JobChangedError(SchedulerError):
    """The job was changed since whoever asks looked at it."""

    def __init__(self, job_id: str, version: int) -> None:
        self.job_id, self.version = job_id, version
        super().__init__(
            f"Job {job_id} was changed since it was looked at: its version is {version}. Look again, and decide anew."
        )


class JobIdTakenError(SchedulerError):
    """A job of this id is there already, and is another call."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"Job {job_id} is there already, and what was asked for then differs from this. Nothing was changed."
            " Ask for another job under another id."
        )


class CountError(SchedulerError):
    """Another number of jobs is meant than was expected; nothing was changed."""

    def __init__(self, matched: int, complete: bool, expected: int) -> None:
        self.matched, self.complete, self.expected = matched, complete, expected
        number = f"{matched:,}" if complete else f"{matched:,} or more"
        super().__init__(f"Jobs meant: {number}, not {expected:,}. Nothing was changed. List them, and ask again.")


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


class JobTimeoutError(SchedulerError, TimeoutError):
    """A job ran longer than its `timeout`: raised by `current_job.raise_if_cancelled()`, or what stands for a kill."""

    def __init__(self, said: str) -> None:
        super().__init__(said)


class ElsewhereError(SchedulerError, RuntimeError):
    """What a function raised in another process, for listeners in this one: its type and message, as one line."""

    def __init__(self, said: str) -> None:
        super().__init__(said)


class NoCurrentJobError(SchedulerError, RuntimeError):
    """`current_job` was used where no job runs."""

    def __init__(self) -> None:
        super().__init__(
            "No job runs here. 'current_job' works inside a function that the scheduler runs;"
            " test it first with 'if current_job:' where both are possible."
        )


class ProgressError(SchedulerError, ValueError):
    """A job said of its progress what is no number."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(f"current_job.progress({name}={value!r}) cannot be used: {name} must be a finite number.")


class HandleError(SchedulerError, ValueError):
    """The address of a job cannot be good for as long as was said."""

    def __init__(self, expires: object, most: int) -> None:
        super().__init__(
            f"job.accepted(expires={expires!r}) cannot be used: it must be a timedelta, or a number of seconds, of more"
            f" than 0 and at most {most:,} (a year)."
        )


class JobFailedError(SchedulerError, RuntimeError):
    """The job whose result was asked for ended without one."""

    def __init__(self, job_id: str, state: str, error: str | None) -> None:
        self.job_id, self.state, self.error = job_id, state, error
        why = f": {error.rstrip('.')}" if error else ""
        super().__init__(f"Job {job_id} has no result, for it is {state!r}{why}.")


class ResultTimeoutError(SchedulerError, TimeoutError):
    """A job has not ended within the time that its result was waited for."""

    def __init__(self, job_id: str, state: str, seconds: float) -> None:
        self.job_id, self.state = job_id, state
        self.found = f"Job {job_id} is {state!r} after {seconds:g} s, so there is no result yet."
        super().__init__(f"{self.found} Ask again later, or ask job.explain() why it has not ended.")


class OnceOnlyError(SchedulerError, ValueError):
    """A call that runs once was to take what only a schedule has."""

    def __init__(self, job_id: str, what: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"The job {job_id} runs once and cannot take {what}. Give it another date with trigger='date', or add a"
            " schedule with add_job and remove this job."
        )


class MaskedError(SchedulerError):
    """What a function raised, as it may be shown: the values of its secret arguments are replaced."""

    def __init__(self, said: str) -> None:
        super().__init__(said)

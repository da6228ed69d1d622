"""When and how to run something cannot be kept."""

from __future__ import annotations

from collections.abc import Iterable

from .base import SchedulerError, did_you_mean


class DelayError(SchedulerError, ValueError):
    """A delay is not a number of seconds from now that can be kept."""

    def __init__(self, delay: object, problem: str) -> None:
        super().__init__(
            f"Cannot schedule after {delay!r}: {problem}. Pass seconds as a number of 0 or more, or a timedelta."
        )


class NaiveDatetimeError(SchedulerError, ValueError):
    """A datetime without a time zone, where the app has not said which one is meant."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"Cannot schedule at {value}: it has no time zone. Pass an aware datetime, such as"
            " datetime(..., tzinfo=ZoneInfo('Europe/Oslo')), or set SCHEDULER_TIMEZONE."
        )


class TooFarError(SchedulerError, ValueError):
    """A time that lies further ahead than the scheduler is set to keep."""

    def __init__(self, limit_seconds: float) -> None:
        days = limit_seconds / 86400
        super().__init__(
            f"Cannot schedule more than {days:,.0f} days ahead. Raise SCHEDULER_MAX_DELAY_SECONDS if that is meant."
        )


class OptionError(SchedulerError, ValueError):
    """An option of `using()`, of another verb, or of a schedule, is unknown or has a value that cannot be used."""

    def __init__(self, name: str, problem: str, verb: str = "using", *, of_schedule: bool = False) -> None:
        self.name, self.problem = name, problem
        super().__init__(f"The schedule's {name}=...: {problem}" if of_schedule else f"{verb}({name}=...): {problem}")


class UnknownQueueError(SchedulerError, LookupError):
    """A queue that is not among the configured ones."""

    def __init__(self, queue: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(
            f"There is no queue {queue!r}; SCHEDULER_QUEUES has {', '.join(map(repr, names))}."
            f"{did_you_mean(queue, names)}"
        )


class UnknownExecutorError(SchedulerError, LookupError):
    """A job was added for an executor that is not configured."""

    def __init__(self, executor: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(
            f"There is no executor {executor!r}; SCHEDULER_EXECUTORS and SCHEDULER_QUEUES have"
            f" {', '.join(map(repr, names))}.{did_you_mean(executor, names)}"
        )


class CarryError(SchedulerError, RuntimeError):
    """Something that SCHEDULER_CARRY names could not be taken or set."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"SCHEDULER_CARRY names {name!r}, which could not be carried: {problem}.")


class BatchError(SchedulerError, ValueError):
    """The calls handed to `schedule_many` are not in its form, or too many."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"schedule_many: {problem}")


class AfterResponseError(SchedulerError, ValueError):
    """More calls than may wait for the end of one response."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"after_response: {most:,} calls wait for this response, and more may not."
            " Defer one call that does it all, or raise SCHEDULER_MAX_BATCH."
        )


class ReminderError(SchedulerError, ValueError):
    """What a person asked the demo for cannot be done; the sentence is for that person."""

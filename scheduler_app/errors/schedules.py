"""A recurring schedule or a retry policy cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from .base import SchedulerError


class CronError(SchedulerError, ValueError):
    """A crontab line is malformed, or says what one trigger cannot do."""

    def __init__(self, expression: object, reason: str) -> None:
        self.expression, self.reason = expression, reason
        super().__init__(f"The cron line {expression!r} cannot be used: {reason}.")


class IntervalError(SchedulerError, ValueError):
    """The interval of a recurring schedule cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The interval cannot be used: {reason}. Give weeks, days, hours, minutes or seconds"
            " that together are 1 second or more, such as every(minutes=5)."
        )


class TriggerError(SchedulerError, ValueError):
    """A trigger cannot be stored, for it could not be read back as it is."""

    def __init__(self, kind: str, reason: str | None = None) -> None:
        self.kind = kind
        why = reason or (
            "only APScheduler's own DateTrigger, IntervalTrigger and CronTrigger are supported now."
            " Use one of them; what several triggers say together, say as several schedules"
        )
        super().__init__(f"The trigger {kind} cannot be stored: {why}.")


class MalformedTriggerError(SchedulerError, ValueError):
    """A stored trigger cannot be read."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        shown = text if len(text) <= 80 else text[:79] + "…"
        super().__init__(
            f"The stored trigger {shown!r} cannot be read: {reason}. Declare the schedule again, or remove it."
        )


class RetryPolicyError(SchedulerError, ValueError):
    """A value of a retry policy cannot be used."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value = name, value
        super().__init__(f"RetryPolicy({name}={value!r}) cannot be used: {name} must be {allowed}.")


class ScheduleNameError(SchedulerError, ValueError):
    """A schedule's name cannot be used."""

    def __init__(self, name: object, problem: str) -> None:
        super().__init__(f"Cannot name a schedule {name!r}: {problem}.")


class TimezoneError(SchedulerError, ValueError):
    """A time zone's name is unknown."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"There is no time zone {name!r}. Use a name of the IANA database, such as 'Europe/Oslo' or 'UTC'."
        )


class DeclarationsError(SchedulerError, ValueError):
    """Several schedules that the code declares cannot be stored; every problem is listed at once."""

    def __init__(self, errors: Sequence[SchedulerError]) -> None:
        self.errors = tuple(errors)
        lines = [f"{len(errors)} of the schedules that the code declares cannot be stored:"]
        super().__init__("\n".join([*lines, *(f"  - {error}" for error in errors)]))

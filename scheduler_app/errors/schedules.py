"""A recurring schedule or a retry policy cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

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

    def __init__(self, kind: str, reason: str | None = None, *, cannot: str = "be stored") -> None:
        self.kind = kind
        self.reason = reason or (
            "only APScheduler's own DateTrigger, IntervalTrigger, CalendarIntervalTrigger and CronTrigger, and its"
            " AndTrigger and OrTrigger of these, can be kept as data. Use one of them"
        )
        super().__init__(f"The trigger {kind} cannot {cannot}: {self.reason}.")

    def within(self, combination: str, number: int) -> TriggerError:
        """Return the same, said of the trigger of that number in a combination of triggers."""
        return TriggerError(f"{self.kind.removesuffix(',')}, number {number} of an {combination},", self.reason)


class NeverMeetError(TriggerError):
    """The triggers of an `AndTrigger` have no instant in common, as far as anybody looks."""

    def __init__(self, since: datetime, steps: int) -> None:
        reason = (
            f"from {since.isoformat(timespec='seconds')} on, no instant at which all its triggers fire was found in"
            f" {steps:,} steps. Say with one CronTrigger what is meant, or give an IntervalTrigger in it a start_date"
            " at which the others fire, too"
        )
        super().__init__("AndTrigger", reason, cannot="fire")


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


class WishError(SchedulerError, ValueError):
    """How long a task wishes to wait cannot be used."""

    def __init__(self, what: str, delay: object) -> None:
        super().__init__(f"{what} takes seconds from 0 to ten years, or a timedelta, not {delay!r}.")


class ScheduleNameError(SchedulerError, ValueError):
    """A schedule's name cannot be used."""

    def __init__(self, name: object, problem: str) -> None:
        super().__init__(f"Cannot name a schedule {name!r}: {problem}.")


class NeverFiresError(SchedulerError, ValueError):
    """A schedule would never fire: its end has passed, or no time matches."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The schedule {name!r} would never fire: no time from now on matches, or its end has passed."
            " Nothing was stored or changed."
        )


class ScheduleNotFoundError(SchedulerError, LookupError):
    """There is no schedule of this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"There is no schedule {name!r}.")


class ScheduleConflictError(SchedulerError, RuntimeError):
    """A schedule cannot do what was asked, as it is stored."""

    def __init__(self, name: str, reason: str, remedy: str = "Store or declare it again.") -> None:
        self.name, self.reason = name, reason
        super().__init__(f"The schedule {name!r} cannot fire, because {reason}. {remedy}")


class ScheduleOptionError(SchedulerError, ValueError):
    """A number of a schedule is larger than can be stored."""

    def __init__(self, name: str, value: int, most: int) -> None:
        super().__init__(f"A schedule with {name}={value} cannot be stored: {most} is the most.")


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


class JobImportError(SchedulerError, ValueError):
    """An export of APScheduler's jobs cannot be taken in; every problem is listed at once, and nothing was stored."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = ["The jobs cannot be imported, and none of them was:"]
        super().__init__("\n".join([*lines, *(f"  - {problem}" for problem in problems)]))


class SecretExportError(SchedulerError, ValueError):
    """Jobs have arguments that nobody may see, and an export would show them. Nothing was written."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self.jobs = tuple(jobs)
        named = ", ".join(map(repr, jobs[:5])) + (f" and {len(jobs) - 5} more" if len(jobs) > 5 else "")
        super().__init__(
            f"Nothing is exported while jobs have arguments that are marked as secret: {named}. Move the database"
            " itself, or remove these jobs and add them again on the other side."
        )

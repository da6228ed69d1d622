"""A test uses the scheduler in a way that would prove nothing, or that could never end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .base import SchedulerError
from .store import StoreError


class AfterTestError(StoreError):
    """The database of a test is used after the test's end."""

    def __init__(self) -> None:
        super().__init__(
            "The test whose jobs these were has ended, and its database is gone. Something that it started, such as a"
            " thread or a handle that was kept, still uses it: end that within the test."
        )


class ClockNotRunningError(SchedulerError, RuntimeError):
    """A `SchedulerClock` is used before it began or after it ended."""

    def __init__(self) -> None:
        super().__init__(
            "A SchedulerClock works within its 'with' block: 'with SchedulerClock(app) as clock:', or"
            " 'self.enterContext(SchedulerClock(app))' in the setUp of a TestCase."
        )


class ClockInUseError(SchedulerError, RuntimeError):
    """A `SchedulerClock` is begun or turned where one is at work already."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)

    @classmethod
    def twice(cls) -> ClockInUseError:
        """For an app that has one."""
        return cls("This app has a SchedulerClock already. Use that one; the fixture scheduler_clock is one, too.")

    @classmethod
    def by_a_job(cls) -> ClockInUseError:
        """For a job that turns the loop that runs it."""
        return cls("A job cannot turn the clock that runs it. Schedule what it needs; the test's own call runs that.")


class LoopInTestError(SchedulerError, RuntimeError):
    """A loop runs, or should be started, in the process of a test."""

    def __init__(self) -> None:
        super().__init__(
            "The loop of this app is turned by its SchedulerClock, so none may run beside it in threads, which no test"
            " can wait for. Make the app with TESTING=True or SCHEDULER_ROLE='client', leave scheduler.start() and"
            " 'flask scheduler run' out, and call run_due() or advance()."
        )


class NotEmptyError(SchedulerError, RuntimeError):
    """An app's own database, which a test was to use, holds something."""

    def __init__(self, url: str, held: Mapping[str, int]) -> None:
        found = ", ".join(f"{count:,} in {name}" for name, count in held.items())
        super().__init__(
            f"The scheduler's tables in {url} are not empty: {found}. A test uses the app's own database only if"
            " nothing of the scheduler's is there, for it deletes what it leaves. If this is a test database, remove"
            " them once with 'flask scheduler db downgrade base'; begin the clock before anything is scheduled, and"
            " give each process of pytest-xdist a database of its own."
        )


class AdvanceError(SchedulerError, ValueError):
    """The clock was asked to move by something else than a span of time that lies ahead."""

    def __init__(self, given: object, problem: str) -> None:
        super().__init__(
            f"Cannot advance by {given}: {problem}. Name a time to come, as in advance(hours=2); run_due() runs what"
            " is due now."
        )


class AssertionUseError(SchedulerError, TypeError):
    """An assertion was given something that it could never meet, or always."""

    def __init__(self, name: str, given: object, instead: str) -> None:
        super().__init__(f"assert_scheduled({name}={given!r}): {instead}")


class FutureJobError(SchedulerError, RuntimeError):
    """Something was scheduled at a time that the clock has not come to: a freeze began or ended in between."""

    def __init__(self, what: str, made_at: datetime, now: datetime) -> None:
        super().__init__(
            f"{what} was scheduled at {made_at:%Y-%m-%d %H:%M:%S} UTC, and the clock shows {now:%Y-%m-%d %H:%M:%S} UTC,"
            " before that. A freeze that was active then is not active now, or the other way round: schedule and run"
            " within the same freeze."
        )


class EndlessError(SchedulerError, RuntimeError):
    """Jobs keep coming."""

    def __init__(self, doing: str, count: int, last: str, remedy: str) -> None:
        super().__init__(f"{doing} ran {count:,} jobs, the last of them {last}, and there are more. {remedy}")


class NotRunError(SchedulerError, RuntimeError):
    """A job was due and could not be run; in production it would wait, or be put aside."""

    def __init__(self, job: str, reason: str) -> None:
        super().__init__(f"{job} was due and could not run: {reason.rstrip('.')}.")


class ExtraMissingError(SchedulerError, ImportError):
    """A library that is needed for tests only is not installed."""

    def __init__(self, what: str, library: str) -> None:
        super().__init__(f"{what} needs {library}. Install it: pip install 'scheduler-app[testing]'")

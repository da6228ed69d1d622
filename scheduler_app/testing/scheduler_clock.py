"""`SchedulerClock`: an app's scheduler, cranked by hand in a test's own thread, at the time that the test shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast

from flask import Flask

from ..client import Client
from ..clock import host_now
from ..errors import (
    AdvanceError,
    ClockInUseError,
    ClockNotRunningError,
    ExtraMissingError,
    FutureJobError,
)
from ..executors import current_job
from ..extension import Parts
from ..jobs import LIVE, Job
from ..loop import CrankedScheduler
from ..response import HandKeeper
from .assertions import Assertions
from .crank import Crank
from .moving import MovingClock
from .stand_in import check_no_loop, own_parts, standing_in

__tracebackhide__ = True  # for pytest: a traceback goes from the test's own line to the job's
_BEGAN = host_now()

UNFROZEN = ("_pytest.timing",)
"""What `freeze` leaves alone besides what `freezegun` does: how long pytest says that a test took."""

SLACK = timedelta(seconds=1)
"""By how much a host's clock may be set back during a test without a word."""


class SchedulerClock(Assertions):
    """Runs the jobs of one app in the caller's thread, on a database of its own, for the length of a `with` block.

    Within the block every door of the app (views, `scheduler.client`, REST, `flask scheduler`) sees a new, empty
    SQLite database, and nothing runs until `run_due`, `advance` or `drain` is called. After it the app is as it
    was. With `own_database=True` the app's own database is used instead, which must hold nothing of the
    scheduler's, and is emptied at the end.
    """

    def __init__(self, app: Flask, *, own_database: bool = False) -> None:
        self._app, self._own_database = app, own_database
        self._clock = MovingClock()
        self._block = ExitStack()
        self._parts: Parts | None = None
        self._own: Parts | None = None

    def __enter__(self) -> Self:
        """Begin. Raises `ClockInUseError`, `LoopInTestError`, `NotRegisteredError` or `NotEmptyError`."""
        with ExitStack() as block:
            self._own = own_parts(self._app)
            self._clock.begin()
            block.callback(self._clock.end)
            self._parts = block.enter_context(standing_in(self._app, self._clock, own_database=self._own_database))
            self._block = block.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._parts = None
        self._block.close()

    # -- time --------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time that it is for the scheduler (aware, UTC): what `datetime.now(UTC)` shows, and what was advanced."""
        return self._clock.now()

    def freeze(self, when: str | datetime | None = None, **options: Any) -> Any:
        """Stop the time, for all code, at `when` (default: now): ``with scheduler_clock.freeze("2026-03-01 12:00"):``.

        It is `freezegun.freeze_time`, whose options it takes; any other use of `freezegun` does as well. Raises
        `ExtraMissingError` where that is not installed.
        """
        try:
            from freezegun import freeze_time
        except ImportError as error:
            raise ExtraMissingError("SchedulerClock.freeze()", "freezegun") from error
        ignored = [*options.pop("ignore", ()), *UNFROZEN]
        return freeze_time(self.now if when is None else when, ignore=ignored, **options)

    # -- running -----------------------------------------------------------------------------------

    def run_due(self, *, raise_errors: bool = True) -> list[Job]:
        """Run what is due now, and what that schedules for now; return the jobs that ran, in their order.

        An exception that ends a job for good is raised here, once all have run: as it is, or several as an
        exception group. One that is followed by a retry is not; the retry waits for its time.
        """
        crank = self._begin("run_due()")
        crank.run()
        return self._end(crank, raise_errors)

    def advance(
        self,
        by: timedelta | None = None,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        raise_errors: bool = True,
    ) -> list[Job]:
        """Move the time ahead, and run each job at its own time on the way; return those that ran, in their order.

        Schedules fire at each of their times, and retries come at theirs. Where `freezegun` has stopped the time,
        it is moved for all code; where it has not, for the scheduler alone. Raises `AdvanceError` for anything but
        a time to come, and what `run_due` raises.
        """
        units = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        target = _later(self.now, by, units)
        crank = self._begin("advance()")
        crank.run_to(target)
        return self._end(crank, raise_errors)

    def drain(self, *, raise_errors: bool = True) -> list[Job]:
        """Move from one waiting job to the next, and run each at its time, until none waits; return those that ran.

        Recurring schedules fire on the way, and do not keep it going. Raises `EndlessError` for jobs that never
        cease to schedule others, and what `run_due` raises.
        """
        crank = self._begin("drain()")
        crank.run_all()
        return self._end(crank, raise_errors)

    def _begin(self, doing: str) -> Crank:
        """Return what turns the loop, which runs. Raises where it must not be turned now."""
        parts = self._stand_in()
        if current_job:
            raise ClockInUseError.by_a_job()
        if self._own is not None:
            check_no_loop(self._own)
        self._end_responses()
        self._check_time(parts.client)
        aps = cast(CrankedScheduler, parts.aps)
        if aps.running:
            aps.beat()
        else:
            aps.start()
        return Crank(doing, aps, parts.client, self._clock)

    def _end(self, crank: Crank, raise_errors: bool) -> list[Job]:
        """Raise what went wrong, or return what ran."""
        self._stand_in().aps.beat()  # at the time that it is now: so that this worker is seen to live
        if raise_errors:
            crank.failures.raise_any()
        return crank.ran

    # -- what it works on --------------------------------------------------------------------------

    def _check_time(self, client: Client) -> None:
        """Raise `FutureJobError` where something was scheduled at a time that has not come."""
        now = self.now
        made = [(f"The job {job.task}", job.created_at) for job in client.list(states=LIVE, limit=1)]
        made += [(f"The schedule {one.name!r}", one.created_at or now) for one in client.schedules()]
        for what, made_at in made:
            if made_at - now > SLACK:
                raise FutureJobError(what, made_at, now)

    def _stand_in(self) -> Parts:
        if self._parts is None:
            raise ClockNotRunningError()
        return self._parts

    def _client(self) -> Client:
        self._end_responses()
        return self._stand_in().client

    def _end_responses(self) -> None:
        """Release what waits for the responses that the test has by now."""
        cast(HandKeeper, self._stand_in().keeper).end_served()

    def _now(self) -> datetime:
        return self.now

    def _hints(self) -> Iterator[str]:
        """Yield what may explain that something was not scheduled here."""
        own = self._own
        if self._stand_in().settings.eager:
            yield "SCHEDULER_EAGER is on, so that nothing waits: each call runs at once."
        if own is not None and not self._own_database and own.store.is_open:
            newest = own.client.list(limit=1)
            if newest and newest[0].created_at >= _BEGAN:
                yield (
                    f"Before this clock began, {newest[0].task} was scheduled in {own.store.url}: have the fixtures"
                    " that schedule ask for scheduler_clock first."
                )


def _later(now: datetime, by: Any, units: dict[str, float]) -> datetime:
    """Return the instant to move to. Raises `AdvanceError`."""
    spelled = ", ".join(f"{unit}={number!r}" for unit, number in units.items() if number)
    given = [repr(by)] if by is not None else []
    shown = " and ".join([*given, *([spelled] if spelled else [])]) or "nothing"
    if by is not None and not isinstance(by, timedelta):
        raise AdvanceError(shown, "it says no unit of time")
    if by is not None and spelled:
        raise AdvanceError(shown, "it is one or the other")
    try:
        target = now + (timedelta(**units) if by is None else by)
    except OverflowError:
        raise AdvanceError(shown, "there is no such date") from None
    except (TypeError, ValueError) as error:
        raise AdvanceError(shown, str(error)) from None
    if target <= now:
        raise AdvanceError(shown, "time does not go back" if target < now else "the time would stand still")
    return target

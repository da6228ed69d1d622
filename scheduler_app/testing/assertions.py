"""What a test asserts of what was scheduled. A failure shows what was scheduled instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from ..client import Client, JobHandle
from ..errors import AssertionUseError, did_you_mean
from ..payload import masked
from ..tasks import Task
from .calls import Call, all_calls, delay_of, seconds_between, spelled
from .wording import often, report, span

__tracebackhide__ = __unittest = True  # for pytest, and for unittest: a traceback ends at the test's own line

EXACT_SECONDS = 0.001
"""How far a delay may be from the one that is asserted: the microseconds that no float keeps, and no more."""

Seconds = float | int | timedelta


@dataclass(frozen=True)
class Wanted:
    """What is looked for among the calls."""

    name: str
    task: Task | None
    args: Sequence[Any] | None = field(default=None, repr=False)
    kwargs: Mapping[str, Any] | None = field(default=None, repr=False)
    within: float | None = None
    delay: float | None = None
    known: Task | None = field(default=None, repr=False)
    """The task, also where only its name was given; None where there is none of this name."""

    @property
    def names_arguments(self) -> bool:
        """Whether the arguments matter."""
        return self.args is not None or self.kwargs is not None

    def fault_of(self, call: Call, now: datetime) -> str | None:
        """Return why a call of this task is not the one that is looked for; None if it is."""
        if self.names_arguments and not call.is_of(self.args or (), self.kwargs or {}, self.task):
            return "other arguments"
        ahead, delay = seconds_between(now, call.job.run_at), delay_of(call.job)
        if self.within is not None and ahead > self.within + EXACT_SECONDS:
            return f"later than {span(self.within)}"
        if self.delay is not None and abs(delay - self.delay) > EXACT_SECONDS:
            return f"after {span(delay)}, not {span(self.delay)}"
        return None

    def __str__(self) -> str:
        if not self.names_arguments:
            return f"{self.name}(...)"
        args, kwargs = self.args or (), self.kwargs or {}
        places = self.known.secret_places(args, kwargs) if self.known is not None else ()
        return f"{self.name}({spelled(*masked(args, kwargs, places))})"

    @property
    def when(self) -> str:
        """Return the time that was asked for, as the end of a sentence."""
        within = "" if self.within is None else f" within {span(self.within)}"
        return within if self.delay is None else f"{within} after {span(self.delay)}"


class Scheduled(Protocol):
    """Whose jobs are asserted."""

    def _client(self) -> Client: ...
    def _now(self) -> datetime: ...
    def _hints(self) -> Iterator[str]: ...


class Assertions:
    """The assertions of a `SchedulerClock`. Scheduled means: it waits; what has run, or was cancelled, no longer is."""

    def assert_scheduled(
        self: Scheduled,
        fn: Any,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        within: Seconds | None = None,
        delay: Seconds | None = None,
        times: int | None = None,
    ) -> JobHandle:
        """Fail unless a call of this function (or task name) waits; return its job, of several the one due first.

        `args` and `kwargs` are the whole call, however it passes them; without both, any call counts. `within`: due
        at most so many seconds from now. `delay`: due exactly so many seconds after it was scheduled. `times`: how
        many such calls wait (default: one or more).
        """
        if times is not None and (isinstance(times, bool) or times < 1):
            raise AssertionUseError("times", times, "how often is a number from 1; assert_not_scheduled() says never.")
        wanted = _wanted(self._client(), fn, args, kwargs, within, delay)
        calls, now = all_calls(self._client()), self._now()
        found = [call for call in calls if _waits(call, wanted) and wanted.fault_of(call, now) is None]
        if not found or (times is not None and len(found) != times):
            raise AssertionError(_missing(wanted, len(found), times, calls, now, self._hints()))
        return JobHandle(self._client(), found[0].job)

    def assert_not_scheduled(
        self: Scheduled, fn: Any, *, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Fail if a call of this function (or task name) waits; with `args` or `kwargs`, exactly this call."""
        wanted = _wanted(self._client(), fn, args, kwargs, None, None)
        calls, now = all_calls(self._client()), self._now()
        found = [call for call in calls if _waits(call, wanted) and wanted.fault_of(call, now) is None]
        if found:
            raise AssertionError(report(f"{wanted} was scheduled {often(len(found))}, and should not be.", calls, now))

    def assert_nothing_scheduled(self: Scheduled) -> None:
        """Fail if any job waits. Recurring schedules are no jobs; those that they have made are."""
        calls = all_calls(self._client())
        count = sum(call.waits for call in calls)
        if count:
            said = "1 job was" if count == 1 else f"{count} jobs were"
            raise AssertionError(report(f"{said} scheduled, and none should be.", calls, self._now()))


def _waits(call: Call, wanted: Wanted) -> bool:
    return call.waits and call.job.task == wanted.name


def _wanted(client: Client, fn: Any, args: Any, kwargs: Any, within: Any, delay: Any) -> Wanted:
    """Return what is looked for. Raises `NotSchedulableError` and `ArgumentsError` for what nobody could schedule."""
    if args is not None and not isinstance(args, tuple | list):
        raise AssertionUseError("args", args, "the arguments are a tuple or list, such as (1,).")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise AssertionUseError("kwargs", kwargs, "the arguments by name are a dict.")
    within, delay = _seconds("within", within), _seconds("delay", delay)
    if isinstance(fn, str):
        return Wanted(fn, None, args, kwargs, within, delay, client.calls.registry.known(fn))
    task = client.calls.task_of(fn)
    if args is not None or kwargs is not None:
        task.bind(tuple(args or ()), dict(kwargs or {}))
    return Wanted(task.name, task, args, kwargs, within, delay, task)


def _seconds(name: str, given: Any) -> float | None:
    if isinstance(given, timedelta):
        return given.total_seconds()
    if given is None or (isinstance(given, int | float) and not isinstance(given, bool)):
        return given
    raise AssertionUseError(name, given, "a time is a number of seconds, or a timedelta.")


def _missing(
    wanted: Wanted, found: int, expected: int | None, calls: Sequence[Call], now: datetime, hints: Iterator[str]
) -> str:
    """Return what a failed `assert_scheduled` says."""
    if found:
        headline = f"{wanted} was scheduled {often(found)}{wanted.when}, not {often(expected or 0)}."
    else:
        headline = f"{wanted} was not scheduled{wanted.when}."
    names = {call.job.task for call in calls}
    if wanted.task is None and wanted.name not in names:
        headline += did_you_mean(wanted.name, names)
    faults = {call.job.id: wanted.fault_of(call, now) for call in calls if _waits(call, wanted)}
    return report(headline, calls, now, faults, hints)

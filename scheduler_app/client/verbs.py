"""The names that people type in a view: `schedule_after`, `schedule_at`, `schedule_now`, `schedule_many`, `using`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, ParamSpec

from .client import Call, Client
from .handle import JobHandle
from .options import NONE, Options, make_options
from .times import Delay

P = ParamSpec("P")


class Verbs:
    """The scheduling verbs with some options, for whichever app is current."""

    def __init__(self, client: Callable[[], Client], options: Options = NONE) -> None:
        self._client = client
        self._options = options

    def schedule_after(self, seconds: Delay, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` so many seconds from now (int, float or timedelta), in an app context.

        When this returns, the job is committed and synced: it survives a kill of this process, and runs at
        its time or later, never earlier. Arguments are stored as JSON (and datetime, date, time, timedelta,
        UUID, Decimal, bytes, set, tuple, Enum). Raises a `SchedulerError`, with nothing stored, for a call
        that could not run later.
        """
        return self._client().schedule_after(seconds, fn, args, kwargs, self._options)

    def schedule_at(self, when: datetime, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` at an instant; one that has passed means now. Otherwise as `schedule_after`."""
        return self._client().schedule_at(when, fn, args, kwargs, self._options)

    def schedule_now(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` as soon as a slot is free, not in this thread. Otherwise as `schedule_after`."""
        return self._client().schedule_after(0, fn, args, kwargs, self._options)

    def schedule_many(self, calls: Iterable[Call], /) -> list[JobHandle]:
        """Store calls ``(seconds, fn[, args[, kwargs]])`` in one transaction: all of them, or none."""
        return self._client().schedule_many(calls, self._options)


def using_with(client: Callable[[], Client], **options: Any) -> Verbs:
    """Return the verbs with options; see `using`. Raises `OptionError`."""
    return Verbs(client, make_options(**options))

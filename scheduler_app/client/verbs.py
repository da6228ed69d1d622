"""The names that people type in a view.

`schedule_after`, `schedule_at`, `schedule_now`, `schedule_many`, `after_response`, `using`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
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

        When this returns, the job is committed and synced (where it joins a session: once that is committed). It
        survives a kill of this process, and runs at its time or later, never earlier. Arguments are stored as JSON
        (and datetime, date, time, timedelta, UUID, Decimal, bytes, set, tuple, Enum). Raises a `SchedulerError`,
        with nothing stored, for a call that could not run later.
        """
        client = self._client()
        return client.schedule_after(seconds, fn, args, kwargs, self._for(client))

    def schedule_at(self, when: datetime, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` at an instant; one that has passed means now. Otherwise as `schedule_after`."""
        client = self._client()
        return client.schedule_at(when, fn, args, kwargs, self._for(client))

    def schedule_now(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` as soon as a slot is free, not in this thread. Otherwise as `schedule_after`."""
        client = self._client()
        return client.schedule_after(0, fn, args, kwargs, self._for(client))

    def after_response(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` once the response of the current request has been sent; outside a request, now.

        Checked now, and stored before the response begins: a store that fails makes it a 500, and nothing is stored.
        The function starts a moment (`SCHEDULER_AFTER_RESPONSE_DELAY_SECONDS`) after the server has closed the
        response, calls of one request in their order; if the process dies first, it starts after
        `SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS`. An error of the view that nobody handles drops the call, unless
        ``using(even_on_error=True)``; ``abort(404)`` and handled errors keep it. With ``using(session=...)`` it is that
        transaction, and nothing else, that keeps or drops it.
        """
        client = self._client()
        return client.after_response(fn, args, kwargs, self._for(client))

    def schedule_many(self, calls: Iterable[Call], /) -> list[JobHandle]:
        """Store calls ``(seconds, fn[, args[, kwargs]])`` in one transaction: all of them, or none."""
        client = self._client()
        return client.schedule_many(calls, self._for(client))

    def _for(self, client: Client) -> Options:
        """Return the options, with the session that the app's settings have calls join where they name none."""
        if client.joins is None or self._options.session is not None:
            return self._options
        return replace(self._options, session=client.joins())


def using_with(client: Callable[[], Client], **options: Any) -> Verbs:
    """Return the verbs with options; see `using`. Raises `OptionError`."""
    return Verbs(client, make_options(**options))

"""`Scheduler`: the one object that an app makes."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, ParamSpec, TypeVar

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger
from flask import Flask, current_app, has_app_context

from .. import logs
from ..admin import admin_blueprint
from ..cli import scheduler_commands
from ..client import (
    Actor,
    Client,
    Declaration,
    JobHandle,
    TaskFunction,
    Verbs,
    declaration_of,
    using_with,
)
from ..client.client import Call
from ..client.times import Delay
from ..errors import AlreadyRegisteredError, NoAppContextError, NotRegisteredError, TriggerError
from ..loop import DurableScheduler
from ..schedules import Planned
from ..settings import read_settings
from ..tasks import declare
from .home import home_of
from .parts import DEBUG_TOKEN, Parts
from .starting import Starting
from .worker import run_worker

P = ParamSpec("P")
R = TypeVar("R")


class Scheduler:
    """Deferred execution for a Flask app: ``Scheduler(app)``, or ``Scheduler()`` and ``init_app(app)``.

    Holds no app: whichever app is current is meant, so one instance serves a factory and several apps.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._declarations: list[Declaration] = []
        self._authorize: Callable[[Any], Actor | None] | None = None
        self._verbs = Verbs(lambda: self.client)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give an app its scheduler: settings, the admin blueprint, `flask scheduler`. Connects nowhere yet.

        Raises `ConfigurationError` with every problem of the settings, and `AlreadyRegisteredError`.
        """
        if "scheduler" in app.extensions:
            raise AlreadyRegisteredError()
        name, folder = home_of(app)
        settings, notices = read_settings(
            app.config,
            app_name=name,
            instance_path=folder,
            debug=app.debug,
            default_url=app.config.get("SQLALCHEMY_DATABASE_URI"),
            default_folder=app.instance_path,
            is_flask_apscheduler_here="flask_apscheduler" in sys.modules,
        )
        parts = Parts(app, settings, self._declarations)
        parts.authorize = self._authorize
        app.extensions["scheduler"] = parts
        self._apps.add(app)
        logs.connect()
        for notice in notices:
            logging.getLogger("scheduler_app").warning(notice)
        parts.responses.install(app)
        app.register_blueprint(admin_blueprint(settings.admin_url_prefix))
        app.cli.add_command(scheduler_commands)
        app.shell_context_processor(lambda: {"scheduler": self})
        os.environ.setdefault(DEBUG_TOKEN, secrets.token_urlsafe(24))
        starting = Starting(app, parts)
        parts.start = starting.start
        parts.on_top.start_if_serving = starting.start_if_serving
        parts.run_worker = partial(run_worker, parts)
        starting.arrange()

    # -- scheduling --------------------------------------------------------------------------------

    def schedule_after(self, seconds: Delay, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` so many seconds from now. See `scheduler_app.schedule_after`."""
        return self._verbs.schedule_after(seconds, fn, *args, **kwargs)

    def schedule_at(self, when: datetime, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` at an instant. See `scheduler_app.schedule_at`."""
        return self._verbs.schedule_at(when, fn, *args, **kwargs)

    def schedule_now(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` as soon as a slot is free. See `scheduler_app.schedule_now`."""
        return self._verbs.schedule_now(fn, *args, **kwargs)

    def after_response(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Run ``fn(*args, **kwargs)`` once the current response has been sent. See `scheduler_app.after_response`."""
        return self._verbs.after_response(fn, *args, **kwargs)

    def schedule_many(self, calls: Iterable[Call], /) -> list[JobHandle]:
        """Store many calls in one transaction. See `scheduler_app.schedule_many`."""
        return self._verbs.schedule_many(calls)

    def using(self, **options: Any) -> Verbs:
        """Return the scheduling verbs with options. See `scheduler_app.using`."""
        return using_with(lambda: self.client, **options)

    def task(self, function: Callable[P, R] | None = None, /, **options: Any) -> Any:
        """Make a function a task, with its defaults. See `scheduler_app.task`."""
        return make_task(lambda: self.client, function, options)

    # -- recurring ---------------------------------------------------------------------------------

    def cron(
        self, expression: str, *, name: str | None = None, timezone: str | tzinfo | None = None, **options: Any
    ) -> Callable[[R], R]:
        """Declare that the function below runs by a crontab line (weekdays 0 and 7 are Sunday).

        Declared schedules are reconciled at each start, by name: never duplicated, and never reset
        while unchanged. `options` are those of `schedule_cron`. Raises `CronError`, `TimezoneError` and `OptionError`
        where it stands; and for a function that can be no task, or not be called without arguments,
        `NotSchedulableError` and `ArgumentsError`.
        """
        return self._declaring(options, cron=expression, timezone=timezone, name=name)

    def every(
        self,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        name: str | None = None,
        **options: Any,
    ) -> Callable[[R], R]:
        """Declare that the function below runs each time an interval has passed. See `cron`."""
        every = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        return self._declaring(options, every=every, timezone=options.pop("timezone", None), name=name)

    def on(self, trigger: BaseTrigger, *, name: str | None = None, **options: Any) -> Callable[[R], R]:
        """Declare that the function below runs when a trigger of APScheduler's says. See `cron` and `schedule_on`.

        Raises `TriggerError` for a date, which comes once, and so would run anew after each start.
        """
        if isinstance(trigger, DateTrigger):
            raise TriggerError("DateTrigger", "a date comes once, and what is declared is there at each start")
        return self._declaring(options, on=trigger, name=name)

    def schedule_cron(
        self,
        expression: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        timezone: str | tzinfo | None = None,
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> str:
        """Store a schedule by a crontab line, or change the one of this name (default: the task's); return its name.

        Changed in place: one that says the same keeps its next fire time, and a paused one stays paused.

        Options: `catch_up` says what becomes of fire times that came while nothing ran: "latest" (the default), "all"
        (the newest 100) or "none". `overlap` says what becomes of one that comes while an earlier job of the schedule
        is unfinished: "skip" (the default), "allow" or "queue". `jitter` delays each by up to so many seconds.
        `start` and `end` are the first and the last instant at which it may fire. Those of `using`: `queue`,
        `priority`, `attempts`, `retry`, `tags`. Raises a `SchedulerError`, with nothing stored or changed, for whatever
        could not fire or run later.
        """
        return self._upsert(fn, options, cron=expression, timezone=timezone, name=name, args=args, kwargs=kwargs)

    def schedule_every(
        self,
        fn: Callable[..., Any],
        /,
        *args: Any,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        name: str | None = None,
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> str:
        """Store a schedule by an interval, or change the one of this name (default: the task's); return its name.

        The interval is time that passes. It fires first when it has passed once, or at `start`. Otherwise as
        `schedule_cron`.
        """
        every = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        zone = options.pop("timezone", None)
        return self._upsert(fn, options, every=every, timezone=zone, name=name, args=args, kwargs=kwargs)

    def schedule_on(
        self,
        trigger: BaseTrigger,
        fn: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> str:
        """Store a schedule by one of APScheduler's own triggers, or change the one of this name; return its name.

        A trigger says its time zone, start, end and jitter itself. Where clocks change, a `CronTrigger` fires by the
        rule of `schedule_cron`, not by APScheduler's own. An `AndTrigger` or `OrTrigger` combines several, each with
        fire times of its own. Otherwise as `schedule_cron`. Raises `TriggerError` for a trigger that cannot be stored
        as data, and for an `AndTrigger` whose triggers have no instant in common that could be found.
        """
        return self._upsert(fn, options, on=trigger, name=name, args=args, kwargs=kwargs)

    def preview(self, name: str, count: int = 10) -> Sequence[Planned]:
        """Return the next `count` fire times of a schedule, with what a change of clocks does to each.

        Raises `ScheduleNotFoundError`.
        """
        return self.client.preview(name, count)

    def _upsert(self, fn: Callable[..., Any], options: dict[str, Any], **when: Any) -> str:
        return self._parts().recurring.upsert(declaration_of(fn, options, **when))

    def _declaring(self, options: dict[str, Any], **when: Any) -> Callable[[R], R]:
        """Return the decorator of a declaration. What stands in its line is checked there."""
        declaration = declaration_of(None, options, **when)
        declaration.check()

        def declare_it(function: R) -> R:
            of_function = replace(declaration, function=function)
            of_function.check()
            self._declarations.append(of_function)
            return function

        return declare_it

    # -- the parts ---------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Every verb: get, list, cancel, reschedule, explain, stats, workers, schedules ..."""
        return self._parts().client

    @property
    def aps(self) -> DurableScheduler:
        """The `BackgroundScheduler`: `add_job`, `add_listener` and the rest work as in APScheduler."""
        return self._parts().aps

    def authorize(self, function: Callable[[Any], Actor | None]) -> Callable[[Any], Actor | None]:
        """Decide who may use the admin: ``request -> Actor(name, role) | None``. A decorator."""
        self._authorize = function
        for app in self._apps:
            app.extensions["scheduler"].authorize = function
        return function

    def start(self) -> None:
        """Run jobs in this process from now on. Rarely needed; harmless where it runs already."""
        self._parts().start()

    def shutdown(self, wait: bool = True) -> None:
        """Stop running jobs in this process: claim no more, wait for what runs (`wait`), give back the rest.

        Harmless where nothing runs.
        """
        parts = self._parts()
        if parts.running:
            parts.aps.shutdown(wait=wait)
        parts.nudge.flush()

    def _parts(self) -> Parts:
        """Return the current app's parts; outside an app context, those of the only app there is."""
        if has_app_context():
            found = current_app.extensions.get("scheduler")
            if not isinstance(found, Parts):
                raise NotRegisteredError()
            return found
        apps = list(self._apps)
        if len(apps) != 1:
            raise NoAppContextError()
        found = apps[0].extensions["scheduler"]
        assert isinstance(found, Parts)
        return found


def make_task(client: Callable[[], Client], function: Any, options: dict[str, Any]) -> Any:
    """Return what `@task` and `@task(...)` make of a function."""

    def decorate(function: Callable[..., Any]) -> TaskFunction[..., Any]:
        return TaskFunction(client, function, declare(function, **options))

    return decorate if function is None else decorate(function)

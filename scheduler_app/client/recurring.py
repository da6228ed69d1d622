"""Recurring schedules: making their rows, and keeping them by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger

from ..clock import host_now
from ..errors import DeclarationsError, IntervalError, ScheduleNameError, SchedulerError, StoreError, TimezoneError
from ..jobs import Priority, new_id
from ..payload import Signer
from ..schedules import Schedule, cron_trigger, definition, encode_trigger, every_trigger, first_fire_time
from ..store import Connection, Store, schedules
from ..tasks import Delivery, Task
from .calls import Calls, check_callable
from .options import LONGEST_NAME, NONE, Options


def signed_parts(schedule: Schedule) -> tuple[str, str, str, str, str]:
    """Return what a schedule's signature covers."""
    return schedule.uid, schedule.task, schedule.queue, schedule.payload, schedule.trigger


def make_schedule(
    signer: Signer,
    now: datetime,
    *,
    name: str,
    title: str,
    task: Task,
    payload: str,
    trigger: str,
    queue: str,
    next_run_time: datetime | None,
    priority: int | None = None,
    attempts: int | None = None,
    misfire_grace_time: int | None = None,
    coalesce: bool = True,
    max_instances: int = 1,
    declared: bool = False,
    tags: tuple[str, ...] = (),
    standing: Schedule | None = None,
) -> Schedule:
    """Return a signed schedule. One that replaces `standing` keeps its uid; a new time gives it a new generation."""
    moved = standing is not None and standing.next_run_time != next_run_time
    normal = int(Priority.NORMAL if task.priority is None else task.priority)
    unsigned = Schedule(
        uid=new_id(now) if standing is None else standing.uid,
        name=name,
        title=title,
        task=task.name,
        payload=payload,
        trigger=trigger,
        signature="",
        queue=queue,
        priority=normal if priority is None else priority,
        next_run_time=next_run_time,
        generation=0 if standing is None else standing.generation + int(moved),
        misfire_grace_time=misfire_grace_time,
        coalesce=coalesce,
        max_instances=max_instances,
        max_attempts=task.attempts if attempts is None else attempts,
        at_most_once=task.delivery is Delivery.AT_MOST_ONCE,
        declared=declared,
        tags=tags,
        created_at=now if standing is None else standing.created_at,
        last_fire_time=None if standing is None else standing.last_fire_time,
    )
    return replace(unsigned, signature=signer.sign(*signed_parts(unsigned)))


@dataclass(frozen=True, slots=True)
class Declaration:
    """One schedule as code writes it down: a function, when it fires, and under which name (None: the task's)."""

    function: Any
    cron: str | None = None
    every: Mapping[str, float] | None = None
    timezone: str | tzinfo | None = None
    name: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    options: Options = NONE

    def check(self) -> None:
        """Refuse what can be known to be unusable before there is an app, or a name for the function.

        Raises `TimezoneError`, `CronError`, `IntervalError`, `ScheduleNameError`, `NotSchedulableError`, and
        `ArgumentsError` where the function cannot be called with the arguments.
        """
        self.trigger(zone_of(self.timezone, UTC), host_now())
        if self.name is not None:
            _checked(self.name)
        if self.function is not None:
            check_callable(self.function, self.args, self.kwargs or {})

    def trigger(self, zone: tzinfo, now: datetime) -> BaseTrigger:
        """Return the trigger. An interval fires first when it has passed once. Raises `CronError`, `IntervalError`."""
        if self.cron is not None:
            return cron_trigger(self.cron, zone)
        every = dict(self.every or {})
        if unknown := [name for name in every if name not in _UNITS]:
            raise IntervalError(f"there is no unit {unknown[0]!r}; use {', '.join(_UNITS)}")
        trial = every_trigger(**every, start=now, timezone=zone)
        return every_trigger(**every, start=now + trial.interval, timezone=zone)


_UNITS = ("weeks", "days", "hours", "minutes", "seconds")


class Recurring:
    """Keeps schedules by name: never duplicated, and never reset while what they say is unchanged."""

    def __init__(self, store: Store, calls: Calls, zone: tzinfo) -> None:
        self._store, self._calls, self._zone = store, calls, zone

    def upsert(self, declaration: Declaration, *, declared: bool = False) -> str:
        """Store a schedule under its name, or change the one that stands; return the name.

        One whose definition is unchanged keeps its next fire time and its pause.
        """
        task = self._calls.task_of(declaration.function)
        name = _checked(task.name if declaration.name is None else declaration.name)
        now = self._store.clock.now()
        trigger = declaration.trigger(zone_of(declaration.timezone, self._zone), now)
        payload = self._calls.payload_of(task, declaration.args, declaration.kwargs or {})
        options = declaration.options
        queue = self._calls.queue_of(task, options)
        priority = _first(options.priority, task.priority, int(Priority.NORMAL))
        attempts = _first(options.attempts, task.attempts)
        facts = {
            "attempts": attempts,
            "delivery": task.delivery.value,
            "tags": list(options.tags),
            "declared": declared,
        }
        print_ = definition(
            task=task.name,
            payload=payload,
            trigger=trigger,
            queue=queue,
            priority=priority,
            options=facts,
        )

        def write(connection: Connection) -> None:
            if schedules.definition_of(connection, name) == print_:
                return
            standing = schedules.by_name(connection, name, lock=True)
            new = make_schedule(
                self._calls.signer(), now, name=name, title=task.name, task=task, payload=payload,
                trigger=encode_trigger(trigger), queue=queue, next_run_time=first_fire_time(trigger, now),
                priority=priority, attempts=attempts, declared=declared, tags=options.tags,
                standing=standing,
            )  # fmt: skip
            if standing is None:
                schedules.insert_if_absent(connection, new, print_)
            else:
                schedules.replace_if_present(connection, new, print_)

        self._store.write(write)
        return name

    def reconcile(self, declarations: Collection[Declaration]) -> None:
        """Store what the code declares, and mark as orphaned what it no longer does. Removes nothing.

        One that cannot be stored keeps no other back. Raises what was wrong with it; of several, `DeclarationsError`.
        """
        present: set[str] = set()
        errors: list[SchedulerError] = []
        for declaration in declarations:
            try:
                present.add(self.upsert(declaration, declared=True))
            except StoreError:
                raise
            except SchedulerError as error:  # told below, when the others are stored
                errors.append(error)
        standing = self._store.read(schedules.declared_names)
        if standing:
            now = self._store.clock.now()
            facts = {name: name in present for name in standing}
            self._store.write(lambda connection: schedules.mark_declared(connection, facts, now))
        if errors:
            raise errors[0] if len(errors) == 1 else DeclarationsError(errors)


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ScheduleNameError(name, "it must be a non-empty string")
    if len(name) > LONGEST_NAME:
        raise ScheduleNameError(name, f"it has {len(name)} characters; {LONGEST_NAME} is the most")
    return name


def zone_of(given: str | tzinfo | None, default: tzinfo) -> tzinfo:
    """Return the time zone that was given, by its name or itself; else the default. Raises `TimezoneError`."""
    if given is None:
        return default
    if isinstance(given, tzinfo):
        return given
    try:
        return ZoneInfo(given)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise TimezoneError(given) from error

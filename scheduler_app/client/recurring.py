"""Recurring schedules: making their rows, and keeping them by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from ..errors import DeclarationsError, NeverFiresError, SchedulerError, StoreError
from ..jobs import Priority, new_id
from ..payload import Signer
from ..schedules import (
    UNLIMITED,
    CatchUp,
    Overlap,
    Schedule,
    definition,
    encode_trigger,
    first_fire_time,
    is_same_but_for_starts,
)
from ..store import Connection, Store, schedules
from ..tasks import Delivery, Task
from .calls import Calls
from .declaration import Declaration, checked_name, zone_of
from .options import NONE, runs_of

UNKNOWN_KEY = "no live worker knows its signing key"
DISTRUSTED = "its signature is "
"""The reasons, or how they begin, of a pause that came from a signature: declaring the schedule again ends it."""


def signed_parts(schedule: Schedule) -> tuple[str, str, str, str, str]:
    """Return what a schedule's signature covers; of a row that has these columns, too."""
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
    retry: str | None = None,
    misfire_grace_time: int | None = None,
    coalesce: bool = True,
    max_instances: int = 1,
    declared: bool = False,
    tags: tuple[str, ...] = (),
    catch_up: str | None = None,
    overlap: str | None = None,
    standing: Schedule | None = None,
) -> Schedule:
    """Return a signed schedule. One that replaces `standing` keeps its uid; a new time gives it a new generation."""
    moved = standing is not None and standing.next_run_time != next_run_time
    if attempts is None:
        attempts, retry = runs_of(task, NONE)
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
        max_attempts=attempts,
        retry=retry,
        at_most_once=task.delivery is Delivery.AT_MOST_ONCE,
        declared=declared,
        tags=tags,
        created_at=now if standing is None else standing.created_at,
        last_fire_time=None if standing is None else standing.last_fire_time,
        catch_up=catch_up,
        overlap=overlap,
        orphaned_at=None if standing is None else standing.orphaned_at,
    )
    return replace(unsigned, signature=signer.sign(*signed_parts(unsigned)))


class Recurring:
    """Keeps schedules by name: never duplicated, and never reset while what they say is unchanged.

    Naive starts and ends are in `zone` if it is `configured`, and refused where nobody said which zone is meant.
    `on_due(seconds)` is told how soon one fires that was stored or changed.
    """

    def __init__(
        self,
        store: Store,
        calls: Calls,
        zone: tzinfo,
        *,
        configured: bool = True,
        on_due: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._store, self._calls, self._zone, self._configured = store, calls, zone, configured
        self._on_due = on_due

    def upsert(self, declaration: Declaration, *, declared: bool = False) -> str:
        """Store a schedule under its name, or change the one that stands; return the name.

        One whose definition is unchanged keeps its next fire time and its pause; a changed one keeps its pause, and
        its jobs. One that the first signing key did not sign is signed anew in its place, and leaves a pause that came
        from its signature, so that an old key is needed no longer. Raises `NeverFiresError` for one that would never
        fire, and whatever is wrong with the declaration.
        """
        now = self._store.clock.now()
        new, print_ = self._made(declaration, declared, now)
        if new.next_run_time is None:
            raise NeverFiresError(new.name)

        def write(connection: Connection) -> None:
            stood = schedules.stored_words(connection, new.name)
            unchanged = stood is not None and stood.definition == print_
            if stood is not None and unchanged and self._is_trusted(stood):
                return
            standing = schedules.by_name(connection, new.name, lock=True)
            if standing is None:
                schedules.insert_if_absent(connection, new, print_)
                return
            moved = _timed_as(standing, new) if unchanged else _paused_as(standing, new)
            schedules.replace_if_present(connection, self._in_place_of(standing, moved), print_)

        self._store.write(write)
        self._on_due((new.next_run_time - now).total_seconds())
        return new.name

    def _made(self, declaration: Declaration, declared: bool, now: datetime) -> tuple[Schedule, str]:
        """Return the schedule that a declaration means, and the fingerprint of its definition."""
        task = self._calls.task_of(declaration.function)
        name = checked_name(task.name if declaration.name is None else declaration.name)
        if not self._configured:
            declaration.refuse_naive()
        zone = zone_of(declaration.timezone, self._zone)
        trigger = declaration.trigger(zone, now)
        payload = self._calls.payload_of(task, declaration.args, declaration.kwargs or {})
        options, recurrence = declaration.options, declaration.recurrence
        queue = self._calls.queue_of(task, options)
        priority = _first(options.priority, task.priority, int(Priority.NORMAL))
        attempts, retry = runs_of(task, options)
        lateness = task.max_lateness if options.max_lateness is None else options.max_lateness
        facts = {
            "attempts": attempts,
            "retry": retry,
            "delivery": task.delivery.value,
            "tags": list(options.tags),
            "max_lateness": lateness,
            "declared": declared,
            **declaration.facts(trigger, zone, now),
        }
        made = make_schedule(
            self._calls.signer(), now, name=name, title=task.name, task=task, payload=payload,
            trigger=encode_trigger(trigger), queue=queue, next_run_time=first_fire_time(trigger, now),
            priority=priority, attempts=attempts, retry=retry, declared=declared, tags=options.tags,
            coalesce=recurrence.catch_up is not CatchUp.ALL,
            max_instances=UNLIMITED if recurrence.overlap is Overlap.ALLOW else 1,
            misfire_grace_time=None if lateness is None else math.ceil(lateness),
            catch_up=CatchUp.NONE.value if recurrence.catch_up is CatchUp.NONE else None,
            overlap=Overlap.QUEUE.value if recurrence.overlap is Overlap.QUEUE else None,
        )  # fmt: skip
        fingerprint = definition(
            task=task.name, payload=payload, trigger=trigger, queue=queue, priority=priority, options=facts
        )
        return made, fingerprint

    def _is_trusted(self, stood: Any) -> bool:
        """Whether a stored schedule is believed by whoever has the first signing key, and was never distrusted."""
        return not _is_distrusted(stood.error) and self._calls.signer().is_current(
            stood.signature, *signed_parts(stood)
        )

    def _in_place_of(self, standing: Schedule, new: Schedule) -> Schedule:
        """Return a schedule under the uid of the one that stands, signed; another time gives another generation."""
        moved = replace(
            new, uid=standing.uid, generation=standing.generation + int(new.next_run_time != standing.next_run_time),
            created_at=standing.created_at, last_fire_time=standing.last_fire_time,
        )  # fmt: skip
        return replace(moved, signature=self._calls.signer().sign(*signed_parts(moved)))

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
            except NeverFiresError:  # its end has passed: the code may say so still
                continue
            except SchedulerError as error:  # told below, when the others are stored
                errors.append(error)
        standing = self._store.read(schedules.declared_names)
        if standing:
            now = self._store.clock.now()
            facts = {name: name in present for name in standing}
            self._store.write(lambda connection: schedules.mark_declared(connection, facts, now))
        if errors:
            raise errors[0] if len(errors) == 1 else DeclarationsError(errors)


def _is_distrusted(error: str | None) -> bool:
    return error is not None and (error == UNKNOWN_KEY or error.startswith(DISTRUSTED))


def _paused_as(standing: Schedule, new: Schedule) -> Schedule:
    """Return a changed schedule, paused if a person has paused the one that stands."""
    paused = standing.next_run_time is None and standing.error is None
    return replace(new, next_run_time=None) if paused else new


def _timed_as(standing: Schedule, new: Schedule) -> Schedule:
    """Return a schedule that says the same as the one that stands, at that one's time, or paused for that one's reason.

    A pause that came from a signature ends. An interval goes on counting from where it did, if its trigger is intact.
    """
    if _is_distrusted(standing.error):
        return new
    trigger = standing.trigger if is_same_but_for_starts(standing.trigger, new.trigger) else new.trigger
    return replace(new, trigger=trigger, next_run_time=standing.next_run_time, error=standing.error)


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)

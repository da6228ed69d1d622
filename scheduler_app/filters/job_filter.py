"""What a filter is: conditions that all hold at once, and the orders in which lists stand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum

from ..arguments import Argument
from ..errors import FilterError
from ..jobs import FINISHED, JobState, Priority
from .conditions import ALWAYS, PARAMETERS, TIMES, Pattern, Span, split


class Sort(StrEnum):
    """The order of a list. Jobs of one instant stand in the order of their ids."""

    NEWEST = "newest"
    """Made last first."""

    OLDEST = "oldest"
    """Made first first."""

    RUN_AT = "run_at"
    """What is scheduled, the next one first; no other job is in it."""

    FINISHED = "finished"
    """What has ended, the last one first; no other job is in it."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant: those of which everything that is said here is true; nothing said means all."""

    ids: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    task: Pattern | None = None
    queue: str | None = None
    key: Pattern | None = None
    schedule: str | None = None
    """The name of the schedule that made them."""
    priorities: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()
    created: Span = ALWAYS
    run_at: Span = ALWAYS
    started: Span = ALWAYS
    finished: Span = ALWAYS
    errors: tuple[str, ...] = ()
    """Each stands in the error, ASCII letters in any case."""
    texts: tuple[str, ...] = ()
    """Each stands in the id, the task, the queue, the key, a tag or the error."""

    def __bool__(self) -> bool:
        return self != _ALL

    def __str__(self) -> str:
        return shlex.join(self.words())

    def words(self) -> list[str]:
        """Return the words that this filter is read from, in a fixed order."""
        return list(_words(self))

    def parameters(self) -> list[tuple[str, str]]:
        """Return the same as parameters of an address."""
        return [(PARAMETERS.get(sign, "{}").format(name), value) for name, sign, value in map(split, self.words())]


_ALL = JobFilter()


def check_sort(wanted: JobFilter, sort: Sort) -> None:
    """Raise `FilterError` where a filter asks for jobs that the order has no place for."""
    placed = _PLACED.get(sort)
    if placed and not set(wanted.states) <= set(placed):
        which = "jobs that wait" if sort is Sort.RUN_AT else "jobs that have ended"
        names = ", ".join(placed)
        raise FilterError({"sort": f"The order {sort.value!r} is one of {which}: it goes with state={names}."})


_PLACED = {Sort.RUN_AT: (JobState.SCHEDULED,), Sort.FINISHED: FINISHED}


# -- the canonical text ------------------------------------------------------------------------------


def _words(wanted: JobFilter) -> Iterator[str]:
    for name, values in (
        ("id", wanted.ids),
        ("state", [state.value for state in wanted.states]),
        ("priority", [Priority(number).name.lower() for number in wanted.priorities]),
    ):
        if values:
            yield f"{name}={','.join(values)}"
    for name in ("task", "queue", "key", "schedule"):
        value = getattr(wanted, name)
        if value is not None:
            yield f"{name}={value}"
    yield from (f"tag={tag}" for tag in wanted.tags)
    yield from (f"args.{'.'.join(one.path)}={one.text}" for one in wanted.arguments)
    for name in TIMES:
        span: Span = getattr(wanted, name)
        for sign, instant in ((">=", span.since), ("<", span.until)):
            if instant is not None:
                yield f"{name}{sign}{_told(instant)}"
    yield from (f"error~{text}" for text in wanted.errors)
    yield from (f"q={text}" for text in wanted.texts)


def _told(instant: datetime) -> str:
    if instant.time() == time():
        return f"{instant:%Y-%m-%d}"
    return instant.replace(tzinfo=None).isoformat() + "Z"

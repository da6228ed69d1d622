"""Queue: a name that groups jobs; and the rules by which queues and priorities share the slots of a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from .jobs import Priority

LOWEST_FIRST_EVERY = 8
"""Every so many claims the lowest priority goes first; half-way between, those in the middle: nothing starves."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as its row tells: how many of its jobs may run at once across all processes, and whether it is paused."""

    name: str
    concurrency: int | None = None
    """How many may run at once across all processes; None: as many as there are slots."""
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    """When it resumes by itself; None: when a person says so."""
    pause_reason: str | None = None

    def is_paused(self, now: datetime) -> bool:
        """Whether none of its jobs may be claimed now."""
        return is_paused(self.paused_at, self.paused_until, now)


def is_paused(paused_at: datetime | None, paused_until: datetime | None, now: datetime) -> bool:
    """Whether a pause is in force: from when it was said until its end, at which the queue is open again."""
    return paused_at is not None and (paused_until is None or now < paused_until)


def places(limit: int | None, held: int, limit_here: int | None, held_here: int) -> int | None:
    """Return how many more jobs of a queue may start in this process; None: as many as there are slots.

    `held` are claimed or running in all processes, `held_here` in this one.
    """
    rooms = [most - taken for most, taken in ((limit, held), (limit_here, held_here)) if most is not None]
    return max(0, min(rooms)) if rooms else None


class Standing(Protocol):
    """Jobs of one queue and priority that wait for their turn."""

    @property
    def queue(self) -> str: ...

    @property
    def priority(self) -> int: ...


S = TypeVar("S", bound=Standing)
Turns = Mapping[tuple[str, int], int]
"""Of a queue and priority: the number of the claim in which it last had a turn."""


def in_turn(due: Sequence[S], count: int, here: Mapping[str, int], last: Turns) -> list[S]:
    """Return in which order a process's claim of this number, from 1 on, takes what is due.

    By priority, in the order of `priorities`. Of one priority that queue goes first of which this process holds the
    fewest jobs (`here`), and of several such the one whose last turn was the longest ago: a flooded queue takes what
    the others leave.
    """
    order = priorities(count)

    def place(one: S) -> tuple[int, int, int, str]:
        return order.index(one.priority), here.get(one.queue, 0), last.get((one.queue, one.priority), 0), one.queue

    return sorted(due, key=place)


def priorities(count: int) -> tuple[Priority, ...]:
    """Return in which order the claim of this number takes the priorities: urgent first, but for the rule.

    The rule against starving: every 8th claim the lowest goes first; and half-way between two of these normal and high,
    in alternation. So with all four flooded, of 16 claims 12 begin with urgent, 2 with low, 1 with each other.
    """
    urgent, high, normal, low = Priority
    if count % LOWEST_FIRST_EVERY == 0:
        return low, normal, high, urgent
    if count % LOWEST_FIRST_EVERY == LOWEST_FIRST_EVERY // 2:
        return (normal, urgent, high, low) if count // LOWEST_FIRST_EVERY % 2 == 0 else (high, urgent, normal, low)
    return urgent, high, normal, low

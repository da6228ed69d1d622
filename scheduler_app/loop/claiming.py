"""Choosing what to claim: which ranges in which order, and how many jobs beyond the free slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ..executors import DurableExecutor
from ..store import Claim, Connection, Range, Store, claim
from ..store.claim import Unserved
from .flight import Flight

LOOKAHEAD = 500
"""The most jobs that are claimed beyond the free slots of an executor."""

LOWEST_FIRST_EVERY = 8
"""Every so many claims the lowest priority goes first: the rule against starving."""


class Claiming:
    """Takes due jobs for the executors of this process, as many as will start soon."""

    def __init__(
        self,
        store: Store,
        executors: Mapping[str, DurableExecutor],
        executor_of: Callable[[str], str],
        flight: Flight,
        queues: Sequence[str] | None = None,
    ) -> None:
        self._store = store
        self._executors = executors
        self._executor_of = executor_of
        self._flight = flight
        self._queues = None if queues is None else frozenset(queues)
        self._count = 0
        self.unserved = Unserved()

    def serves(self, queue: str) -> bool:
        """Whether this process may run jobs of a queue."""
        return (self._queues is None or queue in self._queues) and self._executor_of(queue) in self._executors

    def is_worth_it(self, ranges: Sequence[Range], now: datetime) -> bool:
        """Whether some range is due and its executor has room."""
        return any(r.first <= now and self.serves(r.queue) and self._has_room(r.queue) for r in ranges)

    def _has_room(self, queue: str) -> bool:
        slots, ahead = self._room(self._executor_of(queue))
        return slots + ahead > 0

    def _room(self, alias: str) -> tuple[int, int]:
        """Return an executor's free slots, and how many jobs may be claimed ahead of them."""
        executor = self._executors[alias]
        ahead = min(LOOKAHEAD, self._flight.pace(alias)) - executor.waiting()
        return executor.free_slots(), max(0, ahead)

    def claim_due(
        self, connection: Connection, ranges: Sequence[Range], worker_id: str, now: datetime
    ) -> tuple[list[tuple[str, list[Claim]]], list[Claim]]:
        """Claim due jobs, range by range; return them by executor, and those that were missed."""
        rooms = {alias: list(self._room(alias)) for alias in self._executors}
        taken: dict[str, list[Claim]] = {alias: [] for alias in self._executors}
        missed: list[Claim] = []
        self._count += 1
        crashed_free = not self._flight.crashed_before()
        due_now = self._in_turn([r for r in ranges if r.first <= now and self.serves(r.queue)])
        if due_now:
            self._store.dialect.before_claim(connection)
        for due in due_now:
            alias = self._executor_of(due.queue)
            chosen, late = self._choose(connection, due, rooms[alias], now, crashed_free)
            crashed_free = crashed_free and not any(c.crashes for c in chosen)
            if chosen:
                claim.take(connection, self._store.dialect, chosen, worker_id, now)
                taken[alias] += chosen
            if late:
                claim.miss(connection, self._store.dialect, late, now)
                missed += late
        return [(alias, claims) for alias, claims in taken.items() if claims], missed

    def _in_turn(self, due: Sequence[Range]) -> list[Range]:
        """Order ranges: by priority (every 8th claim the lowest first), queues of one priority in rotation."""
        names = sorted({r.queue for r in due})
        lowest_first = self._count % LOWEST_FIRST_EVERY == 0

        def place(r: Range) -> tuple[int, int]:
            turn = (names.index(r.queue) - self._count) % len(names)
            return (-r.priority if lowest_first else r.priority, turn)

        return sorted(due, key=place)

    def _choose(
        self, connection: Connection, due: Range, room: list[int], now: datetime, crashed_free: bool
    ) -> tuple[list[Claim], list[Claim]]:
        """Lock a range's due jobs; return those that `room` (slots, ahead) lets in, and those that are too late."""
        dialect = self._store.dialect
        locked: list[Claim] = []
        if crashed_free and due.crashed is not None and due.crashed <= now and room[0] > 0:
            locked += claim.lock_due(connection, dialect, due, now, 1, self.unserved, crashed=True)
        if room[0] + room[1] > len(locked):
            locked += claim.lock_due(
                connection, dialect, due, now, sum(room) - len(locked), self.unserved, crashed=False
            )
        late = [c for c in locked if _is_too_late(c, now)]
        chosen = [c for c in locked if not _is_too_late(c, now) and _enters(c, room)]
        return chosen, late


def _is_too_late(one: Claim, now: datetime) -> bool:
    return one.max_lateness is not None and (now - one.run_at).total_seconds() > one.max_lateness


def _enters(one: Claim, room: list[int]) -> bool:
    """Take a free slot, or a place ahead; at-most-once jobs and those that outlived a worker only take slots."""
    if room[0] > 0:
        room[0] -= 1
        return True
    if room[1] > 0 and not one.at_most_once and not one.crashes:
        room[1] -= 1
        return True
    return False

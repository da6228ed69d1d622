"""Choosing what to claim: which ranges in which order, and how many jobs beyond the free slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from ..executors import DurableExecutor
from ..outcomes import why_missed
from ..queues import in_turn, is_paused, places
from ..store import Claim, Connection, Range, Store, claim, queues
from ..store.claim import Unserved
from .flight import Flight

LOOKAHEAD = 500
"""The most jobs that are claimed beyond the free slots of an executor."""

UNLIMITED = None

MOST_REMEMBERED = 10_000
"""Of how many queues and priorities their last turns are remembered."""

Room = dict[str, int]
"""How many more jobs may be claimed now, of each queue that has a limit."""


class Claiming:
    """Takes due jobs for the executors of this process, as many as will start soon.

    `limits` are how many jobs of a queue may run at once in this process; what may run across all stands in the
    queues' rows.
    """

    def __init__(
        self,
        store: Store,
        executors: Mapping[str, DurableExecutor],
        executor_of: Callable[[str], str],
        flight: Flight,
        queues: Sequence[str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self._store = store
        self._executors = executors
        self._executor_of = executor_of
        self._flight = flight
        self._queues = None if queues is None else frozenset(queues)
        self._limits = limits or {}
        self._count = 0
        self._last: dict[tuple[str, int], int] = {}
        self._known: set[str] = set()
        self.unserved = Unserved()

    def serves(self, queue: str) -> bool:
        """Whether this process may run jobs of a queue."""
        return (self._queues is None or queue in self._queues) and self._executor_of(queue) in self._executors

    def is_worth_it(self, ranges: Sequence[Range], now: datetime) -> bool:
        """Whether some range is due and open, and its executor has room."""
        return any(r.first <= now and self._is_open(r, now) for r in ranges)

    def _is_open(self, due: Range, now: datetime) -> bool:
        return self.serves(due.queue) and due.is_open(now) and self._has_room(due.queue)

    def _has_room(self, queue: str) -> bool:
        limit = self._limits.get(queue)
        if limit is not None and self._flight.held()[queue] >= limit:
            return False
        return sum(self._room(self._executor_of(queue))) > 0

    def _room(self, alias: str) -> tuple[int, int]:
        """Return an executor's free slots, and how many jobs may be claimed ahead of them."""
        executor = self._executors[alias]
        ahead = min(LOOKAHEAD, self._flight.pace(alias)) - executor.waiting()
        return executor.free_slots(), max(0, ahead)

    def next_instant(self, one: Range, now: datetime) -> datetime | None:
        """Return when a range may next have something due for this process: of a paused queue, the end of its pause."""
        if not self.serves(one.queue):
            return None
        return one.paused_until if is_paused(one.paused_at, one.paused_until, now) else one.following

    def claim_due(
        self, connection: Connection, ranges: Sequence[Range], worker_id: str, now: datetime
    ) -> tuple[list[tuple[str, list[Claim]]], list[Claim]]:
        """Claim due jobs, range by range; return them by executor, and those that were missed."""
        due_now = [r for r in ranges if r.first <= now and self._is_open(r, now)]
        if not due_now:
            return [], []
        self._store.dialect.before_claim(connection)
        here = self._flight.held()
        limited = self._room_of_limited(connection, due_now, here, now)
        rooms = {alias: list(self._room(alias)) for alias in self._executors}
        taken: dict[str, list[Claim]] = {alias: [] for alias in self._executors}
        missed: list[Claim] = []
        crashed_free = not self._flight.crashed_before()
        for due in in_turn(due_now, self._count + 1, here, self._last):
            alias = self._executor_of(due.queue)
            chosen, late = self._choose(connection, due, rooms[alias], limited, now, crashed_free)
            crashed_free = crashed_free and not any(c.crashes for c in chosen)
            if chosen:
                claim.take(connection, self._store.dialect, chosen, worker_id, now)
                taken[alias] += chosen
            if late:
                claim.miss(connection, late, now)
                missed += late
            if chosen or late:
                self._last[due.queue, due.priority] = self._count + 1
        self._count += any(taken.values())  # one that took nothing was nobody's turn
        self._make_rows(connection, {queue for queue, _ in self._last} - self._known, now)
        return [(alias, claims) for alias, claims in taken.items() if claims], missed

    def _make_rows(self, connection: Connection, names: AbstractSet[str], now: datetime) -> None:
        """Make the rows of queues from which this process claims for the first time."""
        if len(self._last) > MOST_REMEMBERED:  # names without end: one that is forgotten loses its turn, at most
            self._last.clear()
            self._known.clear()
        if names:
            queues.make_if_absent(connection, self._store.dialect, [*names], now)
            self._known |= names

    def _room_of_limited(
        self, connection: Connection, due: Sequence[Range], here: Mapping[str, int], now: datetime
    ) -> Room:
        """Lock the rows of the due queues that are limited across processes, count, and return what may be claimed.

        Of a queue whose row another process has locked nothing is, this time. Nobody's claim waits here.
        """
        names = {r.queue for r in due}
        across = sorted({r.queue for r in due if r.limit is not None})
        room = dict.fromkeys(across, 0)
        if across:
            locked = [q for q in queues.lock_free(connection, self._store.dialect, across) if not q.is_paused(now)]
            held = queues.held_in(connection, self._store.dialect, [q.name for q in locked])
            mine = {q.name: places(q.concurrency, held.get(q.name, 0), None, 0) for q in locked}
            room |= {name: LOOKAHEAD if free is None else free for name, free in mine.items()}
        for name in names & self._limits.keys():
            free = places(None, 0, self._limits[name], here.get(name, 0)) or 0
            room[name] = min(free, room.get(name, free))
        return room

    def _choose(
        self, connection: Connection, due: Range, room: list[int], limited: Room, now: datetime, crashed_free: bool
    ) -> tuple[list[Claim], list[Claim]]:
        """Lock a range's due jobs; return those that `room` (slots, ahead) lets in, and those that are too late.

        Of a limited queue nothing is claimed ahead of its slot: it would take the place of one that could run.
        """
        free = limited.get(due.queue, UNLIMITED)
        if sum(room) == 0 or free == 0:
            return [], []
        most = sum(room) if free is UNLIMITED else min(max(1, room[0]), free)
        locked = self._lock_due(connection, due, now, most, crashed_free)
        late = [c for c in locked if why_missed(c.run_at, c.max_lateness, now) is not None]
        chosen = [c for c in locked if c not in late and _enters(c, room, free)]
        if free is not UNLIMITED:
            limited[due.queue] = free - len(chosen)
        return chosen, late

    def _lock_due(
        self, connection: Connection, due: Range, now: datetime, most: int, crashed_free: bool
    ) -> list[Claim]:
        dialect = self._store.dialect
        locked: list[Claim] = []
        if crashed_free and due.crashed is not None and due.crashed <= now:
            locked += claim.lock_due(connection, dialect, due, now, 1, self.unserved, crashed=True)
        if most > len(locked):
            locked += claim.lock_due(connection, dialect, due, now, most - len(locked), self.unserved, crashed=False)
        return locked


def _enters(one: Claim, room: list[int], free: int | None) -> bool:
    """Take a free slot, or a place ahead.

    At-most-once jobs, those that outlived a worker and those of limited queues only take slots. Where there is none,
    nothing more is claimed ahead of theirs, or a flood would take each slot before it is free.
    """
    if room[0] > 0:
        room[0] -= 1
        return True
    if one.at_most_once or one.crashes or free is not UNLIMITED:
        room[1] = 0
    if room[1] > 0:
        room[1] -= 1
        return True
    return False

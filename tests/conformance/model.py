"""What a job's life should be, as a few dictionaries: the oracle that the real store is held against.

Nothing of the package decides here. Each method says what one event does to the jobs, and answers what the verb should.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MAX_CRASHES = 3
HELD = ("running",)
ENDED = ("succeeded", "failed", "cancelled", "missed")


@dataclass
class Row:
    """A job as it should stand in the table."""

    id: str
    run_at: datetime
    key: str | None = None
    max_attempts: int = 1
    at_most_once: bool = False
    max_lateness: float | None = None
    state: str = "scheduled"
    attempt: int = 0
    crashes: int = 0
    fence: int = 0
    holder: str | None = None
    asked: bool = False
    """Whether it was asked to stop."""

    @property
    def live_key(self) -> str | None:
        """The key that it keeps from others: while it has not started."""
        return self.key if self.state in ("scheduled", "paused") else None

    def is_due(self, now: datetime) -> bool:
        return self.state == "scheduled" and self.run_at <= now

    def is_late(self, now: datetime) -> bool:
        return self.max_lateness is not None and (now - self.run_at).total_seconds() > self.max_lateness


@dataclass
class End:
    """How a run ended, under which fence."""

    job_id: str
    fence: int
    how: str
    """success, error, cancelled, snooze, or unstarted (given back)."""
    seconds: float = 0.0
    """Of a snooze: for how long."""


@dataclass
class Model:
    """The jobs, and which workers count as alive."""

    rows: dict[str, Row] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)

    def keeper(self, key: str | None, but: str = "") -> Row | None:
        """Return the job that has not started and holds a key."""
        return next((r for r in self.rows.values() if key and r.live_key == key and r.id != but), None)

    def held_by(self, worker: str) -> list[Row]:
        return [r for r in self.rows.values() if r.state in HELD and r.holder == worker]

    # -- what a person does ----------------------------------------------------------------------------

    def add(self, row: Row) -> None:
        assert self.keeper(row.key) is None
        self.rows[row.id] = row

    def meet(self, keeper: Row, on_conflict: str, run_at: datetime, max_attempts: int) -> None:
        """A job that has not started is asked for its key by a further call."""
        if on_conflict == "debounce":
            keeper.run_at = run_at
        if on_conflict in ("debounce", "throttle"):
            keeper.attempt, keeper.crashes, keeper.max_attempts = 0, 0, max_attempts

    def cancel(self, job_id: str) -> str:
        """Answer the state that the caller is told, or "conflict"."""
        row = self.rows[job_id]
        if row.state in ("scheduled", "paused"):
            row.state, row.asked = "cancelled", True
        elif row.state in HELD:
            row.asked = True
        elif row.state != "cancelled":
            return "conflict"
        return row.state

    def cancel_all(self, key: str) -> tuple[int, int]:
        """Answer how many were cancelled, and how many asked to stop that were not asked before."""
        meant = [r for r in self.rows.values() if r.key == key and r.state not in ENDED and not r.asked]
        states = [self.cancel(row.id) for row in meant]
        return states.count("cancelled"), states.count("running")

    def pause(self, job_id: str) -> bool:
        row = self.rows[job_id]
        row.state = "paused" if row.state == "scheduled" else row.state
        return row.state == "paused"

    def resume(self, job_id: str) -> bool:
        row = self.rows[job_id]
        row.state = "scheduled" if row.state == "paused" else row.state
        return row.state == "scheduled"

    def run_now(self, job_id: str, now: datetime) -> bool:
        """One that is due keeps its place, but where it would be missed."""
        row = self.rows[job_id]
        if row.state not in ("scheduled", "paused"):
            return False
        row.state, row.run_at = "scheduled", now if row.max_lateness is not None else min(row.run_at, now)
        return True

    def reschedule(self, job_id: str, run_at: datetime) -> bool:
        row = self.rows[job_id]
        if row.state not in ("scheduled", "paused"):
            return False
        row.run_at = run_at
        return True

    def retry(self, job_id: str, now: datetime) -> str:
        """Answer "again", "conflict" or "key"."""
        row = self.rows[job_id]
        if row.state not in ("failed", "cancelled", "missed"):
            return "conflict"
        if self.keeper(row.key):
            return "key"
        row.state, row.run_at, row.attempt, row.crashes, row.asked = "scheduled", now, 0, 0, False
        return "again"

    # -- what a worker does ----------------------------------------------------------------------------

    def claim(self, job_id: str, worker: str, now: datetime) -> None:
        row = self.rows[job_id]
        assert row.is_due(now), f"claimed although {row.state} and due at {row.run_at} (it is {now})"
        assert not row.is_late(now), "claimed although it was too late"
        row.state, row.holder = "running", worker
        row.fence += 1

    def miss(self, job_id: str, now: datetime) -> None:
        row = self.rows[job_id]
        assert row.is_due(now)
        assert row.is_late(now)
        row.state = "missed"

    def settle(self, ends: Iterable[End], now: datetime) -> tuple[set[tuple[str, int]], set[str]]:
        """Answer which ends came too late (job, fence), and which jobs a policy has put off to a later time."""
        late: set[tuple[str, int]] = set()
        put_off: set[str] = set()
        for end in _as_written(ends, self.rows):
            row = self.rows[end.job_id]
            if row.state not in HELD or row.fence != end.fence:
                if end.how != "unstarted":
                    late.add((end.job_id, end.fence))
                continue
            self._end(row, end, now)
            if end.how == "error" and row.state == "scheduled":
                put_off.add(row.id)
        return late, put_off

    def _end(self, row: Row, end: End, now: datetime) -> None:
        how = end.how
        if how == "success":
            row.state = "succeeded"
        elif how == "cancelled":
            row.state = "cancelled"
        elif how == "error":
            row.attempt += 1
            if row.attempt >= row.max_attempts:
                row.state = "cancelled" if row.asked else "failed"
            else:
                self._back(row)
        elif how == "snooze":
            row.run_at = now + timedelta(seconds=end.seconds)
            self._back(row)
        else:
            row.fence += 1
            self._back(row)

    def rescue(self, worker: str, stands: Collection[str]) -> None:
        """A worker was declared dead. `stands`: the jobs that wait now, which tells who of two with one key won."""
        self.alive.discard(worker)
        for row in sorted(self.held_by(worker), key=lambda r: r.id not in stands):
            row.crashes += 1
            row.fence += 1
            if row.asked:
                row.state = "cancelled"
            elif row.at_most_once or row.crashes >= MAX_CRASHES:
                row.state = "failed"
            else:
                self._back(row)

    def let_go(self, worker: str, started: Collection[str], stands: Collection[str]) -> None:
        """A worker stopped by itself."""
        self.alive.discard(worker)
        for row in sorted(self.held_by(worker), key=lambda r: r.id not in stands):
            row.fence += 1
            if row.at_most_once and row.id in started:
                row.crashes += 1
                row.state = "cancelled" if row.asked else "failed"
            else:
                self._back(row)

    def _back(self, row: Row) -> None:
        """In line again, unless it was asked to stop or a newer job holds its key."""
        row.state = "cancelled" if row.asked or self.keeper(row.key, but=row.id) else "scheduled"


def _as_written(ends: Iterable[End], rows: dict[str, Row]) -> Iterator[End]:
    """Jobs with a key return last: of a batch, those that end free theirs first."""
    return iter(sorted(ends, key=lambda e: rows[e.job_id].key is not None and e.how not in ("success", "cancelled")))

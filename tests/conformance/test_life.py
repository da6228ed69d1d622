"""The whole life of jobs, at random: several processes on one database, beside a model of what should be.

Hypothesis makes up what people, workers, clocks and death do, step by step; after each step every row must be as the
model says. What must hold: nothing starts early; a job has one live run; what has ended stays ended, and a stale end
changes nothing; no row is ever lost; what was cancelled does not start and is not revived.

`SCHEDULER_TEST_LIVES=10000` has as many lives as that on each database.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from scheduler_app.client import Calls, Client, Limits, make_options
from scheduler_app.errors import DuplicateKeyError, JobConflictError
from scheduler_app.jobs import Outcome
from scheduler_app.loop.turned import Turned
from scheduler_app.outcomes import Result
from scheduler_app.store import Claim, Connection, Store, tables, workers
from scheduler_app.store.sqlite import UNSYNCED
from scheduler_app.tasks import ModuleRule, TaskRegistry
from scheduler_app.wishes import Snooze
from tests.conformance.cranked import ALLOWED, SIGNER, ManualClock, Process, forget_moves, job, moves, put
from tests.conformance.model import End, Model, Row

STEPS = 50
LIVES = int(os.environ.get("SCHEDULER_TEST_LIVES", "1000"))
PARTS = 10
"""On SQLite the lives are shared out, so that they can be played in several processes."""

_T = tables.jobs.c
ROWS = select(
    _T.id, _T.state, _T.run_at, _T.attempt, _T.crashes, _T.claim_seq, _T.live_key, _T.cancel_requested_at, _T.worker_id
)


def ship(order: int) -> None:
    """A function that may be deferred."""


class SteppingClock(ManualClock):
    """A store's clock that a person sets forwards and backwards, beside a monotonic one."""

    def __init__(self) -> None:
        super().__init__()
        self.stepped = 0.0

    def now(self) -> Any:
        return super().now() + timedelta(seconds=self.stepped)

    reckon = now


class Life(RuleBasedStateMachine):
    """Jobs, and the processes that run them."""

    store: Store
    clock: SteppingClock
    chance: random.Random
    """What new ids are made of: the same in each life, so that a life that failed can be played again."""
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.clock.passed = self.clock.stepped = 0.0
        self.processes: list[Process] = []
        self.claims: list[tuple[Process, str, Claim]] = []
        """What was claimed and has not ended in the process that claimed it, with the worker's id then."""
        calls = Calls(TaskRegistry(ModuleRule(("tests",))), lambda: SIGNER, None, 10_000)
        self.client = Client(self.store, calls, Limits(1e9, 100, 100, 30.0), lambda _seconds: None)

    @initialize()
    def begin(self) -> None:
        self.store.write(self._empty)
        forget_moves(self.store)
        self.chance.seed(0)
        for _ in range(2):
            self._add_process()
            self.clock.advance(0.001)

    def _empty(self, connection: Connection) -> None:
        for table in tables.metadata.tables.values():
            connection.execute(delete(table))

    def _add_process(self) -> None:
        process = Process(self.store, self.clock, slots=2)
        self.model.alive.add(process.worker.id)
        self.processes.append(process)

    # -- people ----------------------------------------------------------------------------------------

    @rule(
        target=jobs,
        after=st.sampled_from([0, 0, 3, 60]),
        attempts=st.integers(1, 3),
        priority=st.sampled_from(["urgent", "normal", "low"]),
    )
    def schedule(self, after: float, attempts: int, priority: str) -> str:
        handle = self.client.schedule_after(after, ship, (1,), {}, make_options(attempts=attempts, priority=priority))
        self.model.add(Row(handle.id, self.clock.now() + timedelta(seconds=after), max_attempts=attempts))
        return handle.id

    @rule(target=jobs, after=st.sampled_from([0, 3]), max_lateness=st.sampled_from([None, 10.0]))
    def schedule_special(self, after: float, max_lateness: float | None) -> str:
        """One that is missed when it is late, or one that runs at most once."""
        new = job(self.clock, after=after, max_lateness=max_lateness, at_most_once=max_lateness is None)
        put(self.store, new)
        self.model.add(Row(new.id, new.run_at, at_most_once=new.at_most_once, max_lateness=max_lateness))
        return new.id

    @rule(
        target=jobs,
        key=st.sampled_from("ab"),
        on_conflict=st.sampled_from(["existing", "debounce", "throttle", "raise"]),
        after=st.sampled_from([0, 3, 60]),
        attempts=st.integers(1, 2),
    )
    def schedule_keyed(self, key: str, on_conflict: str, after: float, attempts: int) -> Any:
        options = make_options(key=key, on_conflict=on_conflict, attempts=attempts)
        keeper = self.model.keeper(key)
        run_at = self.clock.now() + timedelta(seconds=after)
        if keeper is not None and on_conflict == "raise":
            with pytest.raises(DuplicateKeyError):
                self.client.schedule_after(after, ship, (1,), {}, options)
            return multiple()
        handle = self.client.schedule_after(after, ship, (1,), {}, options)
        assert handle.created == (keeper is None)
        if keeper is None:
            self.model.add(Row(handle.id, run_at, key=key, max_attempts=attempts))
            return handle.id
        assert handle.id == keeper.id
        self.model.meet(keeper, on_conflict, run_at, attempts)
        return multiple()

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        expected = self.model.cancel(job_id)
        if expected == "conflict":
            with pytest.raises(JobConflictError):
                self.client.cancel(job_id)
        else:
            assert self.client.cancel(job_id).state == expected

    @rule(job_id=jobs, after=st.sampled_from([0, 5, 60]))
    def reschedule(self, job_id: str, after: float) -> None:
        if self.model.reschedule(job_id, self.clock.now() + timedelta(seconds=after)):
            self.client.reschedule(job_id, after=after)
        else:
            with pytest.raises(JobConflictError):
                self.client.reschedule(job_id, after=after)

    @rule(job_id=jobs, seconds=st.sampled_from([-60, 60]))
    def move(self, job_id: str, seconds: float) -> None:
        wanted = self.model.rows[job_id].run_at + timedelta(seconds=seconds)
        moved = self.model.reschedule(job_id, max(wanted, self.clock.now()))
        self._ask(moved, lambda: self.client.reschedule(job_id, by=seconds))

    @rule(job_id=jobs)
    def pause(self, job_id: str) -> None:
        self._ask(self.model.pause(job_id), lambda: self.client.pause(job_id))

    @rule(job_id=jobs)
    def resume(self, job_id: str) -> None:
        self._ask(self.model.resume(job_id), lambda: self.client.resume(job_id))

    @rule(job_id=jobs)
    def run_now(self, job_id: str) -> None:
        self._ask(self.model.run_now(job_id, self.clock.now()), lambda: self.client.run_now(job_id))

    @rule(key=st.sampled_from("ab"))
    def cancel_all(self, key: str) -> None:
        assert self.client.cancel(prefix=key) == self.model.cancel_all(key)

    def _ask(self, may_be: bool, ask: Callable[[], Any]) -> None:
        if may_be:
            ask()
        else:
            with pytest.raises(JobConflictError):
                ask()

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        expected = self.model.retry(job_id, self.clock.now())
        if expected == "again":
            assert self.client.retry(job_id).state == "scheduled"
        else:
            with pytest.raises(DuplicateKeyError if expected == "key" else JobConflictError):
                self.client.retry(job_id)

    # -- workers ---------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def turn(self, which: int) -> None:
        """The loop of a process turns: it writes ends, and claims. One that was declared dead may only write."""
        process = self.processes[which]
        process.loop._take_back_unstarted()
        ends = [_end_of(f.claim, f.result) for f in process.flight.unwritten()]
        late, put_off = self.model.settle(ends, self.clock.now())
        turned = process.turn() if process.worker.id in self.model.alive else process.loop.turn()[1]
        assert {(s.claim.id, s.claim.fence) for s in turned.superseded} == late
        self.claims = [one for one in self.claims if not _has_ended(one, process, ends)]
        self._accept_delays(put_off)
        self._claimed(process, turned)

    def _accept_delays(self, put_off: set[str]) -> None:
        """A policy waits for a random time: at least 4 s after the first error."""
        if not put_off:
            return
        for row in self._rows():
            if row.id in put_off:
                run_at = row.run_at
                assert run_at >= self.clock.now() + timedelta(seconds=4)
                self.model.rows[row.id].run_at = run_at

    def _claimed(self, process: Process, turned: Turned) -> None:
        now = self.clock.now()
        for late, _at in turned.missed:
            self.model.miss(late.id, now)
        for one in (one for _alias, claims in turned.claimed for one in claims):
            assert process.worker.id in self.model.alive
            others = [w for p, w, c in self.claims if c.id == one.id]
            assert not set(others) & self.model.alive, "a second live run"
            self.model.claim(one.id, process.worker.id, now)
            assert one.fence == self.model.rows[one.id].fence
            self.claims.append((process, process.worker.id, one))
        outlived = [c for p, _w, c in self.claims if p is process and c.crashes]
        assert len([c for c in outlived if c in [o for _a, cs in turned.claimed for o in cs]]) <= 1
        may_claim = process.worker.id in self.model.alive and not process.loop.draining
        if turned.missed:
            assert process.wait == 0.0, "what was missed took places, and is not made up for at once"
        elif may_claim and process.executor.free_slots():
            left = [r for r in self.model.rows.values() if r.is_due(now) and not r.crashes]
            assert not left, "a slot is free, and a job is due"

    @rule(
        which=st.integers(0, 1), place=st.integers(0, 9), how=st.sampled_from(["success", "error", "error", "snooze"])
    )
    def finish(self, which: int, place: int, how: str) -> None:
        """A function returns or raises; nothing is written before the next turn."""
        process = self.processes[which]
        running = process.executor.running()
        if running:
            one = running[place % len(running)]
            if self.model.rows[one.id].asked and how == "snooze":
                process.end(one, Outcome.CANCELLED)  # it looked, and stopped
            elif how == "snooze":
                process.end(one, Outcome.ERROR, wish=Snooze(7.0 + self.clock.passed % 1))
            elif how == "error":
                process.fail(one)
            else:
                process.end(one)

    @rule(which=st.integers(0, 1))
    def beat(self, which: int) -> None:
        """The heart beats. One that was declared dead finds that out, and begins anew."""
        process = self.processes[which]
        is_alive = process.worker.id in self.model.alive
        assert process.beat() is is_alive
        if not is_alive:
            process.register()
            self.model.alive.add(process.worker.id)

    # -- clocks and death ------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 4.0, 12.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600.0, -5.0, 5.0, 3600.0]))
    def set_clock(self, seconds: float) -> None:
        """A person sets the database's clock."""
        self.clock.stepped += seconds

    @rule(which=st.integers(0, 1), truly=st.booleans())
    def crash(self, which: int, truly: bool) -> None:
        """A process is killed, and another one takes its place. Not each time: life needs some quiet."""
        if not truly:
            return
        self._replace(which)

    def _replace(self, which: int) -> None:
        gone = self.processes.pop(which)
        self.claims = [one for one in self.claims if one[0] is not gone]
        self._add_process()

    @rule(which=st.integers(0, 1))
    def stop(self, which: int) -> None:
        """A process drains and ends; another one takes its place."""
        process = self.processes[which]
        if process.worker.id not in self.model.alive:
            return
        process.loop.draining = True
        self.turn(which)
        started = {claim.id for claim in process.executor.running()}
        process.leave()
        self.store.write(lambda connection: workers.remove(connection, process.worker.id))
        self.model.let_go(process.worker.id, started, self._waiting())
        self._replace(which)

    @rule(stalls=st.booleans(), goes_on=st.booleans())
    def lease_passes(self, stalls: bool, goes_on: bool) -> None:
        """A lease's time goes by, in which the second process may stand still; who did not beat is declared dead.

        The first one may take over at once what that one held.
        """
        observer, other = self.processes
        self.beat(0)
        dead = self.model.alive - {observer.worker.id}
        if not stalls:
            self.beat(1)
            dead -= {other.worker.id}
        for _ in range(4):  # each within half a lease, or the observer would watch anew
            self.clock.advance(12.0)
            observer.beat()
            if not stalls:
                other.beat()
            observer.sweep()
        for worker in sorted(dead):
            self.model.rescue(worker, self._waiting())
        if goes_on:
            self.turn(0)

    def _rows(self) -> list[Any]:
        return self.store.read(lambda connection: list(connection.execute(ROWS)))

    def _waiting(self) -> Collection[str]:
        return {row.id for row in self._rows() if row.state == "scheduled"}

    # -- what must hold --------------------------------------------------------------------------------

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        self.clock.advance(0.001)  # no two jobs are due at one instant: which goes first is for no database to say
        found = {row.id: row for row in self._rows()}
        assert found.keys() == self.model.rows.keys()
        for job_id, row in self.model.rows.items():
            seen = found[job_id]
            assert (seen.state, seen.attempt, seen.crashes, seen.claim_seq, seen.live_key) == (
                row.state, row.attempt, row.crashes, row.fence, row.live_key,
            )  # fmt: skip
            if row.state == "scheduled":
                assert seen.run_at == row.run_at
                assert seen.cancel_requested_at is None
            if row.state == "running":
                assert seen.worker_id == row.holder
                assert (seen.cancel_requested_at is not None) == row.asked

    def teardown(self) -> None:
        assert moves(self.store) <= ALLOWED


def _end_of(one: Claim, result: Result) -> End:
    if result.refusal is not None:
        return End(one.id, one.fence, "unstarted")
    if result.wish is not None:
        return End(one.id, one.fence, "snooze", result.wish.seconds or 0.0)
    assert result.outcome is not None
    return End(one.id, one.fence, result.outcome.value)


def _has_ended(one: tuple[Process, str, Claim], process: Process, ends: list[End]) -> bool:
    return one[0] is process and any((e.job_id, e.fence) == (one[2].id, one[2].fence) for e in ends)


def play(store: Store, clock: SteppingClock, chance: random.Random, lives: int, number: int = 0) -> None:
    """Play so many lives, always the same ones for one number and one state of this code."""
    made = type("Life", (Life,), {"store": store, "clock": clock, "chance": chance})
    run_state_machine_as_test(
        seed(number)(made),
        settings=settings(
            max_examples=lives,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
        _min_steps=STEPS,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppingClock:
    made = SteppingClock()
    made.install(monkeypatch)
    return made


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    made = random.Random(0)
    monkeypatch.setattr("scheduler_app.jobs.urandom", made.randbytes)
    return made


def open_store(url: str, clock: SteppingClock, journal: str = "wal") -> Store:
    store = Store(url, journal=journal)
    store.clock = clock  # type: ignore[assignment]
    return store


@pytest.mark.timeout(240 + LIVES // 10)
@pytest.mark.parametrize("part", range(PARTS))
def test_lives_of_jobs_are_as_the_model_says(
    migrated_sqlite: str, clock: SteppingClock, chance: random.Random, part: int
) -> None:
    store = open_store(migrated_sqlite, clock, UNSYNCED)
    play(store, clock, chance, LIVES // PARTS, part)
    store.close()


@pytest.mark.timeout(240 + LIVES // 10)
@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_lives_of_jobs_are_the_same_on_a_server(
    database: str, clock: SteppingClock, chance: random.Random, request: pytest.FixtureRequest
) -> None:
    store = open_store(request.getfixturevalue(f"migrated_{database}"), clock)
    play(store, clock, chance, LIVES // 40)
    store.close()

"""The turn: every move is one of TRANSITIONS, nothing that one row does delays another, and no error loses anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app import signals
from scheduler_app.jobs import TRANSITIONS, JobState
from scheduler_app.loop.unserved import UnservedJobs
from scheduler_app.outcomes import Refusal
from scheduler_app.payload import Signer
from scheduler_app.store import Claim, NewJob, Store, change, workers
from scheduler_app.store.claim import KEY_PREFIX
from scheduler_app.tasks import ModuleRule, Task, TaskRegistry
from tests.conformance.cranked import (
    SIGNER,
    ManualClock,
    Process,
    broken,
    fetch,
    forge,
    forget_moves,
    job,
    job_of,
    jobs_of,
    moves,
    put,
    put_schedules,
    schedule,
    schedule_named,
    state_of,
)

# -- the moves -----------------------------------------------------------------------------------------

HANDED_OFF = {("scheduled", "claimed", "claim"), ("claimed", "running", "runner"), ("claimed", "quarantined", "runner")}
ASKED_BY_A_PERSON = {
    ("scheduled", "paused", "client"),
    ("paused", "scheduled", "client"),
    ("quarantined", "scheduled", "client"),
    ("failed", "scheduled", "client"),
    ("cancelled", "scheduled", "client"),
    ("missed", "scheduled", "client"),
}
NOT_YET = HANDED_OFF | ASKED_BY_A_PERSON
"""Moves that no verb of this version makes."""


class Scenario:
    """Goes through a job's life in every way, and notes who made which move."""

    def __init__(self, store: Store, clock: ManualClock, make_process: Callable[..., Process]) -> None:
        self.store, self.clock, self.make_process = store, clock, make_process
        self.seen: set[tuple[str | None, str, str]] = set()

    @contextmanager
    def by(self, who: str) -> Iterator[None]:
        forget_moves(self.store)
        yield
        self.seen |= {(source, target, who) for source, target in moves(self.store)}

    def held(self, state: str = "running", **columns: Any) -> tuple[Process, Any]:
        """Return a process and a job that it holds."""
        put(self.store, job(self.clock, **columns))
        process = self.make_process()
        claim = process.claim_one()
        forge(self.store, "UPDATE scheduler_jobs SET state = :state WHERE id = :id", state=state, id=claim.id)
        return process, claim

    def waits(self, state: str) -> str:
        new = job(self.clock, after=999)
        put(self.store, new)
        forge(self.store, "UPDATE scheduler_jobs SET state = :state WHERE id = :id", state=state, id=new.id)
        return new.id

    def ask_to_stop(self, job_id: str) -> None:
        self.store.write(lambda c: change.request_cancel_if_held(c, job_id, self.clock.now()))

    def rescue(self, process: Process) -> None:
        observer = self.make_process()
        forge(self.store, "DELETE FROM scheduler_workers WHERE id = :id", id=process.worker.id)
        with self.by("rescue"):
            observer.sweep()

    # -- the parts -------------------------------------------------------------------------------------

    def make(self) -> None:
        with self.by("client"):
            put(self.store, job(self.clock, key="k", after=999))
        put_schedules(self.store, schedule(self.clock, "s", IntervalTrigger(hours=1), next_run_time=self.clock.now()))
        with self.by("fire"):
            process = self.make_process(queues=())
            process.turn()
        self.cancel_all()

    def cancel_all(self) -> None:
        for row in fetch(self.store, "SELECT id FROM scheduler_jobs WHERE state = 'scheduled'"):
            self.cancel(row.id)

    def cancel(self, job_id: str) -> None:
        with self.by("client"):
            assert self.store.write(lambda c: change.cancel_if_waiting(c, job_id, self.clock.now()))

    def claim(self) -> None:
        process = self.make_process()
        put(self.store, job(self.clock), job(self.clock, max_lateness=0.0, after=-9))
        bad = job(self.clock)
        put(self.store, bad)
        forge(self.store, "UPDATE scheduler_jobs SET run_at = :bad WHERE id = :id", bad=bad_instants(self.store)[0],
              id=bad.id)  # fmt: skip
        with self.by("claim"):
            process.turn()
            process.turn()

    def settle(self) -> None:
        for end in ("success", "failure", "retry", "stop"):
            process, claim = self.held(max_attempts=2 if end == "retry" else 1)
            if end == "stop":
                self.ask_to_stop(claim.id)
            process.end(claim) if end == "success" else process.fail(claim)
            with self.by("settle"):
                process.turn()
        process, claim = self.held()
        process.refuse(claim, Refusal.MALFORMED, "forged")
        with self.by("runner"):
            process.turn()

    def release(self, state: str) -> None:
        for stop in (False, True):
            process, claim = self.held(state)
            if stop:
                self.ask_to_stop(claim.id)
            process.refuse(claim, Refusal.NOT_STARTED)
            process.loop.draining = True
            with self.by("release"):
                process.turn()
            if not stop:
                self.cancel(claim.id)

    def stop(self) -> None:
        for asked in (False, True):
            process, claim = self.held(at_most_once=True)
            if asked:
                self.ask_to_stop(claim.id)
            with self.by("release"):
                process.leave()

    def die(self, state: str) -> None:
        for fate in ("again", "once", "stop"):
            process, claim = self.held(state, at_most_once=fate == "once")
            if fate == "stop":
                self.ask_to_stop(claim.id)
            self.rescue(process)
            if fate == "again":
                self.cancel(claim.id)

    def serve_again(self) -> None:
        unknown = job(self.clock, task="tests.nowhere:gone", after=-9999)
        put(self.store, unknown)
        registry = TaskRegistry(ModuleRule(("tests",)))
        unserved = UnservedJobs(self.store, registry, frozenset({unknown.signature[:KEY_PREFIX]}), 900.0)
        unserved.note(claim_of(unknown), Refusal.UNSERVED)
        unserved.look_after(self.clock.now())
        with self.by("claim"):
            unserved.look_after(self.clock.advance(60))
        registry.register(never_called, name=unknown.task)
        with self.by("claim"):
            unserved.look_after(self.clock.now())
        self.cancel(unknown.id)

    def cancel_what_waits(self) -> None:
        for state in ("paused", "quarantined"):
            self.cancel(self.waits(state))


def never_called() -> None:
    raise AssertionError


def test_every_move_that_this_version_makes_is_made_and_no_other(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    scenario = Scenario(store, clock, make_process)
    scenario.make()
    scenario.claim()
    scenario.settle()
    for state in ("running", "claimed"):
        scenario.release(state)
        scenario.die(state)
    scenario.stop()
    scenario.serve_again()
    scenario.cancel_what_waits()
    known = {(m.source and m.source.value, m.target.value, m.who) for m in TRANSITIONS}
    assert scenario.seen - known == set()
    assert known - scenario.seen == NOT_YET


# -- one bad row delays no neighbour ---------------------------------------------------------------------

FAR = "2999-01-01 00:00:00.000000"


def bad_instants(store: Store) -> list[object]:
    if store.dialect.name == "postgresql":
        return ["-infinity", "infinity", "10000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"]
    if store.dialect.name == "mysql":
        return ["0000-00-00 00:00:00", "2026-00-10 00:00:00", "2026-03-00 10:00:00", "0000-03-01 00:00:00"]
    return [
        "",
        "not a time",
        12345,
        b"\xff\xfe",
        "2026-02-30 10:00:00.000000",
        "gültig",
        "0000-00-00 00:00:00",
        "2026-03-01x",
    ]


def test_999_jobs_run_beside_one_whose_time_cannot_be_read(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    process = make_process(slots=1000)
    new = [job(clock, i) for i in range(1000)]
    put(store, *new)
    bad = new[500]
    forge(store, "UPDATE scheduler_jobs SET run_at = :bad WHERE id = :id", bad=bad_instants(store)[0], id=bad.id)
    claims = process.claim()
    assert len(claims) == 999
    for claim in claims:
        process.end(claim)
    process.turn()
    states = fetch(store, "SELECT state, count(*) FROM scheduler_jobs GROUP BY state ORDER BY state")
    assert states == [("quarantined", 1), ("succeeded", 999)]


def test_every_unreadable_time_is_put_aside_at_once_with_what_stood_there(
    store: Store, clock: ManualClock, process: Process
) -> None:
    values = bad_instants(store)
    new = [job(clock) for _ in values]
    good = [job(clock, after=-1), job(clock), job(clock, after=1)]
    put(store, *new, *good)
    for one, value in zip(new, values, strict=True):
        forge(store, "UPDATE scheduler_jobs SET run_at = :bad WHERE id = :id", bad=value, id=one.id)
    with signals.job_quarantined.connected_to(lambda _sender, **facts: None):
        turned = process.turn()
    assert {job_id for job_id, _reason in turned.quarantined} == {one.id for one in new}
    for one, value in zip(new, values, strict=True):
        found = job_of(store, one.id)
        assert found.state is JobState.QUARANTINED
        assert str(found.error).startswith("its run_at cannot be read: ")
        if value in ("", "not a time", 12345, "infinity"):
            assert found.error == f"its run_at cannot be read: {value}"
    assert [state_of(store, one.id) for one in good] == [JobState.RUNNING, JobState.RUNNING, JobState.SCHEDULED]
    assert process.wait == 1.0


def test_times_that_can_be_read_are_never_put_aside(store: Store, clock: ManualClock, process: Process) -> None:
    instants = ["2026-02-28 23:59:59.999999", "2024-02-29 00:00:00.000000", "1970-01-01 00:00:00.000000", FAR]
    instants += ["2026-12-31 23:59:59.999500", "2026-03-01 11:59:59.000001"]
    new = [job(clock) for _ in instants]
    put(store, *new)
    for one, instant in zip(new, instants, strict=True):
        text = instant + ("+00" if store.dialect.name == "postgresql" else "")
        forge(store, "UPDATE scheduler_jobs SET run_at = :at WHERE id = :id", at=text, id=one.id)
    assert store.write(lambda c: change.quarantine_unreadable(c, store.dialect, clock.now())) == []


def test_a_row_that_only_the_claim_finds_unreadable_is_put_aside_and_its_range_goes_on(
    store: Store, clock: ManualClock, process: Process
) -> None:
    if store.dialect.name != "sqlite":
        pytest.skip("this database holds a column to its type")
    new = [job(clock) for _ in range(5)]
    put(store, *new)
    forge(store, "UPDATE scheduler_jobs SET max_lateness = 'soon' WHERE id = :id", id=new[2].id)
    assert len(process.claim()) == 4
    assert state_of(store, new[2].id) is JobState.QUARANTINED


def test_a_schedule_whose_trigger_cannot_be_read_is_paused_with_the_reason_and_the_others_fire(
    store: Store, clock: ManualClock, process: Process
) -> None:
    bad = schedule(clock, "bad", "no trigger", next_run_time=clock.now())
    good = schedule(clock, "good", IntervalTrigger(hours=1), next_run_time=clock.now())
    put_schedules(store, bad, good)
    turned = process.turn()
    found = schedule_named(store, "bad")
    assert found is not None
    assert found.next_run_time is None
    assert str(found.error).startswith("its trigger raised MalformedTriggerError: The stored trigger 'no trigger'")
    assert [fired.paused for fired in turned.fired if fired.schedule.name == "bad"] == [found.error]
    assert len(jobs_of(store, good)) == 1


def test_a_forged_schedule_is_paused_with_the_reason_and_the_others_fire(
    store: Store, clock: ManualClock, process: Process
) -> None:
    both = [schedule(clock, name, IntervalTrigger(hours=1), next_run_time=clock.now()) for name in ("bad", "good")]
    put_schedules(store, *both)
    forge(store, "UPDATE scheduler_schedules SET payload = '{\"a\":[],\"k\":{}}' WHERE name = 'bad'")
    process.turn()
    found = schedule_named(store, "bad")
    assert found is not None
    assert (found.next_run_time, found.error) == (None, "its signature is forged")
    assert [len(jobs_of(store, one)) for one in both] == [0, 1]


def test_a_schedule_whose_next_time_cannot_be_read_is_paused_and_the_others_fire(
    store: Store, clock: ManualClock, process: Process
) -> None:
    names = [f"bad {index}" for index in range(len(bad_instants(store)))]
    both = [schedule(clock, name, IntervalTrigger(hours=1), next_run_time=clock.now()) for name in [*names, "good"]]
    put_schedules(store, *both)
    for name, value in zip(names, bad_instants(store), strict=True):
        forge(store, "UPDATE scheduler_schedules SET next_run_time = :at WHERE name = :name", at=value, name=name)
    process.turn()
    process.turn()
    for name in names:
        found = schedule_named(store, name)
        assert found is not None
        assert found.next_run_time is None
        assert str(found.error).startswith("its next_run_time cannot be read: ")
    assert len(jobs_of(store, both[-1])) == 1


def test_bad_rows_of_every_kind_at_once_delay_no_end_no_fire_and_no_claim(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock) for _ in range(6)))
    claims = process.claim()
    for index, claim in enumerate(claims):
        process.end(claim, value='"\ud800"' if index == 3 else "1")
    both = [schedule(clock, name, IntervalTrigger(hours=1), next_run_time=clock.now()) for name in ("bad", "good")]
    put_schedules(store, *both)
    later = [job(clock), job(clock)]
    put(store, *later)
    worst = bad_instants(store)[0]
    forge(store, "UPDATE scheduler_schedules SET next_run_time = :at WHERE name = 'bad'", at=worst)
    forge(store, "UPDATE scheduler_jobs SET run_at = :at WHERE id = :id", at=worst, id=later[0].id)
    process.turn()
    assert [state_of(store, claim.id) for claim in claims] == [
        JobState.FAILED if index == 3 else JobState.SUCCEEDED for index in range(6)
    ]
    assert len(jobs_of(store, both[1])) == 1
    assert [state_of(store, one.id) for one in later] == [JobState.QUARANTINED, JobState.RUNNING]


# -- errors of the database --------------------------------------------------------------------------------


def passing_errors(store: Store) -> list[Exception]:
    """Return errors that are the database's, as its driver raises them."""
    driver: Any = store.engine.dialect.dbapi
    if store.dialect.name == "postgresql":
        return [
            driver.errors.DeadlockDetected("deadlock detected"),
            driver.errors.SerializationFailure("could not serialize access"),
            driver.errors.AdminShutdown("terminating connection due to administrator command"),
            driver.errors.DiskFull("could not extend file"),
            driver.errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction"),
        ]
    errors = []
    for code in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR_FSYNC", "SQLITE_READONLY"):
        errors.append(driver.OperationalError(code))
        errors[-1].sqlite_errorname = code
    return errors


@contextmanager
def failing_commit(store: Store, error: Exception) -> Iterator[None]:
    dialect = store.engine.dialect
    commit = dialect.do_commit

    def fail(_connection: Any) -> None:
        raise error

    dialect.do_commit = fail  # type: ignore[method-assign]
    try:
        yield
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]


def test_an_error_of_the_database_undoes_the_whole_turn_and_the_next_one_does_it_all(
    store: Store, clock: ManualClock, process: Process
) -> None:
    for error in passing_errors(store):
        first, second = job(clock), job(clock)
        put(store, first)
        one = schedule(clock, f"s {error}", IntervalTrigger(hours=1), next_run_time=clock.now())
        process.end(process.claim_one())
        put_schedules(store, one)
        put(store, second)
        with failing_commit(store, error), pytest.raises(Exception, match=str(error)):
            process.turn()
        assert [state_of(store, j.id) for j in (first, second)] == [JobState.RUNNING, JobState.SCHEDULED]
        assert (process.flight.has_unwritten(), jobs_of(store, one)) == (True, [])
        turned = process.turn()
        assert [s.claim.id for s in turned.settled] == [first.id]
        assert [state_of(store, j.id) for j in (first, second)] == [JobState.SUCCEEDED, JobState.RUNNING]
        assert len(jobs_of(store, one)) == 1
        for claim in [*process.executor.running(), *process.claim()]:
            process.end(claim)
        process.turn()
    assert len(process.executor.submitted) == len({claim.id for claim in process.executor.submitted})


# -- what nobody here can serve --------------------------------------------------------------------------


@pytest.fixture
def registry() -> TaskRegistry:
    return TaskRegistry(ModuleRule(("tests",)))


def claim_of(new: NewJob) -> Claim:
    """Return what a worker that holds this job knows of it."""
    return Claim(
        id=new.id, task=new.task, payload=new.payload, signature=new.signature, queue=new.queue, priority=new.priority,
        run_at=new.run_at, attempt=0, max_attempts=1, crashes=0, at_most_once=False, fence=1, key=new.key,
        schedule_uid=None, fire_time=None, max_lateness=None,
    )  # fmt: skip


def unserved_in(store: Store, registry: TaskRegistry) -> UnservedJobs:
    return UnservedJobs(store, registry, frozenset(f"v1:{key}" for key in SIGNER.key_ids), 900.0)


def test_an_unknown_task_is_left_to_others_for_15_minutes_and_then_put_aside(
    store: Store, clock: ManualClock, registry: TaskRegistry
) -> None:
    new, young = job(clock, task="tests.nowhere:gone"), job(clock, task="tests.nowhere:gone", after=1)
    put(store, new, young)
    unserved = unserved_in(store, registry)
    unserved.note(claim_of(new), Refusal.UNSERVED)
    unserved.look_after(clock.now())
    assert unserved.current().tasks == {new.task}
    unserved.look_after(clock.advance(899.9))
    assert state_of(store, new.id) is JobState.SCHEDULED
    unserved.look_after(clock.advance(0.1))
    found = job_of(store, new.id)
    assert (found.state, found.error) == (
        JobState.QUARANTINED,
        "no live worker knows its task: tests.nowhere:gone",
    )
    assert state_of(store, young.id) is JobState.SCHEDULED


class BusyRegistry(TaskRegistry):
    """Whoever looks for a task here is overtaken by the loop, which meets another one."""

    def __init__(self) -> None:
        super().__init__(ModuleRule(("tests",)))
        self.meet: Callable[[str], None] = lambda _task: None

    def resolve(self, name: str) -> Task:
        self.meet(f"tests.met.beside:{name[-4:]}")
        return super().resolve(name)


class Served(list[str]):
    """What live workers know; whoever asks is overtaken by the loop, which meets another task."""

    def __init__(self, meet: Callable[[str], None]) -> None:
        super().__init__()
        self._meet = meet

    def __contains__(self, name: object) -> bool:
        self._meet(f"tests.met.late:{str(name)[-4:]}")
        return False


def test_a_task_that_the_loop_meets_while_the_heartbeat_looks_after_others_is_not_lost(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, other, registry = job(clock, task="tests.nowhere:gone"), job(clock, task="tests.nowhere:lost"), BusyRegistry()
    put(store, new, other)
    unserved = unserved_in(store, registry)
    unserved.note(claim_of(new), Refusal.UNSERVED)
    unserved.note(claim_of(other), Refusal.UNSERVED)

    def meet(task: str) -> None:
        unserved.note(claim_of(job(clock, task=task)), Refusal.UNSERVED)

    registry.meet = meet
    monkeypatch.setattr(workers, "served_by", lambda _rows: Served(meet))
    unserved.look_after(clock.now())
    unserved.look_after(clock.advance(900))
    assert [state_of(store, one.id) for one in (new, other)] == [JobState.QUARANTINED] * 2
    met = {f"tests.met.{when}:{task}" for when in ("beside", "late") for task in ("gone", "lost")}
    assert met | {new.task, other.task} <= unserved.current().tasks


def test_a_loop_that_failed_for_days_still_waits_for_the_poll_interval_at_most(process: Process) -> None:
    scheduler = process._assembled()
    scheduler._failures = 1_000_000

    def fail() -> float:
        raise broken(process.store)

    scheduler._one_turn = fail  # type: ignore[method-assign]
    wait = scheduler._process_jobs()
    assert wait is not None
    assert 0.5 <= wait <= 1.5


def test_an_unknown_task_that_a_live_worker_knows_is_never_put_aside(
    store: Store, clock: ManualClock, registry: TaskRegistry, make_process: Callable[..., Process]
) -> None:
    new = job(clock, task="tests.nowhere:gone")
    put(store, new)
    make_process(tasks=["tests.nowhere:gone"])
    unserved = unserved_in(store, registry)
    unserved.note(claim_of(new), Refusal.UNSERVED)
    unserved.look_after(clock.now())
    unserved.look_after(clock.advance(10_000))
    assert state_of(store, new.id) is JobState.SCHEDULED


def test_a_job_that_was_put_aside_comes_back_when_a_worker_knows_its_task(
    store: Store, clock: ManualClock, registry: TaskRegistry
) -> None:
    new = job(clock, task="tests.nowhere:gone", key="k")
    put(store, new)
    unserved = unserved_in(store, registry)
    unserved.note(claim_of(new), Refusal.UNSERVED)
    unserved.look_after(clock.now())
    unserved.look_after(clock.advance(900))
    registry.register(never_called, name="tests.nowhere:gone")
    unserved.look_after(clock.now())
    found = job_of(store, new.id)
    assert (found.state, found.error, found.key) == (JobState.SCHEDULED, None, "k")
    assert unserved.current().tasks == frozenset()


def test_an_unknown_signing_key_is_left_to_others_for_15_minutes_and_then_put_aside_until_it_is_known(
    store: Store, clock: ManualClock, registry: TaskRegistry
) -> None:
    foreign = Signer([b"the key of another deployment"])
    new = job(clock, task=f"{__name__}:never_called", signature=foreign.sign("x"))
    put(store, new)
    unserved = unserved_in(store, registry)
    unserved.note(claim_of(new), Refusal.UNSERVED)
    unserved.look_after(clock.now())
    assert unserved.current().keys == {new.signature[:KEY_PREFIX]}
    unserved.look_after(clock.advance(899))
    assert state_of(store, new.id) is JobState.SCHEDULED
    unserved.look_after(clock.advance(1))
    found = job_of(store, new.id)
    prefix = new.signature[:KEY_PREFIX]
    assert (found.state, found.error) == (
        JobState.QUARANTINED,
        f"no live worker knows its signing key: {prefix}",
    )
    knowing = UnservedJobs(store, registry, frozenset({prefix}), 900.0)
    knowing.look_after(clock.now())
    assert state_of(store, new.id) is JobState.SCHEDULED


def test_a_release_of_an_unserved_job_spends_nothing_and_raises_the_fence(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    process.refuse(process.claim_one(), Refusal.UNSERVED, "not known here")
    process.loop.draining = True
    process.turn()
    found = job_of(store, new.id)
    assert (found.state, found.attempt, found.crashes, found.claim_seq) == (JobState.SCHEDULED, 0, 0, 2)
    assert found.run_at == clock.now()


# -- waiting -----------------------------------------------------------------------------------------------


def test_after_a_fire_the_loop_turns_again_at_once_and_runs_the_job(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put_schedules(store, schedule(clock, "s", IntervalTrigger(seconds=60), next_run_time=clock.now()))
    process.turn()
    assert process.wait == 0.0
    process.claim_one()
    assert process.wait == 1.0
    clock.advance(59.5)
    process.turn()
    assert process.wait == pytest.approx(0.5)


def test_a_due_schedule_that_another_process_is_firing_does_not_make_the_loop_spin(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    if store.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    from scheduler_app.store import schedules

    process = make_process()
    put_schedules(store, schedule(clock, "s", IntervalTrigger(seconds=60), next_run_time=clock.now()))
    with store.begin() as connection:
        assert len(schedules.lock_due(connection, schedules.Firer(), clock.now(), 1)) == 1
        process.turn()
        assert process.wait == 1.0


def test_a_paused_loop_still_settles(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock)
    put(store, new)
    claim = process.claim_one()
    put(store, job(clock))
    process.loop.paused = True
    process.finish(claim)
    assert state_of(store, new.id) is JobState.SUCCEEDED
    assert len(process.executor.submitted) == 1


def test_a_job_due_between_two_turns_is_not_lost_to_the_wait(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock, after=i / 10, queue=f"q{i % 3}", priority=i % 4) for i in range(20)))
    instants = []
    for _ in range(60):
        for claim in process.claim():
            instants.append((claim.run_at, clock.now()))
            process.end(claim)
        clock.advance(max(process.wait, 0.001))
    assert len(instants) == 20
    assert all(timedelta(0) <= at - run_at <= timedelta(seconds=0.02) for run_at, at in instants)

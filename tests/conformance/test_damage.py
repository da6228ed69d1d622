"""What a damaged row, a failing executor or a worker that stops may do: to itself, and never to its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask
from sqlalchemy.exc import DBAPIError

from scheduler_app import current_job, schedule_now, signals, task
from scheduler_app.client.explain import explain
from scheduler_app.errors import StoreUnavailableError
from scheduler_app.executors import threads
from scheduler_app.executors.threads import ThreadExecutor
from scheduler_app.jobs import JobState
from scheduler_app.loop import unserved
from scheduler_app.loop.claiming import Claiming
from scheduler_app.loop.heartbeat import Heartbeat
from scheduler_app.loop.rescuer import Rescuer
from scheduler_app.loop.unserved import UnservedJobs
from scheduler_app.outcomes import Refusal, Result
from scheduler_app.store import Claim, Store, change, workers
from scheduler_app.store.claim import KEY_PREFIX
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.cranked import (
    SIGNER,
    ManualClock,
    Process,
    attempts_of,
    broken,
    forge,
    job,
    job_of,
    jobs_of,
    put,
    put_schedules,
    schedule,
    schedule_named,
    state_of,
    value_of,
)
from tests.conformance.test_turn import bad_instants

DAMAGE = "UPDATE scheduler_jobs SET version = 2147483647 WHERE id = :id"


def damage(store: Store, job_id: str, *moves_to: str) -> None:
    """Have every write fail that moves a job to one of these states, as only this row's own values could make it."""
    if store.dialect.name != "sqlite":
        forge(store, DAMAGE, id=job_id)
        return
    listed = ", ".join(f"'{state}'" for state in moves_to)
    forge(
        store,
        f"CREATE TRIGGER damaged BEFORE UPDATE OF state ON scheduler_jobs WHEN OLD.id = '{job_id}'"
        f" AND NEW.state IN ({listed}) BEGIN SELECT RAISE(ABORT, 'integer out of range'); END",
    )


# -- rows that nobody could ever run ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [("priority", 4), ("priority", -1), ("attempt", -1), ("attempt", 2147483647), ("max_attempts", 0), ("crashes", -1)],
)
def test_a_number_that_no_claim_would_find_cannot_be_stored_by_any_hand(
    column: str, value: int, store: Store, clock: ManualClock
) -> None:
    new = job(clock)
    put(store, new)
    with pytest.raises(DBAPIError):
        forge(store, f"UPDATE scheduler_jobs SET {column} = :value WHERE id = :id", value=value, id=new.id)


def test_a_job_that_no_claim_can_take_is_put_aside_and_its_neighbours_run(
    store: Store, clock: ManualClock, process: Process
) -> None:
    bad, good = job(clock, after=-1), job(clock)
    put(store, bad, good)
    damage(store, bad.id, "running")
    told: list[str] = []
    with signals.job_quarantined.connected_to(lambda _sender, **facts: told.append(facts["job_id"])):
        process.turn()
        claims = process.claim()
    assert [claim.id for claim in claims] == [good.id]
    found = job_of(store, bad.id)
    assert found.state is JobState.QUARANTINED
    assert str(found.error).startswith("it cannot be claimed: ")
    assert "out of range" in str(found.error).lower()


def test_a_job_of_which_no_end_can_be_written_is_put_aside_and_its_neighbours_end(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock) for _ in range(4)))
    claims = process.claim()
    damage(store, claims[1].id, "succeeded", "failed")
    for claim in claims:
        process.end(claim)
    turned = process.turn()
    assert [job_id for job_id, _why in turned.quarantined] == [claims[1].id]
    wanted = [JobState.SUCCEEDED, JobState.QUARANTINED, JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert [state_of(store, claim.id) for claim in claims] == wanted
    assert str(job_of(store, claims[1].id).error).startswith("its end could not be written: ")
    assert process.flight.claims == {}


def test_a_schedule_that_cannot_be_fired_is_paused_with_the_reason_and_those_after_it_fire(
    store: Store, clock: ManualClock, process: Process
) -> None:
    first = clock.now()
    both = [schedule(clock, name, IntervalTrigger(hours=1), next_run_time=first) for name in ("bad", "good")]
    put_schedules(store, *both)
    value: Any = "many" if store.dialect.name == "sqlite" else 2147483647
    column = "max_instances" if store.dialect.name == "sqlite" else "version"
    forge(store, f"UPDATE scheduler_schedules SET {column} = :value WHERE name = 'bad'", value=value)
    process.turn()
    assert len(jobs_of(store, both[1])) == 1
    assert jobs_of(store, both[0]) == []
    forge(store, f"UPDATE scheduler_schedules SET {column} = 1 WHERE name = 'bad'")
    found = schedule_named(store, "bad")
    assert found is not None
    assert found.next_run_time is None
    assert str(found.error).startswith("it could not be fired: ")


# -- rows that a worker holds ----------------------------------------------------------------------------


def hold_fast(store: Store, job_id: str) -> None:
    """Have every write fail that gives a held job back, or ends it for a dead worker."""
    if store.dialect.name == "sqlite":
        damage(store, job_id, "scheduled", "failed")
    else:
        forge(store, "UPDATE scheduler_jobs SET claim_seq = 9223372036854775807 WHERE id = :id", id=job_id)


def count_no_further(store: Store, job_id: str) -> None:
    forge(store, DAMAGE, id=job_id)


def lose_its_instants(store: Store, job_id: str) -> None:
    forge(
        store,
        "UPDATE scheduler_jobs SET run_at = :bad, started_at = :bad WHERE id = :id",
        bad=bad_instants(store)[0],
        id=job_id,
    )


Harm = Callable[[Store, str], None]


@pytest.mark.parametrize("harm", [count_no_further, lose_its_instants])
def test_a_held_row_that_is_damaged_is_given_back_all_the_same(
    harm: Harm, store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, job(clock))
    held = process.claim_one()
    harm(store, held.id)
    assert process.leave() == 1
    assert value_of(store, held.id, "state") == "scheduled"


@pytest.mark.parametrize("harm", [count_no_further, lose_its_instants, hold_fast])
def test_a_held_row_that_is_damaged_stops_no_turn(
    harm: Harm, store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, job(clock))
    held = process.claim_one()
    harm(store, held.id)
    process.loop.must_reconcile = True
    good = job(clock)
    put(store, good)
    assert process.claim_one().id == good.id


def test_a_claim_of_unknown_fate_that_cannot_be_given_back_is_put_aside_and_the_others_come_back(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock) for _ in range(3)))
    first, bad, last = process.claim()
    hold_fast(store, bad.id)
    process.flight.claims.clear()
    process.loop.must_reconcile = True
    told: list[str] = []
    with signals.job_quarantined.connected_to(lambda _sender, **facts: told.append(facts["job_id"])):
        claims = process.claim()
    assert sorted(claim.id for claim in claims) == sorted([first.id, last.id])
    assert told == [bad.id]
    found = job_of(store, bad.id)
    assert found.state is JobState.QUARANTINED
    assert str(found.error).startswith("its worker could not let go of it: ")
    assert not process.loop.must_reconcile


def test_a_row_that_can_neither_be_given_back_nor_put_aside_stops_no_turn(
    store: Store, clock: ManualClock, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, job(clock))
    bad = process.claim_one()
    hold_fast(store, bad.id)
    process.flight.claims.clear()
    process.loop.must_reconcile = True

    def fail(*_facts: object) -> bool:
        raise ValueError("a row's fault")

    monkeypatch.setattr(change, "quarantine_if_held", fail)
    good = job(clock)
    put(store, good)
    assert process.claim_one().id == good.id


@pytest.mark.parametrize("harm", [count_no_further, lose_its_instants, hold_fast])
def test_a_damaged_row_of_a_dead_worker_keeps_no_other_job_from_its_rescue(
    harm: Harm, store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    dead, other, observer = make_process(slots=2), make_process(slots=1), make_process()
    put(store, job(clock), job(clock))
    bad, beside = dead.claim()
    put(store, job(clock))
    elsewhere = other.claim_one()
    harm(store, bad.id)
    observer.watch(30.0)
    assert state_of(store, beside.id) is JobState.SCHEDULED
    assert state_of(store, elsewhere.id) is JobState.SCHEDULED
    assert value_of(store, bad.id, "state") == ("quarantined" if harm is hold_fast else "scheduled")
    assert [row.id for row in store.read(workers.all_workers)] == [observer.worker.id]


def test_a_dead_worker_that_cannot_be_rescued_keeps_no_other_from_being_rescued(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, other, observer = make_process(slots=1), make_process(slots=1), make_process()
    put(store, job(clock))
    bad = dead.claim_one()
    put(store, job(clock))
    good = other.claim_one()
    rescue_held = workers.rescue_held

    def rescue(connection: Any, dialect: Any, worker_id: str, *rest: Any) -> Any:
        return fail() if worker_id == dead.worker.id else rescue_held(connection, dialect, worker_id, *rest)

    def fail(*_facts: object) -> Any:
        raise ValueError("a row's fault")

    monkeypatch.setattr(workers, "rescue_held", rescue)
    monkeypatch.setattr(change, "quarantine_if_held", fail)
    told: list[BaseException] = []
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: told.append(facts["error"])):
        observer.watch(30.0)
    assert state_of(store, good.id) is JobState.SCHEDULED
    assert state_of(store, bad.id) is JobState.RUNNING
    assert {str(error) for error in told} == {"a row's fault"}


def test_an_outage_ends_a_sweep(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, observer = make_process(), make_process()
    put(store, job(clock))
    dead.claim_one()

    def fail(*_facts: object) -> Any:
        raise StoreUnavailableError(store.url, "it is away")

    monkeypatch.setattr(workers, "rescue_held", fail)
    with pytest.raises(StoreUnavailableError):
        observer.watch(30.0)


# -- claims that are committed are never forgotten -------------------------------------------------------------


def test_what_one_part_of_a_separated_turn_claimed_runs_though_the_next_part_meets_an_outage(
    store: Store, clock: ManualClock, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, job(clock, queue="a"), job(clock, queue="b"))
    claim_due = Claiming.claim_due

    def failing(self: Claiming, connection: Any, ranges: Sequence[Any], *rest: Any) -> Any:
        if len(ranges) > 1:
            raise ValueError("a row's fault")
        if ranges[0].queue == "b":
            raise DBAPIError("SELECT", None, broken(store), connection_invalidated=True)
        return claim_due(self, connection, ranges, *rest)

    monkeypatch.setattr(Claiming, "claim_due", failing)
    with pytest.raises(DBAPIError):
        process.turn()
    assert [claim.queue for claim in process.executor.submitted] == ["a"]
    monkeypatch.undo()
    clock.install(monkeypatch)
    process.turn()
    assert sorted(claim.queue for claim in process.executor.submitted) == ["a", "b"]


def test_an_executor_that_cannot_take_work_now_keeps_no_other_from_it(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, job(clock))
    taking = process.executor.submit

    def submit(claims: Sequence[Claim]) -> None:
        taking(claims)
        raise RuntimeError("can't start new thread")

    process.executor.submit = submit  # type: ignore[method-assign]
    told: list[BaseException] = []
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: told.append(facts["error"])):
        claim = process.claim_one()
    assert [str(error) for error in told] == ["can't start new thread"]
    process.finish(claim)
    assert state_of(store, claim.id) is JobState.SUCCEEDED


def test_a_thread_that_cannot_be_started_now_is_started_for_the_next_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Event()
    executor = ThreadExecutor(max_workers=1)
    executor.bind(lambda _claim: ended.set() or _nothing(), lambda *_report: None)  # type: ignore[func-returns-value]

    class NoThread(threads.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threads, "Thread", NoThread)
        with pytest.raises(RuntimeError):
            executor.submit([a_claim("first")])
    assert [claim.id for claim in executor.take_back()] == ["first"]
    executor.submit([a_claim("second")])
    assert ended.wait(10)
    executor.shutdown()


def _nothing() -> Result:
    clock = ManualClock()
    return Result(clock.now(), clock.now())


def a_claim(job_id: str) -> Claim:
    now = ManualClock().now()
    return Claim(job_id, "t", "{}", "s", "default", 2, now, 0, 1, 0, False, 1, None, None, None, None)


def test_a_heartbeat_outlives_whatever_its_watch_raises(
    store: Store, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch() -> None:
        raise RuntimeError("can't start new thread")

    heart = heart_of(process, watch=watch, seconds=0.01)
    failures: list[BaseException] = []
    thrice = Event()

    def note(_sender: object, **facts: Any) -> None:
        failures.append(facts["error"])
        if len(failures) >= 3:
            thrice.set()

    with signals.scheduler_failed.connected_to(note):
        heart.start()
        assert thrice.wait(10)
        assert heart.is_alive()
        heart.stop()


@pytest.mark.parametrize("damaged", ["{", "[1, null]", "{}", "7", "null", '"tests"'])
def test_a_beat_outlives_whatever_stands_in_the_rows_of_other_workers(
    damaged: str, store: Store, clock: ManualClock, process: Process, make_process: Callable[..., Process]
) -> None:
    other = make_process()
    lists = ("tasks", "key_ids", "queues")
    forge(store, f"UPDATE scheduler_workers SET {', '.join(f'{one} = :bad' for one in lists)} WHERE id = :id",
          bad=damaged, id=other.worker.id)  # fmt: skip
    clock.advance(29)
    heart = heart_of(process)
    heart._unserved.note(a_claim("left to others"), Refusal.UNSERVED)
    failures: list[BaseException] = []
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: failures.append(facts["error"])):
        heart.beat()
    assert process.worker.may_start()
    assert process.worker.renewed_at == clock.monotonic()
    assert failures == []
    rows = store.read(workers.all_workers)
    assert workers.keys_of(rows) == set(SIGNER.key_ids)
    assert "t" not in workers.served_by(rows)
    new = job(clock)
    put(store, new)
    assert explain(job_of(store, new.id), rows, clock.now(), 3600.0).facts


def test_a_workers_row_whose_instants_cannot_be_read_keeps_no_worker_from_being_rescued(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    damaged, dead, observer = make_process(slots=1), make_process(slots=1), make_process()
    held = []
    for one in (damaged, dead):
        put(store, job(clock))
        held.append(one.claim_one().id)
    forge(store, "UPDATE scheduler_workers SET seen_at = :bad, started_at = :bad WHERE id = :id",
          bad=bad_instants(store)[0], id=damaged.worker.id)  # fmt: skip
    heart_of(observer).beat()
    assert observer.watch(30.0) == 2
    assert {state_of(store, job_id) for job_id in held} == {JobState.SCHEDULED}


def test_what_fails_as_a_beat_looks_after_others_keeps_the_dead_from_no_rescue(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, process = make_process(), make_process()
    put(store, job(clock))
    claim = dead.claim_one()
    heart = heart_of(process)
    heart._tick()
    clock.advance(31)

    def fail(_self: UnservedJobs) -> None:
        raise RuntimeError("no module can be imported now")

    monkeypatch.setattr(UnservedJobs, "learn_what_others_ask", fail)
    monkeypatch.setattr(Rescuer, "_death_of", lambda _self, row, _here: "dead" if row.id == dead.worker.id else None)
    told: list[BaseException] = []
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: told.append(facts["error"])):
        heart._tick()
    assert process.worker.may_start()
    assert state_of(store, claim.id) is JobState.SCHEDULED
    assert [str(error) for error in told] == ["no module can be imported now"]


def heart_of(
    process: Process,
    *,
    watch: Callable[[], None] = lambda: None,
    seconds: float = 5.0,
    is_draining: Callable[[], bool] = lambda: False,
) -> Heartbeat:
    registry = TaskRegistry(ModuleRule(("tests",)))
    return Heartbeat(
        process.store, process.worker, registry, process.rescuer,
        UnservedJobs(process.store, registry, frozenset(), 900.0), seconds=seconds,
        on_beat=lambda: None, on_reborn=lambda: None, on_rescued=lambda: None, watch=watch, is_draining=is_draining,
    )  # fmt: skip


# -- a worker that stops ---------------------------------------------------------------------------------


def test_a_worker_that_drains_says_so_in_its_row(store: Store, process: Process) -> None:
    draining = False
    heart = heart_of(process, is_draining=lambda: draining)
    heart.beat()
    assert [row.state for row in store.read(workers.all_workers)] == ["running"]
    draining = True
    heart.beat()
    assert [row.state for row in store.read(workers.all_workers)] == ["draining"]


def test_a_worker_that_stops_gives_back_what_runs_but_ends_what_may_run_at_most_once(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    process = make_process(slots=2)
    put(store, job(clock, at_most_once=True), job(clock))
    once, plain = sorted(process.claim(), key=lambda claim: not claim.at_most_once)
    assert process.leave() == 1
    assert (state_of(store, plain.id), job_of(store, plain.id).crashes) == (JobState.SCHEDULED, 0)
    found = job_of(store, once.id)
    assert (found.state, found.error) == (
        JobState.FAILED,
        "its worker stopped before it had ended, and its task runs at most once",
    )
    assert attempts_of(store, once.id) == [(1, "abandoned", None)]
    assert [s.claim for s in process.finish(once).superseded] == [once]


def test_an_at_most_once_job_that_had_not_started_is_given_back(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, job(clock, at_most_once=True))
    claim = process.claim_one()
    process.executor._running.clear()  # it waits for a slot
    assert process.leave() == 1
    assert state_of(store, claim.id) is JobState.SCHEDULED


begun: list[str] = []


@task(delivery="at_most_once")
def once() -> None:
    begun.append(current_job.id)


def test_an_at_most_once_job_that_has_ended_and_is_not_reported_yet_when_its_worker_stops_never_begins_again(
    make_app: Callable[..., Flask],
) -> None:
    begun.clear()
    app = make_app(SCHEDULER_DRAIN_SECONDS=0)
    ended, may_report, reported = Event(), Event(), Event()
    with app.app_context():
        aps = app.extensions["scheduler"].aps
        aps.start()
        executor = aps._executors["default"]
        land = executor._report

        def report(*facts: Any) -> None:
            ended.set()
            assert may_report.wait(20)
            land(*facts)
            reported.set()

        executor._report = report
        handle = schedule_now(once)
        assert ended.wait(20)
        assert aps.shutdown(wait=False, exiting=True) == 0
        may_report.set()
        assert reported.wait(20)
        assert (handle.refresh().state, handle.job.error) == (
            JobState.FAILED,
            "its worker stopped before it had ended, and its task runs at most once",
        )
    assert begun == [handle.id]


# -- quarantine --------------------------------------------------------------------------------------------


def test_however_many_jobs_are_put_aside_a_mended_one_comes_back(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unserved, "BATCH", 2)
    dead = [job(clock, task="tests.nowhere:gone") for _ in range(5)]
    mended = job(clock, task="tests.nowhere:back")
    put(store, *dead, mended)
    for one in (*dead, mended):
        store.write(lambda c, i=one.id: change.quarantine_if_scheduled(c, i, f"{change.UNSERVED}it"))  # type: ignore[misc]
    registry = TaskRegistry(ModuleRule(("tests",)))
    registry.register(heart_of, name="tests.nowhere:back")
    looking = UnservedJobs(store, registry, frozenset({mended.signature[:KEY_PREFIX]}), 900.0)
    for _ in range(4):
        looking.look_after(clock.now())
    assert state_of(store, mended.id) is JobState.SCHEDULED
    assert {state_of(store, one.id) for one in dead} == {JobState.QUARANTINED}


def test_a_job_that_is_missed_is_told(store: Store, clock: ManualClock, process: Process) -> None:
    late = job(clock, max_lateness=5.0)
    put(store, late)
    clock.advance(7)
    turned = process.turn()
    assert state_of(store, late.id) is JobState.MISSED
    assert [(claim.id, at) for claim, at in turned.missed] == [(late.id, clock.now())]
    assert turned.has_news

"""Claiming: what is due, in which order, by whom; and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

import pytest

from scheduler_app.jobs import JobState
from scheduler_app.loop.claiming import LOOKAHEAD
from scheduler_app.payload import Signer
from scheduler_app.queues import LOWEST_FIRST_EVERY
from scheduler_app.store import Claim, Store, claim
from scheduler_app.store.claim import KEY_PREFIX, Unserved
from tests.conformance.cranked import ManualClock, Process, attempts_of, forge, job, job_of, put, state_of, value_of

PAYS = 40
"""Jobs that an executor finished just now: what lets it claim as many ahead."""


def warm_up(process: Process, count: int = PAYS) -> None:
    """Have the process finish so many jobs in 50 ms, whose number it may then claim beyond its slots."""
    slots, process.executor.slots = process.executor.slots, count
    put(process.store, *(job(process.clock) for _ in range(count)))
    claims = process.claim()
    process.clock.advance(0.05)
    for one in claims:
        process.end(one)
    process.executor.slots = slots
    process.loop.paused = True
    process.turn()
    process.loop.paused = False


# -- when ----------------------------------------------------------------------------------------------


def test_a_job_is_claimed_at_its_microsecond_and_not_before(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock, after=5.0)
    put(store, new)
    clock.advance(4.999999)
    assert process.claim() == []
    assert process.wait == pytest.approx(0.000001, abs=1e-7)
    clock.advance(0.000001)
    assert process.claim_one().id == new.id


def test_the_wait_is_until_the_next_job_and_at_most_the_poll_interval(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, job(clock, after=0.4), job(clock, after=0.7))
    process.turn()
    assert process.wait == pytest.approx(0.4)
    clock.advance(0.4)
    process.claim_one()
    assert process.wait == pytest.approx(0.3)
    clock.advance(0.3)
    process.claim_one()
    assert process.wait == 1.0


def test_an_idle_turn_writes_nothing(store: Store, clock: ManualClock, process: Process) -> None:
    put(store, job(clock, after=5.0))
    process.turn()
    store.begin = no_writing  # type: ignore[method-assign]
    process.turn()


def no_writing() -> None:
    raise AssertionError("a write transaction was opened with nothing to write")


# -- in which order ------------------------------------------------------------------------------------


def test_higher_priorities_go_first_and_within_one_the_longest_due(store: Store, clock: ManualClock) -> None:
    late, soon = job(clock, priority=2, after=-2), job(clock, priority=2, after=-1)
    urgent, low = job(clock, priority=0), job(clock, priority=3, after=-9)
    put(store, soon, late, low, urgent)
    process = Process(store, clock, slots=3)
    assert [one.id for one in process.claim()] == [urgent.id, late.id, soon.id]


def test_queues_of_one_priority_take_turns(store: Store, clock: ManualClock) -> None:
    names = ["a", "b", "c"]
    put(store, *(job(clock, queue=name, at_most_once=True) for name in names for _ in range(4)))
    process = Process(store, clock, slots=1)
    seen = []
    for _ in range(6):
        one = process.claim_one()
        seen.append(one.queue)
        process.end(one)
    assert sorted(seen[:3]) == names
    assert seen[3:] == seen[:3]


def test_every_eighth_claim_takes_the_lowest_priority_first(store: Store, clock: ManualClock) -> None:
    put(store, *(job(clock, priority=0, at_most_once=True) for _ in range(20)))
    put(store, *(job(clock, priority=3, at_most_once=True) for _ in range(4)))
    process = Process(store, clock, slots=1)
    seen = []
    for _ in range(2 * LOWEST_FIRST_EVERY):
        one = process.claim_one()
        seen.append(one.priority)
        process.end(one)
    assert [index + 1 for index, priority in enumerate(seen) if priority == 3] == [8, 16]


# -- how many ------------------------------------------------------------------------------------------


def test_without_a_pace_a_process_claims_its_free_slots_only(store: Store, clock: ManualClock) -> None:
    put(store, *(job(clock) for _ in range(30)))
    process = Process(store, clock, slots=7)
    assert len(process.claim()) == 7
    assert process.claim() == []


def test_the_lookahead_is_what_the_executor_finishes_in_50_ms(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=10)
    warm_up(process)
    put(store, *(job(clock) for _ in range(100)))
    assert len(process.claim()) == 10 + PAYS


def test_the_pace_is_measured_over_the_time_in_which_there_was_work(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=10)
    clock.advance(3600)
    put(store, *(job(clock) for _ in range(100)))
    claims = process.claim()
    clock.advance(0.1)
    for one in claims:
        process.end(one)
    assert len(process.claim()) == 10 + 5


def test_the_lookahead_is_never_more_than_500(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=10)
    warm_up(process, 1000)
    put(store, *(job(clock) for _ in range(1000)))
    process.claim()
    assert process.executor.waiting() == LOOKAHEAD


def test_an_idle_executor_gets_no_lookahead(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=10)
    warm_up(process)
    put(store, *(job(clock) for _ in range(100)))
    clock.advance(0.6)
    assert len(process.claim()) == 10


def test_at_most_once_jobs_are_never_claimed_ahead_of_a_free_slot(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=4)
    warm_up(process)
    put(store, *(job(clock, at_most_once=True) for _ in range(20)))
    assert len(process.claim()) == 4
    assert process.executor.waiting() == 0


def test_at_most_one_job_that_outlived_a_worker_is_in_flight_in_a_process(
    store: Store, clock: ManualClock, process: Process
) -> None:
    warm_up(process)
    crashed, fresh = [job(clock) for _ in range(3)], [job(clock) for _ in range(5)]
    put(store, *crashed, *fresh)
    for one in crashed:
        set_column(store, one.id, "crashes", 1)
    claims = process.claim()
    assert sum(one.crashes for one in claims) == 1
    assert {one.id for one in claims if not one.crashes} == {one.id for one in fresh}
    assert process.claim() == []
    [suspect] = [one for one in claims if one.crashes]
    process.end(suspect)
    assert [one.crashes for one in process.claim()] == [1]


def test_a_job_that_outlived_a_worker_waits_for_a_free_slot(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=2)
    warm_up(process)
    put(store, job(clock), job(clock))
    process.claim()
    suspect = job(clock)
    put(store, suspect)
    set_column(store, suspect.id, "crashes", 2)
    assert process.claim() == []
    assert state_of(store, suspect.id) is JobState.SCHEDULED


def set_column(store: Store, job_id: str, column: str, value: object) -> None:
    forge(store, f"UPDATE scheduler_jobs SET {column} = :value WHERE id = :id", value=value, id=job_id)


# -- by whom -------------------------------------------------------------------------------------------


def test_two_processes_claim_disjoint_jobs_and_together_all(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    put(store, *(job(clock, queue=f"q{i % 3}") for i in range(300)))
    processes = [make_process(slots=1000), make_process(slots=1000)]
    for process in processes:
        process.store.patience = 50.0
    claimed: list[list[Claim]] = [[], []]

    def race(index: int) -> None:
        while sum(map(len, claimed)) < 300:
            processes[index].executor.slots = 20 + len(processes[index].executor.submitted)
            try:
                claimed[index] += processes[index].claim()
            except Exception as error:
                assert processes[index].store.may_pass(error), error  # noqa: PT017 - busy: the turn is tried again

    threads = [Thread(target=race, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ids = [one.id for claims in claimed for one in claims]
    assert len(ids) == len(set(ids)) == 300


def test_rows_that_one_process_holds_uncommitted_keep_nothing_else_from_another(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    if store.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    put(store, *(job(clock, queue=f"q{i % 4}", priority=i % 2) for i in range(400)))
    other, holding, done = make_process(slots=1000), Event(), Event()

    def hold() -> None:
        with store.begin() as connection:
            for due in claim.peek_ranges(connection, store.dialect, clock.now()):
                claim.lock_due(connection, store.dialect, due, clock.now(), 10, Unserved(), crashed=False)
            holding.set()
            done.wait(30)

    holder = Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(30)
        assert len(other.claim()) == 400 - 4 * 10
    finally:
        done.set()
        holder.join(30)
    assert len(other.claim()) == 4 * 10


def test_a_process_claims_only_from_the_queues_that_it_serves(store: Store, clock: ManualClock) -> None:
    mine, other = job(clock, queue="mails"), job(clock, queue="reports")
    put(store, mine, other)
    process = Process(store, clock, queues=["mails"])
    assert process.claim_one().id == mine.id
    assert state_of(store, other.id) is JobState.SCHEDULED


def test_a_process_whose_lease_is_half_over_claims_nothing(store: Store, clock: ManualClock, process: Process) -> None:
    put(store, job(clock))
    clock.advance(process.worker.lease_seconds / 2)
    assert process.loop.turn()[1].claimed == []
    process.renew()
    assert len(process.loop.turn()[1].claimed) == 1


# -- what is left alone --------------------------------------------------------------------------------


def test_tasks_that_this_process_does_not_know_are_left_alone_and_stop_no_neighbour(
    store: Store, clock: ManualClock, process: Process
) -> None:
    unknown = [job(clock, task="other:thing", after=-9) for _ in range(50)]
    known = [job(clock) for _ in range(5)]
    put(store, *unknown, *known)
    process.claiming.unserved = Unserved(tasks={"other:thing"})
    assert {one.id for one in process.claim()} == {one.id for one in known}
    left = job_of(store, unknown[0].id)
    assert (left.state, left.claim_seq, left.version) == (JobState.SCHEDULED, 0, 0)


def test_signing_keys_that_this_process_does_not_have_are_left_alone_and_stop_no_neighbour(
    store: Store, clock: ManualClock, process: Process
) -> None:
    foreign = Signer([b"the key of another deployment"])
    unknown = [job(clock, after=-9, signature=foreign.sign("whatever")) for _ in range(50)]
    known = [job(clock) for _ in range(5)]
    put(store, *unknown, *known)
    process.claiming.unserved = Unserved(keys={unknown[0].signature[:KEY_PREFIX]})
    assert {one.id for one in process.claim()} == {one.id for one in known}
    assert state_of(store, unknown[0].id) is JobState.SCHEDULED


def test_an_unknown_task_that_outlived_a_worker_stops_no_neighbour(
    store: Store, clock: ManualClock, process: Process
) -> None:
    unknown, known = job(clock, task="other:thing", after=-9), job(clock)
    put(store, unknown, known)
    set_column(store, unknown.id, "crashes", 1)
    process.claiming.unserved = Unserved(tasks={"other:thing"})
    assert process.claim_one().id == known.id


def test_a_job_later_than_its_max_lateness_is_missed_with_the_reason(
    store: Store, clock: ManualClock, process: Process
) -> None:
    missed, kept = job(clock, max_lateness=10.0, key="k"), job(clock, max_lateness=10.1)
    put(store, missed, kept)
    clock.advance(10.05)
    assert process.claim_one().id == kept.id
    found = job_of(store, missed.id)
    assert (found.state, found.error) == (
        JobState.MISSED,
        "not started: 10.050 s late, and its max_lateness is 10 s",
    )
    assert found.finished_at == clock.now()
    assert value_of(store, missed.id, "live_key") is None


# -- what is given back --------------------------------------------------------------------------------


def test_a_claim_that_got_no_slot_within_250_ms_is_given_back_unspent_under_a_higher_fence(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    process, other = make_process(slots=1), make_process(slots=100)
    warm_up(process)
    put(store, *(job(clock) for _ in range(3)))
    claims = process.claim()
    assert [process.executor.running(), process.executor.waiting()] == [claims[:1], 2]
    assert process.wait == 0.25
    clock.advance(0.249)
    process.turn()
    assert state_of(store, claims[1].id) is JobState.RUNNING
    clock.advance(0.002)
    process.turn()
    found = job_of(store, claims[1].id)
    assert (found.state, found.attempt, found.crashes) == (JobState.SCHEDULED, 0, 0)
    assert found.claim_seq == claims[1].fence + 1
    assert (found.started_at, found.worker_id, attempts_of(store, found.id)) == (None, None, [])
    assert state_of(store, claims[0].id) is JobState.RUNNING
    assert {one.id for one in other.claim()} == {claims[1].id, claims[2].id}


def test_a_claim_sets_who_and_when_and_raises_the_fence_by_one(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    one = process.claim_one()
    found = job_of(store, new.id)
    assert (found.state, found.worker_id, found.started_at) == (JobState.RUNNING, process.worker.id, clock.now())
    assert one.fence == found.claim_seq == 1


def test_a_draining_process_claims_nothing_and_gives_back_what_waits(store: Store, clock: ManualClock) -> None:
    process = Process(store, clock, slots=1)
    warm_up(process)
    put(store, *(job(clock) for _ in range(3)))
    claims = process.claim()
    process.loop.draining = True
    process.turn()
    assert [state_of(store, one.id) for one in claims] == [
        JobState.RUNNING,
        JobState.SCHEDULED,
        JobState.SCHEDULED,
    ]

"""Inserting jobs: once by id, and one per key among all that have not started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from scheduler_app.errors import DuplicateKeyError
from scheduler_app.jobs import JobState
from scheduler_app.outcomes import Refusal
from scheduler_app.store import OnConflict, Store, add, change
from tests.conformance.cranked import (
    ManualClock,
    Process,
    fetch,
    job,
    job_of,
    lost_reply,
    put,
    put_keyed,
    state_of,
    value_of,
)

RACERS = 64


def test_a_job_inserted_twice_is_stored_once_and_as_it_was_first(store: Store, clock: ManualClock) -> None:
    first = job(clock, "Ada")
    again = job(clock, "Bob", id=first.id)
    put(store, first)
    put(store, again)
    assert fetch(store, "SELECT id, payload FROM scheduler_jobs") == [(first.id, first.payload)]


def test_a_job_whose_commit_was_not_acknowledged_is_stored_once_by_the_retry(store: Store, clock: ManualClock) -> None:
    new = job(clock)
    store.patience = 5.0
    with lost_reply(store):
        put(store, new)
    assert fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0] == 1


def test_a_keyed_job_whose_commit_was_not_acknowledged_counts_as_new_by_the_retry(
    store: Store, clock: ManualClock
) -> None:
    new = job(clock, key="invoice-7")
    with lost_reply(store):
        assert put_keyed(store, new) == (new.id, True)
    assert fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0] == 1


def test_every_column_comes_back_as_it_went_in(store: Store, clock: ManualClock) -> None:
    new = job(clock, 1, after=1.000001, key="k", tags=("a", "ü"), max_attempts=4, at_most_once=True, priority=0)
    put(store, new)
    found = job_of(store, new.id)
    assert (found.run_at, found.created_at) == (new.run_at, new.created_at)
    assert (found.key, found.tags, found.max_attempts, found.at_most_once) == ("k", ("a", "ü"), 4, True)
    assert (found.state, found.attempt, found.crashes, found.claim_seq) == (JobState.SCHEDULED, 0, 0, 0)


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_of_64_racing_threads_exactly_one_gets_the_key(
    on_conflict: OnConflict, store: Store, clock: ManualClock
) -> None:
    store.patience = 50.0
    barrier = Barrier(RACERS)
    news = [job(clock, i, after=60, key="invoice-7") for i in range(RACERS)]

    def race(index: int) -> tuple[str, bool]:
        barrier.wait()
        try:
            return put_keyed(store, news[index], on_conflict)
        except DuplicateKeyError as error:
            return error.job_id, False

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(race, range(RACERS)))
    assert Counter(created for _id, created in answers) == {True: 1, False: RACERS - 1}
    [winner] = {job_id for job_id, created in answers if created}
    assert {job_id for job_id, _created in answers} == {winner}
    assert fetch(store, "SELECT id FROM scheduler_jobs") == [(winner,)]


def test_identifiers_compare_byte_for_byte(store: Store, clock: ManualClock) -> None:
    keys = ["job", "job ", "Job", "jób", "job\t"]
    assert all(put_keyed(store, job(clock, key=key))[1] for key in keys)
    assert fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0] == len(keys)


def test_existing_returns_the_standing_job_and_changes_nothing(store: Store, clock: ManualClock) -> None:
    first, second = job(clock, "Ada", after=5, key="k"), job(clock, "Bob", after=9, key="k")
    put(store, first)
    assert put_keyed(store, second, OnConflict.EXISTING) == (first.id, False)
    found = job_of(store, first.id)
    assert (found.payload, found.run_at, found.version) == (first.payload, first.run_at, 0)


def test_debounce_gives_the_standing_job_the_new_time_and_arguments(store: Store, clock: ManualClock) -> None:
    first, second = job(clock, "Ada", after=5, key="k"), job(clock, "Bob", after=9, key="k")
    put(store, first)
    assert put_keyed(store, second, OnConflict.DEBOUNCE) == (first.id, False)
    found = job_of(store, first.id)
    assert (found.payload, found.run_at) == (second.payload, second.run_at)


def test_throttle_keeps_the_time_and_takes_the_new_arguments(store: Store, clock: ManualClock) -> None:
    first, second = job(clock, "Ada", after=5, key="k"), job(clock, "Bob", after=9, key="k")
    put(store, first)
    assert put_keyed(store, second, OnConflict.THROTTLE) == (first.id, False)
    found = job_of(store, first.id)
    assert (found.payload, found.run_at) == (second.payload, first.run_at)


def test_raise_names_the_standing_job_and_what_to_do_and_stores_nothing(store: Store, clock: ManualClock) -> None:
    first = job(clock, key="invoice-7")
    put(store, first)
    with pytest.raises(DuplicateKeyError) as caught:
        put_keyed(store, job(clock, key="invoice-7"), OnConflict.RAISE)
    assert str(caught.value) == (
        f"Job {first.id} holds the key 'invoice-7' and has not started yet. Cancel or reschedule that job,"
        " or schedule with another on_conflict: 'existing', 'debounce' or 'throttle'."
    )
    assert fetch(store, "SELECT id FROM scheduler_jobs") == [(first.id,)]


# -- who holds a key, and for how long -----------------------------------------------------------------


def test_a_started_job_frees_its_key(store: Store, clock: ManualClock, process: Process) -> None:
    first, second = job(clock, key="k"), job(clock, key="k", after=60)
    put(store, first)
    process.claim_one()
    assert put_keyed(store, second) == (second.id, True)


def test_a_cancelled_job_frees_its_key(store: Store, clock: ManualClock) -> None:
    first, second = job(clock, key="k"), job(clock, key="k")
    put(store, first)
    assert store.write(lambda connection: change.cancel_if_waiting(connection, first.id, clock.now()))
    assert put_keyed(store, second) == (second.id, True)


def test_a_retry_takes_the_key_back(store: Store, clock: ManualClock, process: Process) -> None:
    first = job(clock, key="k", max_attempts=2)
    put(store, first)
    process.fail(process.claim_one())
    process.turn()
    assert (state_of(store, first.id), value_of(store, first.id, "live_key")) == (JobState.SCHEDULED, "k")


def test_a_release_takes_the_key_back(store: Store, clock: ManualClock, process: Process) -> None:
    first = job(clock, key="k")
    put(store, first)
    process.refuse(process.claim_one(), Refusal.NOT_STARTED)
    process.loop.paused = True
    process.turn()
    assert (state_of(store, first.id), value_of(store, first.id, "live_key")) == (JobState.SCHEDULED, "k")


def test_a_rescue_takes_the_key_back(store: Store, clock: ManualClock, make_process: Callable[..., Process]) -> None:
    first = job(clock, key="k")
    put(store, first)
    dead, observer = make_process(), make_process()
    dead.claim_one()
    let_die(dead, observer)
    assert (state_of(store, first.id), value_of(store, first.id, "live_key")) == (JobState.SCHEDULED, "k")


def let_die(dead: Process, observer: Process) -> None:
    """Have the observer see the other's beat stand still for a whole lease, and take back what it held."""
    observer.watch(dead.worker.lease_seconds)


NEWER = "not run again: the newer job {} holds its key"


def test_a_job_on_its_way_back_by_a_retry_yields_to_a_newer_one_with_its_key(
    store: Store, clock: ManualClock, process: Process
) -> None:
    first, second = job(clock, key="k", max_attempts=5), job(clock, key="k", after=60)
    put(store, first)
    claim = process.claim_one()
    put(store, second)
    process.fail(claim)
    process.turn()
    check_yielded(store, first.id, second.id)


def test_a_job_on_its_way_back_by_a_release_yields_to_a_newer_one_with_its_key(
    store: Store, clock: ManualClock, process: Process
) -> None:
    first, second = job(clock, key="k"), job(clock, key="k", after=60)
    put(store, first)
    claim = process.claim_one()
    put(store, second)
    process.refuse(claim, Refusal.NOT_STARTED)
    process.turn()
    check_yielded(store, first.id, second.id)


def test_a_job_on_its_way_back_by_a_rescue_yields_to_a_newer_one_with_its_key(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    first, second = job(clock, key="k"), job(clock, key="k", after=60)
    put(store, first)
    dead, observer = make_process(), make_process()
    dead.claim_one()
    put(store, second)
    let_die(dead, observer)
    check_yielded(store, first.id, second.id)


def check_yielded(store: Store, older: str, newer: str) -> None:
    yielded = job_of(store, older)
    assert (yielded.state, yielded.error) == (JobState.CANCELLED, NEWER.format(newer))
    assert yielded.finished_at is not None
    assert (state_of(store, newer), value_of(store, newer, "live_key")) == (JobState.SCHEDULED, "k")


def test_a_yielding_job_does_not_keep_its_neighbours_from_being_settled(
    store: Store, clock: ManualClock, process: Process
) -> None:
    older, newer = job(clock, key="k"), job(clock, key="k", after=60)
    plain = [job(clock) for _ in range(5)]
    put(store, older, *plain)
    claims = process.claim()
    put(store, newer)
    for claim in claims:
        process.end(claim) if claim.key is None else process.refuse(claim, Refusal.NOT_STARTED)
    process.turn()
    assert {state_of(store, one.id) for one in plain} == {JobState.SUCCEEDED}
    check_yielded(store, older.id, newer.id)


def test_a_quarantined_job_is_not_released_over_a_newer_one_with_its_key(store: Store, clock: ManualClock) -> None:
    first, second = job(clock, key="k"), job(clock, key="k")
    put(store, first)
    store.write(lambda connection: change.quarantine_if_scheduled(connection, first.id, "why not"))
    put(store, second)
    assert not store.write(lambda connection: change.release_if_free(connection, first.id))
    assert state_of(store, first.id) is JobState.QUARANTINED


# -- one transaction for many ---------------------------------------------------------------------------


def test_of_many_jobs_in_one_transaction_all_are_stored_or_none(store: Store, clock: ManualClock) -> None:
    def insert_and_break(connection: object) -> None:
        add.insert_jobs(connection, store.dialect, [job(clock) for _ in range(3)])  # type: ignore[arg-type]
        raise KeyError("in between")

    with pytest.raises(KeyError):
        store.write(insert_and_break)
    assert fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0] == 0


def test_one_fire_time_of_a_schedule_makes_one_job(store: Store, clock: ManualClock) -> None:
    fire = {"schedule_uid": "u", "generation": 0, "fire_time": clock.now()}
    put(store, job(clock, **fire), job(clock, **fire))
    put(store, job(clock, **(fire | {"generation": 1})))
    put(store, job(clock, **(fire | {"fire_time": clock.now() + timedelta(microseconds=1)})))
    assert fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0] == 3

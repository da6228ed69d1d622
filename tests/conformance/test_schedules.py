"""Schedules: one job per fire time, the latest after a downtime, and a name under which each one stays itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app import task
from scheduler_app.client import Calls, Declaration, Recurring, make_options
from scheduler_app.client.recurring import signed_parts
from scheduler_app.jobs import JobState
from scheduler_app.loop.fire import BATCH
from scheduler_app.loop.worker import Worker
from scheduler_app.payload import Signer, Verdict
from scheduler_app.schedules import Schedule
from scheduler_app.store import Store, schedules, workers
from scheduler_app.tasks import Delivery, ModuleRule, TaskRegistry
from tests.conformance.cranked import (
    SIGNER,
    START,
    ManualClock,
    Process,
    fetch,
    forge,
    job_of,
    jobs_of,
    put_schedules,
    schedule,
    schedule_named,
)

MINUTE = timedelta(minutes=1)


def each_minute(clock: ManualClock, name: str = "s", **facts: object) -> Schedule:
    """Return a schedule that fires at START and every minute from then on."""
    return schedule(clock, name, IntervalTrigger(minutes=1, start_date=START), next_run_time=START, **facts)


def fire_times(store: Store, one: Schedule) -> list[float]:
    """Return the fire times of a schedule's jobs in minutes after START."""
    found = [job.fire_time for job in jobs_of(store, one)]
    return [(at - START) / MINUTE for at in found if at is not None]


def finish_all(process: Process) -> None:
    for claim in process.executor.running():
        process.end(claim)


# -- firing --------------------------------------------------------------------------------------------


def test_a_fire_makes_a_job_of_that_time_that_is_due_then(store: Store, clock: ManualClock, process: Process) -> None:
    one = each_minute(clock, tags=("t",), attempts=4, priority=1, delivery=Delivery.AT_MOST_ONCE)
    put_schedules(store, one)
    clock.advance(0.5)
    process.turn()
    [job] = jobs_of(store, one)
    assert (job.run_at, job.fire_time, job.created_at) == (START, START, clock.now())
    assert (job.task, job.payload, job.queue, job.priority) == (one.task, one.payload, "default", 1)
    assert (job.tags, job.max_attempts, job.at_most_once) == (("t",), 4, True)
    moved = schedule_named(store, "s")
    assert moved is not None
    assert (moved.next_run_time, moved.last_fire_time, moved.generation) == (START + MINUTE, START, 0)


def test_the_job_of_a_fire_is_signed_as_its_own(store: Store, clock: ManualClock, process: Process) -> None:
    one = each_minute(clock)
    put_schedules(store, one)
    process.turn()
    [row] = fetch(store, "SELECT id, task, queue, payload, signature FROM scheduler_jobs")
    assert SIGNER.verify(row.signature, row.id, row.task, row.queue, row.payload) == "valid"


def test_a_schedule_never_fires_before_its_time(store: Store, clock: ManualClock, process: Process) -> None:
    one = schedule(clock, "s", IntervalTrigger(minutes=1, start_date=START), next_run_time=START + MINUTE)
    put_schedules(store, one)
    clock.advance(59.999999)
    process.turn()
    assert jobs_of(store, one) == []
    clock.advance(0.000001)
    process.turn()
    assert fire_times(store, one) == [1.0]


def test_two_processes_that_fire_at_once_make_one_job_per_fire_time(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    many = [each_minute(clock, f"s{i}", max_instances=100) for i in range(20)]
    put_schedules(store, *many)
    processes = [make_process(queues=()) for _ in range(2)]
    for minute in range(3):
        barrier = Barrier(2)

        def race(process: Process, barrier: Barrier = barrier) -> None:
            barrier.wait()
            until_it_passes(process)

        threads = [Thread(target=race, args=(process,)) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0] == 20 * (minute + 1)
        clock.advance(60)
    assert {tuple(fire_times(store, one)) for one in many} == {(0.0, 1.0, 2.0)}


def until_it_passes(process: Process) -> None:
    """Turn; and again while the database is busy, as the loop does."""
    while True:
        try:
            process.turn()
            return
        except Exception as error:
            assert process.store.may_pass(error), error  # noqa: PT017 - the error decides whether to go on


def test_after_a_downtime_only_the_latest_missed_fire_time_runs(
    store: Store, clock: ManualClock, process: Process
) -> None:
    one = each_minute(clock)
    put_schedules(store, one)
    clock.advance(10.5 * 60)
    process.turn()
    assert fire_times(store, one) == [10.0]
    moved = schedule_named(store, "s")
    assert moved is not None
    assert moved.next_run_time == START + 11 * MINUTE


def test_without_coalescing_every_missed_fire_time_runs_as_many_at_once_as_may_overlap(
    store: Store, clock: ManualClock, process: Process
) -> None:
    one = each_minute(clock, coalesce=False, max_instances=3)
    put_schedules(store, one)
    clock.advance(4.5 * 60)
    process.turn()
    assert fire_times(store, one) == [0.0, 1.0, 2.0]
    process.claim()
    assert (process.turn().fired, process.wait) == ([], 1.0)
    finish_all(process)
    process.turn()
    assert fire_times(store, one) == [0.0, 1.0, 2.0, 3.0, 4.0]
    found = schedule_named(store, "s")
    assert found is not None
    assert found.next_run_time == START + 5 * MINUTE


def test_a_fire_time_that_overlaps_an_unfinished_job_is_skipped_and_told(
    store: Store, clock: ManualClock, process: Process
) -> None:
    one = each_minute(clock)
    put_schedules(store, one)
    process.turn()
    process.claim_one()
    clock.advance(60)
    [fired] = process.turn().fired
    assert (fired.emitted, fired.skipped) == ((), (START + MINUTE,))
    finish_all(process)
    process.turn()
    clock.advance(60)
    process.turn()
    assert fire_times(store, one) == [0.0, 2.0]


def test_a_schedule_may_overlap_itself_as_often_as_it_says(store: Store, clock: ManualClock, process: Process) -> None:
    one = each_minute(clock, max_instances=2)
    put_schedules(store, one)
    for _ in range(3):
        process.turn()
        process.turn()
        clock.advance(60)
    assert fire_times(store, one) == [0.0, 1.0]


def test_a_fire_later_than_its_misfire_grace_time_is_missed(store: Store, clock: ManualClock, process: Process) -> None:
    one = each_minute(clock, misfire_grace_time=30)
    put_schedules(store, one)
    clock.advance(40)
    process.turn()
    process.turn()
    [job] = jobs_of(store, one)
    assert (job.state, job.error) == (JobState.MISSED, "not started: 40.000 s late, and its max_lateness is 30 s")
    clock.advance(30)
    process.turn()
    process.turn()
    assert [job.state for job in jobs_of(store, one)] == [JobState.MISSED, JobState.RUNNING]


@pytest.mark.parametrize(
    ("trigger", "fires"),
    [
        (DateTrigger(START), 1),
        (IntervalTrigger(minutes=1, start_date=START, end_date=START + MINUTE), 2),
    ],
)
def test_an_exhausted_trigger_ends_its_schedule_and_its_jobs_stay(
    trigger: DateTrigger, fires: int, store: Store, clock: ManualClock, process: Process
) -> None:
    one = schedule(clock, "s", trigger)
    put_schedules(store, one)
    for _ in range(4):
        process.turn()
        process.turn()
        finish_all(process)
        clock.advance(60)
    assert schedule_named(store, "s") is None
    assert [job.state for job in jobs_of(store, one)] == [JobState.SUCCEEDED] * fires


def test_a_paused_schedule_does_not_fire(store: Store, clock: ManualClock, process: Process) -> None:
    put_schedules(store, each_minute(clock))
    forge(store, "UPDATE scheduler_schedules SET next_run_time = NULL")
    clock.advance(3600)
    assert process.turn().fired == []


def test_a_schedule_with_an_unknown_signing_key_is_left_to_others_for_15_minutes_and_then_paused(
    store: Store, clock: ManualClock, process: Process
) -> None:
    foreign = Signer([b"the key of another deployment"])
    theirs, mine = each_minute(clock, "theirs"), each_minute(clock, "mine")
    theirs = replace(theirs, signature=foreign.sign(*signed_parts(theirs)))
    put_schedules(store, theirs, mine)
    clock.advance(899)
    process.turn()
    assert process.turn().fired == []
    assert process.wait == 1.0
    left = schedule_named(store, "theirs")
    assert left is not None
    assert (left.next_run_time, left.error, len(jobs_of(store, mine))) == (START, None, 1)
    clock.advance(1)
    process.turn()
    paused = schedule_named(store, "theirs")
    assert paused is not None
    assert (paused.next_run_time, paused.error) == (None, "no live worker knows its signing key")


def signed_by(foreign: Signer, one: Schedule) -> Schedule:
    return replace(one, signature=foreign.sign(*signed_parts(one)))


def test_any_number_of_due_schedules_of_another_key_keep_none_of_ours_back(
    store: Store, clock: ManualClock, process: Process
) -> None:
    foreign = Signer([b"the key of another deployment"])
    put_schedules(store, *(signed_by(foreign, each_minute(clock, f"theirs{n}")) for n in range(BATCH)))
    clock.advance(1)
    put_schedules(store, mine := each_minute(clock, "mine"))
    process.turn()
    assert len(jobs_of(store, mine)) == 1
    assert process.turn().fired == []
    assert process.wait == 1.0
    clock.advance(58.5)
    process.turn()
    assert process.wait == 0.5  # its own next fire time is not hidden behind what is due for others


def test_a_schedule_whose_key_a_live_worker_knows_is_left_to_that_however_long_it_takes(
    store: Store, clock: ManualClock, process: Process
) -> None:
    foreign = Signer([b"the key of another deployment"])
    put_schedules(store, one := signed_by(foreign, each_minute(clock, "theirs")))
    row = Worker(30.0, key_ids=("01234567", *foreign.key_ids), id="theirs").row(clock.now(), ())
    store.write(lambda connection: workers.register_if_absent(connection, store.dialect, row))
    clock.advance(3600)
    assert process.turn().fired == []
    assert schedule_named(store, "theirs") == one
    store.write(lambda connection: workers.remove(connection, "theirs"))
    process.turn()
    paused = schedule_named(store, "theirs")
    assert paused is not None
    assert paused.error == "no live worker knows its signing key"


def test_a_time_that_a_person_chose_while_it_fired_is_kept(store: Store, clock: ManualClock) -> None:
    one = each_minute(clock)
    put_schedules(store, one)
    forge(store, "UPDATE scheduler_schedules SET generation = generation + 1")
    moved = store.write(lambda c: schedules.advance_if_unchanged(c, one, START, START + MINUTE))
    assert not moved
    found = schedule_named(store, "s")
    assert found is not None
    assert found.next_run_time == START


# -- schedules by name ---------------------------------------------------------------------------------


@task
def report(kind: str = "daily") -> None:
    raise AssertionError("nothing runs here")


@pytest.fixture
def recurring(store: Store) -> Recurring:
    return recurring_on(store)


def recurring_on(store: Store, signer: Signer = SIGNER) -> Recurring:
    calls = Calls(TaskRegistry(ModuleRule(("tests",))), lambda: signer, None, 65_536)
    return Recurring(store, calls, UTC)


def hourly(**facts: object) -> Declaration:
    return Declaration(report, **({"every": {"hours": 1}, "name": "report"} | facts))  # type: ignore[arg-type]


def standing(store: Store, name: str = "report") -> Schedule:
    found = schedule_named(store, name)
    assert found is not None
    return found


def test_a_new_schedule_fires_first_when_its_interval_has_passed_once(
    store: Store, clock: ManualClock, recurring: Recurring
) -> None:
    assert recurring.upsert(hourly()) == "report"
    assert standing(store).next_run_time == START + timedelta(hours=1)


def test_declaring_it_again_unchanged_keeps_its_next_time_its_pause_and_its_row(
    store: Store, clock: ManualClock, recurring: Recurring
) -> None:
    recurring.upsert(hourly())
    before = standing(store)
    clock.advance(1800)
    recurring.upsert(hourly())
    assert standing(store) == before
    forge(store, "UPDATE scheduler_schedules SET next_run_time = NULL")
    recurring.upsert(hourly())
    assert standing(store).next_run_time is None


NEW = Signer([b"the new key of the conformance tests", b"the key of the conformance tests"])
"""The key was changed; the old one is kept as a fallback."""

NEW_ALONE = Signer([b"the new key of the conformance tests"])


@pytest.mark.parametrize("signer", [NEW, NEW_ALONE], ids=["with the old key", "without the old key"])
def test_declaring_it_again_after_a_change_of_keys_signs_it_anew_and_keeps_its_time(
    signer: Signer, store: Store, clock: ManualClock, recurring: Recurring
) -> None:
    recurring.upsert(hourly())
    before = standing(store)
    clock.advance(1800)
    recurring_on(store, signer).upsert(hourly())
    after = standing(store)
    assert NEW_ALONE.verify(after.signature, *signed_parts(after)) is Verdict.VALID
    assert after == replace(before, signature=after.signature)


def test_a_pause_by_a_person_outlives_a_change_of_keys(store: Store, recurring: Recurring) -> None:
    recurring.upsert(hourly())
    forge(store, "UPDATE scheduler_schedules SET next_run_time = NULL")
    recurring_on(store, NEW_ALONE).upsert(hourly())
    after = standing(store)
    assert (after.next_run_time, after.error) == (None, None)
    assert NEW_ALONE.verify(after.signature, *signed_parts(after)) is Verdict.VALID


@pytest.mark.parametrize(
    ("signer", "signature"), [(NEW_ALONE, None), (SIGNER, SIGNER.sign("another row")), (SIGNER, "no signature")]
)
def test_declaring_it_again_ends_a_pause_that_came_from_its_signature(
    signer: Signer, signature: str | None, store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    recurring_on(store, Signer([b"the key of another deployment"]) if signature is None else SIGNER).upsert(hourly())
    if signature is not None:
        forge(store, "UPDATE scheduler_schedules SET signature = :s", s=signature)
    clock.advance(3600 + 900)
    make_process().turn()
    assert (standing(store).next_run_time, standing(store).error is None) == (None, False)
    recurring_on(store, signer).upsert(hourly())
    after = standing(store)
    assert (after.next_run_time, after.error) == (clock.now() + timedelta(hours=1), None)
    assert signer.verify(after.signature, *signed_parts(after)) is Verdict.VALID


def test_declaring_it_again_keeps_a_pause_that_another_error_gave_it(store: Store, recurring: Recurring) -> None:
    recurring.upsert(hourly())
    forge(store, "UPDATE scheduler_schedules SET next_run_time = NULL, error = 'its trigger raised'")
    recurring_on(store, NEW_ALONE).upsert(hourly())
    assert (standing(store).next_run_time, standing(store).error) == (None, "its trigger raised")


@pytest.mark.parametrize(
    "changed",
    [
        {"every": {"hours": 2}},
        {"every": None, "cron": "5 * * * *"},
        {"args": ("weekly",)},
        {"options": make_options(priority="urgent")},
        {"options": make_options(attempts=3)},
        {"options": make_options(tags=["t"])},
        {"options": make_options(queue="reports")},
    ],
)
def test_declaring_it_changed_replaces_it_under_the_same_uid(
    changed: dict[str, object], store: Store, clock: ManualClock, recurring: Recurring
) -> None:
    recurring.upsert(hourly())
    before = standing(store)
    clock.advance(60.5)
    recurring.upsert(hourly(**changed))
    after = standing(store)
    assert (after.uid, after.created_at, after.generation) == (before.uid, before.created_at, before.generation + 1)
    assert after != before
    assert len(store.read(schedules.every)) == 1


def test_cron_lines_follow_the_time_zone_that_they_are_given(
    store: Store, clock: ManualClock, recurring: Recurring
) -> None:
    recurring.upsert(Declaration(report, cron="30 8 * * 1", timezone="Europe/Oslo", name="monday"))
    assert standing(store, "monday").next_run_time == datetime(2026, 3, 2, 7, 30, tzinfo=UTC)


def test_processes_that_declare_one_name_at_once_store_one_schedule(
    store: Store, clock: ManualClock, make_store: Callable[[], Store]
) -> None:
    barrier = Barrier(6)
    errors: list[BaseException] = []

    def race() -> None:
        other = make_store()
        other.patience = 50.0
        try:
            barrier.wait()
            recurring_on(other).reconcile([hourly()])
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert [one.name for one in store.read(schedules.every)] == ["report"]


def orphans(store: Store) -> set[str]:
    return {row.name for row in fetch(store, "SELECT name FROM scheduler_schedules WHERE orphaned_at IS NOT NULL")}


def test_what_the_code_no_longer_declares_is_marked_and_kept(
    store: Store, clock: ManualClock, recurring: Recurring
) -> None:
    recurring.upsert(hourly(name="by hand"))
    recurring.reconcile([hourly(name="a"), hourly(name="b")])
    assert orphans(store) == set()
    recurring.reconcile([hourly(name="a")])
    assert orphans(store) == {"b"}
    assert {one.name for one in store.read(schedules.every)} == {"a", "b", "by hand"}
    recurring.reconcile([hourly(name="a"), hourly(name="b")])
    assert orphans(store) == set()


def test_reconciling_at_each_start_resets_nothing(store: Store, clock: ManualClock, recurring: Recurring) -> None:
    declared = [hourly(), Declaration(report, cron="0 8 * * *", name="cron")]
    recurring.reconcile(declared)
    before = store.read(schedules.every)
    clock.advance(1234.5)
    recurring.reconcile(declared)
    assert store.read(schedules.every) == before


def test_a_changed_schedule_fires_anew_at_an_instant_that_has_fired_before(
    store: Store, clock: ManualClock, process: Process
) -> None:
    one = schedule(clock, "s", CronTrigger(hour="*", timezone=UTC), next_run_time=START)
    put_schedules(store, one)
    process.turn()
    process.finish(process.claim_one())
    forge(store, "UPDATE scheduler_schedules SET next_run_time = :at, generation = 1", at=instant(store, START))
    process.turn()
    assert fire_times(store, one) == [0.0, 0.0]
    assert len({job_of(store, job.id).id for job in jobs_of(store, one)}) == 2


def instant(store: Store, at: datetime) -> object:
    return at if store.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")

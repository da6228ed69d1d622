"""Running an app's jobs by hand: what runs when, where time stands, and what went wrong reaches the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from freezegun import freeze_time

from scheduler_app import Scheduler, schedule_after, schedule_at, schedule_many, schedule_now, signals, using
from scheduler_app.clock import host_now
from scheduler_app.errors import AdvanceError, ClockInUseError, EndlessError, FutureJobError, NotRunError
from scheduler_app.jobs import JobState
from scheduler_app.testing import SchedulerClock
from tests.unit.testing import shop
from tests.unit.testing.shop import Seen, create_app, scheduler

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tasks(ran: list[Any]) -> list[str]:
    return [job.task.rpartition(":")[2] for job in ran]


# -- what runs -----------------------------------------------------------------------------------------


def test_nothing_runs_by_itself_and_run_due_runs_what_is_due(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    schedule_now(shop.send_mail, "ada@example.com")
    schedule_after(60, shop.send_mail, "bob@example.com")
    assert seen.mails == []
    assert tasks(scheduler_clock.run_due()) == ["send_mail"]
    assert seen.mails == [("ada@example.com", "Welcome")]
    assert scheduler_clock.run_due() == []


def test_a_job_goes_through_the_store_the_claim_and_the_settlement_of_production(
    context: None, scheduler_clock: SchedulerClock
) -> None:
    handle = schedule_now(shop.flaky, 1)
    [ran] = scheduler_clock.run_due()
    assert (ran.id, ran.state, ran.result, ran.claim_seq) == (handle.id, JobState.SUCCEEDED, '"sent"', 1)
    assert [row.state for row in scheduler.client.workers()] == ["running"]


def test_jobs_that_are_due_at_one_instant_run_in_the_order_in_which_they_were_scheduled(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    with freeze_time(NOON):
        for number in range(20):
            schedule_now(shop.send_mail, str(number))
        scheduler_clock.run_due()
    assert [address for address, _ in seen.mails] == [str(number) for number in range(20)]


def test_what_a_job_schedules_for_now_runs_in_the_same_call(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    schedule_many([(0, shop.fan_out, (3,)), (0, shop.send_mail, ("last",))])
    assert tasks(scheduler_clock.run_due()).count("send_mail") == 4


def test_jobs_run_in_the_thread_of_the_test_and_no_thread_is_started(
    client: FlaskClient, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    before = set(threading.enumerate())
    client.post("/signup/ada")
    started: list[threading.Thread] = []
    with signals.job_started.connected_to(lambda *_, **__: started.append(threading.current_thread())):
        scheduler_clock.drain()
    assert started == [threading.current_thread()] * 2
    assert set(threading.enumerate()) == before


def test_an_app_that_is_made_in_a_test_starts_no_thread() -> None:
    before = set(threading.enumerate())
    Scheduler(Flask("another"))
    assert set(threading.enumerate()) == before


def test_a_job_runs_in_an_app_context_of_its_own_inside_those_of_the_test(
    app: Flask, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    with app.app_context(), app.test_request_context("/"):
        g.of_the_test = True
        schedule_now(shop.note_app)
        scheduler_clock.run_due()
        assert g.of_the_test
    assert seen.apps == [app]


def test_a_cancelled_job_does_not_run(context: None, scheduler_clock: SchedulerClock, seen: Seen) -> None:
    schedule_now(shop.send_mail, "ada").cancel()
    assert scheduler_clock.run_due() == []


def test_jobs_start_one_by_one_so_that_one_can_cancel_another_that_is_due_as_well(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    schedule_many([(0, shop.send_mail, ("warm",))] * 20)
    scheduler_clock.run_due()  # after which production would claim some ahead
    with freeze_time(NOON):
        schedule_now(shop.cancel_by_key, "victim")
        victim = using(key="victim").schedule_now(shop.send_mail, "victim")
        scheduler_clock.run_due()
    assert victim.refresh().state is JobState.CANCELLED


def test_a_running_job_sees_that_it_was_asked_to_stop(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    handle = schedule_now(shop.cancel_itself)
    scheduler_clock.run_due()
    assert (seen.attempts, handle.refresh().state) == ([1], JobState.CANCELLED)


def test_signals_and_listeners_are_told_before_the_call_returns(context: None, scheduler_clock: SchedulerClock) -> None:
    told: list[Any] = []
    scheduler.aps.add_listener(lambda event: told.append(event.job_id))
    handle = schedule_now(shop.flaky, 1)
    with signals.job_settled.connected_to(lambda *_, job_id, **__: told.append(job_id)):
        scheduler_clock.run_due()
    assert told.count(handle.id) == 3  # settled, submitted, executed


def test_the_doors_of_the_app_see_the_jobs_of_the_test(app: Flask, client: FlaskClient) -> None:
    client.post("/signup/ada")
    assert "send_mail" in app.test_cli_runner().invoke(args=["scheduler", "list"]).output
    assert client.get("/scheduler/readyz").status_code == 200


# -- time ----------------------------------------------------------------------------------------------


def test_advance_runs_each_job_at_its_own_time_on_the_way(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    with freeze_time(NOON):
        schedule_after(HOUR * 2, shop.note_time)
        schedule_after(HOUR, shop.note_time)
        ran = scheduler_clock.advance(hours=3)
        assert datetime.now(UTC) == scheduler_clock.now == NOON + 3 * HOUR
    assert tasks(ran) == ["note_time", "note_time"]
    assert seen.runs == seen.times == [NOON + HOUR, NOON + 2 * HOUR]


def test_a_job_is_due_at_its_very_instant_and_not_before(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    with freeze_time(NOON):
        schedule_after(3, shop.note_time)
        assert scheduler_clock.advance(seconds=2.999999) == []
        assert tasks(scheduler_clock.advance(seconds=0.000001)) == ["note_time"]


def test_without_freezegun_advance_moves_the_schedulers_time(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    before = datetime.now(UTC)
    schedule_after(HOUR, shop.note_time)
    assert tasks(scheduler_clock.advance(timedelta(hours=1))) == ["note_time"]
    assert scheduler_clock.now >= before + HOUR
    assert seen.times[0] < before + HOUR
    assert schedule_now(shop.note_time).run_at >= before + HOUR


def test_the_time_of_one_test_is_not_that_of_the_next(app: Flask) -> None:
    with SchedulerClock(app) as clock:
        clock.advance(weeks=52)
    with SchedulerClock(app) as clock:
        assert abs(clock.now - datetime.now(UTC)) < HOUR


@pytest.mark.parametrize("options", [{}, {"tick": True}, {"auto_tick_seconds": 1}, {"tz_offset": -4}])
def test_every_kind_of_freeze_is_moved(
    context: None, scheduler_clock: SchedulerClock, seen: Seen, options: dict[str, Any]
) -> None:
    with freeze_time("2026-03-01 12:00", **options):
        began = scheduler_clock.now
        schedule_after(HOUR, shop.note_time)
        scheduler_clock.advance(hours=1, minutes=5)
        passed = datetime.now(UTC) - began
    assert seen.runs[0] - began < timedelta(hours=1, minutes=1)
    assert timedelta(hours=1, minutes=5) <= passed < timedelta(hours=1, minutes=6)


def test_time_that_a_test_moves_itself_counts(context: None, scheduler_clock: SchedulerClock, seen: Seen) -> None:
    with freeze_time(NOON) as frozen:
        schedule_at(NOON + HOUR, shop.note_time)
        frozen.tick(HOUR)
        assert tasks(scheduler_clock.run_due()) == ["note_time"]


def test_freeze_stops_the_time_at_what_the_clock_shows_or_is_told(scheduler_clock: SchedulerClock) -> None:
    scheduler_clock.advance(days=1)
    with scheduler_clock.freeze():
        assert datetime.now(UTC) == scheduler_clock.now
        assert timedelta(hours=23) < scheduler_clock.now - host_now() < timedelta(days=1)
    with scheduler_clock.freeze("2001-02-03 04:05:06", tick=False):
        assert scheduler_clock.now == datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_schedules_fire_at_each_of_their_times(seen: Seen) -> None:
    own = Scheduler()
    own.every(minutes=20)(shop.tidy)
    app = create_app(own)
    with freeze_time(NOON), SchedulerClock(app) as clock:
        assert clock.run_due() == []
        clock.advance(hours=1)
    assert seen.runs == [NOON + HOUR / 3, NOON + HOUR * 2 / 3, NOON + HOUR]


def test_drain_follows_jobs_until_none_waits_and_schedules_do_not_keep_it_going(seen: Seen) -> None:
    own = Scheduler()
    own.every(minutes=40)(shop.send_tick)
    app = create_app(own)
    with freeze_time(NOON), SchedulerClock(app) as clock, app.app_context():
        schedule_after(HOUR, shop.later)
        ran = clock.drain()
        assert clock.now == NOON + 3 * HOUR
    assert tasks(ran).count("later") == 3
    assert tasks(ran).count("send_tick") == 4
    assert seen.runs == [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]


def test_a_job_that_takes_longer_than_a_lease_keeps_none_from_running(seen: Seen) -> None:
    app = create_app(SCHEDULER_HEARTBEAT_SECONDS=0.05, SCHEDULER_LEASE_SECONDS=0.16)
    with SchedulerClock(app) as clock, app.app_context():
        schedule_many([(0, shop.take_long), (0, shop.send_mail, ("ada",))])
        assert tasks(clock.run_due()) == ["take_long", "send_mail"]


def test_what_was_added_to_apscheduler_before_its_start_runs_in_each_test(seen: Seen) -> None:
    own = Scheduler()
    app = create_app(own, SECRET_KEY="the secret of a test")  # else a key would be written beside its database
    events: list[int] = []
    with freeze_time(NOON), app.app_context():
        own.aps.add_job(shop.tidy, "interval", hours=1, id="tidy")
        own.aps.add_listener(lambda event: events.append(event.code))
    for start in (NOON, NOON + 24.5 * HOUR):
        with freeze_time(start), SchedulerClock(app) as clock:
            assert clock.run_due() == []
            clock.advance(hours=1)
    assert seen.runs == [NOON + HOUR, NOON + 25 * HOUR]
    assert events


# -- what goes wrong in a job --------------------------------------------------------------------------


def test_an_exception_of_a_job_reaches_the_test_as_it_is(context: None, scheduler_clock: SchedulerClock) -> None:
    handle = schedule_now(shop.fail)
    with pytest.raises(ValueError, match=r"^no such box$") as raised:
        scheduler_clock.run_due()
    assert [entry.name for entry in raised.traceback][-1:] == ["fail"]
    assert "runner.py" not in {entry.path.name for entry in raised.traceback}
    assert handle.refresh().state is JobState.FAILED


def test_neighbours_of_a_job_that_fails_run_first_and_several_errors_come_together(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    schedule_now(shop.fail, "one")
    schedule_now(shop.send_mail, "ada")
    schedule_now(shop.fail, "two")
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="one"), pytest.RaisesExc(ValueError, match="two")):
        scheduler_clock.run_due()
    assert seen.mails == [("ada", "Welcome")]


def test_errors_can_be_left_on_the_jobs(context: None, scheduler_clock: SchedulerClock) -> None:
    schedule_now(shop.fail)
    [ran] = scheduler_clock.run_due(raise_errors=False)
    assert (ran.state, ran.error) == (JobState.FAILED, "ValueError: no such box")


def test_a_retry_comes_at_its_time_and_an_error_that_is_retried_is_not_raised(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    handle = using(attempts=3).schedule_now(shop.flaky, 3)
    assert tasks(scheduler_clock.run_due()) == ["flaky"]
    assert handle.refresh().state is JobState.SCHEDULED
    scheduler_clock.advance(minutes=1)
    assert (seen.attempts, handle.refresh().state) == ([1, 2, 3], JobState.SUCCEEDED)


def test_the_error_of_the_last_attempt_is_raised(context: None, scheduler_clock: SchedulerClock, seen: Seen) -> None:
    using(attempts=2).schedule_now(shop.flaky, 9)
    scheduler_clock.run_due()
    with pytest.raises(ConnectionError):
        scheduler_clock.advance(minutes=1)
    assert seen.attempts == [1, 2]


def test_ctrl_c_in_a_job_is_no_attempt_to_be_retried(
    context: None, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    using(attempts=9).schedule_now(shop.interrupt)
    schedule_now(shop.send_mail, "ada")
    with pytest.raises(KeyboardInterrupt):
        scheduler_clock.run_due()
    assert seen.mails == []


def test_a_job_that_no_process_could_run_is_told(
    context: None, scheduler_clock: SchedulerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = schedule_now(shop.send_mail, "ada")
    scheduler.client.calls.registry._own.clear()
    monkeypatch.delattr(shop, "send_mail")
    with pytest.raises(NotRunError) as raised:
        scheduler_clock.run_due()
    assert str(raised.value) == (
        f"The job tests.unit.testing.shop:send_mail ({handle.id}) was due and could not run: The task"
        " 'tests.unit.testing.shop:send_mail' is not known here: the module 'tests.unit.testing.shop' has no"
        " 'send_mail'."
    )
    with pytest.raises(NotRunError):
        scheduler_clock.drain()


def test_a_declared_schedule_that_cannot_be_stored_is_told() -> None:
    own = Scheduler()
    own.every(hours=1, queue="nowhere")(shop.tidy)
    with SchedulerClock(create_app(own, SCHEDULER_QUEUES=["mail"])) as clock, pytest.raises(LookupError) as raised:
        clock.run_due()
    assert "There is no queue 'nowhere'" in str(raised.value)


# -- wrong use -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("advance", "problem"),
    [
        (lambda clock: clock.advance(hours=-1), "by hours=-1: time does not go back. Name a time to come"),
        (lambda clock: clock.advance(-HOUR), "by datetime.timedelta(days=-1, seconds=82800): time does not go back."),
        (lambda clock: clock.advance(), "by nothing: the time would stand still."),
        (lambda clock: clock.advance(hours=0), "by nothing: the time would stand still."),
        (lambda clock: clock.advance(3), "by 3: it says no unit of time."),
        (lambda clock: clock.advance(HOUR, hours=1), "seconds=3600) and hours=1: it is one or the other."),
        (lambda clock: clock.advance(hours="2"), "by hours='2': unsupported type for timedelta hours component: str."),
        (lambda clock: clock.advance(days=1e10), "by days=10000000000.0: there is no such date."),
        (lambda clock: clock.advance(days=4e6), "by days=4000000.0: there is no such date."),
    ],
)
def test_only_a_time_to_come_can_be_advanced(
    scheduler_clock: SchedulerClock, advance: Callable[[SchedulerClock], Any], problem: str
) -> None:
    before = scheduler_clock.now
    with pytest.raises(AdvanceError) as raised:
        advance(scheduler_clock)
    assert problem in str(raised.value)
    assert scheduler_clock.now - before < HOUR


def test_a_freeze_that_has_ended_is_told(context: None, scheduler_clock: SchedulerClock) -> None:
    with freeze_time("2046-01-02 03:04:05"):
        schedule_after(3, shop.note_time)
    with pytest.raises(FutureJobError) as raised, freeze_time(NOON):
        scheduler_clock.run_due()
    assert str(raised.value) == (
        "The job tests.unit.testing.shop:note_time was scheduled at 2046-01-02 03:04:05 UTC, and the clock shows"
        " 2026-03-01 12:00:00 UTC, before that. A freeze that was active then is not active now, or the other way"
        " round: schedule and run within the same freeze."
    )


def test_a_schedule_of_a_freeze_that_has_ended_is_told() -> None:
    own = Scheduler()
    own.every(hours=1)(shop.tidy)
    with SchedulerClock(create_app(own)) as clock:
        with freeze_time("2046-01-02"):
            clock.run_due()
        with pytest.raises(FutureJobError, match=r"^The schedule 'tests\.unit\.testing\.shop:tidy' was scheduled at"):
            clock.run_due()


def test_a_job_that_schedules_itself_without_a_delay_is_told(
    context: None, scheduler_clock: SchedulerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_app.testing.crank.MOST_NEW", 20)
    schedule_now(shop.again)
    with pytest.raises(EndlessError, match=r"^run_due\(\) ran 22 jobs, the last of them \S+:again, and there are more"):
        scheduler_clock.run_due()


def test_many_jobs_that_were_there_before_are_not_endless(
    context: None, scheduler_clock: SchedulerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_app.testing.crank.MOST_NEW", 20)
    schedule_many([(0, shop.send_mail, ("ada",))] * 50)
    assert len(scheduler_clock.run_due()) == 50


def test_drain_of_jobs_that_never_end_is_told(
    context: None, scheduler_clock: SchedulerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_app.testing.crank.MOST_IN_ALL", 5)
    schedule_now(shop.for_ever)
    with pytest.raises(EndlessError, match=r"^drain\(\) ran 6 jobs"):
        scheduler_clock.drain()


def test_a_job_that_turns_the_clock_that_runs_it_is_told(
    app: Flask, context: None, scheduler_clock: SchedulerClock
) -> None:
    app.config["CLOCK"] = scheduler_clock
    schedule_now(shop.run_the_clock)
    with pytest.raises(ClockInUseError, match="A job cannot turn the clock that runs it"):
        scheduler_clock.run_due()

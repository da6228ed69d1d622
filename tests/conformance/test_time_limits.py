"""Time limits on every store, where jobs run in threads: how long an attempt may run, how late a job may start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from freezegun import freeze_time

from scheduler_app import RetryPolicy, Scheduler, current_job, schedule_after, schedule_now, signals, using
from scheduler_app.jobs import JobState
from scheduler_app.testing import SchedulerClock
from tests.conformance.cranked import attempts_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OVER_AT_ONCE = 1e-9
"""A timeout that is over when the function begins: no test need wait for one."""

scheduler = Scheduler()
seen: list[Any] = []


def stop_if_asked() -> None:
    seen.append((current_job.cancelled, current_job.timed_out))
    current_job.raise_if_cancelled()


def look_and_return() -> str:
    seen.append(current_job.cancelled)
    return "what was done so far"


def never_look() -> str:
    return "done"


def fail_late() -> None:
    raise ValueError("no such box")


@scheduler.task(name="limits.strict", timeout=OVER_AT_ONCE, max_lateness=timedelta(minutes=5))
def strict() -> None:
    stop_if_asked()


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def test_a_function_that_is_told_of_its_timeout_and_stops_is_a_timeout_and_retried(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app()
    with SchedulerClock(app, own_database=True) as clock, app.app_context():
        retry = RetryPolicy(attempts=2, backoff=0, retry_on=[TimeoutError])
        raised = using(timeout=OVER_AT_ONCE, retry=retry).schedule_now(stop_if_asked)
        returned = using(timeout=OVER_AT_ONCE).schedule_now(look_and_return)
        clock.run_due(raise_errors=False)
        clock.run_due(raise_errors=False)
        assert seen == [(True, True), True, (True, True)]
        store = app.extensions["scheduler"].store
        assert attempts_of(store, raised.id) == [(1, "timeout", None), (2, "timeout", None)]
        for job in (raised.refresh().job, returned.refresh().job):
            assert (job.state, job.outcome) == (JobState.FAILED, "timeout")
            assert str(job.error).startswith("JobTimeoutError: stopped at its timeout of 1e-09 s")


def test_a_function_that_never_looked_has_done_its_work_and_the_record_says_that_it_was_late(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app()
    with SchedulerClock(app, own_database=True) as clock, app.app_context():
        late = using(timeout=OVER_AT_ONCE).schedule_now(never_look)
        broken = using(timeout=OVER_AT_ONCE).schedule_now(fail_late)
        in_time = using(timeout=60).schedule_now(never_look)
        clock.run_due(raise_errors=False)
        job = late.refresh().job
        assert (job.state, late.result()) == (JobState.SUCCEEDED, "done")
        assert str(job.error).endswith("s, longer than its timeout of 1e-09 s")
        failed = broken.refresh().job
        assert (failed.state, failed.outcome) == (JobState.FAILED, "error")
        assert str(failed.error).startswith("ValueError: no such box (ran ")
        assert (in_time.refresh().state, in_time.job.error) == (JobState.SUCCEEDED, None)


def test_the_tasks_own_limits_hold_unless_the_call_gives_others(make_app: Callable[..., Flask]) -> None:
    own = Scheduler()
    own.every(hours=1, name="hourly")(strict)
    app = make_app(own)
    with freeze_time(NOON), SchedulerClock(app, own_database=True) as clock, app.app_context():
        plain, patient = schedule_now(strict), using(timeout=60, max_lateness=60).schedule_now(strict)
        clock.run_due(raise_errors=False)
        assert (plain.refresh().job.outcome, patient.refresh().state) == ("timeout", JobState.SUCCEEDED)
        clock.advance(hours=1, raise_errors=False)  # a schedule's job, too, whose row holds no timeout
        assert sorted(seen[:2]) == [(False, False), (True, True)]
        assert seen[2:] == [(True, True)]


def test_a_job_that_is_later_than_it_allows_is_missed_with_the_reason_and_told(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    told: list[dict[str, Any]] = []

    def hear(_sender: Any, **facts: Any) -> None:
        told.append(facts)

    with freeze_time(NOON) as frozen, SchedulerClock(app, own_database=True) as clock, app.app_context():
        late = schedule_after(60, strict)
        patient = using(max_lateness=timedelta(hours=1)).schedule_after(60, never_look)
        frozen.move_to(NOON + timedelta(minutes=10))
        with signals.job_missed.connected_to(hear):
            clock.run_due(raise_errors=False)
        assert patient.refresh().state is JobState.SUCCEEDED
        assert (late.refresh().state, late.job.outcome) == (JobState.MISSED, "missed")
        assert late.job.error == "not started: 540.000 s late, and its max_lateness is 300 s"
        assert told == [{"job_id": late.id, "task": "limits.strict", "late": 540.0, "max_lateness": 300.0}]
        assert app.extensions["scheduler"].client.stats()["missed"] == 1


gate = threading.Event()


def hold() -> None:
    assert gate.wait(30)


def test_a_thread_that_does_not_stop_keeps_its_slot_and_is_told_of_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(SCHEDULER_EXECUTORS={"default": {"max_workers": 1}}, SCHEDULER_POLL_SECONDS=0.02)
    told: list[dict[str, Any]] = []

    def hear(_sender: Any, **facts: Any) -> None:
        told.append(facts)

    gate.clear()
    with app.app_context(), signals.job_overran.connected_to(hear):
        late, next_one = using(timeout=0.01).schedule_now(hold), schedule_after(0.01, never_look)
        aps = app.extensions["scheduler"].aps
        aps.start()
        until(lambda: told)
        turned = aps.turned_at
        until(lambda: aps.turned_at > turned + 0.1)
        assert (next_one.refresh().state, late.refresh().state) == (JobState.SCHEDULED, JobState.RUNNING)
        assert told == [{"job_id": late.id, "task": f"{__name__}:hold", "timeout": 0.01}]
        gate.set()
        until(lambda: next_one.refresh().state is JobState.SUCCEEDED)
        assert str(late.refresh().job.error).endswith("s, longer than its timeout of 0.01 s")


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)

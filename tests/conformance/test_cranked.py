"""A scheduler that a test turns by hand, and calls that run at once, on every store: by the moves of production."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from freezegun import freeze_time

from scheduler_app import Scheduler, current_job, schedule_after, schedule_at, schedule_now, using
from scheduler_app.errors import NotEmptyError
from scheduler_app.jobs import JobState
from scheduler_app.store import Store
from scheduler_app.store.fresh import rows_by_table
from scheduler_app.testing import SchedulerClock
from tests.conformance.cranked import ALLOWED, attempts_of, moves

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
seen: list[datetime] = []


def note() -> str:
    seen.append(current_job.run_at)
    return "noted"


def flaky(good_attempt: int) -> None:
    if current_job.attempt < good_attempt:
        raise ConnectionError("away")


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def store_of(app: Flask) -> Store:
    found: Store = app.extensions["scheduler"].store
    return found


def test_the_apps_own_database_is_used_as_in_production_and_left_empty(make_app: Callable[..., Flask]) -> None:
    scheduler = Scheduler()
    scheduler.every(hours=1)(note)
    app = make_app(scheduler)
    with freeze_time(NOON), SchedulerClock(app, own_database=True) as clock, app.app_context():
        clock.run_due()
        done = using(attempts=2, key="k").schedule_now(flaky, 2)
        schedule_at(datetime.now(UTC) + HOUR / 2, note)
        clock.assert_scheduled(note, within=HOUR / 2, times=1)
        clock.advance(hours=2)
        assert seen == [NOON + HOUR / 2, NOON + HOUR, NOON + 2 * HOUR]
        assert done.refresh().state is JobState.SUCCEEDED
        assert attempts_of(store_of(app), done.id) == [(1, "error", None), (2, "success", None)]
        assert moves(store_of(app)) <= ALLOWED
        assert store_of(app).url == scheduler.client.store.url
    assert store_of(app).read(rows_by_table) == {}


def test_one_test_after_another_has_the_database_for_itself(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    for _ in range(2):
        with SchedulerClock(app, own_database=True) as clock, app.app_context():
            clock.assert_nothing_scheduled()
            schedule_after(3600, note)
            schedule_now(note)
            clock.run_due()
    assert len(seen) == 2


def test_it_is_emptied_after_a_test_that_fails(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    with pytest.raises(ValueError, match="the test fails"), SchedulerClock(app, own_database=True):
        schedule_and_fail(app)
    assert store_of(app).read(rows_by_table) == {}


def schedule_and_fail(app: Flask) -> None:
    with app.app_context():
        schedule_now(note)
    raise ValueError("the test fails")


def test_a_database_in_use_is_refused_and_left_as_it_is(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    with app.app_context():
        handle = schedule_after(3600, note)
    with pytest.raises(NotEmptyError) as raised, SchedulerClock(app, own_database=True):
        pass
    assert str(raised.value).startswith(
        f"The scheduler's tables in {store_of(app).url} are not empty: 1 in scheduler_jobs. A test uses"
    )
    with app.app_context():
        assert handle.refresh().state is JobState.SCHEDULED


def test_tables_that_are_missing_are_made(store_url: str) -> None:
    app = Flask("tests")
    app.config |= {"SCHEDULER_DATABASE_URL": store_url, "SECRET_KEY": "the secret of the conformance tests"}
    Scheduler(app)
    with SchedulerClock(app, own_database=True) as clock, app.app_context():
        schedule_now(note)
        clock.run_due()
    assert len(seen) == 1


def test_a_call_that_runs_at_once_makes_the_moves_of_production(make_app: Callable[..., Flask]) -> None:
    app = make_app(SCHEDULER_EAGER=True, TESTING=True)
    with app.app_context():
        handle = schedule_after(3600, note)
        again = using(attempts=3).schedule_now(flaky, 3)
        with pytest.raises(ConnectionError):
            schedule_now(flaky, 2)
    assert (handle.state, handle.job.result, handle.job.claim_seq) == (JobState.SUCCEEDED, '"noted"', 1)
    assert attempts_of(store_of(app), again.id) == [
        (1, "error", None), (2, "error", None), (3, "success", None)
    ]  # fmt: skip
    assert moves(store_of(app)) <= ALLOWED
    assert store_of(app).read(rows_by_table).keys() == {"scheduler_jobs", "scheduler_attempts"}


def test_a_frozen_time_is_stored_as_the_instant_that_it_is(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    with app.app_context(), freeze_time(NOON), SchedulerClock(app, own_database=True):
        handles = [schedule_at(datetime.now(UTC) + HOUR, note), schedule_after(HOUR, note)]
        assert [handle.refresh().run_at for handle in handles] == [NOON + HOUR, NOON + HOUR]
        assert [handle.reschedule(at=datetime.now(UTC)).run_at for handle in handles] == [NOON, NOON]

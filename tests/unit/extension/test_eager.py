"""SCHEDULER_EAGER: a call runs at once where it is scheduled, by way of its row, so that what would fail fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from scheduler_app import Scheduler, current_job, schedule_after, schedule_many, schedule_now, signals, using
from scheduler_app.client import Client, make_options
from scheduler_app.errors import (
    ArgumentsError,
    DuplicateKeyError,
    EndlessError,
    NotRunError,
    NotSchedulableError,
    PayloadTypeError,
    UnknownTaskError,
)
from scheduler_app.extension import eager
from scheduler_app.jobs import JobState
from scheduler_app.testing import SchedulerClock

scheduler = Scheduler()
got: list[Any] = []


def take(*things: Any) -> int:
    got.append(things)
    return len(things)


def fail(sentence: str) -> None:
    raise ValueError(sentence)


def flaky(good_attempt: int) -> None:
    got.append(current_job.attempt)
    if current_job.attempt < good_attempt:
        raise ConnectionError("away")


def nest(depth: int) -> None:
    got.append(depth)
    if depth:
        schedule_now(nest, depth - 1)


def again() -> None:
    schedule_after(3600, again)


def give_up() -> None:
    got.append(current_job.attempt)
    raise KeyboardInterrupt


@pytest.fixture
def app() -> Flask:
    got.clear()
    app = Flask("eager")
    app.config |= {"TESTING": True, "SCHEDULER_EAGER": True}
    scheduler.init_app(app)
    return app


@pytest.fixture
def not_eager() -> Client:
    """What another process of the app has, where the setting is off."""
    own = scheduler.client
    return Client(own.store, own.calls, own._limits, lambda _seconds: None)


@pytest.fixture(autouse=True)
def _context(app: Flask, scheduler_clock: SchedulerClock) -> Any:
    with app.app_context():
        yield


def test_a_call_has_run_when_it_was_scheduled_whatever_its_time() -> None:
    handle = schedule_after(timedelta(days=1), take, 1, 2)
    assert got == [(1, 2)]
    assert (handle.state, handle.job.result, handle.job.claim_seq) == (JobState.SUCCEEDED, "2", 1)
    assert handle.run_at - handle.job.created_at == timedelta(days=1)


def test_arguments_come_back_as_from_a_row_and_not_as_they_were() -> None:
    mutable = [1]
    schedule_now(take, mutable, (1, 2), date(2026, 3, 1), datetime(2026, 3, 1, tzinfo=UTC))
    assert got == [([1], (1, 2), date(2026, 3, 1), datetime(2026, 3, 1, tzinfo=UTC))]
    assert got[0][0] is not mutable


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: schedule_now(lambda: None), NotSchedulableError),
        (lambda: schedule_now(fail), ArgumentsError),
        (lambda: schedule_now(take, object()), PayloadTypeError),
    ],
)
def test_what_cannot_be_scheduled_does_not_run(call: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()
    assert (got, scheduler.client.list()) == ([], [])


def test_what_the_function_raises_is_raised_where_it_was_scheduled_and_kept() -> None:
    with pytest.raises(ValueError, match=r"^no such box$") as raised:
        schedule_now(fail, "no such box")
    assert raised.traceback[-1].name == "fail"
    [job] = scheduler.client.list()
    assert (job.state, job.error) == (JobState.FAILED, "ValueError: no such box")


def test_retries_follow_at_once_and_only_the_last_error_is_raised() -> None:
    handle = using(attempts=3).schedule_now(flaky, 3)
    assert (got, handle.state) == ([1, 2, 3], JobState.SUCCEEDED)
    with pytest.raises(ConnectionError):
        using(attempts=2).schedule_now(flaky, 9)
    assert got == [1, 2, 3, 1, 2]


def test_ctrl_c_is_not_retried() -> None:
    with pytest.raises(KeyboardInterrupt):
        using(attempts=9).schedule_now(give_up)
    assert got == [1]


def test_many_are_stored_together_and_run_in_their_order() -> None:
    handles = schedule_many([(9, take, (1,)), (3, take, (2,)), (0, take)])
    assert got == [(1,), (2,), ()]
    assert {handle.state for handle in handles} == {JobState.SUCCEEDED}
    with pytest.RaisesGroup(ValueError, ValueError):
        schedule_many([(0, fail, ("one",)), (0, take, (3,)), (0, fail, ("two",))])
    assert got[-1] == (3,)


def test_a_job_that_schedules_a_job_runs_it_inside() -> None:
    schedule_now(nest, 3)
    assert got == [3, 2, 1, 0]


def test_a_job_that_schedules_itself_for_ever_is_told() -> None:
    with pytest.raises(EndlessError) as raised:
        schedule_now(again)
    assert str(raised.value).startswith(
        f"SCHEDULER_EAGER ran {eager.DEEPEST} jobs, the last of them tests.unit.extension.test_eager:again, and there"
        " are more. Each runs inside the one that scheduled it"
    )
    schedule_now(take)  # and the next call is none the worse


def test_a_key_is_free_again_once_its_job_has_run_and_held_by_one_that_waits(not_eager: Client) -> None:
    used = using(key="k", on_conflict="raise")
    assert used.schedule_now(take, 1).created
    assert used.schedule_now(take, 2).created
    not_eager.schedule_after(60, take, (3,), {}, make_options(key="k"))
    with pytest.raises(DuplicateKeyError):
        used.schedule_now(take, 4)
    assert not using(key="k").schedule_now(take, 5).created
    assert got == [(1,), (2,)]


def test_a_task_that_cannot_be_found_by_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str) -> Any:
        raise UnknownTaskError(name, "it is gone.")

    monkeypatch.setattr(scheduler.client.calls.registry, "resolve", resolve)
    with pytest.raises(
        NotRunError, match=r"was due and could not run: The task '\S+:take' is not known here: it is gone"
    ):
        schedule_now(take, 1)
    assert scheduler.client.list()[0].state is JobState.SCHEDULED


def test_a_job_that_another_process_has_claimed_is_left_to_it() -> None:
    def claim(*_: Any, **__: Any) -> None:
        running = "UPDATE scheduler_jobs SET state = 'running', claim_seq = 1"
        scheduler.client.store.write(lambda connection: connection.exec_driver_sql(running))

    with signals.job_scheduled.connected_to(claim):
        handle = schedule_now(take, 1)
    assert (got, handle.state) == ([], JobState.RUNNING)


def test_signals_are_told_and_no_worker_is_left_behind() -> None:
    told: list[Any] = []
    with signals.job_settled.connected_to(lambda *_, job_id, **__: told.append(job_id)):
        handle = schedule_now(take)
    assert told == [handle.id]
    assert list(scheduler.client.workers()) == []


def test_an_app_that_is_no_test_is_warned_once(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("production")
    app.config |= {"SCHEDULER_EAGER": True, "SCHEDULER_DATABASE_URL": f"sqlite:///{tmp_path / 'own.sqlite3'}"}
    own = Scheduler(app)
    with app.app_context(), caplog.at_level(logging.WARNING):
        own.schedule_now(take)
        own.schedule_now(take)
        own.client.store.close()
    assert [record.message for record in caplog.records] == [
        "SCHEDULER_EAGER is on: calls run at once, in the thread that schedules them; it is for tests"
    ]

"""Runs after errors: by policy, by the task's own wish, and by a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from scheduler_app import (
    GiveUp,
    Retry,
    RetryPolicy,
    Scheduler,
    Snooze,
    current_job,
    schedule_after,
    schedule_now,
    task,
    using,
)
from scheduler_app.client import Client
from scheduler_app.errors import (
    DuplicateKeyError,
    JobConflictError,
    JobNotFoundError,
    OptionError,
    TaskOptionError,
)
from scheduler_app.extension import Parts
from scheduler_app.jobs import Job, JobState
from tests.conformance.sides import until

QUICK = RetryPolicy(attempts=3, backoff=0.01, jitter=0)
ran: list[Any] = []
to_raise: list[Exception] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()
    to_raise.clear()


def play(*_what: Any) -> str:
    """Raise what the test says, one after the other, then succeed."""
    ran.append((current_job.attempt, current_job.fence))
    if to_raise:
        raise to_raise.pop(0)
    return "done"


@task(name="tests.patient", retry=RetryPolicy(attempts=4, backoff=0.01, jitter=0, give_up_on=[KeyError]))
def patient() -> str:
    return play()


def with_cause() -> None:
    ran.append(current_job.attempt)
    try:
        {}["the cause"]
    except KeyError as error:
        raise GiveUp("no use") from error


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    app = make_app()
    with app.app_context():
        app.extensions["scheduler"].aps.start()
        yield app


@pytest.fixture
def client(app: Flask) -> Client:
    parts: Parts = app.extensions["scheduler"]
    return parts.client


def ended(client: Client, job_id: str) -> Job:
    until(lambda: client.get(job_id).finished)
    return client.get(job_id)


def outcomes(client: Client, job_id: str) -> list[tuple[int, str, str | None]]:
    return [(one.attempt, one.outcome.value, one.error) for one in client.attempts(job_id)]


# -- policies --------------------------------------------------------------------------------------------------


def test_a_job_is_repeated_as_its_policy_says_and_every_attempt_is_kept(app: Flask, client: Client) -> None:
    to_raise.extend([OSError("one"), ConnectionError("two")])
    handle = using(retry=RetryPolicy(attempts=5, backoff=0.01, retry_on=[OSError])).schedule_now(play)
    job = ended(client, handle.id)
    assert (job.state, job.result) == (JobState.SUCCEEDED, '"done"')
    assert outcomes(client, handle.id) == [
        (1, "error", "OSError: one"),
        (2, "error", "ConnectionError: two"),
        (3, "success", None),
    ]
    first = client.attempts(handle.id)[0]
    assert "raise to_raise.pop(0)\nOSError: one" in str(first.traceback).replace("    ", "")


def test_an_error_that_is_not_to_be_repeated_ends_it(app: Flask, client: Client) -> None:
    to_raise.extend([ValueError("no")])
    handle = using(attempts=5, retry=RetryPolicy(retry_on=[OSError])).schedule_now(play)
    job = ended(client, handle.id)
    assert (job.state, job.attempt, job.error) == (JobState.FAILED, 1, "ValueError: no")


def test_the_tasks_policy_holds_where_the_call_names_none(app: Flask, client: Client) -> None:
    to_raise.extend([ValueError(), ValueError(), ValueError(), ValueError()])
    assert ended(client, patient.schedule_now().id).attempt == 4  # type: ignore[attr-defined]
    to_raise.extend([KeyError()])
    assert ended(client, patient.schedule_now().id).attempt == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "runs"),
    [({}, 4), ({"attempts": 2}, 2), ({"retry": QUICK}, 3), ({"attempts": 1, "retry": QUICK}, 1)],
    ids=str,
)
def test_what_is_said_with_the_call_goes_before_the_task(
    options: dict[str, Any], runs: int, app: Flask, client: Client
) -> None:
    to_raise.extend([ValueError()] * 9)
    handle = using(**options).schedule_now(patient)
    assert ended(client, handle.id).attempt == runs
    assert len(ran) == runs


def test_a_schedules_jobs_have_its_policy(make_app: Callable[..., Flask]) -> None:
    scheduler = Scheduler()
    scheduler.every(hours=1, name="x", retry=QUICK)(play)
    app = make_app(scheduler)
    with app.app_context():
        scheduler.start()
        until(scheduler.client.schedules)
        to_raise.extend([ValueError()] * 9)
        scheduler.aps.modify_job("x", next_run_time=datetime.now(UTC))
        until(lambda: scheduler.client.list(states=[JobState.FAILED]))
        assert [attempt for attempt, _fence in ran] == [1, 2, 3]


def test_a_damaged_policy_puts_its_job_aside_and_delays_no_other(app: Flask, client: Client) -> None:
    handle = using(retry=QUICK).schedule_after(60, play)
    damage = text("UPDATE scheduler_jobs SET retry = 'nonsense'")
    client.store.write(lambda connection: connection.execute(damage))
    to_raise.append(ValueError())
    client.reschedule(handle.id, after=0)
    until(lambda: client.get(handle.id).state in (JobState.QUARANTINED, JobState.FAILED))
    assert ended(client, schedule_now(play).id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("given", [5, "often", {"attempts": 3}], ids=str)
def test_what_is_no_policy_is_refused(given: Any, app: Flask) -> None:
    with pytest.raises(OptionError, match="must be a RetryPolicy, such as RetryPolicy"):
        using(retry=given)
    with pytest.raises(TaskOptionError, match="is not a RetryPolicy, such as RetryPolicy"):
        task(retry=given)(play)


# -- the task's own wish -----------------------------------------------------------------------------------------


def test_a_task_asks_for_another_run_which_counts(app: Flask, client: Client) -> None:
    to_raise.extend([Retry(after=0.01), Retry("later", after=timedelta(milliseconds=10)), Retry(after=0)])
    handle = using(attempts=3).schedule_now(play)
    job = ended(client, handle.id)
    assert (job.state, job.error) == (JobState.FAILED, "Retry: asked to run again")
    assert outcomes(client, handle.id)[1] == (2, "error", "Retry: later")


def test_a_task_puts_itself_off_and_spends_no_attempt(app: Flask, client: Client) -> None:
    to_raise.extend([Snooze(0.01), Snooze(timedelta(milliseconds=20)), Snooze(0)])
    handle = schedule_now(play)
    job = ended(client, handle.id)
    assert (job.state, job.attempt, job.error) == (JobState.SUCCEEDED, 0, None)
    assert [attempt for attempt, _fence in ran] == [1, 1, 1, 1]
    assert len({fence for _attempt, fence in ran}) == 4
    assert outcomes(client, handle.id) == []


def test_a_job_that_was_put_off_waits_for_its_time_and_can_be_cancelled(app: Flask, client: Client) -> None:
    to_raise.append(Snooze(3600))
    handle = using(key="k").schedule_now(play)
    until(lambda: ran and client.get(handle.id).state is JobState.SCHEDULED)
    job = client.get(handle.id)
    assert timedelta(minutes=59) < job.run_at - datetime.now(UTC) < timedelta(minutes=61)
    assert using(key="k").schedule_now(play).id == handle.id
    assert handle.cancel() is JobState.CANCELLED


def test_a_task_gives_up_whatever_it_has_left_and_keeps_the_cause(app: Flask, client: Client) -> None:
    handle = using(attempts=9).schedule_now(with_cause)
    job = ended(client, handle.id)
    assert (job.state, job.attempt, job.error, ran) == (JobState.FAILED, 1, "GiveUp: no use", [1])
    assert "KeyError: 'the cause'" in str(client.attempts(handle.id)[0].traceback)


def test_a_wish_that_cannot_be_is_an_error_of_the_task(app: Flask, client: Client) -> None:
    job = ended(client, schedule_now(wish_in_vain).id)
    assert job.error == "WishError: Snooze(seconds) takes seconds from 0 to ten years, or a timedelta, not -1."


def wish_in_vain() -> None:
    raise Snooze(-1)


# -- by a person ---------------------------------------------------------------------------------------------------


def test_a_person_puts_a_failed_job_back_as_the_same_row(app: Flask, client: Client) -> None:
    to_raise.extend([ValueError("one"), ValueError("two")])
    handle = using(attempts=2, retry=QUICK, key="k").schedule_now(play)
    assert ended(client, handle.id).state is JobState.FAILED
    before = client.get(handle.id)
    again = client.retry(handle.id)
    assert (again.id, again.attempt, again.crashes, again.error, again.finished_at) == (handle.id, 0, 0, None, None)
    job = ended(client, handle.id)
    assert (job.state, job.created_at) == (JobState.SUCCEEDED, before.created_at)
    assert [one[:2] for one in outcomes(client, handle.id)][:2] == [(1, "error"), (2, "error")]
    assert [fence for _attempt, fence in ran] == sorted({fence for _attempt, fence in ran})


def test_a_cancelled_job_runs_after_all(app: Flask, client: Client) -> None:
    handle = schedule_after(3600, play)
    handle.cancel()
    handle.retry()
    assert ended(client, handle.id).state is JobState.SUCCEEDED


def test_only_what_has_ended_badly_is_retried(app: Flask, client: Client) -> None:
    waiting, done = schedule_after(3600, play), schedule_now(play)
    ended(client, done.id)
    for handle in (waiting, done):
        with pytest.raises(JobConflictError, match="so it cannot be asked to run again"):
            client.retry(handle.id)
    with pytest.raises(JobNotFoundError):
        client.retry("nothing")


def test_a_job_is_not_retried_past_a_newer_one_of_its_key(app: Flask, client: Client) -> None:
    old = using(key="k").schedule_after(3600, play)
    old.cancel()
    newer = using(key="k").schedule_after(3600, play)
    with pytest.raises(DuplicateKeyError) as caught:
        old.retry()
    assert (caught.value.key, caught.value.job_id) == ("k", newer.id)
    assert client.get(old.id).state is JobState.CANCELLED
    newer.cancel()
    old.retry()
    assert ended(client, old.id).state is JobState.SUCCEEDED

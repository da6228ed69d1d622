"""What a job's function returned, waited for; and how far it says that it is."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from scheduler_app import current_job, schedule_after, schedule_now, using
from scheduler_app.client import Client
from scheduler_app.errors import (
    JobFailedError,
    JobNotFoundError,
    ProgressError,
    ResultError,
    ResultNotKeptError,
    ResultTimeoutError,
)
from scheduler_app.extension import Parts
from scheduler_app.jobs import JobState
from scheduler_app.progress import Progress, decode_progress, encode_progress
from tests.conformance.sides import until

opened = threading.Event()
reached = threading.Event()
WHEN = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    opened.clear()
    reached.clear()
    yield
    opened.set()


def give(value: Any) -> Any:
    return value


def give_much() -> str:
    return "x" * 70_000


def give_what_json_cannot_carry() -> object:
    return object()


def fail() -> None:
    current_job.progress(1, 3, "then it broke")
    raise ZeroDivisionError("broken")


def hold() -> str:
    assert opened.wait(30)
    return "held"


def steps() -> str:
    current_job.progress(1, 4)
    current_job.progress(2, 4, "half-way")
    reached.set()
    assert opened.wait(30)
    current_job.progress(4, 4, "all of it")
    return "done"


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


# -- results ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 42, {"at": WHEN}, [1, (2, 3)], "x" * 1000], ids=range(5))
def test_a_result_is_waited_for_and_comes_as_it_was_returned(value: Any, app: Flask) -> None:
    assert schedule_now(give, value).result(timeout=20) == value


def test_a_result_is_there_for_as_long_as_the_job_is(app: Flask, client: Client) -> None:
    handle = schedule_now(give, 42)
    until(lambda: client.get(handle.id).finished)
    assert (handle.result(), handle.state) == (42, JobState.SUCCEEDED)


def test_a_job_without_a_result_says_why(app: Flask) -> None:
    with pytest.raises(JobFailedError) as caught:
        schedule_now(fail).result(timeout=20)
    assert str(caught.value).endswith("has no result, for it is 'failed': ZeroDivisionError: broken.")
    cancelled = schedule_after(60, give, 1)
    cancelled.cancel()
    with pytest.raises(JobFailedError, match="it is 'cancelled'"):
        cancelled.result()


@pytest.mark.parametrize("function", [give_much, give_what_json_cannot_carry])
def test_a_result_that_was_not_kept_is_no_none(function: Callable[[], object], app: Flask) -> None:
    handle = schedule_now(function)
    with pytest.raises(ResultNotKeptError, match="has succeeded, but what it returned was not kept: ") as caught:
        handle.result(timeout=20)
    assert isinstance(caught.value, ResultError)
    assert handle.state == JobState.SUCCEEDED


def test_a_result_that_takes_too_long_is_a_timeout(app: Flask) -> None:
    handle = schedule_after(3600, give, 1)
    begun = time.monotonic()
    with pytest.raises(ResultTimeoutError, match=r"is 'scheduled' after 0\.2 s, so there is no result yet") as caught:
        handle.result(timeout=0.2)
    assert isinstance(caught.value, TimeoutError)
    assert 0.2 <= time.monotonic() - begun < 10


def test_a_job_that_is_gone_has_no_result(app: Flask, client: Client) -> None:
    handle = schedule_now(give, 1)
    until(lambda: client.get(handle.id).finished)
    until(lambda: client.prune(0) == 1)
    with pytest.raises(JobNotFoundError):
        handle.result(timeout=5)


def test_waiting_asks_the_database_seldom(app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, looks = schedule_now(hold), []
    get = client.get

    def looking(job_id: str) -> Any:
        looks.append(time.monotonic())
        if len(looks) == 8:
            opened.set()
        return get(job_id)

    monkeypatch.setattr(client, "get", looking)
    assert handle.result(timeout=30) == "held"
    pauses = [later - earlier for earlier, later in itertools.pairwise(looks)]
    assert pauses[6] > 0.4  # 0.02, 0.04 ... 0.5
    assert len(looks) <= 11


def test_an_end_that_this_process_writes_is_heard_of_at_once(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_app.client.waiting.FIRST_PAUSE", 30.0)
    monkeypatch.setattr("scheduler_app.client.waiting.LONGEST_PAUSE", 30.0)
    handle = schedule_now(hold)
    threading.Timer(0.2, opened.set).start()
    begun = time.monotonic()
    assert handle.result(timeout=60) == "held"
    assert time.monotonic() - begun < 15


def test_an_end_that_another_process_writes_is_found(make_app: Callable[..., Flask]) -> None:
    asking, running = make_app(), make_app()
    running.extensions["scheduler"].aps.start()
    with asking.app_context():
        assert schedule_now(give, "from there").result(timeout=20) == "from there"


# -- progress ----------------------------------------------------------------------------------------------------


def test_progress_is_seen_while_the_job_runs_and_the_last_one_afterwards(app: Flask, client: Client) -> None:
    handle = schedule_now(steps)
    assert reached.wait(20)
    until(lambda: handle.refresh().progress == Progress(2, 4, "half-way"))
    assert (handle.progress.share, str(handle.progress)) == (0.5, "2 of 4: half-way")  # type: ignore[union-attr]
    opened.set()
    assert handle.result(timeout=20) == "done"
    assert handle.progress == Progress(4, 4, "all of it")


def test_a_failed_job_keeps_how_far_it_came_and_a_retry_begins_anew(app: Flask, client: Client) -> None:
    handle = schedule_now(fail)
    until(lambda: client.get(handle.id).finished)
    assert handle.refresh().progress == Progress(1, 3, "then it broke")
    client.retry(handle.id)
    handle.refresh()
    assert handle.state is JobState.SCHEDULED or handle.progress == Progress(1, 3, "then it broke")


def test_progress_is_stored_at_the_poll_and_not_at_each_word(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    from scheduler_app.store import change

    write = change.progress_if_held

    def note(connection: Any, said: Any) -> None:
        written.append(said)
        write(connection, said)

    monkeypatch.setattr(change, "progress_if_held", note)
    handle = schedule_now(many_words)
    assert handle.result(timeout=30) is None
    assert handle.progress == Progress(10_000, 10_000)
    assert len(written) < 20


def many_words() -> None:
    for number in range(10_001):
        current_job.progress(number, 10_000)


@pytest.mark.parametrize(
    "said", [(float("nan"),), (float("inf"), 5), ("5",), (True,), (1, "x"), (None,), (1, float("nan"))], ids=str
)
def test_what_is_no_progress_is_refused(said: Any) -> None:
    with pytest.raises(ProgressError, match="must be a finite number"):
        encode_progress(*said)


@pytest.mark.parametrize(
    ("said", "shown"),
    [((1,), "1"), ((1, 2), "1 of 2"), ((0.5, None, "x"), "0.5: x"), ((1, 0), "1 of 0"), ((5, 4), "5 of 4")],
    ids=str,
)
def test_progress_is_shown(said: Any, shown: str) -> None:
    found = decode_progress(encode_progress(*said))
    assert str(found) == shown
    assert found is not None
    assert found.share is None or 0 <= found.share <= 1


@pytest.mark.parametrize("text", [None, "", "{", "[]", "5", '{"done":"x"}', '{"x":1}', '{"done":NaN}'])
def test_what_cannot_be_read_is_no_progress(text: str | None) -> None:
    assert decode_progress(text) is None


def test_a_message_is_bounded_and_can_be_kept_everywhere(app: Flask, client: Client) -> None:
    handle = using(tags=["t"]).schedule_now(odd_message)
    handle.result(timeout=20)
    assert handle.progress is not None
    assert handle.progress.message == "a\\x00b\\udc80" + "c" * 487 + "…"


def odd_message() -> None:
    current_job.progress(1, 1, "a\x00b\udc80" + "c" * 1000)


@pytest.mark.parametrize("error", ["it was killed", "it was killed."])
def test_a_sentence_about_a_job_without_a_result_ends_in_one_full_stop(error: str) -> None:
    assert str(JobFailedError("j1", "failed", error)) == "Job j1 has no result, for it is 'failed': it was killed."

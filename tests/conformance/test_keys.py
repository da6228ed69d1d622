"""Keys, by way of the client: racing threads and processes, debounce and throttle, and who holds a key when."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from flask import Flask

from scheduler_app import RetryPolicy, current_job, task, using
from scheduler_app.client import Client
from scheduler_app.conflict import OnConflict
from scheduler_app.errors import DuplicateKeyError, JobNotFoundError
from scheduler_app.extension import Parts
from scheduler_app.jobs import JobState
from tests.conformance.sides import until

RACERS = 64
PROCESSES = 4
POLL_SECONDS = 0.5
BUSY_SECONDS = 1.0
"""What a machine may be busy with besides."""

ran: list[Any] = []
began, may_go_on = Event(), Event()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()
    began.clear()
    may_go_on.clear()


def note(*args: Any) -> None:
    ran.append(args)


def hold_and_fail(name: str) -> None:
    ran.append((name, current_job.attempt))
    began.set()
    assert may_go_on.wait(20)
    raise ValueError(name)


@task(name="tests.once", attempts=4, delivery="at_most_once")
def once(name: str) -> None:
    ran.append(name)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    app = make_app()
    with app.app_context():
        yield app


@pytest.fixture
def client(app: Flask) -> Client:
    parts: Parts = app.extensions["scheduler"]
    parts.store.patience = 50.0
    return parts.client


# -- who gets a key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_of_64_threads_that_schedule_under_one_key_one_makes_the_job(
    on_conflict: OnConflict, app: Flask, client: Client
) -> None:
    barrier = Barrier(RACERS)

    def schedule(index: int) -> tuple[str, bool]:
        with app.app_context():
            barrier.wait()
            try:
                handle = using(key="invoice-7", on_conflict=on_conflict).schedule_after(60 + index, note, index)
            except DuplicateKeyError as error:
                return error.job_id, False
            return handle.id, handle.created

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(schedule, range(RACERS)))
    assert Counter(created for _id, created in answers) == {True: 1, False: RACERS - 1}
    [only] = client.list()
    assert {job_id for job_id, _created in answers} == {only.id}


RACER = """
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from flask import Flask
from scheduler_app import Scheduler
from tests.conformance.test_keys import race

url, threads = sys.argv[1:]
app = Flask("tests")
app.config |= {
    "SECRET_KEY": "the secret of the conformance tests",
    "SCHEDULER_DATABASE_URL": url,
    "SCHEDULER_ROLE": "client",
    "SCHEDULER_TASK_MODULES": ["tests"],
}
Scheduler(app)
race(app, int(threads))
"""


def race(app: Flask, threads: int) -> None:
    """Schedule under one key from each thread, when told to, in each way; say what came of it."""
    app.extensions["scheduler"].store.patience = 50.0

    def schedule(on_conflict: str) -> list[Any]:
        with app.app_context():
            try:
                handle = using(key=on_conflict, on_conflict=on_conflict).schedule_after(600, note, 1)
            except DuplicateKeyError as error:
                return [error.job_id, False]
            return [handle.id, handle.created]

    with ThreadPoolExecutor(threads) as pool:
        for on_conflict in OnConflict:
            print("ready", flush=True)
            sys.stdin.readline()
            print(json.dumps(list(pool.map(schedule, [on_conflict.value] * threads))), flush=True)


def test_of_several_processes_with_64_threads_in_all_one_makes_the_job(migrated_url: str, client: Client) -> None:
    words = [sys.executable, "-c", RACER, migrated_url, str(RACERS // PROCESSES)]
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            )
            for _ in range(PROCESSES)
        ]
        for on_conflict in OnConflict:
            check_round(racers, client, on_conflict.value)
    assert {racer.returncode for racer in racers} == {0}
    assert len(client.list()) == len(OnConflict)


def check_round(racers: list[subprocess.Popen[str]], client: Client, key: str) -> None:
    """Let all processes go at once; see that one caller made the job, and that all know it."""
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
    answers = [answer for racer in racers for answer in json.loads(racer.stdout.readline())]  # type: ignore[union-attr]
    assert Counter(created for _id, created in answers) == {True: 1, False: RACERS - 1}
    assert {job_id for job_id, _created in answers} == {client.get(key=key).id}


# -- debounce and throttle -----------------------------------------------------------------------------------------


def test_a_debounced_job_runs_once_so_long_after_the_last_call_with_its_arguments(app: Flask, client: Client) -> None:
    first = using(key="k", on_conflict="debounce", tags=["old"]).schedule_after(60, note, 1)
    last = using(key="k", on_conflict="debounce", tags=["new"], priority="high", attempts=3).schedule_after(
        90, once, "x"
    )
    assert (last.id, last.created) == (first.id, False)
    assert last.run_at - first.run_at > timedelta(seconds=29)
    job = client.get(key="k")
    assert (job.tags, job.priority, job.max_attempts, job.at_most_once, job.task) == (
        ("new",),
        1,
        3,
        True,
        "tests.once",
    )
    client.run_now(key="k")
    app.extensions["scheduler"].aps.start()
    until(lambda: ran)
    until(lambda: client.get(job.id).finished)
    assert ran == ["x"]


def test_a_throttled_job_runs_at_the_time_of_the_first_call_with_the_arguments_of_the_last(
    app: Flask, client: Client
) -> None:
    first = using(key="k", on_conflict="throttle").schedule_after(60, note, 1)
    for index in (2, 3):
        again = using(key="k", on_conflict="throttle").schedule_after(600, note, index)
        assert (again.id, again.created, again.run_at) == (first.id, False, first.run_at)
    client.run_now(key="k")
    app.extensions["scheduler"].aps.start()
    until(lambda: client.get(first.id).finished)
    assert ran == [(3,)]


def test_a_throttled_key_begins_a_new_window_once_its_job_has_started(app: Flask, client: Client) -> None:
    first = using(key="k", on_conflict="throttle").schedule_now(note, 1)
    app.extensions["scheduler"].aps.start()
    until(lambda: client.get(first.id).finished)
    second = using(key="k", on_conflict="throttle").schedule_after(60, note, 2)
    assert second.created
    assert second.id != first.id


@pytest.mark.parametrize("on_conflict", ["debounce", "throttle"])
def test_a_paused_job_takes_a_further_calls_arguments_and_stays_paused(
    on_conflict: str, app: Flask, client: Client
) -> None:
    first = using(key="k").schedule_after(60, note, 1).pause()
    again = using(key="k", on_conflict=on_conflict).schedule_after(600, note, 2)
    assert (again.id, again.state) == (first.id, JobState.PAUSED)
    assert (again.run_at == first.run_at) == (on_conflict == "throttle")
    assert client.get(first.id).payload != first.job.payload


@pytest.mark.parametrize("on_conflict", ["debounce", "throttle"])
def test_new_arguments_have_all_of_their_attempts(on_conflict: str, app: Flask, client: Client) -> None:
    patient = RetryPolicy(attempts=2, backoff=3600, jitter=0)
    may_go_on.set()
    first = using(key="k", retry=patient).schedule_now(hold_and_fail, "old")
    parts: Parts = app.extensions["scheduler"]
    parts.aps.start()
    until(lambda: client.get(first.id).attempt == 1)
    again = using(key="k", retry=patient, on_conflict=on_conflict).schedule_after(3600, hold_and_fail, "new")
    assert (again.id, again.created, again.job.attempt, again.job.error) == (first.id, False, 0, None)
    client.run_now(key="k")
    until(lambda: client.get(first.id).attempt == 1)
    assert client.get(first.id).state is JobState.SCHEDULED
    assert ran == [("old", 1), ("new", 1)]
    assert [(one.attempt, one.error) for one in client.attempts(first.id)] == [
        (1, "ValueError: old"),
        (1, "ValueError: new"),
    ]


# -- who holds a key, and for how long -----------------------------------------------------------------------------


def test_a_started_job_gives_its_key_free_and_its_retry_yields_to_the_newer_one(app: Flask, client: Client) -> None:
    old = using(key="k", attempts=5).schedule_now(hold_and_fail, "old")
    parts: Parts = app.extensions["scheduler"]
    parts.aps.start()
    assert began.wait(20)
    newer = using(key="k").schedule_after(3600, note, "newer")
    assert newer.created
    may_go_on.set()
    until(lambda: client.get(old.id).finished)
    yielded = client.get(old.id)
    assert (yielded.state, yielded.error) == (
        JobState.CANCELLED, f"not run again: the newer job {newer.id} holds its key",
    )  # fmt: skip
    [attempt] = client.attempts(old.id)
    assert (attempt.attempt, attempt.error) == (1, "ValueError: old")
    assert "hold_and_fail" in str(attempt.traceback)
    assert client.get(key="k").id == newer.id


def test_a_key_is_a_handle(app: Flask, client: Client) -> None:
    made = using(key="order:42:remind").schedule_after(3600, note, 42)
    assert client.get(key="order:42:remind").id == made.id
    assert client.reschedule(key="order:42:remind", by=-1800).run_at == made.run_at - timedelta(minutes=30)
    assert client.pause(key="order:42:remind").state is JobState.PAUSED
    assert client.run_now(key="order:42:remind").state is JobState.SCHEDULED
    assert client.cancel(key="order:42:remind").state is JobState.CANCELLED
    with pytest.raises(JobNotFoundError):
        client.get(key="order:42:remind")


# -- cancelled from another process --------------------------------------------------------------------------------

WORKER = """
import sys
from flask import Flask
from scheduler_app import Scheduler

url, poll = sys.argv[1:]
app = Flask("tests")
app.config |= {
    "SECRET_KEY": "the secret of the conformance tests",
    "SCHEDULER_DATABASE_URL": url,
    "SCHEDULER_ROLE": "client",
    "SCHEDULER_POLL_SECONDS": float(poll),
    "SCHEDULER_TASK_MODULES": ["tests"],
}
scheduler = Scheduler(app)
with app.app_context():
    scheduler.start()
    print("ready", flush=True)
    sys.stdin.readline()
    scheduler.shutdown()
"""


def run_until_cancelled(path: str) -> None:
    """Say when it began, and when it saw that it was asked to stop; then stop."""
    Path(path).touch()
    deadline = time.monotonic() + 60
    while not current_job.cancelled:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    Path(path).write_text(str(time.time()))
    current_job.raise_if_cancelled()


WAYS: dict[str, Callable[[Client, str], Any]] = {
    "id": lambda client, job_id: client.cancel(job_id),
    "key": lambda client, _job_id: client.cancel(key="key:1"),
    "prefix": lambda client, _job_id: client.cancel(prefix="prefix:"),
    "tag": lambda client, _job_id: client.cancel(tag="tag"),
}


def test_a_job_sees_within_the_poll_interval_that_another_process_cancelled_it(
    migrated_url: str, tmp_path: Path, app: Flask, client: Client
) -> None:
    words = [sys.executable, "-c", WORKER, migrated_url, str(POLL_SECONDS)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        assert worker.stdout.readline() == "ready\n"
        for way, cancel in WAYS.items():
            said = tmp_path / way
            handle = using(key=f"{way}:1", tags=[way], attempts=5).schedule_now(run_until_cancelled, str(said))
            until(said.exists)
            asked_at = time.time()
            cancel(client, handle.id)
            until(lambda handle=handle: client.get(handle.id).finished)  # type: ignore[misc]
            assert float(said.read_text()) - asked_at < POLL_SECONDS + BUSY_SECONDS
            assert client.get(handle.id).state is JobState.CANCELLED
        worker.stdin.write("end\n")

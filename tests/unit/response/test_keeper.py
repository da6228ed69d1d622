"""The keeper's thread: it writes by itself, tries again, ends when idle, and leaves nothing unsaid at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, stream_with_context

from scheduler_app import after_response, signals
from scheduler_app.extension import Parts
from scheduler_app.response import keeper
from tests.unit.response.work import call
from tests.wsgi import Exchange

ROOT = Path(__file__).parents[3]
SECONDS = 15.0


def until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def versions(app: Flask) -> list[int]:
    """Return the version of each job: 1 once it is released."""
    return [job.version for job in app.extensions["scheduler"].client.list()]


def execute(app: Flask, statement: str) -> None:
    app.extensions["scheduler"].store.write(lambda connection: connection.exec_driver_sql(statement))


def test_it_releases_by_itself(app: Flask) -> None:
    Exchange(app, "/ok/it").finish()
    until(lambda: versions(app) == [1], "the release")


def test_a_write_that_fails_is_told_and_tried_again(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.05)
    told: list[BaseException] = []

    def tell(_sender: object, *, error: BaseException, **_: Any) -> None:
        told.append(error)

    with signals.scheduler_failed.connected_to(tell):
        opened = Exchange(app, "/ok/it")
        execute(app, "CREATE TRIGGER no BEFORE UPDATE ON scheduler_jobs BEGIN SELECT RAISE(ABORT, 'no'); END")
        opened.finish()
        until(lambda: len(told) >= 2, "two failures")
        assert versions(app) == [0]
        execute(app, "DROP TRIGGER no")
        until(lambda: versions(app) == [1], "the release")


def test_its_thread_ends_when_there_is_nothing_to_do_and_starts_again(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LINGER_SECONDS", 0.1)
    app = make_app(SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS=0.4)
    parts: Parts = app.extensions["scheduler"]
    opened = Exchange(app, "/ok/one")
    thread = parts.keeper._thread
    assert thread is not None
    thread.join(0.5)
    assert thread.is_alive(), "it puts off the fallback of an open response"
    opened.finish()
    thread.join(SECONDS)
    assert not thread.is_alive()
    Exchange(app, "/ok/two").finish()
    until(lambda: versions(app) == [1, 1], "the release by another thread")


def test_a_body_that_ends_amid_the_keepers_own_work_may_defer_a_call(app: Flask) -> None:
    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                after_response(call, "at its end")

        return Response(stream_with_context(chunks()))

    opened = Exchange(app, "/stream")
    assert next(opened.body) == b"a"
    with app.extensions["scheduler"].keeper.lock:  # as when the collector finds the body then
        opened.body.body.close()
    assert versions(app) == [0]


def test_once_it_is_stopped_all_is_written_and_its_thread_is_gone_until_the_next_response(app: Flask) -> None:
    parts: Parts = app.extensions["scheduler"]
    opened = Exchange(app, "/ok/it")
    thread = parts.keeper._thread
    assert thread is not None
    opened.finish()
    parts.keeper.stop()
    assert versions(app) == [1]
    assert not thread.is_alive()
    Exchange(app, "/ok/it").finish()
    until(lambda: versions(app) == [1, 1], "the release by another thread")


def test_where_no_thread_can_be_started_the_fallback_is_left_and_the_next_request_tries_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    told: list[BaseException] = []

    def tell(_sender: object, *, error: BaseException, **_: Any) -> None:
        told.append(error)

    with signals.scheduler_failed.connected_to(tell), monkeypatch.context() as starved:
        starved.setattr(keeper.Thread, "start", fails)
        opened = Exchange(app, "/ok/one")
        assert (opened.status, opened.finish()) == ("200 OK", b"ok")
    assert {str(error) for error in told} == {"can't start new thread"}
    assert versions(app) == [0]
    Exchange(app, "/ok/two").finish()
    until(lambda: versions(app) == [1, 1], "the release of both")


AT_EXIT = """
import sys, threading
from flask import Flask
from scheduler_app import Scheduler
from scheduler_app.response.keeper import Keeper
from tests.unit.response import work
from tests.wsgi import Exchange

Keeper._main = lambda self: threading.Event().wait()  # a thread that gets no time before the process ends
app = Flask("shop")
app.config.update(SECRET_KEY="a secret", SCHEDULER_DATABASE_URL=sys.argv[1], SCHEDULER_ROLE="client",
                  SCHEDULER_TASK_MODULES=["tests"])
Scheduler(app)
work.add_views(app)
Exchange(app, "/ok/it").finish()
"""


def test_what_was_closed_in_the_last_moment_of_a_process_is_released(app: Flask) -> None:
    url = app.config["SCHEDULER_DATABASE_URL"]
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, url], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert versions(app) == [1]

"""A job that is stored where no live worker would take it is told of, once a minute."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from scheduler_app import Scheduler, logs, schedule_after, schedule_now, using
from scheduler_app.client import unattended
from scheduler_app.extension import Parts
from scheduler_app.store import workers


def greet() -> None:
    """What is deferred."""


@pytest.fixture
def parts(sqlite_url: str) -> Iterator[Parts]:
    """A process that stores jobs and runs none."""
    app = Flask("shop")
    app.config.update(SECRET_KEY="k", SCHEDULER_DATABASE_URL=sqlite_url, SCHEDULER_ROLE="client")
    Scheduler(app)
    logs.connect()
    made: Parts = app.extensions["scheduler"]
    with app.app_context():
        yield made
    made.store.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock of the looks, as a list of one."""
    now = [1_000.0]
    monkeypatch.setattr(unattended, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what was said since the last call."""

    def lines() -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        caplog.clear()
        return found

    return lines


def live(parts: Parts, queues: str | None = None) -> None:
    """Have a live worker stand in the table."""
    now = parts.store.clock.now()
    row: dict[str, Any] = {
        "id": "w", "host": "alpha", "pid": 1, "beat": 0, "state": "running", "queues": queues, "executors": "{}",
        "tasks": "[]", "key_ids": "[]", "started_at": now, "seen_at": now,
    }  # fmt: skip
    parts.store.write(lambda connection: workers.register_if_absent(connection, parts.store.dialect, row))


def test_scheduling_to_nobody_is_said_once_a_minute_and_queue(
    parts: Parts, clock: list[float], told: Callable[[], list[str]]
) -> None:
    nobody = "no live worker serves queue={!r}; its jobs are stored and wait: start the app, or 'flask scheduler run'"
    schedule_after(60, greet)
    schedule_now(greet)
    assert told() == [nobody.format("default")]
    using(queue="mail").schedule_now(greet)
    assert told() == [nobody.format("mail")]
    clock[0] += 59.9
    schedule_now(greet)
    assert told() == []
    clock[0] += 0.1
    schedule_now(greet)
    assert told() == [nobody.format("default")]


def test_where_a_live_worker_serves_the_queue_nothing_is_said(
    parts: Parts, clock: list[float], told: Callable[[], list[str]]
) -> None:
    parts.store.ensure_ready()
    live(parts, '["mail"]')
    using(queue="mail").schedule_now(greet)
    assert told() == []
    schedule_now(greet)
    assert len(told()) == 1


def test_a_look_that_fails_stops_no_call(
    parts: Parts, clock: list[float], told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_connection: object) -> None:
        raise OperationalError("SELECT", None, Exception("gone"))

    monkeypatch.setattr(unattended, "all_workers", fails)
    assert schedule_now(greet).id
    assert told() == []


def test_a_process_whose_own_worker_is_about_to_register_says_nothing(
    parts: Parts, clock: list[float], told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(parts.aps), "looping", property(lambda _aps: True))
    schedule_now(greet)
    assert told() == []

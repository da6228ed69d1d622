"""Another process's new work starts long before this one's next poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

import pytest
from flask import Flask

from scheduler_app import schedule_after, schedule_now
from scheduler_app.extension import Parts
from scheduler_app.store import Store

POLL_SECONDS = 30.0
SOON_SECONDS = 10.0
"""Far less than a poll or a heartbeat, far more than a wake-up takes on a busy machine."""

came = Event()


def arrive() -> None:
    came.set()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    came.clear()


@pytest.fixture(autouse=True)
def _tells(migrated_url: str) -> None:
    if migrated_url.startswith(("mysql", "mariadb")):
        pytest.skip("MySQL and MariaDB tell nobody; what another process schedules waits for the poll")


@pytest.fixture
def sleeper(make_app: Callable[..., Flask]) -> Parts:
    """A process whose loop has nothing to do, and looks again in half a minute."""
    app = make_app(SCHEDULER_POLL_SECONDS=POLL_SECONDS, SCHEDULER_HEARTBEAT_SECONDS=20, SCHEDULER_LEASE_SECONDS=90)
    parts: Parts = app.extensions["scheduler"]
    parts.aps.start()
    asleep(parts)
    return parts


def asleep(parts: Parts) -> None:
    """Wait until the loop waits for its next poll, and has done so for a moment: start-up wakes it several times."""
    deadline = time.monotonic() + 20
    since = time.monotonic()
    turned_at = parts.aps.turned_at
    while time.monotonic() - since < 0.5 or parts.aps._waiting_until < time.monotonic() + SOON_SECONDS:
        assert time.monotonic() < deadline, "the loop did not come to rest"
        if parts.aps.turned_at != turned_at:
            since, turned_at = time.monotonic(), parts.aps.turned_at
        time.sleep(0.01)


def test_work_that_another_process_schedules_for_now_starts_before_the_next_poll(
    sleeper: Parts, make_app: Callable[..., Flask]
) -> None:
    with make_app(SCHEDULER_POLL_SECONDS=POLL_SECONDS).app_context():
        schedule_now(arrive)
    assert came.wait(SOON_SECONDS)


def test_work_that_another_process_schedules_for_soon_starts_in_time(
    sleeper: Parts, make_app: Callable[..., Flask]
) -> None:
    with make_app(SCHEDULER_POLL_SECONDS=POLL_SECONDS).app_context():
        schedule_after(0.5, arrive)
    assert came.wait(SOON_SECONDS)


def test_a_watcher_tells_of_another_ones_write_once(make_store: Callable[[], Store]) -> None:
    mine, other = make_store(), make_store()
    mine.ensure_ready()
    watcher = mine.dialect.watch(mine.engine)
    try:
        assert not watcher.wait(0.05)
        other.write(lambda connection: connection.exec_driver_sql("DELETE FROM scheduler_audit"))
        other.notify()
        deadline = time.monotonic() + SOON_SECONDS
        while not watcher.wait(0.5):
            assert time.monotonic() < deadline, "the write was not seen"
        assert not watcher.wait(0.05)
    finally:
        watcher.close()

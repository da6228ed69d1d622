"""A store that is closed has no connection open, whoever was using one; and it may be used again."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event

from scheduler_app import Scheduler
from scheduler_app.extension import nudge
from scheduler_app.store import Store

SECONDS = 10.0


@pytest.fixture
def closed(store: Store) -> list[Any]:
    """The connections of the store that were closed, each as it is."""
    seen: list[Any] = []
    event.listen(store.engine, "close", lambda raw, _record: seen.append(raw))
    return seen


def test_a_connection_that_is_in_use_as_the_store_is_closed_is_closed_as_it_comes_back(
    store: Store, closed: list[Any]
) -> None:
    begun, may_end = Event(), Event()
    used: list[Any] = []

    def work(connection: Connection) -> None:
        used.append(connection.connection.dbapi_connection)
        begun.set()
        assert may_end.wait(SECONDS)

    using = Thread(target=store.read, args=(work,))
    using.start()
    assert begun.wait(SECONDS)
    store.close()
    assert used[0] not in closed
    may_end.set()
    using.join(SECONDS)
    assert used[0] in closed


def test_a_store_that_was_closed_connects_anew_and_keeps_its_connection(store: Store, closed: list[Any]) -> None:
    store.close()
    closed.clear()
    first, second = (store.read(lambda connection: connection.connection.dbapi_connection) for _ in range(2))
    assert first is second
    assert closed == []


def test_a_shutdown_leaves_no_notification_to_be_sent_later(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nudge, "APART_SECONDS", 60.0)
    scheduler = Scheduler()
    app = make_app(scheduler=scheduler)
    parts = app.extensions["scheduler"]
    if not parts.store.dialect.notifies:
        pytest.skip("nobody is notified by this database")
    parts.nudge(0.0)
    parts.nudge(0.0)
    assert parts.nudge._later is not None
    with app.app_context():
        scheduler.shutdown()
    assert parts.nudge._later is None

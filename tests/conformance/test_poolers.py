"""PostgreSQL behind a transaction pooler, where the backend of one transaction is not that of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from scheduler_app.store import Store

THRESHOLD = 5
"""How often psycopg runs a statement before it prepares it."""


@pytest.fixture
def store(migrated_postgresql: str) -> Iterator[Store]:
    store = Store(migrated_postgresql)
    yield store
    store.close()


def ask(connection: Connection) -> int:
    """Run a statement with a parameter, and return the name of the backend that answered."""
    return int(connection.execute(text("SELECT pg_backend_pid() + :none"), {"none": 0}).scalar_one())


def prepared(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one())


def behind_the_back(store: Store, command: bytes) -> None:
    """Have the pooled connection's backend do what the driver does not notice, as another client's would."""
    with store.engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.pgconn.exec_(command)


def prepare_by_use(store: Store) -> int:
    backends = {store.read(ask) for _ in range(THRESHOLD + 2)}
    assert len(backends) == 1
    assert store.read(prepared) >= 1
    return backends.pop()


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_statement_that_another_backend_does_not_know_is_tried_again_and_none_is_prepared_any_more(
    store: Store, verb: str
) -> None:
    first = prepare_by_use(store)
    behind_the_back(store, b"DEALLOCATE ALL")
    run: Callable[[Callable[[Connection], int]], int] = getattr(store, verb)
    assert run(ask) != first
    assert {store.read(ask) for _ in range(2 * THRESHOLD)} == {run(ask)}
    assert store.read(prepared) == 0


def test_a_name_that_another_client_prepared_on_this_backend_is_no_obstacle(store: Store) -> None:
    first = store.read(ask)
    behind_the_back(store, b"; ".join(b"PREPARE _pg3_%d AS SELECT 1" % place for place in range(20)))
    assert {store.read(ask) for _ in range(2 * THRESHOLD)} > {first}
    assert store.read(prepared) == 0


def test_a_transaction_whose_prepared_statement_is_gone_was_surely_not_committed(store: Store) -> None:
    prepare_by_use(store)
    behind_the_back(store, b"DEALLOCATE ALL")
    with pytest.raises(DBAPIError) as failed, store.begin() as connection:
        ask(connection)
    dialect = store.dialect
    assert failed.value.connection_invalidated
    assert dialect.is_transient(failed.value)
    assert not dialect.is_undecided(failed.value)


def test_a_pooler_is_known_by_the_process_id_that_it_makes_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: 1))
    for _ in range(2 * THRESHOLD):
        store.read(ask)
    assert store.read(prepared) == 0
    watcher = store.dialect.watch(store.engine)
    try:
        listening = watcher._raw.execute("SELECT count(*) FROM pg_listening_channels()").fetchone()  # type: ignore[attr-defined]
        store.notify()
        assert (listening, watcher.wait(0.05)) == ((0,), False)
    finally:
        watcher.close()


def test_a_direct_connection_prepares_and_listens(store: Store) -> None:
    prepare_by_use(store)
    watcher = store.dialect.watch(store.engine)
    try:
        store.notify()
        assert watcher.wait(5)
    finally:
        watcher.close()

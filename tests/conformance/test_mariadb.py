"""What is MariaDB's and MySQL's own: sessions, long texts, and which of the two a URL says it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import make_url, text

from scheduler_app.jobs import Outcome
from scheduler_app.store import Store, schema
from tests.conformance.cranked import ManualClock, Process, fetch, job, job_of, put
from tests.mariadb import MariadbServer


@pytest.fixture
def store(mariadb_url: str) -> Iterator[Store]:
    store = Store(mariadb_url, auto_upgrade=True)
    yield store
    store.close()


def test_a_url_that_says_mysql_works_on_mariadb_and_makes_the_same_tables(mariadb_server: MariadbServer) -> None:
    seen = []
    for scheme in ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"):
        with mariadb_server.fresh_database() as url:
            store = Store(make_url(url).set(drivername=scheme).render_as_string(hide_password=False), auto_upgrade=True)
            store.ensure_ready()
            assert schema.differences(store.engine) == []
            with store.reading() as connection:
                made = connection.execute(text("SHOW CREATE TABLE scheduler_jobs")).one()
            seen.append(made[1])
            store.close()
    assert len(set(seen)) == 1
    assert "COLLATE utf8mb4_nopad_bin" in seen[0]


def test_sessions_are_strict_in_utc_and_read_what_is_committed_whatever_the_servers_defaults(store: Store) -> None:
    [row] = fetch(store, "SELECT @@time_zone, @@sql_mode, @@tx_isolation")
    assert tuple(row) == ("+00:00", "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION", "READ-COMMITTED")


def test_what_is_longer_than_mysqls_own_text_is_kept_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    clock.install(monkeypatch)
    store.clock = clock  # type: ignore[assignment]
    process = Process(store, clock)
    long: Any = "ü" * 100_000
    new = job(clock, payload=f'{{"a":["{long}"],"k":{{}}}}')
    put(store, new)
    claim = process.claim_one()
    assert claim.payload == new.payload
    process.finish(claim, Outcome.SUCCESS, value=f'"{long}"')
    assert job_of(store, new.id).result == f'"{long}"'

"""What the conformance tests share: a store on a fresh database, a clock moved by hand, processes cranked by hand."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import make_url

from scheduler_app import Scheduler
from scheduler_app.store import Store
from scheduler_app.store.tables import metadata
from tests.conformance.cranked import ALLOWED, ManualClock, Process, moves, watch_moves
from tests.mariadb import MariadbServer, connect
from tests.servers import PostgresqlServer

# -- databases ---------------------------------------------------------------------------------------
# Migrated once: the tests that use these ask for rows, not for tables.


FEW_BYTES = 500_000


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "scheduler.sqlite3"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server: PostgresqlServer) -> Iterator[str]:
    with postgresql_server.fresh_database() as url:
        prepare(url)
        yield url


@pytest.fixture(scope="session")
def shared_mariadb(mariadb_server: MariadbServer) -> Iterator[str]:
    with mariadb_server.fresh_database() as url:
        prepare(url)
        yield url


def prepare(url: str) -> None:
    store = Store(url, auto_upgrade=True, journal="delete")
    watch_moves(store)
    store.close()


@pytest.fixture
def migrated_sqlite(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "scheduler.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def migrated_postgresql(shared_postgresql: str) -> str:
    with psycopg.connect(shared_postgresql.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        names = [*metadata.tables, "moves"]
        size = connection.execute("SELECT pg_relation_size('scheduler_jobs')").fetchone()
        if size is not None and size[0] < FEW_BYTES:  # a TRUNCATE makes each file anew, and syncs it
            connection.execute("; ".join(f"DELETE FROM {name}" for name in names).encode())
        else:
            connection.execute(f"TRUNCATE {', '.join(names)}".encode())
    return shared_postgresql


@pytest.fixture
def migrated_mariadb(shared_mariadb: str, mariadb_server: MariadbServer) -> str:
    url = make_url(shared_mariadb)
    assert url.database is not None
    mariadb_server.disconnect(url.database)
    with connect(url) as connection, connection.cursor() as cursor:
        connection.begin()
        for name in [*metadata.tables, "moves"]:
            cursor.execute(f"DELETE FROM {name}")  # faster than TRUNCATE, which makes each file anew
        connection.commit()
    return shared_mariadb


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database with the scheduler's tables, all of them empty: the test runs once for each kind."""
    url: str = request.getfixturevalue(f"migrated_{request.param}")
    return url


# -- processes ---------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The one clock of the test: the database's and every process's."""
    made = ManualClock()
    made.install(monkeypatch)
    return made


@pytest.fixture
def make_store(migrated_url: str, clock: ManualClock) -> Iterator[Callable[[], Store]]:
    """Open the test's database anew, as another process would."""
    made: list[Store] = []

    def make() -> Store:
        store = Store(migrated_url, auto_upgrade=True)
        store.clock = clock  # type: ignore[assignment]
        store._ready = not store.dialect.one_writer  # a server's tables were checked when they were made
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[[], Store]) -> Iterator[Store]:
    """A store whose database writes down every move of a job; in the end each must be one of TRANSITIONS."""
    store = make_store()
    yield store
    assert moves(store) <= ALLOWED


@pytest.fixture
def make_process(make_store: Callable[[], Store], clock: ManualClock, store: Store) -> Callable[..., Process]:
    """Make one more process on the test's database, with a store of its own."""

    def make(**options: Any) -> Process:
        return Process(make_store(), clock, **options)

    return make


@pytest.fixture
def process(store: Store, clock: ManualClock) -> Process:
    """A process with ten slots."""
    return Process(store, clock)


@pytest.fixture
def make_app(migrated_url: str) -> Iterator[Callable[..., Flask]]:
    """Make apps on the test's database, which start no loop by themselves; what was started is stopped in the end."""
    made: list[Flask] = []

    def make(scheduler: Scheduler | None = None, **config: Any) -> Flask:
        app = Flask("tests")
        app.config |= {
            "SECRET_KEY": "the secret of the conformance tests",
            "SCHEDULER_DATABASE_URL": migrated_url,
            "SCHEDULER_AUTO_UPGRADE": True,
            "SCHEDULER_ROLE": "client",
            "SCHEDULER_POLL_SECONDS": 0.1,
            "SCHEDULER_HEARTBEAT_SECONDS": 0.2,
            "SCHEDULER_TASK_MODULES": ["tests"],
        } | config
        (scheduler or Scheduler()).init_app(app)
        made.append(app)
        return app

    yield make
    for app in made:
        parts = app.extensions["scheduler"]
        parts.keeper.stop()
        if parts.running:
            parts.aps.shutdown(wait=True)
        for thread in threading.enumerate():  # a drain would open the store again
            if thread.name == "scheduler-drain":
                thread.join(10)
        parts.nudge.flush()
        parts.store.close()

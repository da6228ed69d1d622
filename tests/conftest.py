"""What every suite shares: databases to test on, and manners that every test must keep."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from pymysql.connections import Connection

from tests.mariadb import MariadbServer, find_mariadb
from tests.servers import NoServerError, PostgresqlServer, find_postgresql

THREAD_SECONDS = 5.0

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


def pytest_configure() -> None:
    """Forget the settings of the shell that the tests were started from."""
    for name in list(os.environ):
        if name.startswith(("FLASK_", "SCHEDULER_")) and not name.startswith("SCHEDULER_TEST_"):
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that `make chaos` lengthens the time for it."""
    seconds = os.environ.get("SCHEDULER_TEST_CHAOS_SECONDS")
    if not seconds:
        return
    for item in items:
        if item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.timeout(2 * float(seconds) + 300), append=False)


# -- databases ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server; without one the test is skipped, or fails if SCHEDULER_TEST_REQUIRE_SERVERS=1."""
    search = find_postgresql()
    try:
        server = search.__enter__()
    except NoServerError as error:
        _do_without(f"PostgreSQL is needed: {error}")
    yield server
    search.__exit__(None, None, None)


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database of this test's own."""
    with postgresql_server.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """A MariaDB server; without one the test is skipped, or fails if SCHEDULER_TEST_REQUIRE_SERVERS=1."""
    search = find_mariadb()
    try:
        server = search.__enter__()
    except NoServerError as error:
        _do_without(f"MariaDB is needed: {error}")
    yield server
    search.__exit__(None, None, None)


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """PyMySQL reads those of all authorities at each connection, which takes it 35 ms, also where it verifies none."""
    make = Connection._create_ssl_ctx
    ready = cache(lambda: make(object.__new__(Connection), {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_create_ssl_ctx", lambda self, options: make(self, options) if options else ready())
        yield


@pytest.fixture
def mariadb_url(mariadb_server: MariadbServer) -> Iterator[str]:
    """The URL of a new, empty MariaDB database of this test's own."""
    with mariadb_server.fresh_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file of this test's own that does not exist yet."""
    return f"sqlite:///{tmp_path / 'scheduler.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new, empty database: the test runs once for each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def _do_without(reason: str) -> None:
    if os.environ.get("SCHEDULER_TEST_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# -- manners -----------------------------------------------------------------------------------------


@pytest.fixture
def chaos_seconds() -> float:
    """How long a test marked `chaos` should go on: short, or as long as `make chaos` says."""
    return float(os.environ.get("SCHEDULER_TEST_CHAOS_SECONDS", "12"))


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind() -> Iterator[None]:
    """Fail a test after which a thread goes on that would keep a process from ending."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_SECONDS
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    alive = [thread.name for thread in left if thread.is_alive()]
    assert not alive, f"The test left threads behind that keep a process from ending: {', '.join(alive)}"

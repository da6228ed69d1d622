"""A database whose driver is not installed is told in one sentence, at every door."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from flask import Flask

from scheduler_app import Scheduler, schedule_after
from scheduler_app.errors import StoreError
from scheduler_app.errors.store import DriverMissingError
from scheduler_app.store import Store
from tests.unit.cli.conftest import commands_of

SENTENCE = (
    "PostgreSQL needs its driver psycopg, which cannot be imported (import of psycopg halted; None in sys.modules)."
    " Install it: pip install 'scheduler-app[postgres]'"
)
OF_MYSQL = (
    "MySQL or MariaDB needs its driver PyMySQL, which cannot be imported (import of pymysql halted; None in"
    " sys.modules). Install it: pip install 'scheduler-app[mysql]'"
)


def remind() -> None:
    """A function that may be deferred."""


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An app on PostgreSQL, where psycopg is not installed."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    app = Flask("shop")
    app.config.update(SECRET_KEY="0123456789abcdef", SCHEDULER_ROLE="client", SCHEDULER_TASK_MODULES=["tests"])
    app.config["SCHEDULER_DATABASE_URL"] = "postgresql://u@127.0.0.1:1/x"
    Scheduler(app)
    yield app
    app.extensions["scheduler"].store.close()


def test_scheduling_raises_it(app: Flask) -> None:
    with app.app_context(), pytest.raises(DriverMissingError) as refused:
        schedule_after(1, remind)
    assert str(refused.value) == SENTENCE
    assert isinstance(refused.value, StoreError)


@pytest.mark.parametrize(
    "words", [("status",), ("list",), ("db", "current"), ("db", "upgrade"), ("run",)], ids=" ".join
)
@pytest.mark.usefixtures("_signals_as_before")
def test_a_command_exits_with_69(app: Flask, words: tuple[str, ...]) -> None:
    done = commands_of(app)(*words)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (69, f"Error: {SENTENCE}")


def test_readiness_answers_503(app: Flask) -> None:
    assert app.test_client().get("/scheduler/readyz").status_code == 503
    assert app.test_client().get("/scheduler/livez").status_code == 200


@pytest.mark.parametrize("scheme", ["mysql", "mariadb+pymysql"])
def test_that_of_mysql_and_mariadb_is_named_too(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(DriverMissingError) as refused:
        Store(f"{scheme}://u@127.0.0.1:1/x").ensure_ready()
    assert str(refused.value) == OF_MYSQL

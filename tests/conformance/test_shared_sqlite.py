"""A SQLite file that the app itself writes, through Flask-SQLAlchemy, on versions that can lose writes in WAL mode."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

import scheduler_app.extension.parts
import scheduler_app.store.sqlite
from scheduler_app import Scheduler, schedule_after
from scheduler_app.store import Store

BUG = f"SQLite {sqlite3.sqlite_version} can lose writes when connections write and checkpoint at once"


def remind(user_id: int) -> None:
    """A function that may be deferred."""


@pytest.fixture(autouse=True)
def _version_with_the_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scheduler_app.store.sqlite, scheduler_app.extension.parts):
        monkeypatch.setattr(module, "may_lose_writes", lambda: True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Callable[[str], Flask]]:
    """Make an app whose pool has the file open, in a journal mode, before the scheduler comes to it."""
    ends: list[Callable[[], Any]] = []

    def make(mode: str) -> Flask:
        app = Flask("shop")
        app.config.update(SECRET_KEY="a secret of the tests", SCHEDULER_ROLE="client", SCHEDULER_TASK_MODULES=["tests"])
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/shop.sqlite3"
        db = SQLAlchemy(app)
        with app.app_context():
            connection = db.engine.connect()
            connection.execute(text(f"PRAGMA journal_mode={mode}"))
            connection.execute(text("CREATE TABLE orders (id INTEGER)"))
            connection.commit()
            ends.extend([connection.close, db.engine.dispose])
        Scheduler(app)
        ends.append(app.extensions["scheduler"].store.close)
        return app

    yield make
    for end in ends:
        end()


def pragma(store: Store, name: str) -> Any:
    return store.read(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def test_a_file_in_wal_stays_in_wal_and_what_no_election_can_bind_is_noted(shop: Callable[[str], Flask]) -> None:
    app = shop("wal")
    store: Store = app.extensions["scheduler"].store
    with app.app_context():
        schedule_after(60, remind, 1)
    assert (pragma(store, "journal_mode"), pragma(store, "wal_autocheckpoint")) == ("wal", 0)
    assert store.dialect.note == (
        f"{BUG}, and the app itself writes this file in WAL mode, which no election can bind: give the scheduler a file"
        " of its own (SCHEDULER_DATABASE_URL), or upgrade SQLite"
    )


def test_a_file_with_a_rollback_journal_keeps_it_and_nothing_need_be_noted(shop: Callable[[str], Flask]) -> None:
    app = shop("delete")
    store: Store = app.extensions["scheduler"].store
    with app.app_context():
        schedule_after(60, remind, 1)
    assert pragma(store, "journal_mode") == "delete"
    assert store.dialect.note == ""


def test_a_file_in_wal_is_converted_where_the_setting_says_so(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.sqlite3") as connection:
        connection.execute("PRAGMA journal_mode=wal")
    connection.close()
    app = Flask("shop")
    app.config.update(SECRET_KEY="a secret of the tests", SCHEDULER_ROLE="client", SCHEDULER_SQLITE_JOURNAL="delete")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/shop.sqlite3"
    Scheduler(app)
    store: Store = app.extensions["scheduler"].store
    assert pragma(store, "journal_mode") == "delete"
    assert store.dialect.note == ""
    store.close()


def test_a_file_of_the_schedulers_own_has_one_connection_elected(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/jobs.sqlite3", auto_upgrade=True)
    assert pragma(store, "journal_mode") == "wal"
    assert store.dialect.note == f"{BUG}; one elected connection checkpoints"
    store.close()


@pytest.mark.parametrize(
    ("named", "mode"), [("sqlite:///{folder}/shop.sqlite3", "delete"), ("sqlite:///{folder}/jobs.sqlite3", "wal")]
)
def test_the_apps_own_file_is_known_by_its_path_too(named: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "instance").symlink_to(tmp_path)
    app = Flask("shop", instance_path=str(tmp_path / "instance"))
    app.config.update(SECRET_KEY="a secret of the tests", SCHEDULER_ROLE="client")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.sqlite3"
    app.config["SCHEDULER_DATABASE_URL"] = named.format(folder=tmp_path)
    Scheduler(app)
    store: Store = app.extensions["scheduler"].store
    assert pragma(store, "journal_mode") == mode
    store.close()
